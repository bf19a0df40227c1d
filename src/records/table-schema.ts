import { Failure } from '../errors.ts';
import {
  type DataType,
  type Field,
  nullableSchema,
  type PrimitiveName,
  parseDdl,
  type Schema,
} from './ddl.ts';
import { stepsOf } from './json-path.ts';
import { KAFKA_COLUMNS, type KafkaColumn } from './kafka-columns.ts';
import type { PartitionTerm } from './partition-term.ts';
import type { CleanColumn, RecordsSpecification } from './records-specification.ts';
import { partitionType } from './table-partitioner.ts';
import { timestampFormatProblem, timestampPaths } from './timestamp-format.ts';

/** Holds the text of a record that did not fit, in mode permissive. Spark's name. */
export const CORRUPT_RECORD = '_corrupt_record';

/** Holds the fields that the schema does not have, as JSON text. */
export const REST = '_rest';

export interface TableSchemas {
  /** The record's own fields, which JSON fills: the first ones of `rowSchema`. */
  readonly recordSchema: Schema;
  /**
   * What a row has while it is built: the record's fields, `_rest`, `_corrupt_record` (permissive), the Kafka
   * columns.
   */
  readonly rowSchema: Schema;
  /**
   * What data files hold: `rowSchema` with the columns of `clean`, without partition columns, in its order.
   */
  readonly fileSchema: Schema;
  /**
   * The table's columns, for Delta's metaData: as in `fileSchema`, partition columns too; derived ones come
   * last.
   */
  readonly tableSchema: Schema;
  /** In the order of the terms. */
  readonly partitionColumns: readonly string[];
}

/**
 * The columns of a pipeline's table. In mode permissive every column is nullable, and a declared
 * `_corrupt_record STRING` takes the raw text instead of a field of that name; in mode failFast it is a field
 * like any other.
 *
 * @throws DdlError for the schema's text, Failure `SCHEMA_INVALID` for names that clash or do not exist
 */
export function tableSchemas(
  records: RecordsSpecification,
  partitionBy: readonly PartitionTerm[],
): TableSchemas {
  const declared = parseDdl(records.schema);
  checkNothingClashes(declared, records, partitionBy);
  const isPermissive = records.mode === 'permissive';
  const recordSchema = isPermissive ? withoutCorruptRecord(nullableSchema(declared)) : declared;
  if (recordSchema.fields.length === 0)
    throw invalid('The schema has no column but _corrupt_record', 'Declare others.');
  checkTimestamps(recordSchema, records);
  checkFrom(recordSchema, records);
  checkTombstones(recordSchema, records);

  const added = [
    ...(records.rest ? [primitive(REST, 'string')] : []),
    ...(isPermissive ? [primitive(CORRUPT_RECORD, 'string')] : []),
    ...records.kafkaColumns.map((column) => ({
      name: kafkaColumnName(column),
      type: KAFKA_COLUMN_TYPES[column],
      nullable: true,
    })),
  ];
  const rowSchema = { fields: [...recordSchema.fields, ...added] };
  const derived = derivedColumns(rowSchema, partitionBy);
  const partitionColumns = partitionBy.map((term) => term.column);
  const cleaned = withCleanColumns(rowSchema.fields, records.clean?.columns ?? []);
  const stored = cleaned.filter((field) => !partitionColumns.includes(field.name));
  if (stored.length === 0) {
    throw invalid(
      'Every column is a partition column, so data files would be empty',
      'Leave one out of partitionBy.',
    );
  }
  const tableSchema = { fields: [...cleaned, ...derived] };
  return { recordSchema, rowSchema, fileSchema: { fields: stored }, tableSchema, partitionColumns };
}

/** Each replaces the column of its name where that stands, or comes after the others. */
function withCleanColumns(fields: readonly Field[], columns: readonly CleanColumn[]): readonly Field[] {
  const cleaned = new Map(fields.map((field) => [field.name, field]));
  for (const { name, type } of columns) {
    const [field] = parseDdl(`\`${name.replaceAll('`', '``')}\` ${type}`).fields;
    if (field) cleaned.set(name, field);
  }
  return [...cleaned.values()];
}

export function kafkaColumnName(column: KafkaColumn): string {
  return `_${column}`;
}

/** Spark's types for a Kafka record; headers as its `includeHeaders` has them. */
export const KAFKA_COLUMN_TYPES: Readonly<Record<KafkaColumn, DataType>> = {
  topic: { kind: 'primitive', name: 'string' },
  partition: { kind: 'primitive', name: 'integer' },
  offset: { kind: 'primitive', name: 'long' },
  timestamp: { kind: 'primitive', name: 'timestamp' },
  key: { kind: 'primitive', name: 'binary' },
  headers: {
    kind: 'array',
    containsNull: true,
    element: { kind: 'struct', fields: [primitive('key', 'string'), primitive('value', 'binary')] },
  },
};

function primitive(name: string, type: PrimitiveName): Field {
  return { name, type: { kind: 'primitive', name: type }, nullable: true };
}

function withoutCorruptRecord(schema: Schema): Schema {
  return { fields: schema.fields.filter((field) => field.name !== CORRUPT_RECORD) };
}

/** Delta compares column names ignoring case. */
function checkNothingClashes(
  declared: Schema,
  { mode, kafkaColumns, rest }: RecordsSpecification,
  partitionBy: readonly PartitionTerm[],
): void {
  const names = new Map(declared.fields.map((field) => [field.name.toLowerCase(), field]));
  for (const column of KAFKA_COLUMNS) {
    const clash = names.get(kafkaColumnName(column));
    if (clash && kafkaColumns.includes(column)) {
      const fix = `Rename it, or leave ${column} out of kafkaColumns.`;
      throw invalid(
        `The schema declares ${clash.name}, which is also the Kafka column ${kafkaColumnName(column)}`,
        fix,
      );
    }
  }
  const declaredRest = names.get(REST);
  if (rest && declaredRest) {
    throw invalid(
      `The schema declares ${declaredRest.name}, which is also the column of unknown fields, ${REST}`,
      'Rename it, or leave records.rest out.',
    );
  }
  const corrupt = names.get(CORRUPT_RECORD);
  if (
    mode === 'permissive' &&
    corrupt &&
    !(corrupt.name === CORRUPT_RECORD && isPrimitive(corrupt, 'string'))
  ) {
    throw invalid(
      `In mode permissive ${corrupt.name} holds the text of defective records`,
      `Declare it as ${CORRUPT_RECORD} STRING, or not at all.`,
    );
  }
  const added = kafkaColumns.map(kafkaColumnName);
  if (mode === 'permissive') added.push(CORRUPT_RECORD);
  if (rest) added.push(REST);
  for (const { kind, column } of partitionBy) {
    if (kind !== 'column' && (names.has(column.toLowerCase()) || added.includes(column.toLowerCase()))) {
      throw invalid(
        `The partition column ${column} would be added to a table that has one of this name`,
        'Rename that one.',
      );
    }
  }
}

function isPrimitive(field: Field, name: PrimitiveName): boolean {
  return field.type.kind === 'primitive' && field.type.name === name;
}

function checkTimestamps(
  recordSchema: Schema,
  { timestamps, truncateTimestamps = [] }: RecordsSpecification,
): void {
  const known = timestampPaths(recordSchema);
  const fix = known.length > 0 ? `There are: ${known.join(', ')}.` : 'Remove it: the schema has none.';
  for (const path of truncateTimestamps === true ? [] : truncateTimestamps)
    if (!known.includes(path))
      throw invalid(`truncateTimestamps names ${path}, which is not a TIMESTAMP of the schema`, fix);
  for (const [path, format] of Object.entries(timestamps)) {
    if (!known.includes(path))
      throw invalid(`timestamps names ${path}, which is not a TIMESTAMP of the schema`, fix);
    const problem = timestampFormatProblem(format);
    if (problem !== undefined) {
      const fix = 'Write for example iso8601, epochMillis or yyyy-MM-dd HH:mm:ss[.SSSSSS].';
      throw invalid(`timestamps: ${path}: ${problem}`, fix);
    }
  }
}

function checkTombstones({ fields }: Schema, { tombstones, kafkaColumns }: RecordsSpecification): void {
  if (tombstones !== 'row') return;
  const strict = fields.filter(({ nullable }) => !nullable).map(({ name }) => name);
  if (strict.length > 0)
    throw invalid(
      `tombstones: row makes rows of nulls, but ${strict.join(', ')} must not be null`,
      'Remove NOT NULL, or tombstones: row.',
    );
  if (!kafkaColumns.includes('key'))
    throw invalid(
      'tombstones: row makes rows that only their key tells apart, and kafkaColumns does not have it',
      'Write kafkaColumns: [topic, partition, offset, timestamp, key].',
    );
}

function checkFrom({ fields }: Schema, { from = {} }: RecordsSpecification): void {
  for (const [column, path] of Object.entries(from)) {
    const field = fields.find(({ name }) => name === column);
    if (field === undefined) {
      const fix = `There are: ${fields.map(({ name }) => name).join(', ')}.`;
      throw invalid(`from names ${column}, which is not a column of the schema`, fix);
    }
    if (path === null && !field.nullable)
      throw invalid(`from: ${column} takes no field, but is NOT NULL`, 'Give it the path of a field.');
    if (path !== null && stepsOf(path) === undefined)
      throw invalid(
        `from: ${column}: ${path} is not a path`,
        'Write names with dots between them, as in payload.ts_ms; a name with a dot in backquotes.',
      );
  }
}

/** The columns that terms add; checks all terms. */
function derivedColumns(rowSchema: Schema, partitionBy: readonly PartitionTerm[]): Field[] {
  const seen = new Set<string>();
  const derived: Field[] = [];
  for (const term of partitionBy) {
    const source = rowSchema.fields.find((field) => field.name === term.source);
    if (!source) {
      const columns = rowSchema.fields.map((field) => field.name).join(', ');
      throw invalid(`partitionBy names ${term.source}, which is not a column`, `Columns are: ${columns}.`);
    }
    if (source.name === CORRUPT_RECORD)
      throw invalid(`${CORRUPT_RECORD} cannot partition the table`, 'Use another column.');
    const type = partitionType(source, term);
    if (term.kind !== 'column') derived.push({ name: term.column, type, nullable: true });
    if (seen.has(term.column.toLowerCase()))
      throw invalid(`partitionBy names ${term.column} twice`, 'Name it once.');
    seen.add(term.column.toLowerCase());
  }
  return derived;
}

function invalid(problem: string, fix: string): Failure {
  return new Failure('SCHEMA_INVALID', `${problem}.`, fix);
}
