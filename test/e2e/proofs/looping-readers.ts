import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { parseStats } from '../../../src/delta/actions.ts';
import { DeltaLog } from '../../../src/delta/log.ts';
import { queryTable } from '../../../src/duckdb/query-table.ts';
import { fromDeltaSchemaString } from '../../../src/records/delta-schema.ts';
import { LocalStore } from '../../../src/storage/local-store.ts';
import type { Reader, ReadersEnvironment } from '../../readers/environment.ts';

/** One look of a reader at the newest version; see `read_in_loop.py`. */
export type LoopedRead =
  | {
      readonly version: number;
      /** By the statistics of that version's log. */
      readonly rowsInLog: number;
      readonly rows: number;
      /** Distinct ones, of partition and offset. */
      readonly positions: number;
      readonly seconds: number;
    }
  | { readonly error: string; readonly seconds: number };

export interface LoopingReader {
  readonly name: string;
  /** So far. */
  readonly reads: readonly LoopedRead[];
  stop(): Promise<void>;
}

/** A reader in a Python process of its own, which ends with the running test. */
export function startReader(
  { python }: ReadersEnvironment,
  reader: Exclude<Reader, 'spark'>,
  location: string,
  holdMs: number,
): LoopingReader {
  const script = fileURLToPath(new URL('../../readers/read_in_loop.py', import.meta.url));
  const child = spawn(python, [script, reader, location, String(holdMs / 1000)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const reads: LoopedRead[] = [];
  let unfinished = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (unfinished + text).split('\n');
    unfinished = lines.pop() ?? '';
    reads.push(...lines.map((line) => JSON.parse(line) as LoopedRead));
  });
  const closed = once(child, 'close');
  const stop = async () => {
    child.stdin.end();
    const [exitCode] = await closed;
    if (exitCode !== 0) throw new Error(`${reader} ended with ${exitCode}`);
  };
  return { name: reader, reads, stop };
}

/** What `tidemark query` does, in this process: the live files by our own log, read by DuckDB. */
export function startOwnReader(location: string, holdMs: number): LoopingReader {
  const reads: LoopedRead[] = [];
  let isStopping = false;
  const loop = async () => {
    while (!isStopping) {
      const startedMs = Date.now();
      const seconds = () => (Date.now() - startedMs) / 1000;
      await readOnce(location, holdMs).then(
        (read) => reads.push({ ...read, seconds: seconds() }),
        (error: unknown) => reads.push({ error: String(error), seconds: seconds() }),
      );
    }
  };
  const ended = loop();
  const stop = async () => {
    isStopping = true;
    await ended;
  };
  onTestFinished(stop);
  return { name: 'tidemark query', reads, stop };
}

async function readOnce(location: string, holdMs: number) {
  const store = new LocalStore(location);
  const snapshot = await new DeltaLog(store, { now: Date.now }).snapshot();
  if (snapshot === undefined) throw new Error('there is no table');
  await sleep(holdMs);
  const files = [...snapshot.files.values()];
  const { schemaString, partitionColumns } = snapshot.metaData;
  const result = await queryTable({
    view: 't',
    schema: fromDeltaSchemaString(schemaString),
    partitionColumns,
    files: [...snapshot.files].map(([path, { partitionValues }]) => ({
      file: store.address(path),
      partitionValues,
    })),
    sql: 'SELECT count(*), count(DISTINCT _offset * 1000 + _partition), sum(length(text)) FROM t',
    threads: 1,
  });
  try {
    for await (const [rows, positions] of result.rows) {
      return {
        version: snapshot.tableVersion,
        rowsInLog: files.reduce((sum, { stats }) => sum + (parseStats(stats)?.numRecords ?? 0), 0),
        rows: Number(rows),
        positions: Number(positions),
      };
    }
    throw new Error('a count has a row');
  } finally {
    result.close();
  }
}

export interface Judgement {
  readonly errors: readonly string[];
  /** Reads that failed after more than `heldSecondsMax`: a vacuum may have taken their files. */
  readonly tooLate: number;
  /**
   * Reads with fewer rows than one before, with other rows than their version's log counts, with a position
   * twice.
   */
  readonly shrunk: number;
  readonly inconsistent: number;
  readonly doubled: number;
  readonly versions: number;
  readonly secondsMax: number;
}

export function judge(reads: readonly LoopedRead[], heldSecondsMax: number): Judgement {
  const failed = reads.filter((read) => 'error' in read);
  const good = reads.filter((read) => 'rows' in read);
  return {
    errors: failed.filter(({ seconds }) => seconds <= heldSecondsMax).map(({ error }) => error),
    tooLate: failed.filter(({ seconds }) => seconds > heldSecondsMax).length,
    shrunk: good.filter(({ rows }, index) => rows < (good[index - 1]?.rows ?? 0)).length,
    inconsistent: good.filter(({ rows, rowsInLog }) => rows !== rowsInLog).length,
    doubled: good.filter(({ rows, positions }) => rows !== positions).length,
    versions: new Set(good.map(({ version }) => version)).size,
    secondsMax: Math.max(...reads.map(({ seconds }) => seconds)),
  };
}
