/**
 * Promise: a vacuum deletes what no version needs, and nothing else: drains, retries, publication, repairs'
 * past and other readers go on as if nothing had been. Method: real servers, a real worker, the CLI; a table
 * with letters, a compaction and orphans, a vacuum that is forced to take all it may, then everything once
 * more. The folders and the live lists are compared file by file.
 */
import { readdirSync } from 'node:fs';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { VacuumReceipt } from '../../src/contract.ts';
import { DeltaLog } from '../../src/delta/log.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { readTable } from '../readers/environment.ts';
import { readers } from './proofs/proof.ts';
import { produce, tidemark, uniqueName } from './setup/harness.ts';
import { test } from './setup/place.ts';

test('vacuum, then everything goes on', async ({ served }) => {
  const { brokers, location, env } = served;
  const topic = await served.topic('vacuum', [], { partitions: 2 });
  const send = (from: number, count: number) =>
    produce(
      brokers,
      topic,
      Array.from({ length: count }, (_, i) => ({
        value: JSON.stringify({ n: from + i }),
        partition: i % 2,
      })),
    );
  const name = uniqueName('vacuum');
  const write = (type: string) =>
    served.pipeline(name, {
      source: { subscribe: [topic] },
      records: { schema: `n ${type}`, maxDeadLetters: '100%' },
      limits: { maxOffsetsPerBatch: 20 },
      vacuum: { keepLog: 0 },
    });
  // biome-ignore lint/suspicious/noExplicitAny: each caller knows what its verb prints
  const cli = async (...args: string[]): Promise<any> => {
    const { exitCode, stdout, stderr } = await tidemark(args, env);
    expect(exitCode, `${args.join(' ')}\n${stderr}`).toBe(0);
    return JSON.parse(stdout);
  };
  const versions = async () => {
    const seen = [];
    for await (const version of new DeltaLog(new LocalStore(location), { now: Date.now }).history())
      seen.push(version);
    return seen;
  };
  await write('TINYINT');
  await send(0, 300);
  const client = await served.client();
  const vacuum = (dryRun = false) => client.vacuum({ pipeline: name, olderThan: 0, force: true, dryRun });

  // TINYINT takes n to 127; the others become letters.
  expect((await client.drain(name)).totals).toMatchObject({ rows: 128, deadLetters: 172 });
  await client.compact({ pipeline: name, targetFiles: 1 });
  await mkdir(join(location, 'sub'), { recursive: true });
  await writeFile(join(location, 'orphan.parquet'), 'a killed attempt');
  await writeFile(join(location, '.0b7f8f4e-6a0e-4a3c-9a55-0d8a8c1e2f10.tmp'), 'a killed put');
  await writeFile(join(location, 'sub/README.txt'), 'a note');
  await utimes(join(location, 'orphan.parquet'), 0, 0);

  const tooShort = await tidemark(['vacuum', name, '--older-than', '1h'], env);
  expect(tooShort.exitCode).toBe(2);
  expect(tooShort.stderr).toMatch(/olderThan is 1h.*8 hours[\s\S]*force/);

  const before = await versions();
  const planned = await vacuum(true);
  expect(planned).toMatchObject({ outcome: 'planned', table: { kept: { live: 1, foreign: 1 } } });
  expect(await versions()).toEqual(before);
  expect(parquetOf(location)).toContain('orphan.parquet');

  const receipt: VacuumReceipt = await cli('vacuum', name, '--older-than', '0', '--force', '-o', 'json');
  console.log(JSON.stringify(receipt, undefined, 1));
  expect(receipt.table.filesDeleted).toBe(planned.table.filesDeleted);
  expect(receipt).toMatchObject({
    outcome: 'vacuumed',
    table: { kept: { live: 1, fresh: 0, foreign: 1 }, log: { firstVersion: planned.table.log.firstVersion } },
    leftovers: { temporaryFiles: 1 },
  });
  expect(receipt.table.log.versionsFolded).toBeGreaterThan(8);
  expect(receipt.leftovers.documents).toBeGreaterThan(0);
  expect((await versions()).slice(0, before.length)).toEqual(before);
  await noOrphans(1);

  // A second one finds the lists and plans of the first, and nothing of the tables.
  const again = await vacuum();
  expect(again).toMatchObject({ table: { filesDeleted: 0 }, deadLetters: { filesDeleted: 0 } });
  expect(again.leftovers.documents).toBeGreaterThan(1);

  // Everything once more: more letters, their publication, their retry, a compaction.
  await send(300, 40);
  expect((await client.drain(name)).totals).toMatchObject({ deadLetters: 40 });
  await write('SMALLINT');
  expect((await client.retryDeadLetters(name)).totals).toMatchObject({
    letters: 212,
    rows: 212,
  });
  await send(340, 20);
  expect((await client.drain(name)).totals).toMatchObject({ rows: 20 });
  await vacuum();
  expect(await cli('dead-letters', 'list', name, '-o', 'json')).toMatchObject({ open: 0, retried: 212 });
  expect(
    await cli(
      'query',
      name,
      `SELECT count(*)::INT AS c, count(DISTINCT n)::INT AS d FROM "${name}"`,
      '-o',
      'json',
    ),
  ).toEqual([{ c: 360, d: 360 }]);
  const status = await cli('status', name, '-o', 'json');
  expect(Date.parse(status.table.vacuumedUntil)).toBeGreaterThan(Date.parse(receipt.cutOff));
  expect(status.findings).toEqual([]);
  expect((await client.retryDeadLetters(name)).totals).toMatchObject({ letters: 0 });
  await noOrphans();

  const python = await readers();
  if (python === undefined) return;
  for (const reader of ['delta-rs', 'polars'] as const)
    expect(await readTable(python, reader, location)).toMatchObject({
      count: 360,
      sums: { n: '64620.000000' },
    });

  /** In both folders there is what the newest versions name, and no other data file. */
  async function noOrphans(foreign = 1): Promise<void> {
    for (const root of [location, `${location}.dead_letters`]) {
      const log = new DeltaLog(new LocalStore(root), { now: Date.now });
      expect(parquetOf(root)).toEqual([...((await log.snapshot())?.files.keys() ?? [])].sort());
    }
    expect(readdirSync(join(location, 'sub'))).toHaveLength(foreign);
  }
});

/**
 * Promise: `table.retention` takes rows out of the table with their old table partitions, and nothing else.
 * Method: days of long ago and today, a partition column with values that need escaping beside; every figure
 * that a person is told, against readers' rows.
 */
test('a vacuum drops what retention calls old', async ({ served }) => {
  const { brokers, location, env } = served;
  const topic = await served.topic('retention');
  const today = new Date().toISOString();
  const send = (...times: (string | null)[]) =>
    produce(
      brokers,
      topic,
      times.map((at, n) => ({ value: JSON.stringify({ shop: n % 2 === 0 ? 'a b/ü%' : 'c', at }) })),
    );
  const name = await served.pipeline(uniqueName('retention'), {
    source: { subscribe: [topic] },
    records: { schema: 'shop STRING, at TIMESTAMP', kafkaColumns: ['topic', 'partition', 'offset'] },
    table: {
      partitionBy: ['shop', 'day(at)'],
      retention: { partition: 'day(at)', olderThan: '30d' },
    },
  });
  const client = await served.client();
  const log = new DeltaLog(new LocalStore(location), { now: Date.now });
  const rowsOf = (...args: string[]) => tidemark(args, env).then(({ stdout }) => stdout);

  const [first, second] = ['2024-02-28T23:59:59Z', '2024-02-29T00:00:00Z'];
  await send(first, first, first, second, null, null, today, today);
  expect((await client.drain(name)).totals).toMatchObject({ rows: 8 });
  const drained = await log.snapshot();

  const planned = await client.vacuum({ pipeline: name, dryRun: true });
  const figures = { partitions: 3, files: 3, rows: 4, oldest: '2024-02-28', newest: '2024-02-29' };
  expect(planned).toMatchObject({ outcome: 'planned', retention: { column: 'at_day', ...figures } });
  expect((await log.snapshot())?.tableVersion).toBe(drained?.tableVersion);

  const receipt = await client.vacuum({ pipeline: name });
  expect(receipt).toMatchObject({ outcome: 'vacuumed', retention: { ...figures, tableVersion: 1 } });
  const kept = await log.snapshot();
  expect(
    [...(kept?.files.values() ?? [])].map(({ partitionValues }) => partitionValues.at_day).sort(),
  ).toEqual([null, null, today.slice(0, 10), today.slice(0, 10)].sort());
  // Readers of the version before still find their files.
  expect(parquetOf(location)).toEqual([...(drained?.files.keys() ?? [])].sort());

  expect((await client.vacuum({ pipeline: name })).retention).toMatchObject({ files: 0, oldest: null });
  await send(first);
  expect((await client.drain(name)).totals).toMatchObject({ rows: 1, offsets: 1 });
  const text = await rowsOf('vacuum', name, '--older-than', '0', '--force');
  expect(text).toMatch(/rows {2,}1 row of 1 table partition, at_day 2024-02-28, in version \d+\n/);
  await client.vacuum({ pipeline: name, olderThan: 0, force: true });
  expect(parquetOf(location)).toEqual([...((await log.snapshot())?.files.keys() ?? [])].sort());

  const verified = await tidemark(['verify', name], env);
  expect(verified.exitCode, verified.stdout).toBe(0);
  expect(verified.stdout).toMatch(/4 read, 4 of them .*; 5 dropped by retention\n/);
  expect(verified.stdout).toMatch(/retention {2,}5 rows of old table partitions dropped, in 2 versions/);
  expect(await rowsOf('trace', name, '--offset', `${topic}/0/3`)).toMatch(/dropped in version 1\n/);

  const python = await readers();
  if (python === undefined) return;
  for (const reader of ['delta-rs', 'polars'] as const)
    expect(await readTable(python, reader, location)).toMatchObject({ count: 4 });
});

function parquetOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.parquet') && !path.startsWith('_'))
    .sort();
}
