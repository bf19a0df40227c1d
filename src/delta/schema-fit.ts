import type { DataType, Field, Schema } from '../records/ddl.ts';
import { fromDeltaSchemaString } from '../records/delta-schema.ts';
import type { MetaData } from './actions.ts';

/**
 * Where the pipeline's columns do not fit the table's, one line each for people; empty where they fit. Order and
 * comments of columns don't matter: files are read by name.
 *
 * @throws Failure TABLE_UNSUPPORTED where the table holds a type that is not ours
 */
export function schemaDifferences(
  metaData: MetaData,
  schema: Schema,
  partitionColumns: readonly string[],
): string[] {
  const inTable = columnsOf(fromDeltaSchemaString(metaData.schemaString));
  const inPipeline = columnsOf(schema);
  const names = new Set([...inTable.keys(), ...inPipeline.keys()]);
  const columns = [...names].flatMap((name) => difference(name, inTable.get(name), inPipeline.get(name)));
  return [...columns, ...partitioningDifference(metaData.partitionColumns, partitionColumns)];
}

function difference(name: string, inTable: string | undefined, inPipeline: string | undefined): string[] {
  if (inTable === inPipeline) return [];
  if (inTable === undefined) return [`${name} ${inPipeline}: the table has no such column`];
  if (inPipeline === undefined) return [`${name} ${inTable}: the pipeline has no such column`];
  return [`${name}: ${inTable} in the table, ${inPipeline} in the pipeline`];
}

function partitioningDifference(inTable: readonly string[], inPipeline: readonly string[]): string[] {
  if (inTable.join() === inPipeline.join()) return [];
  const list = (names: readonly string[]) =>
    names.length === 0 ? 'not partitioned' : `partitioned by ${names.join(', ')}`;
  return [`the table is ${list(inTable)}, the pipeline's ${list(inPipeline)}`];
}

/** Every column, nested ones too, by dotted name: its type and whether it may be null. */
function columnsOf(schema: Schema): Map<string, string> {
  return new Map(schema.fields.flatMap((field) => columnEntries('', field)));
}

function columnEntries(prefix: string, { name, type, nullable }: Field): [string, string][] {
  const path = `${prefix}${name}`;
  const text = `${typeName(type)}${nullable ? '' : ' NOT NULL'}`;
  return [[path, text], ...nestedEntries(path, type)];
}

function nestedEntries(path: string, type: DataType): [string, string][] {
  if (type.kind === 'struct') return type.fields.flatMap((field) => columnEntries(`${path}.`, field));
  if (type.kind !== 'array') return [];
  return columnEntries(`${path}.`, { name: 'element', type: type.element, nullable: type.containsNull });
}

function typeName(type: DataType): string {
  return type.kind === 'primitive' ? type.name : type.kind;
}
