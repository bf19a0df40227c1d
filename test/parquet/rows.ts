/** Rows as plain values, for tests: random ones, their way into `Columns`, and files made of them. */

import fc from 'fast-check';
import type { Compression } from '../../src/parquet/compression.ts';
import { type FinishedFile, ParquetFileWriter } from '../../src/parquet/file-writer.ts';
import { appendNullTo, type ColumnNode, Columns, type LeafColumn } from '../../src/records/columns.ts';
import type { DataType, Field, PrimitiveName, Schema } from '../../src/records/ddl.ts';
import type { ObjectWriter } from '../../src/storage/object-store.ts';

/**
 * long and timestamp: bigint; decimal: its unscaled bigint; date: days; binary: a Buffer; map: a Map; struct:
 * an object with a value or null for every field.
 */
export type Value =
  | string
  | bigint
  | number
  | boolean
  | null
  | Buffer
  | Value[]
  | Map<string, Value>
  | { [name: string]: Value };
export type Row = { [name: string]: Value };

export interface WrittenRows extends FinishedFile {
  readonly bytes: Buffer;
}

/** One file, a row group for every `rowsPerGroup` rows. */
export async function writeRows(
  schema: Schema,
  rows: readonly Row[],
  compression: Compression,
  rowsPerGroup = rows.length,
): Promise<WrittenRows> {
  const sink = new MemorySink();
  const writer = await ParquetFileWriter.open(sink, { schema, compression });
  const columns = new Columns(schema);
  for (let start = 0; start < rows.length; start += rowsPerGroup) {
    columns.clear();
    for (const row of rows.slice(start, start + rowsPerGroup)) appendRow(columns, row);
    await writer.writeRowGroup(columns);
  }
  const finished = await writer.finish();
  return { ...finished, bytes: sink.bytes };
}

export class MemorySink implements ObjectWriter {
  readonly parts: Buffer[] = [];
  aborted = false;
  private busy = false;

  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.busy) throw new Error('a write began before the one before it had ended');
    this.busy = true;
    await new Promise((resolve) => setImmediate(resolve));
    // Copied after a pause: whoever reuses the bytes too early is found out.
    this.parts.push(Buffer.from(bytes));
    this.busy = false;
  }

  async finish() {
    return { sizeBytes: this.bytes.length, modifiedMs: 1 };
  }

  async abort(): Promise<void> {
    this.aborted = true;
  }
}

export function appendRow(columns: Columns, row: Row): void {
  for (const node of columns.nodes) append(node, row[node.name] as Value, 0, 0);
  columns.rowCount++;
}

function append(node: ColumnNode, value: Value, parentLevel: number, repetition: number): void {
  if (value === null) {
    appendNullTo(node, parentLevel, repetition);
  } else if (node.kind === 'leaf') {
    appendPrimitive(node.leaf, value, repetition);
  } else if (node.kind === 'struct') {
    for (const field of node.fields) {
      append(field, (value as Row)[field.name] as Value, node.definitionLevel, repetition);
    }
  } else {
    const items =
      node.kind === 'map' ? [...(value as Map<string, Value>)] : (value as Value[]).map((v) => [v]);
    const parts = node.kind === 'map' ? [node.key, node.value] : [node.element];
    if (items.length === 0) for (const part of parts) appendNullTo(part, node.definitionLevel, repetition);
    items.forEach((item, i) => {
      parts.forEach((part, p) => {
        append(part, item[p] as Value, node.definitionLevel + 1, i === 0 ? repetition : part.repetitionLevel);
      });
    });
  }
}

function appendPrimitive(leaf: LeafColumn, value: Value, repetition: number): void {
  switch (leaf.physicalType) {
    case 'BYTE_ARRAY': {
      const bytes = Buffer.from(value as string);
      leaf.appendBytes(bytes, 0, bytes.length, repetition);
      break;
    }
    case 'FIXED_LEN_BYTE_ARRAY':
      leaf.appendFixed(value as bigint, repetition);
      break;
    case 'INT64':
      leaf.appendInt64(value as bigint, repetition);
      break;
    case 'INT32':
      leaf.appendInt32(Number(value), repetition);
      break;
    case 'FLOAT':
      leaf.appendFloat(value as number, repetition);
      break;
    case 'DOUBLE':
      leaf.appendDouble(value as number, repetition);
      break;
    case 'BOOLEAN':
      leaf.appendBoolean(value as boolean, repetition);
      break;
  }
}

const YEAR_1_MICROS = -62_135_596_800_000_000n;
const YEAR_10000_MICROS = 253_402_300_800_000_000n;

const text = fc.oneof(
  fc.constantFrom('', 'a', 'b', '\uFFFDz', '😀', 'ä', '\u0000', '\u007f', '\uD7FF', '\u{10FFFF}'),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: 'binary', minLength: 20, maxLength: 90 }),
);

/** Values that every reader can represent, borders among them. */
const PRIMITIVES: Record<PrimitiveName, fc.Arbitrary<Value>> = {
  string: text,
  long: fc.oneof(
    fc.constantFrom(0n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  ),
  integer: fc.integer(),
  short: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
  byte: fc.integer({ min: -128, max: 127 }),
  float: fc.oneof(
    fc.constantFrom(0, -0, Math.fround(0.1), Number.NaN, Infinity, -Infinity, 2 ** -149),
    fc.float(),
  ),
  binary: fc.oneof(
    fc.constantFrom('', '00', 'ff', 'fffe', 'c3').map((hex) => Buffer.from(hex, 'hex')),
    fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
  ),
  double: fc.oneof(fc.constantFrom(0, -0, 1.5, Number.NaN, Infinity, -Infinity, 5e-324), fc.double()),
  boolean: fc.boolean(),
  date: fc.integer({ min: -719_162, max: 2_932_896 }),
  timestamp: fc.oneof(
    fc.constantFrom(0n, -1n, 999n, 1000n, YEAR_1_MICROS, YEAR_10000_MICROS - 1n),
    fc.bigInt({ min: YEAR_1_MICROS, max: YEAR_10000_MICROS - 1n }),
  ),
};

/** Each physical form, its borders among them. */
const decimal: fc.Arbitrary<DataType> = fc
  .oneof(fc.constantFrom(1, 9, 10, 18, 19, 38), fc.integer({ min: 1, max: 38 }))
  .chain((precision) =>
    fc.nat({ max: precision }).map((scale): DataType => ({ kind: 'decimal', precision, scale })),
  );

function decimalValue(precision: number): fc.Arbitrary<bigint> {
  const max = 10n ** BigInt(precision) - 1n;
  return fc.oneof(fc.constantFrom(0n, 1n, -1n, max, -max), fc.bigInt({ min: -max, max }));
}

/** In no order: of two keys that differ, either may come first. */
function mapOf(value: fc.Arbitrary<Value>): fc.Arbitrary<Value> {
  const key = text.filter((key) => key !== '__proto__');
  return fc
    .uniqueArray(fc.tuple(key, value), { maxLength: 3, selector: ([key]) => key })
    .map((entries) => new Map(entries));
}

function dataType(depth: number): fc.Arbitrary<DataType> {
  const names = Object.keys(PRIMITIVES) as PrimitiveName[];
  const primitive = fc.constantFrom(...names).map((name): DataType => ({ kind: 'primitive', name }));
  if (depth === 0) return fc.oneof({ weight: 4, arbitrary: primitive }, { weight: 1, arbitrary: decimal });
  return fc.oneof(
    { weight: 4, arbitrary: primitive },
    { weight: 1, arbitrary: decimal },
    {
      weight: 1,
      arbitrary: fc
        .tuple(dataType(depth - 1), fc.boolean())
        .map(([element, containsNull]): DataType => ({ kind: 'array', element, containsNull })),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(dataType(depth - 1), fc.boolean()).map(
        ([value, valueContainsNull]): DataType => ({
          kind: 'map',
          key: { kind: 'primitive', name: 'string' },
          value,
          valueContainsNull,
        }),
      ),
    },
    { weight: 1, arbitrary: fields(depth - 1, 3).map((fields): DataType => ({ kind: 'struct', fields })) },
  );
}

function fields(depth: number, maxLength: number): fc.Arbitrary<Field[]> {
  return fc
    .array(fc.tuple(dataType(depth), fc.boolean()), { minLength: 1, maxLength })
    .map((types) => types.map(([type, nullable], i) => ({ name: `c${i}`, type, nullable })));
}

function valueFor(type: DataType, nullable: boolean): fc.Arbitrary<Value> {
  const present = presentValue(type);
  return nullable ? fc.option(present, { nil: null, freq: 3 }) : present;
}

function presentValue(type: DataType): fc.Arbitrary<Value> {
  switch (type.kind) {
    case 'primitive':
      return PRIMITIVES[type.name];
    case 'decimal':
      return decimalValue(type.precision);
    case 'array':
      return fc.array(valueFor(type.element, type.containsNull), { maxLength: 4 });
    case 'map':
      return mapOf(valueFor(type.value, type.valueContainsNull));
    case 'struct':
      return rowOf(type.fields);
  }
}

export function rowOf(fields: readonly Field[]): fc.Arbitrary<Row> {
  return fc.record<Row>(
    Object.fromEntries(fields.map((field) => [field.name, valueFor(field.type, field.nullable)])),
  );
}

/** A schema of up to four columns, nested up to three deep, and up to 40 rows, many of them repeated. */
export const tables: fc.Arbitrary<{ schema: Schema; rows: Row[] }> = fields(3, 4).chain((fields) =>
  fc
    .tuple(fc.array(rowOf(fields), { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 28 }))
    .map(([rows, repeats]) => ({
      schema: { fields },
      rows: [...rows, ...repeats.map((i) => rows[i % rows.length]).filter((row) => row !== undefined)],
    })),
);

export const compressions = fc.constantFrom<Compression>('zstd', 'snappy', 'gzip', 'none');

/** A value of an older schema as `type` has it: what was added is null. */
export function conform(type: DataType, value: Value | undefined): Value {
  if (value === null || value === undefined) return null;
  if (type.kind === 'array') return (value as Value[]).map((item) => conform(type.element, item));
  if (type.kind === 'map') {
    const entries = value instanceof Map ? [...(value as Map<string, Value>)] : Object.entries(value);
    const conformed = entries.map(([key, item]) => [key, conform(type.value, item)] as const);
    return value instanceof Map ? new Map(conformed) : Object.fromEntries(conformed);
  }
  if (type.kind !== 'struct') return value;
  return Object.fromEntries(type.fields.map(({ name, type }) => [name, conform(type, (value as Row)[name])]));
}
