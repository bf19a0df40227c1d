/** What a table's log must be at any time, judged from its files alone. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const EVERY_MS = 100;

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
  end(): { problems: string[]; orphans: number } {
    clearInterval(this.timer);
    this.look(true);
    const judged = this.locations.map(judgeLog);
    return {
      problems: [...this.problems, ...judged.flatMap(({ problems }) => problems)],
      orphans: judged.reduce((sum, { orphans }) => sum + orphans, 0),
    };
  }

  private look(again: boolean): void {
    for (const location of this.locations) {
      for (const file of versionsOf(location)) {
        const path = join(location, '_delta_log', file);
        const before = this.seen.get(path);
        if (before !== undefined && !again) continue;
        const content = readFileSync(path, 'utf8');
        if (before !== undefined && before !== content) this.problems.push(`${path} has changed`);
        this.seen.set(path, content);
      }
    }
    if (!again) return;
    for (const path of this.seen.keys()) if (!existsSync(path)) this.problems.push(`${path} is gone`);
  }
}

interface LoggedRange {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly startingOffset: string | null;
  readonly endingOffset: string;
}

/** Versions from 0 on without a hole; every file added once; ranges that follow one on the other, as the `txn`s say. */
export function judgeLog(location: string): { problems: string[]; orphans: number } {
  const problems: string[] = [];
  const txns = new Map<string, bigint>();
  const added = new Set<string>();
  for (const [index, file] of versionsOf(location).entries()) {
    const where = `${location} ${file}`;
    if (Number.parseInt(file, 10) !== index) problems.push(`${where} is not version ${index}`);
    const lines = readFileSync(join(location, '_delta_log', file), 'utf8')
      .trim()
      .split('\n');
    const actions = lines.map((line) => JSON.parse(line));
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

function versionsOf(location: string): string[] {
  const folder = join(location, '_delta_log');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^\d{20}\.json$/.test(name))
    .sort();
}

function filesOf(location: string): string[] {
  if (!existsSync(location)) return [];
  return readdirSync(location, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.parquet') && !path.startsWith('_'),
  );
}
