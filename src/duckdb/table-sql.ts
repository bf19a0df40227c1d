import { assert } from '../errors.ts';
import type { DataType, Field, PrimitiveName } from '../records/ddl.ts';

/**
 * SQL texts about a table's files, in DuckDB's dialect. Every name and value from outside goes through a
 * quote.
 */

const SQL_TYPES: Record<PrimitiveName, string> = {
  string: 'VARCHAR',
  binary: 'BLOB',
  long: 'BIGINT',
  integer: 'INTEGER',
  short: 'SMALLINT',
  byte: 'TINYINT',
  double: 'DOUBLE',
  float: 'FLOAT',
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

/**
 * A pattern that matches this file name alone: `[`, `*` and `?` are legal in names, and DuckDB expands them.
 */
export function globLiteral(file: string): string {
  return file.replace(/[[*?]/g, '[$&]');
}

export function sqlType(type: DataType): string {
  switch (type.kind) {
    case 'primitive':
      return SQL_TYPES[type.name];
    case 'decimal':
      return `DECIMAL(${type.precision}, ${type.scale})`;
    case 'array':
      return `${sqlType(type.element)}[]`;
    case 'map':
      return `MAP(${sqlType(type.key)}, ${sqlType(type.value)})`;
    case 'struct':
      return `STRUCT(${type.fields.map((field) => `${quoteIdentifier(field.name)} ${sqlType(field.type)}`).join(', ')})`;
  }
}

/**
 * The rows of `files` as one relation, columns matched by name. Partition values are the log's business:
 * folders that look like `name=value` must not become columns.
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

/** How a column lies in all files together. Members of structs by lower-case name. */
export type StoredType =
  | { readonly kind: 'leaf' }
  | { readonly kind: 'array'; readonly element: StoredType }
  | { readonly kind: 'map'; readonly value: StoredType }
  | { readonly kind: 'struct'; readonly members: StoredColumns };

export type StoredColumns = ReadonlyMap<string, StoredType>;

/**
 * One column of the table from files that may have it in a narrower type, without some struct members, or not
 * at all. Members are matched by name, nested ones too, and absent ones become null.
 */
export function columnFromFiles(field: Field, stored: StoredColumns): string {
  return `${valueFromFiles(field, stored)} AS ${quoteIdentifier(field.name)}`;
}

/** As `columnFromFiles`, without a name. */
export function valueFromFiles({ name, type }: Field, stored: StoredColumns): string {
  const found = stored.get(name.toLowerCase());
  return found === undefined
    ? `CAST(NULL AS ${sqlType(type)})`
    : converted(quoteIdentifier(name), found, type);
}

/** One member of a struct, by its path from the column on, without the members beside it being read. */
export function memberFromFiles(
  [column = '', ...members]: readonly string[],
  type: DataType,
  stored: StoredColumns,
): string {
  let value = quoteIdentifier(column);
  let found = stored.get(column.toLowerCase());
  for (const name of members) {
    value = `struct_extract(${value}, ${quoteString(name)})`;
    found = found?.kind === 'struct' ? found.members.get(name.toLowerCase()) : undefined;
  }
  return found === undefined ? `CAST(NULL AS ${sqlType(type)})` : `CAST(${value} AS ${sqlType(type)})`;
}

/** A cast does it, unless it meets two structs without a common member: DuckDB refuses those. */
function converted(value: string, stored: StoredType, type: DataType, depth = 0): string {
  const item = `item_${depth}`;
  if (!meetsStrangers(stored, type)) return `CAST(${value} AS ${sqlType(type)})`;
  if (type.kind === 'array' && stored.kind === 'array') {
    return `list_transform(${value}, lambda ${item}: ${converted(item, stored.element, type.element, depth + 1)})`;
  }
  if (type.kind === 'map' && stored.kind === 'map') {
    const entry = `struct_pack(key := ${item}.key, value := ${converted(`${item}.value`, stored.value, type.value, depth + 1)})`;
    return `map_from_entries(list_transform(map_entries(${value}), lambda ${item}: ${entry}))`;
  }
  assert(type.kind === 'struct' && stored.kind === 'struct', `structs where ${value} meets strangers`);
  const members = type.fields.map((field) => {
    const found = stored.members.get(field.name.toLowerCase());
    const member = `struct_extract(${value}, ${quoteString(field.name)})`;
    const filled =
      found === undefined
        ? `CAST(NULL AS ${sqlType(field.type)})`
        : converted(member, found, field.type, depth);
    return `${quoteIdentifier(field.name)} := ${filled}`;
  });
  return `CASE WHEN ${value} IS NULL THEN NULL ELSE struct_pack(${members.join(', ')}) END`;
}

function meetsStrangers(stored: StoredType, type: DataType): boolean {
  if (type.kind === 'array' && stored.kind === 'array') return meetsStrangers(stored.element, type.element);
  if (type.kind === 'map' && stored.kind === 'map') return meetsStrangers(stored.value, type.value);
  if (type.kind !== 'struct' || stored.kind !== 'struct') return false;
  const common = type.fields.flatMap((field) => {
    const found = stored.members.get(field.name.toLowerCase());
    return found === undefined ? [] : [{ found, type: field.type }];
  });
  return common.length === 0 || common.some(({ found, type }) => meetsStrangers(found, type));
}

/** A value of a partition column as Delta's log has it: text, where both null and '' mean null. */
export function partitionValue(value: string | null | undefined): string {
  if (value === null || value === undefined || value === '') return 'NULL';
  // A NUL would end the SQL text: DuckDB takes it as C does.
  return `(${value.split('\0').map(quoteString).join(' || chr(0) || ')})`;
}

/**
 * Whether `value` holds a -0.0 anywhere, as a condition; undefined for a type without floating-point numbers.
 */
export function holdsNegativeZero(type: DataType, value: string, depth = 0): string | undefined {
  if (type.kind === 'decimal') return undefined;
  if (type.kind === 'primitive') {
    const isFloating = type.name === 'double' || type.name === 'float';
    return isFloating ? `(signbit(${value}) AND ${value} = 0)` : undefined;
  }
  if (type.kind === 'array' || type.kind === 'map') {
    const item = `item_${depth}`;
    const [items, itemType] =
      type.kind === 'array' ? [value, type.element] : [`map_values(${value})`, type.value];
    const condition = holdsNegativeZero(itemType, item, depth + 1);
    return condition && `len(list_filter(${items}, lambda ${item}: ${condition})) > 0`;
  }
  const conditions = type.fields.flatMap(
    (field) =>
      holdsNegativeZero(field.type, `struct_extract(${value}, ${quoteString(field.name)})`, depth) ?? [],
  );
  return conditions.length === 0 ? undefined : `(${conditions.join(' OR ')})`;
}
