import type { Field, PrimitiveName, Schema } from '../records/ddl.ts';
import type { LeafBuffers, LeafType } from '../records/leaf-buffers.ts';
import { type Bound, type Bounds, mergeBounds } from './bounds.ts';
import { valueWidth } from './value-width.ts';

export type { Bound, Bounds } from './bounds.ts';

export interface LeafStatistics {
  readonly bounds: Bounds;
  /** Levels without a value: nulls, those of ancestors included, and empty lists. */
  readonly nullCount: number;
}

export const NO_STATISTICS: LeafStatistics = { bounds: { kind: 'empty' }, nullCount: 0 };

/**
 * Code points of a text bound. Delta's convention for its statistics; and a footer would otherwise repeat
 * whole documents.
 */
const DELTA_TEXT_LENGTH = 32;
const FOOTER_TEXT_LENGTH = 64;
/** Delta's `dataSkippingNumIndexedCols`. */
const INDEXED_LEAVES = 32;

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

type FooterLeaf = Pick<LeafBuffers, 'type' | 'physicalType' | 'typeLength'>;

/**
 * `min_value` and `max_value` of the footer's `Statistics`: PLAIN, without the length of a BYTE_ARRAY. None
 * for BINARY: nobody skips by them, and a body would stand in the footer.
 */
export function footerBounds(leaf: FooterLeaf, bounds: Bounds): FooterBounds | undefined {
  if (bounds.kind !== 'bounded' || isBinary(leaf.type)) return undefined;
  const min = lowerBound(leaf, bounds.min);
  const max = upperBound(leaf, bounds.max);
  return max && { min: min.bytes, max: max.bytes, minIsExact: min.isExact, maxIsExact: max.isExact };
}

/**
 * The `stats` of a Delta `add` action, as JSON.
 *
 * Bounds for all indexed leaves that have values, or for none: where one cannot be said (NaN, an infinity, a
 * year beyond four digits), all are left out. delta-rs 1.6.6 takes a missing bound beside others for null,
 * and its Arrow dataset then finds no row of that file.
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

function isBinary(type: LeafType): boolean {
  return type.kind === 'primitive' && type.name === 'binary';
}

interface BytesBound {
  readonly bytes: Buffer;
  readonly isExact: boolean;
}

function lowerBound(leaf: FooterLeaf, bound: Bound): BytesBound {
  if (!Buffer.isBuffer(bound)) return { bytes: plain(leaf, bound), isExact: true };
  const { text, isExact } = textLowerBound(bound, FOOTER_TEXT_LENGTH);
  return { bytes: Buffer.from(text), isExact };
}

function upperBound(leaf: FooterLeaf, bound: Bound): BytesBound | undefined {
  if (!Buffer.isBuffer(bound)) return { bytes: plain(leaf, bound), isExact: true };
  const upper = textUpperBound(bound, FOOTER_TEXT_LENGTH);
  return upper && { bytes: Buffer.from(upper.text), isExact: upper.isExact };
}

function plain(leaf: FooterLeaf, bound: number | bigint): Buffer {
  const bytes = Buffer.alloc(valueWidth(leaf));
  switch (leaf.physicalType) {
    case 'BOOLEAN':
      bytes.writeUInt8(Number(bound));
      break;
    case 'INT32':
      bytes.writeInt32LE(Number(bound));
      break;
    case 'INT64':
      bytes.writeBigInt64LE(BigInt(bound));
      break;
    case 'FLOAT':
      bytes.writeFloatLE(Number(bound));
      break;
    case 'DOUBLE':
      bytes.writeDoubleLE(Number(bound));
      break;
    default:
      for (let i = 0, rest = BigInt(bound); i < bytes.length; i++, rest >>= 8n)
        bytes[bytes.length - 1 - i] = Number(rest & 0xffn);
  }
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

/**
 * The first `length + 1` code points, or all. One takes at most 4 bytes; a torn last one is never among them.
 */
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

function leafTexts(type: LeafType, { bounds, nullCount }: LeafStatistics): LeafTexts {
  const nulls = { nullCount: String(nullCount) };
  // Delta has no bounds of BINARY, so that a reader expects none.
  if (isBinary(type)) return { ...nulls, isUnknown: false };
  if (bounds.kind !== 'bounded') return { ...nulls, isUnknown: bounds.kind === 'unordered' };
  const minValues = minText(type, bounds.min);
  const maxValues = maxText(type, bounds.max);
  if (minValues === undefined || maxValues === undefined) return { ...nulls, isUnknown: true };
  return { ...nulls, minValues, maxValues, isUnknown: false };
}

function minText(type: LeafType, bound: Bound): string | undefined {
  if (Buffer.isBuffer(bound)) return JSON.stringify(textLowerBound(bound, DELTA_TEXT_LENGTH).text);
  if (type.kind === 'decimal') return decimalText(BigInt(bound), type.scale);
  if (type.name === 'timestamp') return timestampText(floorDivide(BigInt(bound), 1000n));
  return numberText(type.name, bound);
}

function maxText(type: LeafType, bound: Bound): string | undefined {
  if (Buffer.isBuffer(bound)) {
    const upper = textUpperBound(bound, DELTA_TEXT_LENGTH);
    return upper && JSON.stringify(upper.text);
  }
  if (type.kind === 'decimal') return decimalText(BigInt(bound), type.scale);
  if (type.name === 'timestamp') return timestampText(-floorDivide(-BigInt(bound), 1000n));
  return numberText(type.name, bound);
}

function numberText(type: PrimitiveName, bound: number | bigint): string | undefined {
  switch (type) {
    case 'long':
    case 'integer':
    case 'short':
    case 'byte':
      return String(bound);
    case 'double':
    case 'float':
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

/** All digits: a JSON number too, which Spark, delta-rs and Polars read without a double between. */
function decimalText(unscaled: bigint, scale: number): string {
  const sign = unscaled < 0n ? '-' : '';
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${sign}${digits.slice(0, point)}${scale === 0 ? '' : `.${digits.slice(point)}`}`;
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
): { key: string; type: LeafType }[] {
  return fields.flatMap(({ name, type }) => {
    const path = [...parent, name];
    if (type.kind === 'struct') return indexedLeaves(type.fields, path);
    return type.kind === 'primitive' || type.kind === 'decimal' ? [{ key: leafKey(path), type }] : [];
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
