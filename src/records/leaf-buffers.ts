import type { DecimalType, PrimitiveName, PrimitiveType } from './ddl.ts';

/**
 * One leaf of a row group as bytes: all that the Parquet writer reads of a column. `LeafColumn` is one; so
 * are views of memory from elsewhere, such as WebAssembly's. Plain fields: they are read in loops.
 *
 * The writer only reads, and keeps nothing: the bytes have to stay where they are until the row group is
 * written.
 */
export interface LeafBuffers {
  /** Parquet path, `list` and `element`, `key_value`, `key` and `value` included. */
  readonly path: readonly string[];
  readonly type: LeafType;
  readonly physicalType: PhysicalType;
  /** Bytes of a FIXED_LEN_BYTE_ARRAY; 0 for other physical types. */
  readonly typeLength: number;
  /** At most 255, as each level is a byte. A value that is there has this one. */
  readonly maxDefinitionLevel: number;
  readonly maxRepetitionLevel: number;

  /** PLAIN encoding of the non-null values, `valuesEnd` bytes of it; what lies behind is not looked at. */
  readonly values: Buffer;
  readonly valuesEnd: number;
  /** Non-null values. */
  readonly valueCount: number;
  /** A byte each, `levelCount` of them. */
  readonly definitionLevels: Uint8Array;
  /** As many; not looked at where `maxRepetitionLevel` is 0. */
  readonly repetitionLevels: Uint8Array;
  /** Level pairs: values, nulls and empty lists. */
  readonly levelCount: number;
}

/** How a leaf's values lie in `values`. BOOLEAN is one byte each here, packed to bits when a page is made. */
export type PhysicalType =
  | 'BOOLEAN'
  | 'INT32'
  | 'INT64'
  | 'FLOAT'
  | 'DOUBLE'
  | 'BYTE_ARRAY'
  | 'FIXED_LEN_BYTE_ARRAY';

/** What a leaf is for the table. */
export type LeafType = PrimitiveType | DecimalType;

const PHYSICAL_TYPES: Record<PrimitiveName, PhysicalType> = {
  string: 'BYTE_ARRAY',
  binary: 'BYTE_ARRAY',
  short: 'INT32',
  byte: 'INT32',
  float: 'FLOAT',
  long: 'INT64',
  integer: 'INT32',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  date: 'INT32',
  timestamp: 'INT64',
};

/**
 * As Spark writes them: INT32 up to 9 digits, INT64 up to 18, beyond in as few bytes as they need,
 * big-endian.
 */
export function physicalType(type: LeafType): PhysicalType {
  if (type.kind === 'primitive') return PHYSICAL_TYPES[type.name];
  if (type.precision <= 9) return 'INT32';
  return type.precision <= 18 ? 'INT64' : 'FIXED_LEN_BYTE_ARRAY';
}

/** Bytes of a two's complement integer of so many decimal digits. */
export function decimalBytes(precision: number): number {
  return Math.ceil((precision * Math.log2(10) + 1) / 8);
}
