/** What a table's log must be at any time, judged from its files alone. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readLines } from '../../prove/figures.ts';

const EVERY_MS = 100;

// biome-ignore lint/suspicious/noExplicitAny: read as the protocol has it, not as our types say.
type Any = any;

/** Looks at the logs of some tables while a run goes on: a version that has appeared must stay as it is. */
export class LogWatch {
  private readonly locations: readonly string[];
  private readonly seen = new Map<string, string>();
  private readonly problems: string[] = [];
  private readonly timer: NodeJS.Timeout;

  constructor(locations: readonly string[]) {
    this.locations = locations;
    this.timer = setInterval(() => this.look(false), EVERY_MS);
  }

  /** @returns what is wrong with the logs, and how many files no version ever named */
  end({ cleans = false } = {}): { problems: string[]; orphans: number } {
    clearInterval(this.timer);
    this.look(true);
    const gone = [...this.seen.keys()].filter((path) => !cleans && !existsSync(path));
    this.problems.push(...gone.map((path) => `${path} is gone`));
    const judged = this.locations.map(judgeLog);
    const orphans = judged.reduce((sum, of) => sum + of.orphans, 0);
    if (cleans && orphans > 0) this.problems.push(`${orphans} files that no version names are left`);
    return {
      problems: [...this.problems, ...judged.flatMap(({ problems }) => problems)],
      orphans,
    };
  }

  private look(again: boolean): void {
    for (const location of this.locations) {
      for (const file of versionsOf(location)) {
        const path = join(location, '_delta_log', file);
        const before = this.seen.get(path);
        if (before !== undefined && !again) continue;
        const content = readIfThere(path);
        if (content === undefined) continue;
        if (before !== undefined && before !== content) this.problems.push(`${path} has changed`);
        this.seen.set(path, content);
      }
    }
  }
}

interface LoggedRange {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly startingOffset: string | null;
  readonly endingOffset: string;
}

/**
 * Versions from 0 on without a hole; every file added once; ranges that follow one on the other, as the
 * `txn`s say.
 */
export function judgeLog(location: string): { problems: string[]; orphans: number } {
  const problems: string[] = [];
  const txns = new Map<string, bigint>();
  const added = new Set<string>();
  for (const [index, { tableVersion, actions }] of historyOf(location).entries()) {
    const where = `${location} version ${tableVersion}`;
    if (tableVersion !== index) problems.push(`${where} is not version ${index}`);
    const ranges: LoggedRange[] = actions.flatMap(({ commitInfo }) => commitInfo?.ledger ?? []);
    for (const { topic, kafkaPartition, startingOffset } of ranges) {
      const before = txns.get(`tidemark/${topic}/${kafkaPartition}`)?.toString() ?? null;
      if (startingOffset !== before)
        problems.push(`${where}: ${topic}[${kafkaPartition}] begins at ${startingOffset}, not ${before}`);
    }
    for (const { txn } of actions.filter(({ txn }) => txn !== undefined)) {
      if (BigInt(txn.version) < (txns.get(txn.appId) ?? -1n))
        problems.push(`${where}: ${txn.appId} goes back to ${txn.version}`);
      txns.set(txn.appId, BigInt(txn.version));
    }
    for (const { topic, kafkaPartition, endingOffset } of ranges) {
      if (txns.get(`tidemark/${topic}/${kafkaPartition}`) !== BigInt(endingOffset))
        problems.push(`${where}: ${topic}[${kafkaPartition}] ends at ${endingOffset}, its txn does not`);
    }
    for (const { add } of actions.filter(({ add }) => add !== undefined)) {
      if (added.has(add.path)) problems.push(`${where} adds ${add.path} again`);
      added.add(add.path);
    }
  }
  return { problems, orphans: filesOf(location).filter((path) => !added.has(path)).length };
}

interface Version {
  readonly tableVersion: number;
  readonly actions: readonly Record<string, Any>[];
}

/** Where a log was cleaned up the ledger begins, in the shape of `delta/ledger.ts`. */
function historyOf(location: string): Version[] {
  const folded = ledgerOf(location).map(
    ({ tableVersion, commitInfo, adds, txns }): Version => ({
      tableVersion,
      actions: [
        { commitInfo },
        ...adds.map((add: Any) => ({ add })),
        ...Object.entries(txns).map(([appId, version]) => ({ txn: { appId, version } })),
      ],
    }),
  );
  const logged = versionsOf(location)
    .map((file): Version => {
      const lines = readFileSync(join(location, '_delta_log', file), 'utf8')
        .trim()
        .split('\n');
      return { tableVersion: Number.parseInt(file, 10), actions: lines.map((line) => JSON.parse(line)) };
    })
    .filter(({ tableVersion }) => tableVersion >= folded.length);
  return [...folded, ...logged];
}

function ledgerOf(location: string): Any[] {
  const folder = join(location, '_tidemark/ledger');
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));
  return files.sort().flatMap((name) => readLines<Any>(join(folder, name)));
}

function versionsOf(location: string): string[] {
  const folder = join(location, '_delta_log');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^\d{20}\.json$/.test(name))
    .sort();
}

/** A log is cleaned up while somebody looks. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function filesOf(location: string): string[] {
  if (!existsSync(location)) return [];
  return readdirSync(location, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.parquet') && !path.startsWith('_'),
  );
}
