import {
  columnFromFiles,
  memberFromFiles,
  quoteIdentifier,
  quoteString,
  readParquet,
  type StoredColumns,
  valueFromFiles,
} from '../duckdb/table-sql.ts';
import type { Schema } from '../records/ddl.ts';
import { isBinary, type StatisticsColumn } from './statistics-check.ts';

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
 * Per file: its name, its rows, and of each column three values: of a leaf those that are not null, minimum
 * and maximum; of bytes how many; of a column without statistics its count.
 */
export function statisticsOf(
  files: readonly string[],
  { fields }: Schema,
  columns: readonly StatisticsColumn[],
  fileColumn: string,
  stored: StoredColumns,
): string {
  const file = quoteIdentifier(fileColumn);
  const values = columns.map((column, at) => `${columnValue(column, stored)} AS "${nameAt(fields, at)}"`);
  const counted = columns.map((column, at) => statisticsOfColumn(column, `"${nameAt(fields, at)}"`));
  return `SELECT ${[file, 'count(*)', ...counted].join(', ')}
    FROM (SELECT ${[...values, file].join(', ')} FROM ${readParquet(files, fileColumn)}) GROUP BY ${file}`;
}

/** A name that no column has. */
function nameAt(fields: Schema['fields'], at: number): string {
  const longest = Math.max(0, ...fields.map(({ name }) => name.length));
  return `value${'_'.repeat(longest)}${at}`;
}

function columnValue(column: StatisticsColumn, stored: StoredColumns): string {
  return column.kind === 'leaf'
    ? memberFromFiles(column.leaf.path, column.leaf.type, stored)
    : valueFromFiles(column.field, stored);
}

function statisticsOfColumn(column: StatisticsColumn, value: string): string {
  if (column.kind === 'nested') return `count(${value}), NULL, NULL`;
  return isBinary(column.leaf)
    ? `count(${value}), NULL, sum(octet_length(${value}))`
    : `count(${value}), CAST(min(${value}) AS VARCHAR), CAST(max(${value}) AS VARCHAR)`;
}

/**
 * Adds to the table `words` which offsets the rows have, 64 neighbours in a word: at most a 64th of the rows'
 * number.
 */
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
