/**
 * Promise: `dead-letters list` says what is wrong and how often, `show` gives a letter back byte for byte and
 * points at its defect, with no server in reach. Method: records of every kind through the product's own sink
 * into a real table, published and partly retried; real processes.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { excerpt } from '../../src/cli/dead-letters/show-text.ts';
import { BATCH } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import { publishLetters } from '../../src/commits/publish.ts';
import { RETRY } from '../../src/commits/retry.ts';
import { DeltaLog } from '../../src/delta/log.ts';
import { loadPipeline } from '../../src/pipeline/load.ts';
import { emptyAccounting } from '../../src/records/accounting.ts';
import { tableSchemas } from '../../src/records/table-schema.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { LetterFiles } from '../../src/tasks/letter-files.ts';
import { RecordSink } from '../../src/tasks/record-sink.ts';
import { TableFiles } from '../../src/tasks/table-files.ts';
import { makeBatch, ORIGIN } from '../commits/batches.ts';
import { run } from './run.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const VALUES = [
  '{"id": "a", "price": "12"}',
  '{"id": "b", "price": "13"}',
  '{"id": "c", "price": 1.5}',
  '{"id": "d", "tags": ["x", 5]}',
  '{"id": "e", "tags": ["x", "y", "z", 6]}',
  '{\n  "id": "f",\n  "price": oops\n}',
  Buffer.from([0x7b, 0x22, 0x69, 0x64, 0x22, 0x3a, 0x22, 0xff, 0xfe, 0x22, 0x7d]),
  '\u001b[31m{"id": 1}',
].map((value) => Buffer.from(value));

let root = '';
const tidemark = (...args: string[]) =>
  run(args, { TIDEMARK_PIPELINES: root, TEMPORAL_ADDRESS: '127.0.0.1:1' });

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tidemark-letters-'));
  for (const [name, location] of [
    ['orders', 'table'],
    ['clean', 'clean'],
  ])
    await writeFile(
      join(root, `${name}.yaml`),
      `source: {bootstrapServers: "127.0.0.1:1", subscribe: orders}
records: {schema: "id STRING, price DOUBLE, tags ARRAY<STRING>"}
table: {location: ./${location}}
`,
    );
  await drainAndRetry(VALUES);
});
afterAll(() => rm(root, { recursive: true }));

/** One batch of `values`, its letters published; the first letter is retried. */
async function drainAndRetry(values: readonly Buffer[]): Promise<void> {
  const specification = await loadPipeline('orders', { folder: root, environment: {} });
  const { location } = specification.table;
  const schemas = tableSchemas(specification.records, []);
  const [store, letterStore] = [new LocalStore(location), new LocalStore(`${location}.dead_letters`)];
  const origin = { epoch: 0n, run: 'drain-orders.1', batch: 'batch-1' };
  const options = { ...schemas, table: specification.table, maxFiles: 10, keyValueMetadata: {}, task: 0 };
  const files = new TableFiles({ store, ...options });
  const letters = new LetterFiles({ store: letterStore, origin, task: 0 });
  const sink = new RecordSink(specification, schemas, files, letters);
  sink.begin('orders', 0);
  for (const [offset, value] of values.entries()) {
    // key "k", one header h=v
    const record = Buffer.concat([value, Buffer.from([0x6b, 2, 2, 0x68, 2, 0x76])]);
    const keyEnd = value.length + 1;
    sink.record(
      offset,
      1_790_000_000_000 + offset,
      record,
      0,
      value.length,
      value.length,
      keyEnd,
      keyEnd,
      record.length,
    );
  }
  const accounting = { ...emptyAccounting(), rows: sink.rows, deadLetters: sink.deadLetters };
  const log = new DeltaLog(store, { now: Date.now });
  const range = { topic: 'orders', kafkaPartition: 0, startingOffset: undefined, readFrom: 0n, accounting };
  const batch = makeBatch({
    pipeline: 'orders',
    schema: schemas.tableSchema,
    topics: [{ topic: 'orders', identity: undefined }],
    partitions: [{ ...range, endingOffset: BigInt(values.length) }],
    files: await files.finish(),
    deadLetterFiles: await letters.finish(),
  });
  expect((await commit(log, BATCH, batch, letterStore)).kind).toBe('committed');
  await publishLetters(new DeltaLog(letterStore, { now: Date.now }), log, 'orders');
  const tableId = (await log.snapshot())?.metaData.id ?? '';
  const retried = [{ topic: 'orders', kafkaPartition: 0, epoch: 0n, spans: [{ from: 0n, until: 1n }] }];
  const retry = {
    batchId: 'retry-1',
    pipeline: 'orders',
    run: 'retry',
    origin: ORIGIN,
    plannedOn: { tableId, tableVersion: 0, epoch: 0n },
    previousRetry: undefined,
    schema: schemas.tableSchema,
    partitionColumns: [],
    retried,
    filtered: 1,
    files: [],
  };
  expect((await commit(log, RETRY, retry)).kind).toBe('committed');
}

describe('list', () => {
  it('counts by reason and place, then names the newest', async () => {
    const { exitCode, stdout, stderr } = await tidemark('dead-letters', 'list', 'orders', '--limit', '2');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toContain('6 open dead letters, 1 retried.');
    expect(stdout).toMatch(/^ +2 +0 +wrongType +tags\[\] +orders\/0\/4$/m);
    expect(stdout).toMatch(/^ +1 +1 +wrongType +price +orders\/0\/1$/m);
    expect(stdout).toContain('The newest 2 of 7:');
    expect(stdout).toMatch(/^orders\/0\/7 +2026-09-21 \d\d:\d\d:20Z +open/m);
    expect(stdout).not.toContain('orders/0/5 ');
    expect(stdout).not.toContain('\u001b[31m');
  });

  it('leaves out what was not asked for', async () => {
    const open = JSON.parse(
      (await tidemark('dead-letters', 'list', 'orders', '--open', '-o', 'json')).stdout,
    );
    expect(open.letters.map(({ offset }: { offset: number }) => offset)).toEqual([7, 6, 5, 4, 3, 1]);
    const wrong = await tidemark('dead-letters', 'list', 'orders', '--reason', 'wrongType', '-o', 'json');
    expect(JSON.parse(wrong.stdout)).toMatchObject({ open: 3, retried: 1, matching: 4 });
  });

  it('prints all letters as JSON lines, oldest first', async () => {
    const { stdout } = await tidemark('dead-letters', 'list', 'orders', '-o', 'jsonl');
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ offset }) => offset)).toEqual([0, 1, 3, 4, 5, 6, 7]);
    expect(lines[0]).toMatchObject({
      topic: 'orders',
      partition: 0,
      state: 'retried',
      path: 'price',
      epoch: 0,
    });
  });

  it('without a table ends with 2', async () => {
    const { exitCode, stderr } = await tidemark('dead-letters', 'list', 'clean');
    expect(exitCode).toBe(2);
    expect(stderr).toContain('TABLE_NOT_FOUND');
  });
});

describe('show', () => {
  it('points at the defect', async () => {
    const { exitCode, stdout } = await tidemark('dead-letters', 'show', 'orders', 'orders/0/5');
    expect(exitCode).toBe(0);
    const lines = stdout.split('\n');
    const mark = lines.findIndex((line) => line.trim() === '^');
    expect(lines[mark - 1]?.[lines[mark]?.indexOf('^') ?? -1]).toBe('o');
    expect(stdout).toMatch(/key +k\n/);
    expect(stdout).toMatch(/header +h: v\n/);
  });

  it('shows bytes that are no text in hexadecimal', async () => {
    const { stdout } = await tidemark('dead-letters', 'show', 'orders', 'orders/0/6');
    expect(stdout).toContain('7b 22 69 64 22 3a 22 ff fe 22 7d');
    const json = JSON.parse(
      (await tidemark('dead-letters', 'show', 'orders', 'orders/0/6', '-o', 'json')).stdout,
    );
    expect(json).toMatchObject([{ value: { hex: '7b226964223a22fffe227d' }, key: { text: 'k' } }]);
  });

  it('gives the value back byte for byte', async () => {
    const { stdout } = await tidemark('dead-letters', 'show', 'orders', 'orders/0/7', '--value');
    expect(stdout).toBe(String(VALUES[7]));
  });

  it.each([['orders/0/2'], ['orders-0-5'], ['orders/0/99']])('%s ends with 2', async (letter) => {
    const { exitCode, stdout } = await tidemark('dead-letters', 'show', 'orders', letter);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  });
});

describe('excerpt', () => {
  it('is small around the defect of a large value, the mark below it', () => {
    const value = Buffer.from(`[${'"ä", '.repeat(100_000)}oops${', 1'.repeat(100_000)}]`);
    const text = excerpt(value, value.indexOf('oops'));
    expect(text.length).toBeLessThan(1000);
    const lines = text.split('\n');
    const mark = lines.findIndex((line) => line.trim() === '^');
    expect(lines[mark - 1]?.slice(lines[mark]?.indexOf('^'))).toMatch(/^oops/);
  });

  it.each([
    ['', null],
    ['{}', 2],
    ['ä', 1],
    ['a\nb', 99],
  ])('takes %j at %s', (value, byteOffset) => {
    expect(excerpt(Buffer.from(value), byteOffset)).not.toBe('');
  });
});
