/**
 * Goal: what goes into the columns is what other engines read from the file: every type, null pattern and
 * nesting, every codec, dictionaries, many pages and row groups; and statistics never hide a row. Method:
 * random schemas and rows, read back by DuckDB and hyparquet, which share no code with the writer; large
 * columns for the paths that small ones don't reach; DuckDB filters at the borders of the statistics.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DuckDBBlobValue,
  type DuckDBConnection,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBInstance,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  type DuckDBValue,
} from '@duckdb/node-api';
import fc from 'fast-check';
import { parquetMetadata } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { Failure } from '../../src/errors.ts';
import type { Compression } from '../../src/parquet/compression.ts';
import { readParquetRows } from '../../src/parquet/file-reader.ts';
import { ParquetFileWriter } from '../../src/parquet/file-writer.ts';
import { Columns } from '../../src/records/columns.ts';
import { type DataType, parseDdl, type Schema } from '../../src/records/ddl.ts';
import type { LeafBuffers } from '../../src/records/leaf-buffers.ts';
import { asHyparquet, roundDecimals } from './hyparquet-values.ts';
import { appendRow, compressions, MemorySink, type Row, tables, writeRows } from './rows.ts';

const folder = mkdtempSync(join(tmpdir(), 'tidemark-parquet-'));
let files = 0;
let duckdb: DuckDBConnection;

beforeAll(async () => {
  duckdb = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
});
afterAll(() => {
  duckdb.closeSync();
  rmSync(folder, { recursive: true });
});

/**
 * A new file each: DuckDB keeps what it read of a path, and its times don't tell two writes within a moment
 * apart.
 */
function store(bytes: Buffer): string {
  const path = join(folder, `${files++}.parquet`);
  writeFileSync(path, bytes);
  return path;
}

async function readByDuckdb(bytes: Buffer): Promise<unknown[]> {
  const path = store(bytes);
  const reader = await duckdb.runAndReadAll(`FROM read_parquet('${path}')`);
  return reader.getRowObjects().map(plain);
}

async function readByHyparquet(bytes: Buffer): Promise<unknown[]> {
  return (await readParquetRows(bytes)).map(plain);
}

/** DuckDB's and hyparquet's values as `Value`. */
function plain(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (value instanceof DuckDBListValue) return value.items.map(plain);
  if (value instanceof DuckDBStructValue) return plain(value.entries);
  if (value instanceof DuckDBTimestampTZValue) return value.micros;
  if (value instanceof DuckDBDateValue) return value.days;
  if (value instanceof DuckDBDecimalValue) return value.value;
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes);
  if (value instanceof DuckDBMapValue) {
    return new Map(value.entries.map(({ key, value }) => [key as string, plain(value)]));
  }
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}

async function expectReadAlike(schema: Schema, bytes: Buffer, rows: readonly Row[]): Promise<void> {
  const type: DataType = { kind: 'struct', fields: schema.fields };
  expect(await readByDuckdb(bytes)).toEqual(rows);
  expect((await readByHyparquet(bytes)).map((row) => roundDecimals(type, row as Row))).toEqual(
    rows.map((row) => asHyparquet(type, row)),
  );
}

test('random schemas and rows come back from DuckDB and hyparquet', async () => {
  await fc.assert(
    fc.asyncProperty(
      tables,
      compressions,
      fc.integer({ min: 1, max: 40 }),
      async (table, compression, perGroup) => {
        const { bytes, rowCount } = await writeRows(table.schema, table.rows, compression, perGroup);
        expect(rowCount).toBe(table.rows.length);
        await expectReadAlike(table.schema, bytes, table.rows);
      },
    ),
    { numRuns: 300 },
  );
}, 60_000);

describe('columns larger than a page', () => {
  const schema = parseDdl(
    'id BIGINT NOT NULL, site STRING, text STRING, flag BOOLEAN, score DOUBLE, day DATE, ' +
      'tags ARRAY<STRING>, offers ARRAY<STRUCT<price: DOUBLE, notes: ARRAY<STRING>>>',
  );

  /** Few sites, unlike texts, a stretch of nulls longer than a page, and rows with many list elements. */
  function largeRow(i: number): Row {
    const inGap = i >= 10_000 && i < 12_500;
    return {
      id: BigInt(i) * 2n ** 40n,
      site: inGap ? null : `https://site-${i % 37}.example/${'path/'.repeat(100)}`,
      text: i % 3 === 0 ? null : `${i} ${'lorem ipsum '.repeat(i % 50)}`,
      flag: i % 7 === 0 ? null : i % 2 === 0,
      score: inGap ? null : Math.floor(i / 100) / 8,
      day: 20_000 + (i % 365),
      tags:
        i % 11 === 0
          ? null
          : Array.from({ length: i % 5 }, (_, t) => (t === 3 ? null : `tag ${(i + t) % 900}`)),
      offers: i % 5000 === 0 ? Array.from({ length: 3000 }, (_, o) => offer(i + o)) : [offer(i)],
    };
  }
  const offer = (i: number) => ({ price: i / 100, notes: i % 2 === 0 ? [] : ['used', 'x'.repeat(400)] });

  const rows = Array.from({ length: 20_000 }, (_, i) => largeRow(i));

  test.each<Compression>(['zstd', 'snappy', 'gzip', 'none'])(
    '%s',
    async (compression) => {
      const { bytes } = await writeRows(schema, rows, compression, 15_000);
      expect(await readByHyparquet(bytes)).toEqual(rows);
      if (compression === 'zstd') expect(await readByDuckdb(bytes)).toEqual(rows);

      const metadata = parquetMetadata(bytes);
      expect(metadata.row_groups.map((group) => Number(group.num_rows))).toEqual([15_000, 5_000]);
      const chunk = (name: string) =>
        metadata.row_groups[0]?.columns.find((column) => column.meta_data?.path_in_schema.join('.') === name)
          ?.meta_data;
      // Repeating columns get dictionaries, the others don't; and all of this did reach more than one page.
      expect(chunk('site')?.encodings).toContain('RLE_DICTIONARY');
      expect(chunk('tags.list.element')?.encodings).toContain('RLE_DICTIONARY');
      expect(chunk('score')?.encodings).toContain('RLE_DICTIONARY');
      expect(chunk('id')?.encodings).toEqual(['RLE', 'PLAIN']);
      expect(chunk('text')?.encodings).toEqual(['RLE', 'PLAIN']);
      for (const name of ['site', 'text', 'offers.list.element.notes.list.element']) {
        expect(chunk(name)?.encoding_stats?.at(-1)?.count, name).toBeGreaterThan(2);
      }
      expectSizesAddUp(bytes);
    },
    30_000,
  );

  /**
   * Chunks follow each other without a gap from the first magic to the footer; DuckDB's own sum of sizes
   * agrees.
   */
  function expectSizesAddUp(bytes: Buffer): void {
    const metadata = parquetMetadata(bytes);
    let offset = 4;
    for (const group of metadata.row_groups) {
      let uncompressed = 0n;
      expect(Number(group.file_offset)).toBe(offset);
      for (const { meta_data: chunk } of group.columns) {
        expect(Number(chunk?.dictionary_page_offset ?? chunk?.data_page_offset)).toBe(offset);
        offset += Number(chunk?.total_compressed_size);
        uncompressed += chunk?.total_uncompressed_size ?? 0n;
      }
      expect(group.total_byte_size).toBe(uncompressed);
    }
    expect(offset).toBe(bytes.length - 8 - metadata.metadata_length);
  }
});

test('a file without rows has its columns', async () => {
  const { bytes, rowCount, stats } = await writeRows(parseDdl('a STRING, b STRUCT<c: INT>'), [], 'zstd');
  expect(await readByDuckdb(bytes)).toEqual([]);
  expect(await readByHyparquet(bytes)).toEqual([]);
  const described = await duckdb.runAndReadAll(`DESCRIBE FROM read_parquet('${store(bytes)}')`);
  expect(described.getRows().map((row) => row.slice(0, 2))).toEqual([
    ['a', 'VARCHAR'],
    ['b', 'STRUCT(c INTEGER)'],
  ]);
  expect(rowCount).toBe(0);
  expect(JSON.parse(stats)).toMatchObject({ numRecords: 0 });
});

/** No types of it come with Node's. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
};

test('leaves in memory of WebAssembly become the same file, and stay as they were', async () => {
  await fc.assert(
    fc.asyncProperty(tables, compressions, async (table, compression) => {
      const columns = new Columns(table.schema);
      for (const row of table.rows) appendRow(columns, row);
      const { buffer } = new WebAssembly.Memory({ initial: 16 });
      const leaves = leavesIn(buffer, columns.leaves);
      const before = Buffer.from(new Uint8Array(buffer));
      const sink = new MemorySink();
      const writer = await ParquetFileWriter.open(sink, { schema: table.schema, compression });
      await writer.writeRowGroup({ rowCount: columns.rowCount, leaves });
      const { stats } = await writer.finish();
      const expected = await writeRows(table.schema, table.rows, compression);
      expect(sink.bytes.equals(expected.bytes)).toBe(true);
      expect(stats).toBe(expected.stats);
      expect(before.equals(new Uint8Array(buffer))).toBe(true);
    }),
    { numRuns: 100 },
  );
}, 60_000);

/** One behind the other, with bytes between them that mean nothing. */
function leavesIn(memory: ArrayBuffer, leaves: readonly LeafBuffers[]): LeafBuffers[] {
  const all = Buffer.from(memory).fill(0xff);
  let at = 0;
  const placed = (bytes: Uint8Array, length: number) => {
    const start = at + 3;
    at = start + length;
    all.set(bytes.subarray(0, length), start);
    return all.subarray(start, at + 2);
  };
  return leaves.map((leaf) => ({
    path: leaf.path,
    type: leaf.type,
    physicalType: leaf.physicalType,
    typeLength: leaf.typeLength,
    maxDefinitionLevel: leaf.maxDefinitionLevel,
    maxRepetitionLevel: leaf.maxRepetitionLevel,
    values: placed(leaf.values, leaf.valuesEnd),
    valuesEnd: leaf.valuesEnd,
    valueCount: leaf.valueCount,
    definitionLevels: placed(leaf.definitionLevels, leaf.levelCount),
    repetitionLevels: placed(leaf.repetitionLevels, leaf.maxRepetitionLevel > 0 ? leaf.levelCount : 0),
    levelCount: leaf.levelCount,
  }));
}

test('columns that the file does not have stay out of it, in whatever order the others come', async () => {
  const columns = new Columns(parseDdl('day DATE, b STRUCT<x: STRING, y: BIGINT>, a STRING'));
  appendRow(columns, { day: 1, b: { x: 'x', y: 2n }, a: 'a' });
  const sink = new MemorySink();
  const schema = parseDdl('a STRING, b STRUCT<x: STRING, y: BIGINT>');
  const writer = await ParquetFileWriter.open(sink, { schema, compression: 'none' });
  await writer.writeRowGroup(columns);
  await writer.writeRowGroup(columns);
  expect(writer.bytesWritten).toBe(sink.bytes.length);
  const { sizeBytes } = await writer.finish();
  expect(sizeBytes).toBe(sink.bytes.length);
  const row = { a: 'a', b: { x: 'x', y: 2n } };
  await expectReadAlike(schema, sink.bytes, [row, row]);
  expect(columns.rowCount).toBe(1);
});

const decimal = (precision: number, scale: number) => ({ type: 'DECIMAL', precision, scale });

test('the schema says types, lists and nullability as the format wants them', async () => {
  const schema = parseDdl(
    's STRING NOT NULL, d DATE, t TIMESTAMP, l ARRAY<INT> NOT NULL, b BINARY, y TINYINT, h SMALLINT, f FLOAT, ' +
      'd9 DECIMAL(9,2), d18 DECIMAL(18,2), d19 DECIMAL(19,0), d38 DECIMAL(38,38), m MAP<STRING, DECIMAL(4,1)>',
  );
  const { bytes } = await writeRows(schema, [], 'none');
  const elements = parquetMetadata(bytes)
    .schema.slice(1)
    .map((element) => [
      element.name,
      element.repetition_type,
      element.type,
      element.converted_type,
      element.logical_type,
      ...(element.converted_type === 'DECIMAL' || element.type_length !== undefined
        ? [element.precision, element.scale, element.type_length]
        : []),
    ]);
  expect(elements).toEqual([
    ['s', 'REQUIRED', 'BYTE_ARRAY', 'UTF8', { type: 'STRING' }],
    ['d', 'OPTIONAL', 'INT32', 'DATE', { type: 'DATE' }],
    [
      't',
      'OPTIONAL',
      'INT64',
      'TIMESTAMP_MICROS',
      { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
    ],
    ['l', 'REQUIRED', undefined, 'LIST', { type: 'LIST' }],
    ['list', 'REPEATED', undefined, undefined, undefined],
    ['element', 'OPTIONAL', 'INT32', undefined, undefined],
    ['b', 'OPTIONAL', 'BYTE_ARRAY', undefined, undefined],
    ['y', 'OPTIONAL', 'INT32', 'INT_8', { type: 'INTEGER', bitWidth: 8, isSigned: true }],
    ['h', 'OPTIONAL', 'INT32', 'INT_16', { type: 'INTEGER', bitWidth: 16, isSigned: true }],
    ['f', 'OPTIONAL', 'FLOAT', undefined, undefined],
    ['d9', 'OPTIONAL', 'INT32', 'DECIMAL', decimal(9, 2), 9, 2, undefined],
    ['d18', 'OPTIONAL', 'INT64', 'DECIMAL', decimal(18, 2), 18, 2, undefined],
    ['d19', 'OPTIONAL', 'FIXED_LEN_BYTE_ARRAY', 'DECIMAL', decimal(19, 0), 19, 0, 9],
    ['d38', 'OPTIONAL', 'FIXED_LEN_BYTE_ARRAY', 'DECIMAL', decimal(38, 38), 38, 38, 16],
    ['m', 'OPTIONAL', undefined, 'MAP', { type: 'MAP' }],
    ['key_value', 'REPEATED', undefined, undefined, undefined],
    ['key', 'REQUIRED', 'BYTE_ARRAY', 'UTF8', { type: 'STRING' }],
    ['value', 'OPTIONAL', 'INT32', 'DECIMAL', decimal(4, 1), 4, 1, undefined],
  ]);
  expect(parquetMetadata(bytes).created_by).toBe(`tidemark version ${packageJson.version}`);
});

test('no filter at the border of any statistic hides a row', async () => {
  await fc.assert(
    fc.asyncProperty(tables, fc.integer({ min: 1, max: 4 }), async ({ schema, rows }, perGroup) => {
      const flat = {
        fields: schema.fields.filter(({ type }) => type.kind === 'primitive' || type.kind === 'decimal'),
      };
      fc.pre(flat.fields.length > 0 && rows.length > 0);
      const { bytes } = await writeRows(flat, rows, 'none', perGroup);
      const path = store(bytes);
      // The same rows without statistics.
      await duckdb.run(`CREATE OR REPLACE TEMP TABLE witness AS FROM read_parquet('${path}')`);
      for (const { name } of flat.fields) {
        const values = await duckdb.runAndReadAll(
          `SELECT DISTINCT ${name} FROM witness WHERE ${name} IS NOT NULL`,
        );
        for (const [value] of values.getRows()) {
          for (const condition of [`${name} = $1`, `${name} <= $1`, `${name} >= $1`, `${name} <> $1`]) {
            const counts = await duckdb.runAndReadAll(
              `SELECT (SELECT count(*) FROM read_parquet('${path}') WHERE ${condition}),
                      (SELECT count(*) FROM witness WHERE ${condition})`,
              [value as DuckDBValue],
              values.columnTypes(),
            );
            const [fromFile, fromWitness] = counts.getRows()[0] ?? [];
            expect(fromFile, `${condition} with ${value}`).toBe(fromWitness);
          }
        }
      }
    }),
    { numRuns: 40 },
  );
}, 60_000);

describe('a sink that fails', () => {
  const full = new Failure('STORAGE_FULL', 'No space left.', 'Make some.');
  class FullSink extends MemorySink {
    readonly capacity: number;
    constructor(capacity: number) {
      super();
      this.capacity = capacity;
    }
    override async write(bytes: Uint8Array): Promise<void> {
      await super.write(bytes);
      if (this.bytes.length > this.capacity) throw full;
    }
  }

  test('at any byte, in its own words, with nothing left unhandled', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    const columns = new Columns(parseDdl('a STRING, b ARRAY<BIGINT>'));
    for (let i = 0; i < 100; i++) appendRow(columns, { a: `value ${i % 9}`, b: [BigInt(i)] });
    const write = async (sink: MemorySink) => {
      const writer = await ParquetFileWriter.open(sink, { schema: columns.schema, compression: 'none' });
      try {
        await writer.writeRowGroup(columns);
        await writer.finish();
      } catch (error) {
        await writer.abort();
        throw error;
      }
    };
    const whole = new MemorySink();
    await write(whole);
    for (let capacity = 0; capacity < whole.bytes.length; capacity += 13) {
      const sink = new FullSink(capacity);
      await expect(write(sink)).rejects.toBe(full);
      expect(sink.aborted).toBe(true);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
});
