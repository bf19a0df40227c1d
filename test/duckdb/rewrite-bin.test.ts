/**
 * Goal: a rewritten file holds the rows of its inputs, in their order, and statistics by the same rules as
 * ours. Method: random schemas and rows in files by our own writer, merged by DuckDB, read back by hyparquet;
 * the judge is the file that our writer makes of all rows at once. What random rows rarely meet (evolved
 * columns, odd file names, wide rows, damaged files) by example.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { parquetMetadata } from 'hyparquet';
import { afterAll, describe, expect, test } from 'vitest';
import { Database } from '../../src/duckdb/database.ts';
import { type BinOrder, type RewrittenBin, rewriteBin } from '../../src/duckdb/rewrite-bin.ts';
import { readParquetRows } from '../../src/parquet/file-reader.ts';
import { parseDdl, type Schema } from '../../src/records/ddl.ts';
import { compressions, type Row, tables, type Value, writeRows } from '../parquet/rows.ts';

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
        // hyparquet makes doubles of decimals and text of bytes.
        expect(await readExactly(bytes)).toEqual(await readExactly(whole.bytes));
        expect(output.rowCount).toBe(rows.length);
        expect(output.stats).toBe(whole.stats);
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

  test('small integers in files of every width, decimals of either physical form, in one table', async () => {
    const ddl = (small: string) =>
      `n ${small}, l ARRAY<${small}>, m MAP<STRING, STRUCT<n: ${small}>>, d DECIMAL(28,2)`;
    const row = (n: number) => ({ n, l: [n, null], m: new Map([['k', { n }]]), d: BigInt(n) * 10n ** 17n });
    const inputs = [
      await storeRows(parseDdl(ddl('TINYINT')), [row(-128), row(127)]),
      await storeRows(parseDdl(ddl('SMALLINT')), [row(32_767)]),
      await storeRows(parseDdl(ddl('INT')), [row(-(2 ** 31))]),
    ];
    const schema = parseDdl(ddl('INT'));
    const once = await rewrite({ inputs, schema, compression: 'zstd' });
    expect(await readExactly(once.bytes)).toEqual([-128, 127, 32_767, -(2 ** 31)].map(exactly));
    expect(once.output.stats).toBe(
      '{"numRecords":4,"minValues":{"n":-2147483648,"d":-2147483648000000000000000.00},' +
        '"maxValues":{"n":32767,"d":32767000000000000000.00},"nullCount":{"n":0,"d":0}}',
    );
    // DuckDB's decimals are 16 bytes, ours as few as they need: read together.
    const newer = await storeRows(schema, [row(5)]);
    const twice = await rewrite({ inputs: [once.path, newer], schema, compression: 'snappy' });
    expect(await readExactly(twice.bytes)).toEqual([-128, 127, 32_767, -(2 ** 31), 5].map(exactly));

    function exactly(n: number) {
      const decimal = `${n < 0 ? '-' : ''}${Math.abs(n)}${'0'.repeat(15)}.00`;
      return [n, [n, null], [{ key: 'k', value: { n } }], decimal];
    }
  });

  test('members that are new below arrays and maps, and structs whose members are all new', async () => {
    const old = parseDdl(
      'a ARRAY<STRUCT<x: INT>>, m MAP<STRING, STRUCT<x: INT>>, s STRUCT<x: INT>, d ARRAY<MAP<STRING, STRUCT<t: STRUCT<x: INT>>>>',
    );
    const now = parseDdl(
      "a ARRAY<STRUCT<y: STRING, x: INT>>, m MAP<STRING, STRUCT<x: INT, y: DECIMAL(5,1)>>, s STRUCT<`it's`: FLOAT, z: ARRAY<INT>>, d ARRAY<MAP<STRING, STRUCT<t: STRUCT<y: INT>>>>",
    );
    const x = { x: 1 };
    const deep = [
      new Map<string, Value>([
        ['k', { t: x }],
        ['n', null],
        ['e', { t: null }],
      ]),
      null,
    ];
    const input = await storeRows(old, [
      {
        a: [x, null],
        m: new Map<string, Value>([
          ['k', x],
          ['n', null],
        ]),
        s: x,
        d: deep,
      },
      { a: null, m: null, s: null, d: null },
      { a: [], m: new Map(), s: { x: null }, d: [] },
    ]);
    const { bytes, output } = await rewrite({ inputs: [input], schema: now, compression: 'zstd' });
    const nothing = { "it's": null, z: null };
    expect(await readBack(bytes)).toEqual([
      {
        a: [{ y: null, x: 1 }, null],
        m: { k: { x: 1, y: null }, n: null },
        s: nothing,
        d: [{ k: { t: { y: null } }, n: null, e: { t: null } }, null],
      },
      { a: null, m: null, s: null, d: null },
      { a: [], m: {}, s: nothing, d: [] },
    ]);
    expect(JSON.parse(output.stats)).toEqual({ numRecords: 3, nullCount: { s: { "it's": 3 } } });
  });

  test('zeros keep their signs, nested ones too', async () => {
    const schema = parseDdl(
      'd DOUBLE, l ARRAY<STRUCT<n: ARRAY<DOUBLE>>>, f FLOAT, m MAP<STRING, ARRAY<FLOAT>>',
    );
    const none = { d: 1, l: null, f: 1, m: null };
    for (const few of [
      [
        { ...none, d: 0 },
        { ...none, d: -0 },
      ],
      [
        { ...none, l: [{ n: [0, 1] }] },
        { ...none, l: [{ n: [null, -0] }, null] },
      ],
      [
        { ...none, f: 0 },
        { ...none, f: -0 },
      ],
      [
        { ...none, m: new Map([['a', [0]]]) },
        { ...none, m: new Map([['a', [1, -0]]]) },
      ],
    ]) {
      // A handful of values gets no dictionary, and so would keep its signs anyhow.
      const rows = Array.from({ length: 20 }, () => few).flat();
      const input = await storeRows(schema, rows);
      const { bytes } = await rewrite({ inputs: [input], schema, compression: 'zstd' });
      expect(await readBack(bytes)).toEqual(
        rows.map((row) => ({ ...row, m: row.m && Object.fromEntries(row.m) })),
      );
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
    return { output: rewritten, bytes: readFileSync(output), path: output };
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

/** By DuckDB: decimals are their text, maps lists of their entries. */
async function readExactly(bytes: Buffer): Promise<unknown[]> {
  const path = join(folder, `${files++}.parquet`);
  writeFileSync(path, bytes);
  const database = await Database.open({
    memoryLimitBytes: 512 * 1024 ** 2,
    threads: 2,
    readableFiles: [path],
  });
  try {
    return await database.all(`FROM read_parquet('${path}')`);
  } finally {
    database.close();
  }
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
