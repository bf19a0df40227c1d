import {
  columnFromFiles,
  quoteIdentifier,
  quoteString,
  readParquet,
  type StoredColumns,
} from '../duckdb/table-sql.ts';
import type { Schema } from '../records/ddl.ts';
import { isBinary, type Leaf } from './statistics-check.ts';

/** SQL of what is asked of a table's rows. */

/** By what a row says where it came from: SQL of one row. */
export interface KafkaNames {
  readonly topic: string;
  readonly partition: string;
  readonly offset: string;
}

export const KAFKA_NAMES: KafkaNames = { topic: '"_topic"', partition: '"_partition"', offset: '"_offset"' };
/** Of a dead letter: under another epoch the same offset is another record. */
export const LETTER_NAMES: KafkaNames = {
  topic: `concat("topic", '/', "epoch")`,
  partition: '"partition"',
  offset: '"offset"',
};

/** A name that no column has: files come under it. */
export function fileColumnName({ fields }: Schema): string {
  const taken = new Set(fields.map(({ name }) => name.toLowerCase()));
  let name = 'file';
  while (taken.has(name)) name = `_${name}`;
  return name;
}

/** The rows of files, each with the table's columns in the table's types and its file's name. */
export function rowsOf(
  files: readonly string[],
  schema: Schema,
  fileColumn: string,
  stored: StoredColumns,
): string {
  const columns = schema.fields.map((field) => columnFromFiles(field, stored));
  return `(SELECT ${[...columns, quoteIdentifier(fileColumn)].join(', ')} FROM ${readParquet(files, fileColumn)})`;
}

/**
 * Per file: its name, its rows, and of each leaf values that are not null, minimum and maximum; of bytes how many. Every column is read, also
 * those that have no statistics, so that damage shows.
 */
export function statisticsOf(
  rows: string,
  schema: Schema,
  leaves: readonly Leaf[],
  fileColumn: string,
): string {
  const perLeaf = leaves.flatMap((leaf) => {
    const value = leafValue(leaf.path);
    return isBinary(leaf)
      ? [`count(${value})`, 'NULL', `sum(octet_length(${value}))`]
      : [`count(${value})`, `CAST(min(${value}) AS VARCHAR)`, `CAST(max(${value}) AS VARCHAR)`];
  });
  const nested = schema.fields
    .filter(({ type }) => type.kind === 'array' || type.kind === 'map')
    .map(({ name }) => `count(${quoteIdentifier(name)})`);
  const file = quoteIdentifier(fileColumn);
  return `SELECT ${[file, 'count(*)', ...perLeaf, ...nested].join(', ')} FROM ${rows} GROUP BY ${file}`;
}

function leafValue([first = '', ...members]: readonly string[]): string {
  return members.reduce(
    (value, name) => `struct_extract(${value}, ${quoteString(name)})`,
    quoteIdentifier(first),
  );
}

/** Adds to the table `words` which offsets the rows have, 64 neighbours in a word: at most a 64th of the rows' number. */
export function collectWords(rows: string, topics: readonly string[], names: KafkaNames): string {
  const { topic, partition, offset } = names;
  return `INSERT INTO words SELECT ${topicIndex(topics, topic)}, ${partition}, ${offset} >> 6,
    bit_or(1::UBIGINT << (${offset} & 63)), count(*) FROM ${rows}
    WHERE ${topic} IS NOT NULL AND ${partition} IS NOT NULL AND ${offset} >= 0 GROUP BY ALL`;
}

/** Index into `topics`, -1 for any other. */
function topicIndex(topics: readonly string[], column: string): string {
  return `COALESCE(list_position([${topics.map(quoteString).join(', ')}]::VARCHAR[], ${column}), 0) - 1`;
}

/** Ascending; words of the same offsets from several files as one. */
export const WORDS = `SELECT topic, kafka_partition, word, bit_or(bits), sum(count)::BIGINT FROM words
  GROUP BY topic, kafka_partition, word ORDER BY topic, kafka_partition, word`;

export interface OffsetSpan {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly from: bigint;
  readonly until: bigint;
}

/** Offsets of a span that more than `moreThan` rows have: how many, and the first and last of their files. */
export function repeatedOffsets(
  rows: string,
  span: OffsetSpan,
  moreThan: number,
  names: KafkaNames,
  fileColumn: string,
): string {
  const { offset } = names;
  const file = quoteIdentifier(fileColumn);
  return `SELECT ${offset}, count(*)::BIGINT, min(${file}), max(${file}) FROM ${rows} WHERE ${isIn(span, names)}
    GROUP BY ${offset} HAVING count(*) > ${moreThan} ORDER BY ${offset}`;
}

function isIn({ topic, kafkaPartition, from, until }: OffsetSpan, names: KafkaNames): string {
  return `${names.topic} = ${quoteString(topic)} AND ${names.partition} = ${kafkaPartition}
    AND ${names.offset} >= ${from} AND ${names.offset} < ${until}`;
}
