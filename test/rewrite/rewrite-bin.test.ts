/**
 * Goal: a rewritten file holds the rows of its inputs, in their order, and statistics by the same rules as ours.
 * Method: random schemas and rows in files by our own writer, merged by DuckDB, read back by hyparquet; the judge is the
 * file that our writer makes of all rows at once. What random rows rarely meet (evolved columns, odd file names, wide
 * rows, damaged files) by example.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { parquetMetadata } from 'hyparquet';
import { afterAll, describe, expect, test } from 'vitest';
import { readParquetRows } from '../../src/parquet/file-reader.ts';
import { parseDdl, type Schema } from '../../src/records/ddl.ts';
import { Database } from '../../src/rewrite/duckdb.ts';
import { type BinOrder, type RewrittenBin, rewriteBin } from '../../src/rewrite/rewrite-bin.ts';
import { compressions, type Row, tables, writeRows } from '../parquet/rows.ts';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const folder = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
let files = 0;
afterAll(() => rmSync(folder, { recursive: true }));

describe(`rewriteBin (seed ${seed})`, { timeout: 60_000 }, () => {
  test('rows, order and statistics are those of one file written at once', async () => {
    const cuts = fc.array(fc.nat(), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(tables, cuts, compressions, async ({ schema, rows }, cuts, compression) => {
        const inputs: string[] = [];
        for (const part of split(rows, cuts)) inputs.push(await storeRows(schema, part));
        const { output, bytes } = await rewrite({ inputs, schema, compression });

        const whole = await writeRows(schema, rows, compression);
        expect(await readBack(bytes)).toEqual(await readBack(whole.bytes));
        expect(output.rowCount).toBe(rows.length);
        expect(JSON.parse(output.stats)).toEqual(JSON.parse(whole.stats));
      }),
      { seed, numRuns: 40 },
    );
  });

  test('columns are matched by name, nested too; missing ones are null, narrower ones are widened', async () => {
    const old = parseDdl('id INT, seller STRUCT<name: STRING>, tags ARRAY<STRUCT<t: STRING>>');
    const now = parseDdl(
      'added DATE, tags ARRAY<STRUCT<weight: DOUBLE, t: STRING>>, seller STRUCT<since: BIGINT, name: STRING>, id BIGINT',
    );
    const first = await storeRows(old, [
      { id: 7, seller: { name: 'a' }, tags: [{ t: 'x' }, null] },
      { id: 8, seller: null, tags: [] },
    ]);
    const second = await storeRows(now, [
      { added: 19_000, tags: null, seller: { since: 2n ** 60n + 1n, name: null }, id: 2n ** 62n + 1n },
    ]);
    const { output, bytes } = await rewrite({ inputs: [first, second], schema: now, compression: 'zstd' });
    expect(await readBack(bytes)).toEqual([
      { added: null, tags: [{ weight: null, t: 'x' }, null], seller: { since: null, name: 'a' }, id: 7n },
      { added: null, tags: [], seller: null, id: 8n },
      { added: 19_000, tags: null, seller: { since: 2n ** 60n + 1n, name: null }, id: 2n ** 62n + 1n },
    ]);
    expect(output.inputRowCounts).toEqual([2, 1]);
    expect(output.stats).toContain('"id":4611686018427387905');
    expect(output.stats).toContain('"nullCount":{"added":2,"seller":{"since":2,"name":2},"id":0}');
  });

  test('a column that no input has is null throughout', async () => {
    const input = await storeRows(parseDdl('id BIGINT'), [{ id: 1n }]);
    const schema = parseDdl('id BIGINT, s STRUCT<a: ARRAY<TIMESTAMP>, b: BOOLEAN>');
    const { output, bytes } = await rewrite({ inputs: [input], schema, compression: 'none' });
    expect(await readBack(bytes)).toEqual([{ id: 1n, s: null }]);
    expect(JSON.parse(output.stats)).toEqual({
      numRecords: 1,
      minValues: { id: 1 },
      maxValues: { id: 1 },
      nullCount: { id: 0, s: { b: 1 } },
    });
  });

  test('zeros keep their signs, nested ones too', async () => {
    const schema = parseDdl('d DOUBLE, l ARRAY<STRUCT<n: ARRAY<DOUBLE>>>');
    for (const rows of [
      [
        { d: 0, l: null },
        { d: -0, l: null },
        { d: 0, l: null },
      ],
      [
        { d: 1, l: [{ n: [0, 1] }] },
        { d: 1, l: [{ n: [null, -0] }, null] },
        { d: 1, l: [{ n: [0] }] },
      ],
    ]) {
      const input = await storeRows(schema, rows);
      const { bytes } = await rewrite({ inputs: [input], schema, compression: 'zstd' });
      expect(await readBack(bytes)).toEqual(rows);
    }
  });

  test('timestamps are INT64 microseconds adjusted to UTC, and no field is INT96', async () => {
    const schema = parseDdl('at TIMESTAMP, nested STRUCT<at: TIMESTAMP>');
    const input = await storeRows(schema, [{ at: 1_700_000_000_123_456n, nested: { at: -1n } }]);
    const { bytes } = await rewrite({ inputs: [input], schema, compression: 'snappy' });
    const leaves = parquetMetadata(arrayBuffer(bytes)).schema.filter((element) => element.name === 'at');
    expect(leaves).toHaveLength(2);
    for (const leaf of leaves) {
      expect(leaf.type).toBe('INT64');
      expect(leaf.converted_type).toBe('TIMESTAMP_MICROS');
      expect(leaf.logical_type).toMatchObject({ type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' });
    }
  });

  test('folders and file names are only names: no columns from them, no patterns, no quoting', async () => {
    const schema = parseDdl('id BIGINT');
    const odd = join(folder, 'day=1999-01-01/id=5/it\'s [a]*? {b,c} %20 "d"');
    mkdirSync(odd, { recursive: true });
    const input = join(odd, 'part-[1]*?.parquet');
    writeFileSync(input, (await writeRows(schema, [{ id: 1n }], 'none')).bytes);
    // What the name would match as a pattern.
    writeFileSync(join(odd, 'part-1xx.parquet'), (await writeRows(schema, [{ id: 2n }], 'none')).bytes);
    const { bytes } = await rewrite({ inputs: [input], schema, compression: 'zstd' });
    expect(await readBack(bytes)).toEqual([{ id: 1n }]);
  });

  test('rows far larger than the memory limit are spilled, also where a dictionary made them look small', async () => {
    const schema = parseDdl('id BIGINT, page STRING');
    const pages = Array.from({ length: 4 }, (_, i) => `${i}`.repeat(6_000));
    const rows = Array.from({ length: 20_000 }, (_, i) => ({ id: BigInt(i), page: pages[i % 4] ?? '' }));
    const input = await storeRows(schema, rows);
    const limited = { memoryLimitBytes: 48 * 1024 ** 2 };
    const { output, bytes } = await rewrite({ inputs: [input], schema, compression: 'zstd' }, limited);
    expect(output.rowCount).toBe(rows.length);
    expect(bytes.length).toBeLessThan(1024 ** 2);
  });

  test('a damaged input fails by its name and leaves no result', async () => {
    const schema = parseDdl('id BIGINT');
    const input = await storeRows(schema, [{ id: 1n }]);
    writeFileSync(input, readFileSync(input).subarray(0, -3));
    await expect(rewrite({ inputs: [input], schema, compression: 'zstd' })).rejects.toThrow(input);
  });
});

type Ordered = Omit<BinOrder, 'output'>;

async function rewrite(order: Ordered, settings: { memoryLimitBytes?: number } = {}) {
  const output = join(folder, `${files++}.parquet`);
  const database = await Database.open({
    memoryLimitBytes: 512 * 1024 ** 2,
    threads: 2,
    spillFolder: folder,
    readableFiles: order.inputs,
    writableFolder: folder,
    ...settings,
  });
  try {
    const rewritten: RewrittenBin = await rewriteBin(database, { ...order, output });
    return { output: rewritten, bytes: readFileSync(output) };
  } finally {
    database.close();
  }
}

async function storeRows(schema: Schema, rows: readonly Row[], rowsPerGroup?: number): Promise<string> {
  const path = join(folder, `${files++}.parquet`);
  const size = rowsPerGroup ?? Math.max(1, rows.length);
  writeFileSync(path, (await writeRows(schema, rows, 'zstd', size)).bytes);
  return path;
}

/** Neighbouring parts of all rows, some of them empty. */
function split<T>(rows: readonly T[], cuts: readonly number[]): T[][] {
  const ends = [...cuts.map((cut) => cut % (rows.length + 1)), rows.length].sort((a, b) => a - b);
  return ends.map((end, index) => rows.slice(ends[index - 1] ?? 0, end));
}

/** With null for what is absent, so that a row is what its values are. */
async function readBack(bytes: Buffer): Promise<unknown[]> {
  return (await readParquetRows(bytes)).map(withNulls);
}

function withNulls(value: unknown): unknown {
  if (value === undefined) return null;
  if (Array.isArray(value)) return value.map(withNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withNulls(part)]));
}

function arrayBuffer(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
