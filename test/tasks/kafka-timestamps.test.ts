/**
 * Promise: a record's Kafka timestamp is stored as it is, or the record has a defect; whatever number a
 * producer sent, it stops nothing and becomes no other moment, also when its letter is retried. Method:
 * numbers around the borders of exactness and of TIMESTAMP through the product's own sink into files,
 * partitioned by the hour, read back.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { LetterSet } from '../../src/commits/letters.ts';
import { openParquetFile } from '../../src/parquet/file-reader.ts';
import { parsePipeline } from '../../src/pipeline/load.ts';
import type { Specification } from '../../src/pipeline/specification.ts';
import type { RecordMode } from '../../src/records/records-specification.ts';
import { tableSchemas } from '../../src/records/table-schema.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { LetterFiles } from '../../src/tasks/letter-files.ts';
import { RecordSink } from '../../src/tasks/record-sink.ts';
import { retryTask } from '../../src/tasks/retry-task.ts';
import { TableFiles } from '../../src/tasks/table-files.ts';

const root = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
let tables = 0;
afterAll(() => rmSync(root, { recursive: true }));

const FIRST = Date.parse('0001-01-01T00:00:00Z');
const LAST = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
/** The last ones are of producers that send microseconds and nanoseconds. */
const ODD = [FIRST - 1, -(2 ** 53), LAST + 1, 1_790_000_000_000_000, 1_790_000_000_000_000_000, 2 ** 63];
const FITTING = [FIRST, -5, 0, 1_790_000_000_123, 9_007_199_254_741, LAST - 1, LAST];

describe('a number that no TIMESTAMP can hold', () => {
  test('is a defect of the record in mode deadLetter, and stays one in a retry while the column is there', async () => {
    const { sink, files, letters, letterStore, specification } = open('deadLetter');
    feed(sink, ODD);
    expect([sink.rows, sink.deadLetters]).toEqual([0, ODD.length]);
    expect(await files.finish()).toEqual([]);
    const [{ path, rowCount } = { path: '', rowCount: 0 }] = await letters.finish();
    const rows = await (await openParquetFile(letterStore, path)).read<{
      timestamp: bigint | null;
      reason: string;
      message: string;
    }>(['timestamp', 'reason', 'message'], 0, rowCount);
    for (const [index, { timestamp, reason, message }] of rows.entries()) {
      expect([timestamp, reason]).toEqual([null, 'kafkaTimestampOutOfRange']);
      expect(message).toContain(`${ODD[index]} ms`);
    }
    const ranges = [{ path, startRow: 0, endRow: rowCount }];
    expect(await retry(specification, letterStore, ranges)).toMatchObject({ retried: [], files: [] });
    const records = { ...specification.records, kafkaColumns: ['offset'] as const };
    const without = { ...specification, records, table: { ...specification.table, partitionBy: [] } };
    const { stillDefective, files: written } = await retry(without, letterStore, ranges);
    expect([stillDefective, written[0]?.rowCount]).toEqual([0, ODD.length]);
  });

  test('is null in mode permissive, beside the record', async () => {
    const { sink, files, store } = open('permissive');
    feed(sink, ODD);
    const [file] = await files.finish();
    expect(file?.partitionValues).toEqual({ _timestamp_hour: null });
    const rows = await read(store, file?.path ?? '', ODD.length, ['n', '_timestamp', '_corrupt_record']);
    for (const row of rows) {
      expect(row).toEqual({ n: 7n, _timestamp: null, _corrupt_record: Buffer.from(VALUE).toString() });
    }
  });

  test('is dropped, or stops by name, where the mode says so', () => {
    const dropping = open('dropMalformed').sink;
    feed(dropping, ODD);
    expect([dropping.rows, dropping.dropped]).toEqual([0, ODD.length]);
    for (const timestampMs of ODD) {
      expect(() => feed(open('failFast').sink, [timestampMs])).toThrow(`${timestampMs} ms since 1970`);
    }
  });
});

test('every other number is the same moment, in its hour', async () => {
  const { sink, files, store } = open('failFast');
  feed(sink, FITTING);
  const found = new Map<string | null | undefined, unknown>();
  for (const { path, partitionValues, rowCount } of await files.finish()) {
    for (const { _timestamp } of await read(store, path, rowCount, ['_timestamp']))
      found.set(String(_timestamp), partitionValues._timestamp_hour);
  }
  const hourOf = (ms: number) => `${new Date(ms).toISOString().slice(0, 13)}:00:00.000000Z`;
  expect(found).toEqual(new Map(FITTING.map((ms) => [String(BigInt(ms) * 1000n), hourOf(ms)])));
});

const VALUE = '{"n": 7}';

function open(mode: RecordMode) {
  const location = join(root, `${tables++}`);
  const specification = parsePipeline(
    `source: {bootstrapServers: "127.0.0.1:1", subscribe: t}
records: {schema: "n BIGINT", mode: ${mode}, kafkaColumns: [timestamp]}
table: {location: ${location}, partitionBy: ["hour(_timestamp)"]}
`,
    join(root, 'odd.yaml'),
    {},
  );
  const schemas = tableSchemas(specification.records, specification.table.partitionBy);
  const [store, letterStore] = [new LocalStore(location), new LocalStore(`${location}.dead_letters`)];
  const options = { ...schemas, table: specification.table, maxFiles: 100, keyValueMetadata: {}, task: 0 };
  const files = new TableFiles({ store, ...options });
  const letters = new LetterFiles({
    store: letterStore,
    origin: { epoch: 0n, run: 'r', batch: 'b' },
    task: 0,
  });
  return {
    sink: new RecordSink(specification, schemas, files, letters),
    files,
    letters,
    store,
    letterStore,
    specification,
  };
}

function feed(sink: RecordSink, timestamps: readonly number[]): void {
  // No key, no headers.
  const record = Buffer.concat([Buffer.from(VALUE), Buffer.from([0])]);
  sink.begin('t', 0);
  for (const [offset, timestampMs] of timestamps.entries())
    sink.record(offset, timestampMs, record, 0, VALUE.length, -1, -1, VALUE.length, record.length);
}

interface Row {
  n: bigint;
  _timestamp: bigint | null;
  _corrupt_record: string;
}

async function read(store: LocalStore, path: string, rows: number, columns: (keyof Row)[]) {
  return await (await openParquetFile(store, path)).read<Row>(columns, 0, rows);
}

async function retry(
  specification: Specification,
  letterStore: LocalStore,
  ranges: { path: string; startRow: number; endRow: number }[],
) {
  const plan = {
    batchId: 'retry',
    pipeline: 'odd',
    tableId: 't',
    epoch: '0',
    tableVersion: 0,
    previousRetry: null,
    ranges,
  };
  return await retryTask({
    store: new LocalStore(specification.table.location),
    letterStore,
    specification,
    plan,
    retried: new LetterSet(),
    onProgress: () => {},
  });
}
