import { Failure } from '../errors.ts';
import {
  type DataType,
  type DecimalType,
  type Field,
  MAX_DECIMAL_PRECISION,
  MAX_SCHEMA_DEPTH,
  type PrimitiveName,
  type Schema,
} from './ddl.ts';

/** The schema as `metaData.schemaString` holds it. Delta protocol, "Schema Serialization Format". */
export function toDeltaSchemaString(schema: Schema): string {
  return JSON.stringify(structToJson(schema.fields));
}

/**
 * Reads `metaData.schemaString`. Strict: what Tidemark cannot write faithfully is refused by name, since
 * ignoring it would break the table for its other writers.
 *
 * @throws Failure `TABLE_UNSUPPORTED` for types and column features that are not ours, `TABLE_CORRUPT` for
 *   anything
 * that is not a schema
 */
export function fromDeltaSchemaString(json: string): Schema {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw corrupt('it is not JSON', cause);
  }
  const type = typeFromJson(value, 'schema', 0);
  if (type.kind !== 'struct') throw corrupt('its outermost type is not a struct');
  return { fields: type.fields };
}

function structToJson(fields: readonly Field[]): object {
  return {
    type: 'struct',
    fields: fields.map(({ name, type, nullable, comment }) => ({
      name,
      type: typeToJson(type),
      nullable,
      metadata: comment === undefined ? {} : { comment },
    })),
  };
}

function typeToJson(type: DataType): object | string {
  if (type.kind === 'primitive') return type.name;
  if (type.kind === 'decimal') return `decimal(${type.precision},${type.scale})`;
  if (type.kind === 'struct') return structToJson(type.fields);
  if (type.kind === 'map') {
    const { key, value, valueContainsNull } = type;
    return { type: 'map', keyType: typeToJson(key), valueType: typeToJson(value), valueContainsNull };
  }
  return { type: 'array', elementType: typeToJson(type.element), containsNull: type.containsNull };
}

const PRIMITIVE_NAMES: ReadonlySet<string> = new Set<PrimitiveName>([
  'string',
  'binary',
  'long',
  'integer',
  'short',
  'byte',
  'double',
  'float',
  'boolean',
  'date',
  'timestamp',
]);

function typeFromJson(value: unknown, at: string, depth: number): DataType {
  if (typeof value === 'string') {
    if (isPrimitiveName(value)) return { kind: 'primitive', name: value };
    const decimal = decimalFromJson(value);
    if (decimal === undefined) throw unsupported(`column ${at} has type ${value}`);
    return decimal;
  }
  if (depth > MAX_SCHEMA_DEPTH) throw unsupported(`column ${at} is nested deeper than ${MAX_SCHEMA_DEPTH}`);
  const type = objectOf(value, at);
  if (type.type === 'struct') return { kind: 'struct', fields: fieldsFromJson(type.fields, at, depth) };
  if (type.type === 'map') return mapFromJson(type, at, depth);
  if (type.type !== 'array') throw unsupported(`column ${at} has type ${String(type.type)}`);
  if (typeof type.containsNull !== 'boolean') throw corrupt(`${at} has no containsNull`);
  const element = typeFromJson(type.elementType, `${at}.element`, depth + 1);
  return { kind: 'array', element, containsNull: type.containsNull };
}

/** Spark and delta-rs write `decimal(10,2)`; other writers put a space after the comma. */
function decimalFromJson(name: string): DecimalType | undefined {
  const [, digits, places] = /^decimal\((\d{1,2}), ?(\d{1,2})\)$/.exec(name) ?? [];
  const precision = Number(digits);
  const scale = Number(places);
  const isValid = precision >= 1 && precision <= MAX_DECIMAL_PRECISION && scale <= precision;
  return isValid ? { kind: 'decimal', precision, scale } : undefined;
}

function mapFromJson(type: Readonly<Record<string, unknown>>, at: string, depth: number): DataType {
  const { keyType, valueType, valueContainsNull } = type;
  if (typeof valueContainsNull !== 'boolean') throw corrupt(`${at} has no valueContainsNull`);
  const key = typeFromJson(keyType, `${at}.key`, depth + 1);
  if (key.kind !== 'primitive' || key.name !== 'string')
    throw unsupported(`column ${at} is a map whose keys are not strings`);
  return { kind: 'map', key, value: typeFromJson(valueType, `${at}.value`, depth + 1), valueContainsNull };
}

function fieldsFromJson(value: unknown, at: string, depth: number): readonly Field[] {
  if (!Array.isArray(value)) throw corrupt(`${at} has no list of fields`);
  const names = new Set<string>();
  return value.map((item: unknown) => {
    const field = fieldFromJson(item, at, depth);
    if (names.has(field.name.toLowerCase())) throw corrupt(`${at} has two columns named ${field.name}`);
    names.add(field.name.toLowerCase());
    return field;
  });
}

function fieldFromJson(value: unknown, parent: string, depth: number): Field {
  const { name, type, nullable, metadata } = objectOf(value, parent);
  if (typeof name !== 'string' || typeof nullable !== 'boolean') {
    throw corrupt(`a column of ${parent} has no name or no nullable`);
  }
  const at = parent === 'schema' ? name : `${parent}.${name}`;
  const comment = commentOf(metadata, at);
  const field = { name, type: typeFromJson(type, at, depth + 1), nullable };
  return comment === undefined ? field : { ...field, comment };
}

/**
 * Column mapping, invariants, generated and identity columns, CHAR and VARCHAR: all live in a column's
 * metadata.
 */
function commentOf(metadata: unknown, at: string): string | undefined {
  const entries = metadata === undefined ? {} : objectOf(metadata, at);
  for (const key of Object.keys(entries)) {
    if (key.startsWith('delta.') || key.startsWith('__')) throw unsupported(`column ${at} has ${key}`);
  }
  return typeof entries.comment === 'string' ? entries.comment : undefined;
}

function isPrimitiveName(name: string): name is PrimitiveName {
  return PRIMITIVE_NAMES.has(name);
}

function objectOf(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw corrupt(`${at} is not an object`);
  return value as Readonly<Record<string, unknown>>;
}

function unsupported(problem: string): Failure {
  return new Failure(
    'TABLE_UNSUPPORTED',
    `The table's schema is not one that Tidemark can write: ${problem}.`,
    'Use another location, or a table with the types STRING, BINARY, BIGINT, INT, SMALLINT, TINYINT, DOUBLE, FLOAT, DECIMAL, BOOLEAN, DATE, TIMESTAMP, ARRAY, MAP<STRING, ...>, STRUCT.',
  );
}

function corrupt(problem: string, cause?: unknown): Failure {
  return new Failure(
    'TABLE_CORRUPT',
    `The table's schemaString cannot be read: ${problem}.`,
    'Look at the newest metaData action in _delta_log, and find out who wrote it.',
    { cause },
  );
}
