/**
 * Makes RELIABILITY.md from the counts of the proofs. Run after each proof, or alone: `node
 * test/prove/reliability.ts`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { FaultRun } from '../e2e/faults/campaign.ts';
import type { CaseFigures } from '../e2e/proofs/proof.ts';
import { PROOFS, readCases, readLines } from './figures.ts';

interface Sabotaged {
  readonly sabotage: string;
  readonly meanwhile: string;
  readonly runs: number;
  readonly lost: number;
  readonly duplicate: number;
  readonly wrong: number;
}

export function writeReliability(): void {
  const runs = readLines<FaultRun>(join(PROOFS, 'faults/runs.jsonl'));
  const sections = readCases().map(([proof, cases]) => section(proof, cases));
  const page = `# Reliability

Counted, not claimed. \`npm run prove\` makes this page from the output of the proofs ([docs/proofs](docs/proofs)); each table names the
command that repeats it. After every fault the workflow must end as if nothing had happened, and an independent reader (delta-rs)
must find in both tables exactly what an independent consumer (librdkafka) finds in the topic, offset by offset and byte by byte.
The log's versions have no hole and never change; each range begins where the one before it ends.

## Every call

A run without a fault records each call through the interfaces to the outside world (store, Kafka, processes, Temporal's
activities), in the worker and in its threads. Then one run for each call and fault follows. The worker is killed (SIGKILL) before the call; or
after it, if it changes something; or the call is done and its answer is lost; or, if it writes a file's bytes, the worker is killed when half
of them are written. Each run is a line of [runs.jsonl](docs/proofs/faults/runs.jsonl).

${faultTable(runs)}

\`npm run prove -- faults\`${leftOut(runs)}${loadOf(runs)}

Recovery is the time from the fault to the workflow's end, minus the time that a run without a fault takes from the same call on. After a
kill, most of it is the 10 s that Temporal waits for heartbeats. Orphans are files of killed attempts that no version names; a vacuum
deletes them.
${sections.join('')}${sabotages(readLines<Sabotaged>(join(PROOFS, 'sabotage.jsonl')))}`;
  writeFileSync(resolve(PROOFS, '../../RELIABILITY.md'), page);
}

function faultTable(runs: readonly FaultRun[]): string {
  const hits = runs.filter(({ hit }) => hit);
  if (hits.length === 0) return 'Not run yet.';
  const rows = Object.entries(Object.groupBy(hits, ({ scenario }) => scenario)).map(([scenario, of = []]) => {
    const answersLost = of.filter(({ way }) => way === 'loseAnswer').length;
    const otherwiseWrong = of.filter(
      ({ problems, ...run }) => problems.length > 0 && run.lost + run.duplicate === 0,
    );
    return [
      scenario,
      `${new Set(of.map(({ call }) => call)).size} of ${scenarios()[scenario]?.calls ?? '?'}`,
      of.length - answersLost,
      answersLost,
      sum(of, 'lost'),
      sum(of, 'duplicate'),
      otherwiseWrong.length,
      sum(of, 'orphans'),
      percentiles(of.map(({ recoveryMs }) => recoveryMs)),
    ];
  });
  const head = [
    'calls',
    'kills',
    'answers lost',
    'lost',
    'duplicate',
    'wrong',
    'orphans',
    'recovery p50, p99, max (s)',
  ];
  return markdownTable(['scenario', ...head], rows);
}

function scenarios(): Record<string, { calls: number; faults: number }> {
  const file = join(PROOFS, 'faults/scenarios.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}

function leftOut(runs: readonly FaultRun[]): string {
  const all = Object.values(scenarios()).reduce((total, { faults }) => total + faults, 0);
  const hits = runs.filter(({ hit }) => hit).length;
  const missed = runs.length - hits;
  const untried = all - runs.length;
  return (
    `: ${hits} of ${all} faults hit` +
    (missed > 0
      ? `, ${missed} were not, because their call did not occur in that run, and are not counted`
      : '') +
    (untried > 0
      ? `; ${untried}, left out at random, were not tried for lack of time (\`MINUTES\` bounds a campaign)`
      : '') +
    '.'
  );
}

function loadOf(runs: readonly FaultRun[]): string {
  const loads = runs.map(({ load }) => load).sort((a, b) => a - b);
  const median = loads[loads.length >> 1] ?? 0;
  return median > 2
    ? ` ${median} processes per core wanted to run (several runs at once, and the machine's other work), so the times are long.`
    : '';
}

/** Zombies, outages, schedules: each is a proof whose cases say what was done. */
function section(proof: string, cases: readonly CaseFigures[]): string {
  const table = markdownTable(
    ['case', 'faults', 'records', 'lost', 'duplicate', 'slowest recovery (s)'],
    cases.map((of) => [
      of.case,
      of.faults,
      of.records,
      of.lost,
      of.duplicate,
      of.recoverySeconds?.toFixed(1) ?? '',
    ]),
  );
  return `\n## ${proof[0]?.toUpperCase()}${proof.slice(1)}\n\n${table}\n\n\`npm run prove -- ${proof}\`\n`;
}

function sabotages(rows: readonly Sabotaged[]): string {
  if (rows.length === 0) return '';
  const table = markdownTable(
    ['rule removed', 'meanwhile', 'runs until it was caught', 'lost', 'duplicate', 'wrong'],
    rows.map(({ sabotage, meanwhile, runs, lost, duplicate, wrong }) => [
      sabotage === 'none' ? '(none: the product as it is)' : sabotage,
      meanwhile,
      sabotage === 'none' ? `${runs}, none wrong` : runs,
      lost,
      duplicate,
      wrong,
    ]),
  );
  return `
## Does the test find a missing rule?

A seeded scheduler runs the real log and its decisions: two drains that overlap, die, freeze and lose answers. Then one rule is removed from
outside, and a naive reader of the final log must notice. The vacuum that runs meanwhile is the simulation's own, with the same two steps.

${table}

\`npm run prove -- sabotage\`
`;
}

function markdownTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function percentiles(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => ((sorted[Math.ceil(share * sorted.length) - 1] ?? 0) / 1000).toFixed(1);
  return `${at(0.5)}, ${at(0.99)}, ${at(1)}`;
}

function sum(runs: readonly FaultRun[], term: 'lost' | 'duplicate' | 'wrong' | 'orphans'): number {
  return runs.reduce((total, run) => total + run[term], 0);
}

if (import.meta.main) writeReliability();
