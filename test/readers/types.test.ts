/**
 * Goal: every type, nested ones and partition columns too, is the same value for Spark, delta-rs, Polars and DuckDB, whether
 * our own writer or DuckDB made the file.
 *
 * Method: random rows of one schema with all types, half in a file of ours, half rewritten by DuckDB, under typed partition
 * values in one table; every reader reduces it to one checksum. Skipped where the readers are not to be had.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type { DataFile } from '../../src/delta/commit.ts';
import { DeltaLog } from '../../src/delta/log.ts';
import { parseDdl, type Schema } from '../../src/records/ddl.ts';
import { partitionFolder } from '../../src/records/table-partitioner.ts';
import { rewriteBins } from '../../src/rewrite/rewrite-bins.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { makeBatch, range } from '../delta/batches.ts';
import { type Row, rowOf, writeRows } from '../parquet/rows.ts';
import { type Reader, readersEnvironment, readTable } from './environment.ts';

const READERS: readonly Reader[] = ['spark', 'delta-rs', 'polars', 'duckdb'];
const LEAVES =
  's STRING, b BINARY, l BIGINT, i INT, h SMALLINT, y TINYINT, d DOUBLE, f FLOAT, t BOOLEAN, day DATE, at TIMESTAMP, ' +
  'd5 DECIMAL(5,2), d18 DECIMAL(18,0), d20 DECIMAL(20,10), d38 DECIMAL(38,38)';
const STRUCT = `STRUCT<${LEAVES.replaceAll(/(^|, )(\w+) /g, '$1$2: ')}>`;
const FILE_SCHEMA = parseDdl(
  `${LEAVES}, id BIGINT NOT NULL, struct ${STRUCT}, list ARRAY<${STRUCT}>, map MAP<STRING, ${STRUCT}>, ` +
    'lists ARRAY<ARRAY<DECIMAL(20,2)>>, maps ARRAY<MAP<STRING, MAP<STRING, FLOAT>>>, binaries MAP<STRING, ARRAY<BINARY>>',
);
const PARTITION_SCHEMA = parseDdl(
  'ps STRING, pi INT, ph SMALLINT, py TINYINT, pl BIGINT, pt BOOLEAN, pd DATE, pa TIMESTAMP, pdec DECIMAL(20,2)',
);
const TABLE_SCHEMA: Schema = { fields: [...FILE_SCHEMA.fields, ...PARTITION_SCHEMA.fields] };
const PARTITION_COLUMNS = PARTITION_SCHEMA.fields.map(({ name }) => name);
/** Of every column a value, or null. */
const PARTITIONS = [
  [
    'x y',
    '-7',
    '-32768',
    '127',
    '9007199254740993',
    'true',
    '2026-11-22',
    '2026-11-22 10:00:00',
    '123456789012345678.50',
  ],
  PARTITION_COLUMNS.map(() => null),
].map((values) => Object.fromEntries(PARTITION_COLUMNS.map((name, i) => [name, values[i] ?? null])));

const folder = mkdtempSync(join(tmpdir(), 'tidemark-types-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('every type reads alike, from files of either writer', { timeout: 400_000 }, async ({ skip }) => {
  const environment = await readersEnvironment();
  if ('missing' in environment) return skip(environment.missing);
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  const rows = fc
    .sample(rowOf(FILE_SCHEMA.fields), { numRuns: 80, seed })
    .map((row, i) => ({ ...row, id: BigInt(i) }));
  const store = new LocalStore(join(folder, 'table'));
  const files = await writeFiles(store, rows);
  const batch = makeBatch({
    schema: TABLE_SCHEMA,
    partitionColumns: PARTITION_COLUMNS,
    partitions: [range(0, undefined, 80n)],
    files,
  });
  const log = new DeltaLog(store, { now: Date.now });
  expect(await log.commitBatch(batch)).toMatchObject({ kind: 'committed' });

  const listing = join(folder, 'files.json');
  writeFileSync(
    listing,
    JSON.stringify(files.map(({ path, partitionValues }) => ({ path: store.url(path), partitionValues }))),
  );
  const reports = [];
  for (const reader of READERS)
    reports.push(await readTable(environment, reader, reader === 'duckdb' ? listing : store.root));
  for (const { reader, count, checksum, columns } of reports) {
    expect({ seed, reader, count, columns, checksum }).toEqual({
      ...{ seed, reader, count: rows.length },
      ...{ columns: reports[0]?.columns, checksum: reports[0]?.checksum },
    });
  }
});

/** In each table partition a file of ours and one of DuckDB. */
async function writeFiles(store: LocalStore, rows: readonly Row[]): Promise<DataFile[]> {
  const quarter = rows.length / 4;
  const files: DataFile[] = [];
  for (const [i, partitionValues] of PARTITIONS.entries()) {
    const under = partitionFolder(partitionValues);
    for (const path of [`${under}/ours-${i}.parquet`, `input-${i}.parquet`]) {
      const start = (2 * i + (path.startsWith('input') ? 1 : 0)) * quarter;
      const { bytes, stats } = await writeRows(FILE_SCHEMA, rows.slice(start, start + quarter), 'zstd', 7);
      const writer = await store.create(path);
      await writer.write(bytes);
      const { sizeBytes } = await writer.finish();
      if (!path.startsWith('input'))
        files.push({ path, sizeBytes, rowCount: quarter, partitionValues, stats });
    }
    const bin = {
      inputs: [`input-${i}.parquet`],
      output: `${under}/duckdb-${i}.parquet`,
      schema: FILE_SCHEMA,
      compression: 'zstd',
    } as const;
    for (const file of await rewriteBins(store, [bin], () => undefined, new AbortController().signal)) {
      files.push({ ...file, partitionValues });
    }
  }
  return files;
}
