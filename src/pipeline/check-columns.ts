import { Failure } from '../errors.ts';
import { type DataType, DdlError, type Field, type PrimitiveName, parseDdl } from '../records/ddl.ts';
import { columnName, quotedColumn } from '../records/json-path.ts';
import { type PartitionTerm, TIME_UNITS } from '../records/partition-term.ts';
import { partitionType } from '../records/table-partitioner.ts';
import { CORRUPT_RECORD, KAFKA_COLUMN_TYPES, kafkaColumnName, REST } from '../records/table-schema.ts';
import { duplicates } from './problems.ts';
import type { Options, Refuse } from './read-shape.ts';

/** The columns of a row, by where they come from. */
export interface RowColumns {
  readonly record: readonly Field[];
  readonly added: readonly Field[];
}

/** The columns that a row has, or undefined where the schema itself cannot be read. */
export function rowColumns(records: Options<'records'>, refuse: Refuse): RowColumns | undefined {
  const record = records.schema === undefined ? undefined : readDdl(records.schema, refuse);
  if (record === undefined) return undefined;
  const kafkaColumns = records.kafkaColumns ?? [];
  for (const name of duplicates(kafkaColumns)) {
    refuse(['records', 'kafkaColumns'], `records.kafkaColumns names ${name} twice.`, 'Keep one of them.');
  }
  for (const name of kafkaColumns) {
    const taken = record.find((column) => isSameName(column.name, kafkaColumnName(name)));
    if (taken === undefined) continue;
    const message = `records.kafkaColumns adds ${kafkaColumnName(name)}, but records.schema has the column ${taken.name}.`;
    refuse(
      ['records', 'schema'],
      message,
      `Rename the column, or leave ${name} out of records.kafkaColumns.`,
    );
  }
  const added = kafkaColumns.map((name) => ({
    name: kafkaColumnName(name),
    type: KAFKA_COLUMN_TYPES[name],
    nullable: true,
  }));
  return {
    record,
    added: [...corruptRecord(records, record, refuse), ...rest(records, record, refuse), ...added],
  };
}

function rest({ rest }: Options<'records'>, columns: readonly Field[], refuse: Refuse): Field[] {
  if (rest !== true) return [];
  const taken = columns.find(({ name }) => isSameName(name, REST));
  if (taken) {
    const message = `records.rest adds ${REST}, but records.schema has the column ${taken.name}.`;
    refuse(['records', 'schema'], message, 'Rename the column, or leave records.rest out.');
  }
  return [primitive(REST, 'string')];
}

function readDdl(text: string, refuse: Refuse): readonly Field[] | undefined {
  try {
    return parseDdl(text).fields;
  } catch (error) {
    if (!(error instanceof DdlError)) throw error;
    const message = `records.schema: ${error.problem.replace(/\.?$/, '.')}`;
    const fix = 'Write columns as in `id STRING NOT NULL, tags ARRAY<STRING>, seller STRUCT<name: STRING>`.';
    refuse(['records', 'schema'], message, fix, error.position);
    return undefined;
  }
}

/** `permissive` adds the column unless the schema declares it. */
function corruptRecord(records: Options<'records'>, columns: readonly Field[], refuse: Refuse): Field[] {
  if (records.mode !== 'permissive') return [];
  const declared = columns.find(({ name }) => isSameName(name, CORRUPT_RECORD));
  if (declared === undefined) return [primitive(CORRUPT_RECORD, 'string')];
  if (!isPrimitive(declared.type, 'string') || declared.name !== CORRUPT_RECORD) {
    const message =
      'In mode permissive _corrupt_record takes the text of malformed records: it must be a STRING.';
    refuse(
      ['records', 'schema'],
      message,
      'Write `_corrupt_record STRING`, or leave it out: permissive adds it.',
    );
  }
  return [];
}

/** `partitionBy` as terms. Without columns (the schema cannot be read) only its syntax is checked. */
export function partitionTerms(
  given: readonly string[],
  columns: RowColumns | undefined,
  clean: Options<'records'>['clean'],
  refuse: Refuse,
): readonly PartitionTerm[] {
  const all = columns && [...columns.record, ...columns.added];
  const cleanColumns = Object.keys(clean?.columns ?? {});
  const terms = given.flatMap((text, at) => {
    const problem = (message: string, fix: string) =>
      refuse(['table', 'partitionBy', at], `table.partitionBy: ${message}`, fix);
    return partitionTerm(text, all, cleanColumns, problem) ?? [];
  });
  const partitionColumns = terms.map(({ column }) => column);
  for (const column of duplicates(partitionColumns)) {
    refuse(['table', 'partitionBy'], `table.partitionBy names ${column} twice.`, 'Keep one of them.');
  }
  if (all?.every(({ name }) => partitionColumns.includes(name))) {
    const message = 'table.partitionBy names every column, which leaves none for the data files.';
    refuse(['table', 'partitionBy'], message, 'Leave a column out of it.');
  }
  return terms;
}

function partitionTerm(
  text: string,
  columns: readonly Field[] | undefined,
  cleanColumns: readonly string[],
  problem: (message: string, fix: string) => void,
): PartitionTerm | undefined {
  const term = partitionTermOf(text);
  if (term === undefined) {
    problem(
      `${text.split('(', 1)[0]?.trim()}(...) is not a partition transform.`,
      'Write a column, or year, month, day or hour of one.',
    );
    return undefined;
  }
  if (columns === undefined) return term;
  const wrong = termProblem(term, columns, cleanColumns);
  if (wrong) problem(...wrong);
  return wrong ? undefined : term;
}

/** Its syntax alone; undefined for a transform that there is not. */
export function partitionTermOf(text: string): PartitionTerm | undefined {
  const [, transform, argument] = /^\s*(\w+)\s*\(\s*([^()]*?)\s*\)\s*$/.exec(text) ?? [];
  const source = columnName(argument ?? text.trim());
  if (transform === undefined) return { kind: 'column', source, column: source };
  const unit = TIME_UNITS.find((name) => name === transform);
  return unit && { kind: unit, source, column: `${source}_${unit}` };
}

function termProblem(
  term: PartitionTerm,
  columns: readonly Field[],
  cleanColumns: readonly string[],
): readonly [message: string, fix: string] | undefined {
  const { kind, source, column } = term;
  const field = columns.find(({ name }) => name === source);
  if (cleanColumns.includes(source)) {
    const fix = 'Partition by a column as it is in the record, or give the expression another name.';
    return [`${source} is a column of records.clean, computed after a row gets its table partition.`, fix];
  }
  if (field === undefined) {
    const known = columns.filter(({ type }) => 'name' in type).map(({ name }) => name);
    return [`there is no column ${source}.`, `Columns: ${known.map(quotedColumn).join(', ')}.`];
  }
  const wrongType = failureOf(() => partitionType(field, term));
  if (wrongType) return [wrongType.message, wrongType.fix];
  if (kind === 'column') return undefined;
  if (!columns.some(({ name }) => isSameName(name, column))) return undefined;
  return [`${kind}(${source}) adds the column ${column}, but there is one already.`, `Rename ${column}.`];
}

/** The `Failure` that `check` throws, if it does. */
export function failureOf(check: () => unknown): Failure | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

function primitive(name: string, type: PrimitiveName): Field {
  return { name, type: { kind: 'primitive', name: type }, nullable: true };
}

function isPrimitive(type: DataType, name: PrimitiveName): boolean {
  return type.kind === 'primitive' && type.name === name;
}

/** Delta's column names differ in more than case. */
export function isSameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
