/**
 * Goal: SQL over a table sees its live files with the log's partition values, exact, and reaches nothing
 * else. Method: files by our own writer, real queries, and attempts to get out.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Value } from '../../src/duckdb/database.ts';
import { queryTable, type TableQuery } from '../../src/duckdb/query-table.ts';
import { Failure } from '../../src/errors.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { writeRows } from '../parquet/rows.ts';

const folder = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

const FILE_SCHEMA = parseDdl('id BIGINT, at TIMESTAMP, tags ARRAY<STRUCT<n: BIGINT>>');
const TABLE_SCHEMA = parseDdl(
  'id BIGINT, day DATE, at TIMESTAMP, n BIGINT, name STRING, tags ARRAY<STRUCT<n: BIGINT>>, later STRUCT<x: INT>',
);
const BIG = 2n ** 63n - 1n;
const first = join(folder, "day=1999-01-01,'[1]*.parquet");
const second = join(folder, 'second.parquet');
const secret = join(folder, 'secret.parquet');

beforeAll(async () => {
  const files = [
    [first, [{ id: BIG, at: 1_700_000_000_123_456n, tags: [{ n: -BIG }, null] }]],
    [second, [{ id: 1n, at: -1n, tags: null }]],
    [secret, [{ id: 42n, at: null, tags: [] }]],
  ] as const;
  for (const [path, rows] of files) {
    const plain = rows.map((row) => ({ ...row, tags: row.tags && [...row.tags] }));
    writeFileSync(path, (await writeRows(FILE_SCHEMA, plain, 'zstd')).bytes);
  }
});

const TABLE: Omit<TableQuery, 'sql'> = {
  view: 'my-products',
  schema: TABLE_SCHEMA,
  partitionColumns: ['day', 'n', 'name'],
  get files() {
    return [
      { file: first, partitionValues: { day: '2026-11-22', n: '9007199254740993', name: "it's;\0DROP" } },
      { file: second, partitionValues: { day: null, n: '', name: 'null' } },
    ];
  },
};

async function rowsOf(sql: string, table: Omit<TableQuery, 'sql'> = TABLE): Promise<Value[][]> {
  const result = await queryTable({ ...table, sql });
  try {
    const rows: Value[][] = [];
    for await (const row of result.rows) rows.push([...row]);
    return rows;
  } finally {
    result.close();
  }
}

describe('queryTable', () => {
  test('columns in the table’s order, typed, exact; partition values from the log, columns that no file has null', async () => {
    expect(await rowsOf('FROM "my-products" ORDER BY id DESC')).toEqual([
      [
        BIG,
        '2026-11-22',
        '2023-11-14T22:13:20.123456Z',
        2n ** 53n + 1n,
        "it's;\0DROP",
        [{ n: -BIG }, null],
        null,
      ],
      [1n, null, '1969-12-31T23:59:59.999999Z', null, 'null', null, null],
    ]);
    expect(await rowsOf(`SELECT id FROM "my-products" WHERE day = '2026-11-22'`)).toEqual([[BIG]]);
    expect(await rowsOf('SELECT count(*), sum(id) FROM "my-products"')).toEqual([[2n, BIG + 1n]]);
  });

  test('partition values take the type of their column', async () => {
    const ddl =
      'y INT, h TIMESTAMP, s SMALLINT, b TINYINT, d DECIMAL(20,2), f FLOAT, t BOOLEAN, z DOUBLE, id BIGINT';
    const columns = parseDdl(ddl);
    const values = { y: '2026', s: '-7', b: '127', d: '123456789012345678.50' };
    const [hour, micros] = ['2026-11-22 10:00:00', '2026-11-22T10:00:00.123456Z'];
    const files = [
      { file: second, partitionValues: { ...values, h: hour, f: '0.1', t: 'true', z: '1.0E-10' } },
      { file: secret, partitionValues: { ...values, h: micros, f: null, t: '', z: '-0.0' } },
    ];
    const partitionColumns = columns.fields.slice(0, -1).map(({ name }) => name);
    const table = { view: 't', schema: columns, partitionColumns, files };
    const same = [-7, 127, '123456789012345678.50'];
    expect(await rowsOf('FROM t ORDER BY id', table)).toEqual([
      [2026, '2026-11-22T10:00:00.000Z', ...same, Math.fround(0.1), true, 1e-10, 1n],
      [2026, micros, ...same, null, null, -0, 42n],
    ]);
    const atTen = "SELECT id FROM t WHERE h = TIMESTAMPTZ '2026-11-22 10:00:00+00'";
    expect(await rowsOf(atTen, table)).toEqual([[1n]]);
  });

  test('texts are whole: a byte order mark at the beginning, a NUL within', async () => {
    expect(
      await rowsOf("SELECT chr(65279) || 'x', 'a' || chr(0) || 'b' FROM \"my-products\" LIMIT 1"),
    ).toEqual([['\ufeffx', 'a\0b']]);
  });

  test('a table without files has its columns and no rows', async () => {
    const empty = { ...TABLE, files: [] };
    expect(await rowsOf('FROM "my-products"', empty)).toEqual([]);
    const described = await rowsOf('DESCRIBE "my-products"', empty);
    expect(described.map(([name]) => name)).toEqual(TABLE_SCHEMA.fields.map(({ name }) => name));
  });

  test.each([
    ['another file', `SELECT * FROM '${secret}'`],
    ['another file through a function', `SELECT * FROM read_parquet('${secret}')`],
    ['the system', `SELECT * FROM read_text('/etc/hostname')`],
    ['folders', `SELECT * FROM glob('${folder}/*')`],
    ['the network', `SELECT * FROM 'http://127.0.0.1:9/x.parquet'`],
    ['a write over a live file', `COPY (SELECT 1) TO '${second}'`],
    ['a write of a new file', `COPY (SELECT 1) TO '${folder}/new.csv'`],
    ['a write inside EXPLAIN ANALYZE', `EXPLAIN ANALYZE COPY (SELECT 1) TO '${second}'`],
    ['a second statement', 'SELECT 1; SELECT 2'],
    ['settings', 'SET enable_external_access = true'],
    ['extensions', 'INSTALL httpfs'],
    ['another database', `ATTACH '${folder}/new.db'`],
    ['no statement', ' '],
  ])('refuses %s', async (_, sql) => {
    const before = readFileSync(second);
    await expect(rowsOf(sql)).rejects.toThrow(Failure);
    await expect(rowsOf(sql)).rejects.toMatchObject({ code: 'USAGE' });
    expect(readFileSync(second).equals(before)).toBe(true);
    expect(existsSync(join(folder, 'new.csv')) || existsSync(join(folder, 'new.db'))).toBe(false);
  });

  test('a failure while rows are fetched is told like one before', async () => {
    const sql = "SELECT CASE WHEN i < 100000 THEN 1 ELSE error('too far') END FROM range(200000) t(i)";
    await expect(rowsOf(sql)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('too far'),
    });
  });
});
