import type { DataType, Field, PrimitiveName } from '../records/ddl.ts';

/** SQL texts about a table's files, in DuckDB's dialect. Every name and value from outside goes through a quote. */

const SQL_TYPES: Record<PrimitiveName, string> = {
  string: 'VARCHAR',
  long: 'BIGINT',
  integer: 'INTEGER',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  date: 'DATE',
  // With time zone: what becomes "adjusted to UTC" in Parquet. Spark reads the other kind as another type.
  timestamp: 'TIMESTAMP WITH TIME ZONE',
};

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteString(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/** A pattern that matches this file name alone: `[`, `*` and `?` are legal in names, and DuckDB expands them. */
export function globLiteral(file: string): string {
  return file.replace(/[[*?]/g, '[$&]');
}

export function sqlType(type: DataType): string {
  if (type.kind === 'primitive') return SQL_TYPES[type.name];
  if (type.kind === 'array') return `${sqlType(type.element)}[]`;
  return `STRUCT(${type.fields.map((field) => `${quoteIdentifier(field.name)} ${sqlType(field.type)}`).join(', ')})`;
}

/**
 * The rows of `files` as one relation, columns matched by name. Partition values are the log's business: folders that
 * look like `name=value` must not become columns.
 *
 * @param fileColumn adds each row's file name under this name
 */
export function readParquet(files: readonly string[], fileColumn?: string): string {
  const filename = fileColumn === undefined ? '' : `, filename = ${quoteString(fileColumn)}`;
  return `read_parquet(${fileList(files)}, union_by_name = true, hive_partitioning = false${filename})`;
}

/** A list of exactly these files, as `read_parquet` and the functions about footers take it. */
export function fileList(files: readonly string[]): string {
  return `[${files.map((file) => quoteString(globLiteral(file))).join(', ')}]`;
}

/**
 * One column of the table from files that may have it in another type or not at all. Struct fields, nested ones too,
 * are matched by name in the cast, and absent ones become null.
 *
 * @param present lower-case names of the columns that any of the files has
 */
export function columnFromFiles(field: Field, present: ReadonlySet<string>): string {
  const source = present.has(field.name.toLowerCase()) ? quoteIdentifier(field.name) : 'NULL';
  return `CAST(${source} AS ${sqlType(field.type)}) AS ${quoteIdentifier(field.name)}`;
}

/** A value of a partition column as Delta's log has it: text, where both null and '' mean null. */
export function partitionValue(value: string | null | undefined): string {
  return value === null || value === undefined || value === '' ? 'NULL' : quoteString(value);
}

/** Whether `value` holds a -0.0 anywhere, as a condition; undefined for a type without doubles. */
export function holdsNegativeZero(type: DataType, value: string, depth = 0): string | undefined {
  if (type.kind === 'primitive')
    return type.name === 'double' ? `(signbit(${value}) AND ${value} = 0)` : undefined;
  if (type.kind === 'array') {
    const item = `item_${depth}`;
    const condition = holdsNegativeZero(type.element, item, depth + 1);
    return condition && `len(list_filter(${value}, lambda ${item}: ${condition})) > 0`;
  }
  const conditions = type.fields.flatMap(
    (field) =>
      holdsNegativeZero(field.type, `struct_extract(${value}, ${quoteString(field.name)})`, depth) ?? [],
  );
  return conditions.length === 0 ? undefined : `(${conditions.join(' OR ')})`;
}
