/**
 * Promise: a table follows its pipeline's schema without a file being written again, and every reader sees
 * the same rows in it, before and after compactions; what cannot be followed is refused with the difference
 * before a byte is read.
 *
 * Method: five generations of one schema, each drained with its own records, a compaction between and one at
 * the end; four readers by checksum, and the rows themselves by `tidemark query`.
 */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Reader, type ReadersEnvironment, readTable } from '../readers/environment.ts';
import { readers } from './proofs/proof.ts';
import { disagreements, produce, tidemark, uniqueName } from './setup/harness.ts';
import { it, type Place } from './setup/place.ts';

const READERS: readonly Reader[] = ['delta-rs', 'polars', 'duckdb'];

/**
 * Each with what `tidemark plan` says of it, and a record; fields that a generation has not are null in its
 * rows.
 */
const GENERATIONS = [
  {
    schema:
      'id BIGINT NOT NULL, n TINYINT NOT NULL, s STRUCT<x: INT NOT NULL>, l ARRAY<STRUCT<x: SMALLINT>>, m MAP<STRING, STRUCT<x: INT>>',
    changes: [],
    record: { n: -128, s: { x: 1 }, l: [{ x: -32768 }, null], m: { a: { x: 1 }, b: null } },
  },
  {
    schema:
      'added STRING, id BIGINT NOT NULL, n TINYINT NOT NULL, s STRUCT<y: DOUBLE, x: INT NOT NULL>, l ARRAY<STRUCT<x: SMALLINT>>, m MAP<STRING, STRUCT<x: INT>>',
    changes: ['+ s.y DOUBLE', '+ added STRING'],
    record: { n: 127, s: { x: 2, y: 0.5 }, l: [], m: {}, added: 'é' },
  },
  {
    schema:
      'id BIGINT NOT NULL, n SMALLINT NOT NULL, s STRUCT<x: INT NOT NULL, y: DOUBLE>, l ARRAY<STRUCT<y: STRING, x: SMALLINT>>, m MAP<STRING, STRUCT<x: INT, y: DATE>>, added STRING',
    changes: ['~ n TINYINT, widened to SMALLINT', '+ l.element.y STRING', '+ m.value.y DATE'],
    record: { n: 32767, s: null, l: [{ x: 3, y: 'y' }], m: { c: { x: 3, y: '2024-02-29' } }, added: null },
  },
  {
    schema:
      'id BIGINT NOT NULL, n INT, s STRUCT<x: INT, y: DOUBLE>, l ARRAY<STRUCT<x: INT, y: STRING>>, m MAP<STRING, STRUCT<x: INT, y: DATE>>, added STRING',
    changes: [
      '~ n SMALLINT, widened to INT',
      '~ n SMALLINT, no longer NOT NULL',
      '~ s.x INT, no longer NOT NULL',
      '~ l.element.x SMALLINT, widened to INT',
    ],
    record: { n: null, s: { x: null, y: null }, l: [{ x: 2147483647, y: null }], m: null, added: 'x' },
  },
  {
    schema:
      'id BIGINT NOT NULL, n INT, s STRUCT<x: INT, y: DOUBLE>, l ARRAY<STRUCT<x: INT, y: STRING>>, m MAP<STRING, STRUCT<x: INT, y: DATE>>, added STRING, wide STRUCT<a: ARRAY<STRUCT<b: INT>>, c: DECIMAL(20,4)>, t TIMESTAMP',
    changes: ['+ wide STRUCT<a: ARRAY<STRUCT<b: INT>>, c: DECIMAL(20,4)>', '+ t TIMESTAMP'],
    record: {
      ...{ n: 2147483647, s: { x: 5, y: 5 }, l: null, m: { e: { x: null, y: null } }, added: null },
      ...{ wide: { a: [{ b: 1 }, null], c: 0.0001 }, t: '2024-03-01T05:00:00.000001Z' },
    },
  },
] as const;
const RECORDS = 20;

it('five generations of a schema, read alike by every reader', async ({ served, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const { name, folder, env, setSchema, drainSome } = await pipeline(served);

  for (const [generation, { schema, changes }] of GENERATIONS.entries()) {
    await setSchema(schema);
    if (generation > 0) {
      const planned = await tidemark(['plan', name], env);
      expect(planned).toMatchObject({ exitCode: 0 });
      expect(planned.stdout.split('\n').filter((line) => /^ {2}[+~] /.test(line))).toEqual(
        changes.map((change) => `  ${change}`),
      );
    }
    // The file is a generation ahead of the table: compaction goes by the table.
    if (generation === 3) await compact(name, env);
    await drainSome(generation);
    if (generation === 0) continue;
    await setSchema(GENERATIONS[generation - 1]?.schema ?? '');
    const older = await tidemark(['drain', name], env);
    expect(older.exitCode).toBe(4);
    expect(older.stderr).toContain('TABLE_SCHEMA_MISMATCH');
    await setSchema(schema);
  }

  const rows = await tidemark(
    ['query', name, `SELECT * FROM "${name}" WHERE id % ${RECORDS} = 0 ORDER BY id`, '-o', 'json'],
    env,
  );
  expect(rows.stderr).toBe('');
  expect(JSON.parse(rows.stdout)).toMatchObject(GENERATIONS.map((_, generation) => expectedRow(generation)));

  // Spark, which takes longest, where files of all generations are still as they were written.
  const before = await readAll(python, ['spark', ...READERS]);
  await compact(name, env);
  expect(await disagreements(name, env, [])).toEqual([]);
  const after = await readAll(python, READERS);
  for (const { reader, count, checksum, columns } of [...before, ...after]) {
    const expected = {
      count: GENERATIONS.length * RECORDS,
      checksum: before[0]?.checksum,
      columns: before[0]?.columns,
    };
    expect({ [reader]: { count, checksum, columns } }).toEqual({ [reader]: expected });
  }

  async function readAll(python: ReadersEnvironment, asked: readonly Reader[]) {
    const listing = join(folder, 'files.json');
    await writeFile(listing, (await tidemark(['files', name, '-o', 'json'], env)).stdout);
    const reports = [];
    for (const reader of asked)
      reports.push(await readTable(python, reader, reader === 'duckdb' ? listing : join(folder, 'table')));
    return reports;
  }
});

it('a column that another writer added: refused by name, in text and JSON, before Kafka is asked', async ({
  served,
  skip,
}) => {
  const python = await readers();
  if (python === undefined) return skip();
  const { name, folder, env, setSchema, drainSome } = await pipeline(served);
  await setSchema('id BIGINT NOT NULL');
  await drainSome(0);
  const program = `from deltalake import DeltaTable, Field
from deltalake.schema import PrimitiveType
DeltaTable('${join(folder, 'table')}').alter.add_columns([Field('theirs', PrimitiveType('double'))])`;
  execFileSync(python.python, ['-c', program]);

  const withoutKafka = { ...env, KAFKA_BROKERS: '127.0.0.1:1' };
  const text = await tidemark(['plan', name], withoutKafka);
  expect(text).toMatchObject({ exitCode: 4, stdout: '' });
  expect(text.stderr).toContain('theirs DOUBLE: the pipeline has no such column. Put it back');
  const json = await tidemark(['plan', name, '-o', 'json'], withoutKafka);
  expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'TABLE_SCHEMA_MISMATCH', exitCode: 4 } });

  await setSchema('id BIGINT NOT NULL, theirs DOUBLE');
  await drainSome(1);
  const count = await tidemark(
    ['query', name, `SELECT count(*) c, count(theirs) t FROM "${name}"`, '-o', 'json'],
    env,
  );
  expect(JSON.parse(count.stdout)).toEqual([{ c: 2 * RECORDS, t: 0 }]);
});

/**
 * A pipeline whose schema can be replaced; `drainSome(g)` produces the records of a generation and drains
 * them.
 */
async function pipeline(place: Place) {
  const { brokers, folder, env } = place;
  const topic = await place.topic('evolution', [], { partitions: 2 });
  const name = uniqueName('evolution');
  const setSchema = async (schema: string) => {
    await place.pipeline(name, {
      source: { bootstrapServers: `\${KAFKA_BROKERS}`, subscribe: [topic] },
      records: { mode: 'failFast', schema, kafkaColumns: [] },
    });
  };
  const drainSome = async (generation: number) => {
    const record = GENERATIONS[generation]?.record;
    const messages = Array.from({ length: RECORDS }, (_, i) => ({
      value: JSON.stringify({ ...record, id: generation * RECORDS + i }),
      partition: i % 2,
    }));
    await produce(brokers, topic, messages);
    const { exitCode, stderr } = await tidemark(['drain', name], env);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  };
  return { name, folder, env, setSchema, drainSome };
}

/** As `tidemark query -o json` prints it. */
function expectedRow(generation: number) {
  const record: Record<string, unknown> = { ...GENERATIONS[generation]?.record };
  const { s = null, l = null, added = null, wide = null } = record;
  const filled = (value: unknown, keys: readonly string[]) =>
    value === null ? null : { ...Object.fromEntries(keys.map((key) => [key, null])), ...(value as object) };
  return {
    id: generation * RECORDS,
    n: record.n,
    s: filled(s, ['x', 'y']),
    l: l === null ? null : (l as unknown[]).map((item) => filled(item, ['x', 'y'])),
    added,
    wide: wide === null ? null : { a: [{ b: 1 }, null] },
  };
}

async function compact(name: string, env: Readonly<Record<string, string>>): Promise<void> {
  const { exitCode, stdout, stderr } = await tidemark(
    ['compact', name, '--target-files', '1', '-o', 'json'],
    env,
  );
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'compacted', filesAfter: 1 });
}
