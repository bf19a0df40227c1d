import { formatBytes } from '../src/format.ts';
import { table } from '../src/terminal/output.ts';
import { type Measured, median } from './measured.ts';

export interface SystemResult {
  readonly name: string;
  readonly rounds: readonly (Measured & { readonly startSeconds?: number })[];
  /** Why there are none. */
  readonly missing: string | undefined;
}

/** Medians over the rounds. */
export interface SystemSummary {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly cpuSecondsPerMillion: number;
  readonly rowsPerSecond: number;
  readonly peakMemoryMiB: number;
  readonly bytesWritten: number;
  readonly startSeconds: number | null;
  readonly allSeconds: readonly number[];
}

export interface Summary {
  readonly options: Readonly<Record<string, unknown>>;
  readonly systems: Readonly<Record<string, SystemSummary>>;
  readonly missing: Readonly<Record<string, string>>;
  /** A peer's median time over ours. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly cpuRatios: Readonly<Record<string, number>>;
  /** Our bytes over a peer's. */
  readonly sizeRatios: Readonly<Record<string, number>>;
  /** The most of all rounds, of a worker. */
  readonly peakMemoryMiB: number | null;
  readonly rowsPerSecond: number | null;
}

const OURS = 'tidemark';

export function summarize(
  options: Readonly<Record<string, unknown>>,
  results: readonly SystemResult[],
): Summary {
  const records = Number(options.records);
  const measured = results.filter(({ rounds }) => rounds.length > 0);
  const systems = Object.fromEntries(measured.map(({ name, rounds }) => [name, summaryOf(rounds, records)]));
  const ours = systems[OURS];
  const against = (ratio: (peer: SystemSummary, ours: SystemSummary) => number) =>
    Object.fromEntries(
      Object.entries(systems)
        .filter(([name]) => name !== OURS && ours !== undefined)
        .map(([name, peer]) => [name, round(ratio(peer, ours as SystemSummary))]),
    );
  return {
    options,
    systems,
    missing: Object.fromEntries(results.flatMap(({ name, missing }) => (missing ? [[name, missing]] : []))),
    ratios: against((peer, ours) => peer.seconds / ours.seconds),
    cpuRatios: against((peer, ours) => peer.cpuSeconds / ours.cpuSeconds),
    sizeRatios: against((peer, ours) => ours.bytesWritten / peer.bytesWritten),
    peakMemoryMiB: ours?.peakMemoryMiB ?? null,
    rowsPerSecond: ours?.rowsPerSecond ?? null,
  };
}

function summaryOf(rounds: SystemResult['rounds'], records: number): SystemSummary {
  const of = (figure: (round: SystemResult['rounds'][number]) => number) => median(rounds.map(figure));
  const seconds = of((round) => round.seconds);
  const cpuSeconds = of((round) => round.cpuSeconds);
  const starts = rounds.map(({ startSeconds }) => startSeconds).filter((each) => each !== undefined);
  return {
    seconds: round(seconds),
    cpuSeconds: round(cpuSeconds),
    cpuSecondsPerMillion: round((cpuSeconds / records) * 1e6),
    rowsPerSecond: Math.round(records / seconds),
    peakMemoryMiB: Math.round(Math.max(...rounds.map(({ peakMemoryMiB }) => peakMemoryMiB))),
    bytesWritten: of((round) => round.bytesWritten),
    startSeconds: starts.length > 0 ? round(median(starts)) : null,
    allSeconds: rounds.map(({ seconds }) => round(seconds)),
  };
}

export function asTable({ systems, ratios, cpuRatios, sizeRatios, missing }: Summary): string {
  const times = (ratio: number | undefined) => (ratio === undefined ? '' : `${ratio.toFixed(2)}x`);
  const rows = Object.entries(systems).map(([name, system]) => [
    name,
    system.seconds.toFixed(2),
    times(ratios[name]),
    system.cpuSecondsPerMillion.toFixed(1),
    times(cpuRatios[name]),
    String(system.rowsPerSecond),
    String(system.peakMemoryMiB),
    formatBytes(system.bytesWritten),
    times(sizeRatios[name]),
    system.startSeconds === null ? '' : system.startSeconds.toFixed(1),
  ]);
  const headings = [
    'system',
    'seconds',
    'over ours',
    'CPU s/million',
    'over ours',
    'rows/s',
    'peak MiB',
    'written',
    'ours over it',
    'start s, apart',
  ];
  const notes = Object.entries(missing).map(([name, why]) => `${name} is missing: ${why}`);
  return [table(headings, rows, headings.slice(1)), ...notes].join('\n');
}

const WIDTH = 640;
const BAR_HEIGHT = 26;
const LABEL_WIDTH = 90;
const COLORS: Readonly<Record<string, string>> = { [OURS]: '#2563eb' };
const NAMES: Readonly<Record<string, string>> = {
  tidemark: 'Tidemark',
  python: 'Python',
  spark: 'Spark',
};

/** Bars of seconds, one a system: SVG that reads on light and on dark pages. */
export function drawing({ systems, options }: Summary): string {
  const entries = Object.entries(systems);
  const longest = Math.max(...entries.map(([, { seconds }]) => seconds));
  const bars = entries.map(([name, { seconds }], index) => {
    const y = 34 + index * (BAR_HEIGHT + 10);
    const width = Math.max(2, ((WIDTH - LABEL_WIDTH - 80) * seconds) / longest).toFixed(1);
    const middle = y + BAR_HEIGHT / 2 + 5;
    return [
      `<text x="${LABEL_WIDTH - 10}" y="${middle}" text-anchor="end">${NAMES[name] ?? name}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="3" fill="${COLORS[name] ?? '#9ca3af'}"/>`,
      `<text x="${LABEL_WIDTH + Number(width) + 8}" y="${middle}">${seconds.toFixed(1)} s</text>`,
    ].join('\n');
  });
  const height = 44 + entries.length * (BAR_HEIGHT + 10);
  const title = `Seconds to drain ${Number(options.records).toLocaleString('en-US')} records (${options.shape}, ${options.codec}), commit included`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}">
<style>text { font: 14px sans-serif; fill: #6b7280 }</style>
<text x="${LABEL_WIDTH}" y="20">${title}</text>
${bars.join('\n')}
</svg>
`;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
