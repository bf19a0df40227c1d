import type { LeafBuffers } from '../records/leaf-buffers.ts';

/**
 * Smallest and largest value of a leaf, by the order that the Parquet format defines for its type: numbers by
 * value, strings by unsigned bytes, false before true. INT64 is a bigint, FIXED_LEN_BYTE_ARRAY the big-endian
 * signed bigint that it is, BYTE_ARRAY its bytes, BOOLEAN 0 or 1.
 *
 * 'unordered': a NaN is among the values, so nothing can be said; a reader must not skip by it.
 */
export type Bounds =
  | { readonly kind: 'empty' }
  | { readonly kind: 'unordered' }
  | { readonly kind: 'bounded'; readonly min: Bound; readonly max: Bound };

export type Bound = number | bigint | Buffer;

/**
 * Bounds of the values that lie in `plain[0, end)` as `LeafBuffers.values` holds them. The bytes are copied.
 */
export function boundsOf(
  { physicalType, typeLength }: Pick<LeafBuffers, 'physicalType' | 'typeLength'>,
  plain: Buffer,
  end: number,
): Bounds {
  if (end === 0) return { kind: 'empty' };
  switch (physicalType) {
    case 'BOOLEAN':
      return byteBounds(plain, end);
    case 'INT32':
      return int32Bounds(plain, end);
    case 'INT64':
      return int64Bounds(plain, end);
    case 'FLOAT':
      return floatingBounds(plain, end, 4);
    case 'DOUBLE':
      return floatingBounds(plain, end, 8);
    case 'BYTE_ARRAY':
      return bytesBounds(plain, end);
    case 'FIXED_LEN_BYTE_ARRAY':
      return fixedBounds(plain, end, typeLength);
  }
}

/** Bounds of two sets of values taken together. */
export function mergeBounds(a: Bounds, b: Bounds): Bounds {
  if (a.kind === 'unordered' || b.kind === 'empty') return a;
  if (b.kind === 'unordered' || a.kind === 'empty') return b;
  return {
    kind: 'bounded',
    min: boundIsBefore(b.min, a.min) ? b.min : a.min,
    max: boundIsBefore(a.max, b.max) ? b.max : a.max,
  };
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
function floatingBounds(plain: Buffer, end: number, width: 4 | 8): Bounds {
  const view = new DataView(plain.buffer, plain.byteOffset, end);
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < end; at += width) {
    const value = width === 4 ? view.getFloat32(at, true) : view.getFloat64(at, true);
    if (Number.isNaN(value)) return { kind: 'unordered' };
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { kind: 'bounded', min: min === 0 ? -0 : min, max: max === 0 ? 0 : max };
}

function bytesBounds(plain: Buffer, end: number): Bounds {
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

/** Two's complement sorts by unsigned bytes once its sign bit is turned over. */
function fixedBounds(plain: Buffer, end: number, width: number): Bounds {
  let min = 0;
  let max = 0;
  for (let at = width; at < end; at += width) {
    if (isLess(plain, at, min, width)) min = at;
    else if (isLess(plain, max, at, width)) max = at;
  }
  return { kind: 'bounded', min: fixed(plain, min, width), max: fixed(plain, max, width) };
}

function isLess(plain: Buffer, a: number, b: number, width: number): boolean {
  const sign = ((plain[a] as number) ^ 0x80) - ((plain[b] as number) ^ 0x80);
  return sign === 0 ? isBefore(plain, a, a + width, b, b + width) : sign < 0;
}

function fixed(plain: Buffer, at: number, width: number): bigint {
  return BigInt.asIntN(8 * width, BigInt(`0x${plain.toString('hex', at, at + width)}`));
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

function boundIsBefore(a: Bound, b: Bound): boolean {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return Buffer.compare(a, b) < 0;
  return a < b;
}
