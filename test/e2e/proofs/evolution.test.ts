/**
 * Promise: a table follows its pipeline's schema, and every reader sees the same rows in it before and after
 * compaction, however old the files are. Method: five generations of a schema, each drained with its own
 * records; at full size Spark's own reading of the topic by the newest schema is the judge; all readers, one
 * compaction, all readers again.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  type Reader,
  type ReaderReport,
  type ReadersEnvironment,
  readTable,
  readTopicWithSpark,
} from '../../readers/environment.ts';
import { disagreements, produce, tidemark, uniqueName } from '../setup/harness.ts';
import { it } from '../setup/place.ts';
import { isFullSize, readers, report, sized } from './proof.ts';

const RECORDS = sized(60, 20_000);
const DAYS = 2;
const READERS: readonly Reader[] = isFullSize
  ? ['spark', 'delta-rs', 'polars', 'duckdb']
  : ['delta-rs', 'polars', 'duckdb'];

/** A schema each, and what its records have besides `id` and `at`. */
const GENERATIONS: readonly { readonly schema: string; fields(n: number): object }[] = [
  {
    schema: `id BIGINT NOT NULL, at TIMESTAMP, title STRING NOT NULL, price DOUBLE, stock TINYINT,
      seller STRUCT<name: STRING>, offers ARRAY<STRUCT<shop: STRING>>`,
    fields: (n) => ({
      ...{ title: `t${n}`, price: n / 8, stock: (n % 256) - 128 },
      ...{ seller: n % 5 === 0 ? null : { name: `s${n}` }, offers: n % 3 === 0 ? [] : [{ shop: 'a' }, null] },
    }),
  },
  {
    schema: `id BIGINT NOT NULL, at TIMESTAMP, title STRING NOT NULL, price DOUBLE, stock TINYINT,
      seller STRUCT<name: STRING>, offers ARRAY<STRUCT<shop: STRING>>, category STRING`,
    fields: (n) => ({ title: 'ü', stock: 127, category: `c${n % 7}`, offers: null }),
  },
  {
    schema: `id BIGINT NOT NULL, at TIMESTAMP, title STRING NOT NULL, price DOUBLE, stock SMALLINT,
      seller STRUCT<since: BIGINT, name: STRING>, offers ARRAY<STRUCT<shop: STRING>>, category STRING`,
    fields: (n) => ({ title: '', stock: 32_767 - n, seller: { since: n }, price: -0.5 }),
  },
  {
    schema: `id BIGINT NOT NULL, at TIMESTAMP, title STRING NOT NULL, price DOUBLE, stock SMALLINT,
      seller STRUCT<since: BIGINT, name: STRING>, offers ARRAY<STRUCT<shop: STRING, cost: DECIMAL(20,4)>>, category STRING,
      attributes MAP<STRING, STRUCT<text: STRING, weight: FLOAT>>, exact DECIMAL(30,6), size STRUCT<width: FLOAT, unit: STRUCT<code: STRING>>`,
    fields: (n) => ({
      ...{ title: 'x', offers: [{ shop: 'b', cost: n + 0.0001 }], exact: n / 64 },
      ...{
        attributes: { z: { text: `w${n}`, weight: n / 4 }, a: null },
        size: n % 4 === 0 ? null : { width: 0.1 },
      },
    }),
  },
  {
    schema: `id BIGINT NOT NULL, at TIMESTAMP, title STRING, price DOUBLE, stock INT,
      seller STRUCT<since: BIGINT, name: STRING>, offers ARRAY<STRUCT<shop: STRING, cost: DECIMAL(20,4)>>, category STRING,
      attributes MAP<STRING, STRUCT<text: STRING, weight: FLOAT>>, exact DECIMAL(30,6), size STRUCT<width: FLOAT, unit: STRUCT<code: STRING>>`,
    fields: (n) => ({ title: null, stock: 2 ** 31 - 1 - n, size: { unit: { code: 'mm' } }, attributes: {} }),
  },
];
const SCHEMA_NOW = GENERATIONS.at(-1)?.schema ?? '';

it('five generations of a schema read alike', { timeout: sized(600_000, 900_000) }, async ({
  served,
  skip,
}) => {
  const python = await readers();
  if (python === undefined) return skip();
  const { brokers, folder, location, env } = served;
  const listing = join(folder, 'files.json');
  const name = uniqueName('evolution');
  const topic = await served.topic('evolution', [], { partitions: 2 });

  for (const [generation, { schema, fields }] of GENERATIONS.entries()) {
    await served.pipeline(name, {
      source: { subscribe: [topic] },
      records: { format: 'json', mode: 'failFast', schema },
      table: { partitionBy: ['day(at)'] },
    });
    await produce(brokers, topic, records(generation * RECORDS, fields));
    const { exitCode, stdout, stderr } = await tidemark(['drain', name, '-o', 'json'], env);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'complete', totals: { rows: RECORDS } });
  }
  // One metaData action a generation, in the version that has its first rows.
  expect(await versionsWithSchema(location)).toEqual(GENERATIONS.map((_, version) => version));
  report(
    `${GENERATIONS.length} generations of ${RECORDS} records, each drained as one version with its schema`,
  );

  const before = await readAll(python);
  const compacted = await tidemark(['compact', name, '--target-files', '1', '-o', 'json'], env);
  expect(await disagreements(name, env, [])).toEqual([]);
  expect(compacted).toMatchObject({ exitCode: 0 });
  const { filesBefore, filesAfter } = JSON.parse(compacted.stdout);
  expect(filesAfter).toBe(DAYS);
  const after = await readAll(python);

  const expected = isFullSize ? await topicBySpark(python) : before[0];
  for (const [when, reports] of [
    [`${filesBefore} files`, before],
    [`${filesAfter} files, compacted`, after],
  ] as const) {
    for (const { reader, count, checksum, sums, columns } of reports) {
      report(`${reader} over ${when}: ${count} rows, checksum ${checksum}`);
      expect({ reader, count, checksum, sums }).toEqual({
        ...{ reader, count: GENERATIONS.length * RECORDS },
        ...{ checksum: expected?.checksum, sums: expected?.sums },
      });
      expect({ reader, columns }).toEqual({ reader, columns: before[0]?.columns });
    }
  }

  async function readAll(python: ReadersEnvironment): Promise<ReaderReport[]> {
    await writeFile(listing, (await tidemark(['files', name, '-o', 'json'], env)).stdout);
    const reports: ReaderReport[] = [];
    for (const reader of READERS) {
      reports.push(await readTable(python, reader, reader === 'duckdb' ? listing : location));
    }
    return reports;
  }

  async function topicBySpark(python: ReadersEnvironment): Promise<ReaderReport> {
    const truth = await readTopicWithSpark(python, brokers, {
      topics: [topic],
      schema: SCHEMA_NOW.replaceAll('\n', ' '),
      kafkaColumns: ['topic', 'partition', 'offset', 'timestamp'],
      days: ['at'],
    });
    report(`spark over the topic by the newest schema: ${truth.count} rows, checksum ${truth.checksum}`);
    return truth;
  }
});

function records(first: number, fields: (n: number) => object): { value: string; partition: number }[] {
  return Array.from({ length: RECORDS }, (_, n) => {
    const id = first + n;
    const at = new Date(Date.UTC(2026, 10, 21 + (id % DAYS), 0, 0, 0, id % 1000)).toISOString();
    return { value: JSON.stringify({ id, at, ...fields(n % 100) }), partition: id % 2 };
  });
}

/** Table versions whose commit has a metaData action, ascending. */
async function versionsWithSchema(location: string): Promise<number[]> {
  const folder = join(location, '_delta_log');
  const versions: number[] = [];
  for (const file of (await readdir(folder)).filter((name) => /^\d{20}\.json$/.test(name)).sort()) {
    const actions = (await readFile(join(folder, file), 'utf8')).trim().split('\n');
    if (actions.some((action) => 'metaData' in JSON.parse(action))) versions.push(Number.parseInt(file, 10));
  }
  return versions;
}
