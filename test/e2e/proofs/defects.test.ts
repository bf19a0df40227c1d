/**
 * Promise: `docs/defects.md` tells, for every mode and every defect, what becomes of the record, and what
 * Spark makes of the same bytes. Method: one record per Kafka partition, one pipeline per mode, the whole way
 * from Kafka to the table; what is seen there is the table of the page. `TIDEMARK_WRITE_DOCS=1` writes it
 * again.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';
import { readDefectsWithSpark, type SparkFate } from '../../readers/environment.ts';
import { tidemark } from '../setup/harness.ts';
import { it, type Place } from '../setup/place.ts';
import { readers, report } from './proof.ts';

const PAGE = resolve(import.meta.dirname, '../../../docs/defects.md');
const SCHEMA = 'id BIGINT, name STRING, price DOUBLE, small TINYINT, ok BOOLEAN NOT NULL';
const MODES = ['deadLetter', 'permissive', 'dropMalformed', 'failFast'] as const;

interface Defect {
  readonly name: string;
  readonly value: Buffer | null;
  /** The column that it is about. */
  readonly column?: string;
}

const record = (fields: string): Buffer => Buffer.from(`{${fields}}`);
/** A record in which one field is written so. */
const field = (name: string, text: string): Buffer => {
  const fields: Record<string, string> = { id: '1', name: '"a"', price: '1.5', small: '1', ok: 'true' };
  const all = Object.entries({ ...fields, [name]: text });
  return record(all.map(([key, value]) => `"${key}":${value}`).join(','));
};
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const GOOD = record('"id":1,"name":"a","price":1.5,"small":1,"ok":true');
const nested = (depth: number) => field('extra', '['.repeat(depth) + ']'.repeat(depth));

const DEFECTS: readonly Defect[] = [
  { name: 'none', value: GOOD, column: 'id' },
  { name: 'a field that the schema does not have', value: field('extra', '1'), column: 'id' },
  { name: 'a nullable field is absent', value: record('"ok":true'), column: 'name' },
  { name: 'a nullable field is `null`', value: field('name', 'null'), column: 'name' },
  { name: 'NOT NULL: the field is absent', value: record('"id":1'), column: 'ok' },
  { name: 'NOT NULL: the field is `null`', value: field('ok', 'null'), column: 'ok' },
  { name: 'NOT NULL: the field has another type', value: field('ok', '"yes"'), column: 'ok' },
  { name: 'a text for a number: `"cheap"`', value: field('price', '"cheap"'), column: 'price' },
  { name: 'a number in quotes for a number: `"1.5"`', value: field('price', '"1.5"'), column: 'price' },
  { name: 'a number for a STRING: `5`', value: field('name', '5'), column: 'name' },
  { name: 'a boolean for a STRING', value: field('name', 'true'), column: 'name' },
  { name: 'an object for a STRING', value: field('name', '{"a":1}'), column: 'name' },
  { name: 'a fraction for an integer: `1.5`', value: field('id', '1.5'), column: 'id' },
  { name: '`1.0` for an integer', value: field('id', '1.0'), column: 'id' },
  { name: '`1e2` for an integer', value: field('id', '1e2'), column: 'id' },
  { name: 'beyond BIGINT: `9223372036854775808`', value: field('id', '9223372036854775808'), column: 'id' },
  { name: 'beyond TINYINT: `300`', value: field('small', '300'), column: 'small' },
  { name: '`1e400` for a DOUBLE', value: field('price', '1e400'), column: 'price' },
  { name: '`NaN`', value: field('price', 'NaN'), column: 'price' },
  { name: '`"NaN"`', value: field('price', '"NaN"'), column: 'price' },
  { name: '`Infinity`', value: field('price', 'Infinity'), column: 'price' },
  { name: 'a leading zero: `01`', value: field('id', '01'), column: 'id' },
  {
    name: 'a field twice',
    value: record('"id":1,"id":2,"name":"a","price":1.5,"small":1,"ok":true'),
    column: 'id',
  },
  {
    name: 'an unknown field twice',
    value: record('"x":1,"x":2,"id":1,"name":"a","price":1.5,"small":1,"ok":true'),
    column: 'id',
  },
  { name: 'a field named `__proto__`', value: field('__proto__', '{"id":9}'), column: 'id' },
  { name: 'nesting of 500', value: nested(500), column: 'id' },
  { name: 'nesting of 5,000 (beyond `limits.maxNesting`)', value: nested(5000), column: 'id' },
  { name: 'a byte order mark first', value: Buffer.concat([latin1('\xef\xbb\xbf'), GOOD]), column: 'id' },
  { name: 'bytes that are not UTF-8', value: latin1('{"id":1,"name":"\xff\xfe","ok":true}'), column: 'name' },
  { name: 'half a surrogate pair: `"\\ud800"`', value: field('name', '"\\ud800"'), column: 'name' },
  { name: 'a line break within a string', value: field('name', '"a\nb"'), column: 'name' },
  { name: 'single quotes', value: Buffer.from("{'id':1,'ok':true}"), column: 'id' },
  { name: 'a comment', value: Buffer.from('{"id":1 /* one */,"ok":true}'), column: 'id' },
  { name: 'a syntax error: the end is missing', value: GOOD.subarray(0, -1), column: 'id' },
  { name: 'a syntax error: a comma too many', value: record('"id":1,,"ok":true'), column: 'id' },
  { name: 'something after the object', value: Buffer.concat([GOOD, Buffer.from(' x')]), column: 'id' },
  { name: 'two objects', value: Buffer.concat([GOOD, GOOD]), column: 'id' },
  { name: 'an empty value (0 bytes)', value: Buffer.alloc(0), column: 'id' },
  { name: 'white space only', value: Buffer.from('  '), column: 'id' },
  { name: '`null` as text', value: Buffer.from('null'), column: 'id' },
  { name: 'a bare number', value: Buffer.from('42'), column: 'id' },
  { name: 'a bare string', value: Buffer.from('"a"'), column: 'id' },
  { name: 'an array', value: Buffer.from(`[${GOOD}]`), column: 'id' },
  { name: 'a string of 10 MB', value: field('name', `"${'x'.repeat(10_000_000)}"`), column: 'id' },
  { name: 'no value (a tombstone)', value: null },
];

/** What became of a record, in the page's words. */
type Fate = string;

it('the page tells what is seen', async ({ own }) => {
  const topic = await topicAndPipelines(own);
  const worker = await own.worker();
  const client = await own.client();
  const fates = DEFECTS.map((): Record<string, Fate> => ({}));

  for (const mode of ['deadLetter', 'permissive', 'dropMalformed'] as const) {
    const receipt = await client.drain(`${topic}-${mode}`);
    const rows = await rowsOf(own, `${topic}-${mode}`);
    const letters = mode === 'deadLetter' ? await lettersOf(own, `${topic}-${mode}`) : new Map();
    for (const p of receipt.partitions) {
      const [index, row] = [p.kafkaPartition, rows.get(p.kafkaPartition)];
      const terms = { rows: row ? 1 : 0, deadLetters: letters.has(index) ? 1 : 0 };
      expect(p).toMatchObject(terms);
      const fate = fateOf(DEFECTS[index] as Defect, row, letters.get(index));
      (fates[index] as Record<string, Fate>)[mode] =
        p.dropped === 1 ? 'dropped' : p.tombstones === 1 ? 'tombstone' : fate;
    }
  }
  for (const [index, fate] of fates.entries()) {
    const until = { offsets: { [topic]: { [index]: -1 } } };
    const outcome = await client.drain(`${topic}-failFast`, until).then(
      ({ totals }) => (totals.tombstones === 1 ? 'tombstone' : totals.rows === 1 ? 'row' : 'nothing'),
      (error) => `failure \`${codeOf(error)}\``,
    );
    fate.failFast = outcome;
  }
  expect(worker.output()).not.toContain('write thread ended');

  const python = await readers();
  const spark = python && (await readDefectsWithSpark(python, own.brokers, { topic, schema: SCHEMA }));
  const page = await readFile(PAGE, 'utf8');
  const table = tableOf(fates, spark ?? undefined, page);
  report(table);
  const written = page.replace(
    /(<!-- table -->\n)[\s\S]*?(\n<!-- \/table -->)/,
    (_, from, to) => `${from}${table}${to}`,
  );
  if (process.env.TIDEMARK_WRITE_DOCS === '1') await writeFile(PAGE, written);
  else expect(written, 'TIDEMARK_WRITE_DOCS=1 writes docs/defects.md again').toBe(page);
});

/** One topic, and a pipeline per mode named `TOPIC-MODE`. @returns the topic */
async function topicAndPipelines(own: Place): Promise<string> {
  const records = DEFECTS.map(({ value }, partition) => ({ partition, value }));
  const topic = await own.topic('defects', records, {
    partitions: DEFECTS.length,
    config: { 'max.message.bytes': '20971520' },
    batchSize: 1,
  });
  for (const mode of MODES) {
    await own.pipeline(`${topic}-${mode}`, {
      source: { subscribe: topic },
      records: { mode, schema: SCHEMA },
      table: { location: join(own.folder, mode) },
    });
  }
  return topic;
}

type Row = Readonly<Record<string, unknown>>;

async function rowsOf({ env }: Place, pipeline: string): Promise<Map<number, Row>> {
  const sql = `SELECT * EXCLUDE (name), left(name, 100) AS name FROM "${pipeline}"`;
  const { stdout, stderr, exitCode } = await tidemark(['query', pipeline, sql, '-o', 'json'], env);
  expect([stderr, exitCode]).toEqual(['', 0]);
  const rows = JSON.parse(stdout) as Row[];
  return new Map(rows.map((row) => [Number(row._partition), row]));
}

async function lettersOf({ env }: Place, pipeline: string): Promise<Map<number, Row>> {
  const { stdout, exitCode } = await tidemark(['dead-letters', 'list', pipeline, '-o', 'jsonl'], env);
  expect(exitCode).toBe(0);
  const letters = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
  return new Map(letters.map((letter) => [Number(letter.kafkaPartition ?? letter.partition), letter]));
}

function fateOf({ column = '' }: Defect, row: Row | undefined, letter: Row | undefined): Fate {
  if (letter !== undefined) return `dead letter \`${letter.reason}\``;
  if (row === undefined) return 'nothing';
  if (row._corrupt_record === undefined || row._corrupt_record === null) return `row, ${shown(column, row)}`;
  const kept = ['id', 'name', 'price', 'small', 'ok'].some((name) => row[name] !== null);
  return kept ? 'row with null, text kept' : 'corrupt record';
}

function shown(column: string, row: Row): string {
  return `${column} = ${JSON.stringify(row[column] ?? null)}`;
}

function sparkFate({ column = '' }: Defect, fate: SparkFate | undefined): Fate {
  if (fate === undefined) return 'row of nulls';
  const { permissive, corrupt } = fate;
  if (!corrupt) return permissive === null ? 'null row' : `row, ${shown(column, permissive)}`;
  const kept = Object.keys(permissive ?? {}).length > 0;
  return kept ? 'row with null, text kept' : 'corrupt record';
}

/** Without Spark, its columns are the page's own. */
function tableOf(
  fates: readonly Record<string, Fate>[],
  spark: Readonly<Record<string, SparkFate>> | undefined,
  page: string,
): string {
  const old = new Map(
    page
      .split('\n')
      .flatMap((line) => (line.startsWith('| ') ? [cellsOf(line)] : []))
      .map((cells) => [cells[0], cells]),
  );
  const lines = DEFECTS.map((defect, index) => {
    const fate = fates[index] ?? {};
    const seen = spark?.[String(index)];
    const others = spark
      ? [sparkFate(defect, seen), seen?.failFast ?? 'row of nulls']
      : (old.get(defect.name)?.slice(5, 7) ?? ['', '']);
    return `| ${[defect.name, ...MODES.map((mode) => fate[mode]), ...others].join(' | ')} |`;
  });
  const head = [
    'the record has',
    ...MODES.map((mode) => `\`${mode}\``),
    'Spark PERMISSIVE',
    'Spark FAILFAST',
  ];
  return [`| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...lines].join('\n');
}

function cellsOf(line: string): string[] {
  return line.slice(2, -2).split(' | ');
}

function codeOf(error: unknown): string {
  let cause = error as { cause?: unknown; type?: string };
  while (cause.cause !== undefined) cause = cause.cause as typeof cause;
  return cause.type ?? String(error);
}
