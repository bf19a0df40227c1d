/**
 * Promise: compaction changes files, never rows, for every reader and at any moment. Method: many small
 * drains, one compaction to four files, every reader before and after by sorted checksum, and a delta-rs
 * reader that loops meanwhile and must always see the same rows.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';
import {
  type Reader,
  type ReaderReport,
  type ReadersEnvironment,
  readTable,
} from '../../readers/environment.ts';
import { produce, tidemark, uniqueName, waitUntil } from '../setup/harness.ts';
import { it } from '../setup/place.ts';
import { isFullSize, readers, report, sized } from './proof.ts';

const DRAINS = sized(12, 100);
const RECORDS_PER_DRAIN = sized(50, 1_000);
const TARGET_FILES = 4;
const READERS: readonly Reader[] = isFullSize
  ? ['spark', 'delta-rs', 'polars', 'duckdb']
  : ['delta-rs', 'polars', 'duckdb'];

it('changes files and never rows', { timeout: sized(600_000, 900_000) }, async ({ served, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const { brokers, folder, location, env } = served;
  const topic = await served.topic('small', [], { partitions: 2 });
  const name = await served.pipeline(uniqueName('small'), {
    source: { subscribe: [topic] },
    records: {
      format: 'json',
      mode: 'failFast',
      schema:
        'n BIGINT NOT NULL, text STRING, tags ARRAY<STRING>, seller STRUCT<name: STRING, since: BIGINT>, at TIMESTAMP',
    },
  });
  const client = await served.client();
  const startedMs = Date.now();
  for (let drain = 0; drain < DRAINS; drain++) {
    await produce(brokers, topic, records(drain * RECORDS_PER_DRAIN, RECORDS_PER_DRAIN));
    const receipt = await client.drain(name);
    expect(receipt.totals.rows).toBe(RECORDS_PER_DRAIN);
  }
  const files = await liveFiles();
  report(
    `${DRAINS} drains of ${RECORDS_PER_DRAIN} records in ${((Date.now() - startedMs) / 1000).toFixed(1)} s: ${files} files`,
  );
  expect(files).toBe(DRAINS);

  const before = await readAll(python);
  const loop = await readInLoop(python, location);
  const compacted = await tidemark(
    ['compact', name, '--target-files', String(TARGET_FILES), '-o', 'json'],
    env,
  );
  expect(compacted.exitCode).toBe(0);
  const receipt = JSON.parse(compacted.stdout);
  const seen = await loop.stop();
  const after = await readAll(python);

  report(
    `compacted ${receipt.filesBefore} files to ${receipt.filesAfter} in ${receipt.durationMs} ms, ${receipt.rows} rows rewritten`,
  );
  expect(await liveFiles()).toBe(TARGET_FILES);
  for (const [index, reader] of READERS.entries()) {
    expect(after[index]).toMatchObject({
      count: DRAINS * RECORDS_PER_DRAIN,
      checksum: before[index]?.checksum,
      offsets: before[index]?.offsets,
    });
    expect(after[index]?.checksum).toBe(after[0]?.checksum);
    report(`${reader}: ${before[index]?.count} rows before, ${after[index]?.count} after, checksums equal`);
  }
  const odd = seen.filter(({ checksum }) => checksum !== before[0]?.checksum);
  report(`a delta-rs reader in a loop meanwhile: ${seen.length} reads, ${odd.length} different, 0 errors`);
  expect(seen.length).toBeGreaterThan(1);
  expect(odd).toEqual([]);

  async function liveFiles(): Promise<number> {
    const { stdout } = await tidemark(['files', name, '-o', 'json'], env);
    await writeFile(join(folder, 'files.json'), stdout);
    return JSON.parse(stdout).length;
  }

  async function readAll(python: ReadersEnvironment): Promise<ReaderReport[]> {
    const reports: ReaderReport[] = [];
    for (const reader of READERS) {
      reports.push(
        await readTable(python, reader, reader === 'duckdb' ? join(folder, 'files.json') : location),
      );
    }
    return reports;
  }
});

function records(from: number, count: number): { value: string; partition: number }[] {
  return Array.from({ length: count }, (_, i) => {
    const n = from + i;
    const seller = n % 7 === 0 ? null : { name: `s${n % 5}`, since: 2000 + (n % 24) };
    const at = new Date(1_700_000_000_000 + n * 1234).toISOString();
    const tags = n % 3 === 0 ? [] : ['a', `é${n}`];
    return { value: JSON.stringify({ n, text: `text ${n}`, tags, seller, at }), partition: n % 2 };
  });
}

/** Reads the table again and again; `stop` tells what each read saw and fails if one failed. */
async function readInLoop(
  python: ReadersEnvironment,
  location: string,
): Promise<{ stop(): Promise<ReaderReport[]> }> {
  const script = resolve(import.meta.dirname, '../../readers/read_table.py');
  const child: ChildProcess = spawn(python.python, [script, 'delta-rs', location, '--loop'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text) => (output += text));
  const closed = once(child, 'close');
  await waitUntil(() => output.includes('\n'));
  return {
    async stop() {
      child.stdin?.end();
      const [exitCode] = await closed;
      expect(exitCode).toBe(0);
      return output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    },
  };
}
