import type { PhysicalType } from '../records/columns.ts';
import type { Field, PrimitiveName, Schema } from '../records/ddl.ts';

/**
 * Smallest and largest value of a leaf, by the order that the Parquet format defines for its type: numbers by
 * value, strings by unsigned bytes, false before true. INT64 is a bigint, BYTE_ARRAY its bytes, BOOLEAN 0 or 1.
 *
 * 'unordered': a NaN is among the values, so nothing can be said; a reader must not skip by it.
 */
export type Bounds =
  | { readonly kind: 'empty' }
  | { readonly kind: 'unordered' }
  | { readonly kind: 'bounded'; readonly min: Bound; readonly max: Bound };

export type Bound = number | bigint | Buffer;

export interface LeafStatistics {
  readonly bounds: Bounds;
  /** Levels without a value: nulls, those of ancestors included, and empty lists. */
  readonly nullCount: number;
}

export const NO_STATISTICS: LeafStatistics = { bounds: { kind: 'empty' }, nullCount: 0 };

/**
 * Code points of a text bound. Delta's convention for its statistics; and a footer would otherwise repeat whole
 * documents.
 */
const DELTA_TEXT_LENGTH = 32;
const FOOTER_TEXT_LENGTH = 64;
/** Delta's `dataSkippingNumIndexedCols`. */
const INDEXED_LEAVES = 32;

/** Bounds of the values that lie in `plain[0, end)` as `LeafColumn.values` holds them. The bytes are copied. */
export function boundsOf(physicalType: PhysicalType, plain: Buffer, end: number): Bounds {
  if (end === 0) return { kind: 'empty' };
  switch (physicalType) {
    case 'BOOLEAN':
      return byteBounds(plain, end);
    case 'INT32':
      return int32Bounds(plain, end);
    case 'INT64':
      return int64Bounds(plain, end);
    case 'DOUBLE':
      return doubleBounds(plain, end);
    case 'BYTE_ARRAY':
      return textBounds(plain, end);
  }
}

/** Statistics of two row groups taken together. */
export function mergeStatistics(a: LeafStatistics, b: LeafStatistics): LeafStatistics {
  return { bounds: mergeBounds(a.bounds, b.bounds), nullCount: a.nullCount + b.nullCount };
}

export interface FooterBounds {
  readonly min: Buffer;
  readonly max: Buffer;
  readonly minIsExact: boolean;
  readonly maxIsExact: boolean;
}

/** `min_value` and `max_value` of the footer's `Statistics`: PLAIN, without the length of a BYTE_ARRAY. */
export function footerBounds(physicalType: PhysicalType, bounds: Bounds): FooterBounds | undefined {
  if (bounds.kind !== 'bounded') return undefined;
  const min = lowerBound(physicalType, bounds.min);
  const max = upperBound(physicalType, bounds.max);
  return max && { min: min.bytes, max: max.bytes, minIsExact: min.isExact, maxIsExact: max.isExact };
}

/**
 * The `stats` of a Delta `add` action, as JSON.
 *
 * Bounds for all indexed leaves that have values, or for none: where one cannot be said (NaN, an infinity, a year
 * beyond four digits), all are left out. delta-rs 1.6.6 takes a missing bound beside others for null, and its
 * Arrow dataset then finds no row of that file.
 *
 * @param leaves statistics by `leafKey`
 */
export function deltaStats(
  schema: Schema,
  rowCount: number,
  leaves: ReadonlyMap<string, LeafStatistics>,
): string {
  const texts = new Map<string, LeafTexts>();
  for (const { key, type } of indexedLeaves(schema.fields, []).slice(0, INDEXED_LEAVES)) {
    texts.set(key, leafTexts(type, leaves.get(key) ?? NO_STATISTICS));
  }
  const isSilent = [...texts.values()].some(({ isUnknown }) => isUnknown);
  const members = [`"numRecords":${rowCount}`];
  for (const name of isSilent
    ? (['nullCount'] as const)
    : (['minValues', 'maxValues', 'nullCount'] as const)) {
    const object = nestedObject(schema.fields, [], (key) => texts.get(key)?.[name]);
    if (object !== undefined) members.push(`"${name}":${object}`);
  }
  return `{${members.join(',')}}`;
}

/** A leaf's path as one string; no name contains a NUL. */
export function leafKey(path: readonly string[]): string {
  return path.join('\0');
}

function byteBounds(plain: Buffer, end: number): Bounds {
  let min = 1;
  let max = 0;
  for (let at = 0; at < end; at++) {
    if (plain[at] === 0) min = 0;
    else max = 1;
  }
  return { kind: 'bounded', min, max };
}

function int32Bounds(plain: Buffer, end: number): Bounds {
  const view = new DataView(plain.buffer, plain.byteOffset, end);
  let min = view.getInt32(0, true);
  let max = min;
  for (let at = 4; at < end; at += 4) {
    const value = view.getInt32(at, true);
    if (value < min) min = value;
    else if (value > max) max = value;
  }
  return { kind: 'bounded', min, max };
}

/** Compares halves, so that no bigint is made per value. */
function int64Bounds(plain: Buffer, end: number): Bounds {
  const view = new DataView(plain.buffer, plain.byteOffset, end);
  let minHigh = view.getInt32(4, true);
  let minLow = view.getUint32(0, true);
  let maxHigh = minHigh;
  let maxLow = minLow;
  for (let at = 8; at < end; at += 8) {
    const high = view.getInt32(at + 4, true);
    const low = view.getUint32(at, true);
    if (high < minHigh || (high === minHigh && low < minLow)) {
      minHigh = high;
      minLow = low;
    } else if (high > maxHigh || (high === maxHigh && low > maxLow)) {
      maxHigh = high;
      maxLow = low;
    }
  }
  return { kind: 'bounded', min: int64(minHigh, minLow), max: int64(maxHigh, maxLow) };
}

function int64(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

/** parquet.thrift, `ColumnOrder`: no bounds with a NaN; a zero is -0.0 as minimum and +0.0 as maximum. */
function doubleBounds(plain: Buffer, end: number): Bounds {
  const view = new DataView(plain.buffer, plain.byteOffset, end);
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < end; at += 8) {
    const value = view.getFloat64(at, true);
    if (Number.isNaN(value)) return { kind: 'unordered' };
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { kind: 'bounded', min: min === 0 ? -0 : min, max: max === 0 ? 0 : max };
}

function textBounds(plain: Buffer, end: number): Bounds {
  let minStart = 4;
  let minEnd = 4 + plain.readUInt32LE(0);
  let maxStart = minStart;
  let maxEnd = minEnd;
  for (let at = minEnd; at < end; ) {
    const start = at + 4;
    at = start + plain.readUInt32LE(at);
    if (isBefore(plain, start, at, minStart, minEnd)) {
      minStart = start;
      minEnd = at;
    } else if (isBefore(plain, maxStart, maxEnd, start, at)) {
      maxStart = start;
      maxEnd = at;
    }
  }
  const min = Buffer.from(plain.subarray(minStart, minEnd));
  return { kind: 'bounded', min, max: Buffer.from(plain.subarray(maxStart, maxEnd)) };
}

/** Whether `bytes[aStart, aEnd)` sorts before `bytes[bStart, bEnd)`; a prefix sorts first. */
function isBefore(bytes: Buffer, aStart: number, aEnd: number, bStart: number, bEnd: number): boolean {
  const shared = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < shared; i++) {
    const difference = (bytes[aStart + i] as number) - (bytes[bStart + i] as number);
    if (difference !== 0) return difference < 0;
  }
  return aEnd - aStart < bEnd - bStart;
}

function mergeBounds(a: Bounds, b: Bounds): Bounds {
  if (a.kind === 'unordered' || b.kind === 'empty') return a;
  if (b.kind === 'unordered' || a.kind === 'empty') return b;
  return {
    kind: 'bounded',
    min: boundIsBefore(b.min, a.min) ? b.min : a.min,
    max: boundIsBefore(a.max, b.max) ? b.max : a.max,
  };
}

function boundIsBefore(a: Bound, b: Bound): boolean {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return Buffer.compare(a, b) < 0;
  return a < b;
}

interface BytesBound {
  readonly bytes: Buffer;
  readonly isExact: boolean;
}

function lowerBound(physicalType: PhysicalType, bound: Bound): BytesBound {
  if (!Buffer.isBuffer(bound)) return { bytes: plain(physicalType, bound), isExact: true };
  const { text, isExact } = textLowerBound(bound, FOOTER_TEXT_LENGTH);
  return { bytes: Buffer.from(text), isExact };
}

function upperBound(physicalType: PhysicalType, bound: Bound): BytesBound | undefined {
  if (!Buffer.isBuffer(bound)) return { bytes: plain(physicalType, bound), isExact: true };
  const upper = textUpperBound(bound, FOOTER_TEXT_LENGTH);
  return upper && { bytes: Buffer.from(upper.text), isExact: upper.isExact };
}

function plain(physicalType: PhysicalType, bound: number | bigint): Buffer {
  if (physicalType === 'BOOLEAN') return Buffer.of(Number(bound));
  const bytes = Buffer.alloc(physicalType === 'INT32' ? 4 : 8);
  if (typeof bound === 'bigint') bytes.writeBigInt64LE(bound);
  else if (physicalType === 'INT32') bytes.writeInt32LE(bound);
  else bytes.writeDoubleLE(bound);
  return bytes;
}

interface TextBound {
  readonly text: string;
  readonly isExact: boolean;
}

/** At most the first `length` code points: a prefix sorts before all that continue it. */
function textLowerBound(bytes: Buffer, length: number): TextBound {
  const points = leadingCodePoints(bytes, length);
  return { text: String.fromCodePoint(...points.slice(0, length)), isExact: points.length <= length };
}

/**
 * A prefix of at most `length` code points with its last one raised: it sorts after all that begin with that
 * prefix, since UTF-8 sorts by code point. None where all of them are the last there is.
 */
function textUpperBound(bytes: Buffer, length: number): TextBound | undefined {
  const points = leadingCodePoints(bytes, length);
  if (points.length <= length) return { text: String.fromCodePoint(...points), isExact: true };
  for (let last = length - 1; last >= 0; last--) {
    const point = points[last] as number;
    if (point === 0x10ffff) continue;
    // Surrogates are no characters and have no UTF-8.
    const raised = point === 0xd7ff ? 0xe000 : point + 1;
    return { text: String.fromCodePoint(...points.slice(0, last), raised), isExact: false };
  }
  return undefined;
}

/** The first `length + 1` code points, or all. One takes at most 4 bytes; a torn last one is never among them. */
function leadingCodePoints(bytes: Buffer, length: number): number[] {
  const text = bytes.toString('utf8', 0, Math.min(bytes.length, 4 * (length + 2)));
  const points = Array.from(text, (point) => point.codePointAt(0) as number);
  return points.slice(0, length + 1);
}

interface LeafTexts {
  readonly minValues?: string;
  readonly maxValues?: string;
  readonly nullCount: string;
  /** There are values, but no bounds that JSON could say. */
  readonly isUnknown: boolean;
}

function leafTexts(type: PrimitiveName, { bounds, nullCount }: LeafStatistics): LeafTexts {
  const nulls = { nullCount: String(nullCount) };
  if (bounds.kind !== 'bounded') return { ...nulls, isUnknown: bounds.kind === 'unordered' };
  const minValues = minText(type, bounds.min);
  const maxValues = maxText(type, bounds.max);
  if (minValues === undefined || maxValues === undefined) return { ...nulls, isUnknown: true };
  return { ...nulls, minValues, maxValues, isUnknown: false };
}

function minText(type: PrimitiveName, bound: Bound): string | undefined {
  if (Buffer.isBuffer(bound)) return JSON.stringify(textLowerBound(bound, DELTA_TEXT_LENGTH).text);
  if (type === 'timestamp') return timestampText(floorDivide(BigInt(bound), 1000n));
  return numberText(type, bound);
}

function maxText(type: PrimitiveName, bound: Bound): string | undefined {
  if (Buffer.isBuffer(bound)) {
    const upper = textUpperBound(bound, DELTA_TEXT_LENGTH);
    return upper && JSON.stringify(upper.text);
  }
  if (type === 'timestamp') return timestampText(-floorDivide(-BigInt(bound), 1000n));
  return numberText(type, bound);
}

function numberText(type: PrimitiveName, bound: number | bigint): string | undefined {
  switch (type) {
    case 'long':
    case 'integer':
      return String(bound);
    case 'double':
      if (!Number.isFinite(bound)) return undefined;
      return Object.is(bound, -0) ? '-0.0' : String(bound);
    case 'boolean':
      return bound === 0 ? 'false' : 'true';
    case 'date':
      return isoText(Number(bound) * 86_400_000, 10);
    default:
      return undefined;
  }
}

function timestampText(millis: bigint): string | undefined {
  return isoText(Number(millis), 23, 'Z');
}

const YEAR_1 = Date.UTC(2000, 0, 1) - 730_119 * 86_400_000;
const YEAR_10000 = Date.UTC(10_000, 0, 1);

function isoText(millis: number, length: number, zone = ''): string | undefined {
  if (millis < YEAR_1 || millis >= YEAR_10000) return undefined;
  return `"${new Date(millis).toISOString().slice(0, length)}${zone}"`;
}

function floorDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor < 0n ? quotient - 1n : quotient;
}

function indexedLeaves(
  fields: readonly Field[],
  parent: readonly string[],
): { key: string; type: PrimitiveName }[] {
  return fields.flatMap(({ name, type }) => {
    const path = [...parent, name];
    if (type.kind === 'struct') return indexedLeaves(type.fields, path);
    return type.kind === 'primitive' ? [{ key: leafKey(path), type: type.name }] : [];
  });
}

/** `{"a":1,"b":{"c":2}}` of the leaves that `text` knows, or undefined where it knows none. */
function nestedObject(
  fields: readonly Field[],
  parent: readonly string[],
  text: (key: string) => string | undefined,
): string | undefined {
  const members = fields.flatMap(({ name, type }) => {
    const path = [...parent, name];
    const value = type.kind === 'struct' ? nestedObject(type.fields, path, text) : text(leafKey(path));
    return value === undefined ? [] : [`${JSON.stringify(name)}:${value}`];
  });
  return members.length === 0 ? undefined : `{${members.join(',')}}`;
}
