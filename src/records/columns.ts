import { releaseBuffer } from '../release-buffer.ts';
import type { DataType, Field, Schema } from './ddl.ts';
import {
  decimalBytes,
  type LeafBuffers,
  type LeafType,
  type PhysicalType,
  physicalType,
} from './leaf-buffers.ts';
import { ENDS_PLAIN, firstMarked, plainEnds } from './plain-text.ts';

/**
 * Rows as Parquet columns in the making: PLAIN-encoded values and levels, one growing buffer each, reused
 * from row group to row group. The decoder appends, the page writer reads; no object per row or value.
 *
 * Levels follow Dremel and the Parquet format: a leaf's definition level says how many of its optional or
 * repeated ancestors are present, its repetition level at which list it repeats.
 */

export type ColumnNode = LeafNode | ArrayNode | MapNode | StructNode;

interface NodeLevels {
  readonly name: string;
  readonly nullable: boolean;
  /** Definition level where this node is present (not null). A null one is `definitionLevel - 1`. */
  readonly definitionLevel: number;
  /** Repetition level of a further element of the innermost list around this node. */
  readonly repetitionLevel: number;
}

export interface LeafNode extends NodeLevels {
  readonly kind: 'leaf';
  readonly leaf: LeafColumn;
}

/** An empty list stands at `definitionLevel`, its elements at `definitionLevel + 1` or deeper. */
export interface ArrayNode extends NodeLevels {
  readonly kind: 'array';
  readonly element: ColumnNode;
}

/** As an array of entries: an empty map stands at `definitionLevel`, its keys at `definitionLevel + 1`. */
export interface MapNode extends NodeLevels {
  readonly kind: 'map';
  readonly key: ColumnNode;
  readonly value: ColumnNode;
}

export interface StructNode extends NodeLevels {
  readonly kind: 'struct';
  readonly fields: readonly ColumnNode[];
}

/** Counts the memory of all leaves of one file: asked often, and leaves are many. */
export class HeldMemory {
  bytes = 0;
}

/** What a leaf takes before it has a value, about: its own object, its buffers' and its node's. */
const LEAF_BYTES = 800;
/** Room for a first few values: a thousand table partitions may be open, each with every leaf. */
const FIRST_BYTES = 32;
const FIRST_LEVELS = 8;
/** Beyond, one call into the runtime is quicker than a loop. */
const WORDWISE_BYTES_MAX = 200;
const NO_BYTES = Buffer.alloc(0);
const NO_VIEW = new DataView(NO_BYTES.buffer, 0, 0);

/** One leaf column in the making. All `append*` grow the buffers as needed; none checks nullability. */
export class LeafColumn implements LeafBuffers {
  readonly path: readonly string[];
  readonly type: LeafType;
  readonly physicalType: PhysicalType;
  readonly typeLength: number;
  readonly maxDefinitionLevel: number;
  readonly maxRepetitionLevel: number;

  values: Buffer = NO_BYTES;
  valuesEnd = 0;
  valueCount = 0;
  definitionLevels: Buffer = NO_BYTES;
  repetitionLevels: Buffer = NO_BYTES;
  levelCount = 0;

  private view = NO_VIEW;
  private readonly held: HeldMemory;
  /**
   * Of the buffers, how much is in use and counted as held. They outlive `clear`, to be filled again, and are
   * then counted again as they fill.
   */
  private valuesLimit = 0;
  private levelsLimit = 0;
  /** From a byte's place in the source to its place here, of the STRING in the making. */
  private textShift = 0;
  private markedValuesEnd = 0;
  private markedValueCount = 0;
  private markedLevelCount = 0;

  constructor(
    path: readonly string[],
    type: LeafType,
    maxDefinitionLevel: number,
    maxRepetitionLevel: number,
    held = new HeldMemory(),
  ) {
    this.held = held;
    held.bytes += LEAF_BYTES;
    this.path = path;
    this.type = type;
    this.physicalType = physicalType(type);
    this.typeLength =
      type.kind === 'decimal' && this.physicalType === 'FIXED_LEN_BYTE_ARRAY'
        ? decimalBytes(type.precision)
        : 0;
    this.maxDefinitionLevel = maxDefinitionLevel;
    this.maxRepetitionLevel = maxRepetitionLevel;
  }

  appendNull(definitionLevel: number, repetitionLevel: number): void {
    this.appendLevels(definitionLevel, repetitionLevel);
  }

  appendInt64(value: bigint, repetitionLevel: number): void {
    this.reserve(8);
    this.view.setBigInt64(this.valuesEnd, value, true);
    this.finishValue(8, repetitionLevel);
  }

  /** An integer of at most 53 bits, without a bigint on the way. */
  appendInt53(value: number, repetitionLevel: number): void {
    this.reserve(8);
    const high = Math.floor(value / 4294967296);
    this.view.setUint32(this.valuesEnd, value - high * 4294967296, true);
    this.view.setInt32(this.valuesEnd + 4, high, true);
    this.finishValue(8, repetitionLevel);
  }

  appendInt32(value: number, repetitionLevel: number): void {
    this.reserve(4);
    this.view.setInt32(this.valuesEnd, value, true);
    this.finishValue(4, repetitionLevel);
  }

  appendDouble(value: number, repetitionLevel: number): void {
    this.reserve(8);
    this.view.setFloat64(this.valuesEnd, value, true);
    this.finishValue(8, repetitionLevel);
  }

  appendFloat(value: number, repetitionLevel: number): void {
    this.reserve(4);
    this.view.setFloat32(this.valuesEnd, value, true);
    this.finishValue(4, repetitionLevel);
  }

  /** The unscaled value of a decimal that is a FIXED_LEN_BYTE_ARRAY. */
  appendFixed(value: bigint, repetitionLevel: number): void {
    const { typeLength } = this;
    this.reserve(typeLength);
    let rest = value;
    for (let at = this.valuesEnd + typeLength - 1; at >= this.valuesEnd; at--) {
      this.values[at] = Number(rest & 0xffn);
      rest >>= 8n;
    }
    this.finishValue(typeLength, repetitionLevel);
  }

  appendBoolean(value: boolean, repetitionLevel: number): void {
    this.reserve(1);
    this.values[this.valuesEnd] = value ? 1 : 0;
    this.finishValue(1, repetitionLevel);
  }

  /** Bytes `[start, end)` of `source`, copied as they are: for a STRING already verified UTF-8. */
  appendBytes(source: Uint8Array, start: number, end: number, repetitionLevel: number): void {
    const length = end - start;
    this.reserve(4 + length);
    const at = this.valuesEnd;
    this.view.setUint32(at, length, true);
    this.copy(source, start, end, at + 4);
    this.finishValue(4 + length, repetitionLevel);
  }

  /**
   * As `appendBytes`, of bytes that a view is at hand of: eight at once, 2 to 4 times as fast up to some 200
   * bytes.
   */
  appendSlice(source: DataView, start: number, end: number, repetitionLevel: number): void {
    const length = end - start;
    this.reserve(4 + length);
    const { view, valuesEnd } = this;
    view.setUint32(valuesEnd, length, true);
    let to = valuesEnd + 4;
    if (length > WORDWISE_BYTES_MAX) {
      this.values.set(new Uint8Array(source.buffer, source.byteOffset + start, length), to);
    } else {
      let from = start;
      // No bigint is made: V8 keeps the eight bytes in a register.
      for (; from <= end - 8; from += 8, to += 8) view.setBigInt64(to, source.getBigInt64(from, true), true);
      for (; from < end; from++, to++) view.setUint8(to, source.getUint8(from));
    }
    this.finishValue(4 + length, repetitionLevel);
  }

  /**
   * Copies a STRING while it is looked at, part by part, from `source[start, end)`: `beginText`, then
   * `copyPlain` and `copyText`, each from where the last part ended, then `endText`. What has no end leaves
   * no trace.
   */
  beginText(start: number, end: number): void {
    this.reserve(4 + end - start);
    this.textShift = this.valuesEnd + 4 - start;
  }

  /** Copies plain text from `from` on; returns where it ends. */
  copyPlain(source: DataView, from: number, end: number): number {
    const { view, textShift } = this;
    let at = from;
    for (; at <= end - 8; at += 8) {
      const low = source.getInt32(at, true);
      const high = source.getInt32(at + 4, true);
      view.setInt32(at + textShift, low, true);
      view.setInt32(at + textShift + 4, high, true);
      const lowEnds = plainEnds(low);
      const highEnds = plainEnds(high);
      if ((lowEnds | highEnds) === 0) continue;
      at += lowEnds === 0 ? 4 + firstMarked(highEnds) : firstMarked(lowEnds);
      break;
    }
    for (; at < end; at++) {
      const byte = source.getUint8(at);
      if (ENDS_PLAIN[byte] !== 0) break;
      view.setUint8(at + textShift, byte);
    }
    return at;
  }

  copyText(source: DataView, from: number, end: number): void {
    const { view, textShift } = this;
    for (let at = from; at < end; at++) view.setUint8(at + textShift, source.getUint8(at));
  }

  endText(end: number, repetitionLevel: number): void {
    const bytes = end + this.textShift - this.valuesEnd;
    this.view.setUint32(this.valuesEnd, bytes - 4, true);
    this.finishValue(bytes, repetitionLevel);
  }

  /** Bytes of the values and levels that this leaf has now. */
  get sizeBytes(): number {
    return this.valuesEnd + this.levelCount * this.bytesPerLevel;
  }

  mark(): void {
    this.markedValuesEnd = this.valuesEnd;
    this.markedValueCount = this.valueCount;
    this.markedLevelCount = this.levelCount;
  }

  rollback(): void {
    this.valuesEnd = this.markedValuesEnd;
    this.valueCount = this.markedValueCount;
    this.levelCount = this.markedLevelCount;
  }

  /** Appends everything that `from`, a leaf of the same shape, holds. */
  appendAll(from: LeafColumn): void {
    this.reserve(from.valuesEnd);
    this.copy(from.values, 0, from.valuesEnd, this.valuesEnd);
    this.valuesEnd += from.valuesEnd;
    this.valueCount += from.valueCount;
    for (let i = 0; i < from.levelCount; i++) {
      this.appendLevels(from.definitionLevels[i] as number, from.repetitionLevels[i] as number);
    }
  }

  clear(): void {
    this.held.bytes -= this.valuesLimit + this.levelsLimit * this.bytesPerLevel;
    this.valuesLimit = 0;
    this.levelsLimit = 0;
    this.valuesEnd = 0;
    this.valueCount = 0;
    this.levelCount = 0;
  }

  /** Makes room for `bytes` more at `valuesEnd`. */
  reserve(bytes: number): void {
    const needed = this.valuesEnd + bytes;
    if (needed > this.valuesLimit) this.growValues(needed);
  }

  private growValues(needed: number): void {
    const limit = grownTo(this.valuesLimit, needed, FIRST_BYTES);
    if (limit > this.values.length) {
      const grown = Buffer.allocUnsafe(limit);
      this.values.copy(grown, 0, 0, this.valuesEnd);
      releaseBuffer(this.values);
      this.values = grown;
      this.view = new DataView(grown.buffer, grown.byteOffset, grown.length);
    }
    this.held.bytes += limit - this.valuesLimit;
    this.valuesLimit = limit;
  }

  private growLevels(): void {
    const limit = grownTo(this.levelsLimit, this.levelCount + 1, FIRST_LEVELS);
    if (limit > this.definitionLevels.length) {
      this.definitionLevels = copied(this.definitionLevels, limit);
      if (this.maxRepetitionLevel > 0) this.repetitionLevels = copied(this.repetitionLevels, limit);
    }
    this.held.bytes += (limit - this.levelsLimit) * this.bytesPerLevel;
    this.levelsLimit = limit;
  }

  private get bytesPerLevel(): number {
    return this.maxRepetitionLevel > 0 ? 2 : 1;
  }

  /** A loop is quicker than a call into the runtime for the few bytes of most values. */
  private copy(source: Uint8Array, start: number, end: number, at: number): void {
    const { values } = this;
    if (end - start >= 48) values.set(source.subarray(start, end), at);
    else for (let i = start; i < end; i++) values[at + i - start] = source[i] as number;
  }

  private finishValue(bytes: number, repetitionLevel: number): void {
    this.valuesEnd += bytes;
    this.valueCount++;
    this.appendLevels(this.maxDefinitionLevel, repetitionLevel);
  }

  private appendLevels(definitionLevel: number, repetitionLevel: number): void {
    const at = this.levelCount;
    if (at === this.levelsLimit) this.growLevels();
    this.definitionLevels[at] = definitionLevel;
    if (this.maxRepetitionLevel > 0) this.repetitionLevels[at] = repetitionLevel;
    this.levelCount = at + 1;
  }
}

/**
 * The columns of one file in the making: a tree with the schema's shape, and its leaves in Parquet's order.
 */
export class Columns {
  readonly schema: Schema;
  readonly nodes: readonly ColumnNode[];
  readonly leaves: readonly LeafColumn[];
  rowCount = 0;
  private readonly held = new HeldMemory();

  constructor(schema: Schema) {
    const leaves: LeafColumn[] = [];
    this.schema = schema;
    this.nodes = schema.fields.map((field) => buildNode(field, [], 0, 0, leaves, this.held));
    this.leaves = leaves;
  }

  /**
   * Memory that is held for the rows: not only what they fill, but the room that their buffers have, and what
   * a leaf takes without any. After `clear` as if the buffers were new.
   */
  get sizeBytes(): number {
    return this.held.bytes;
  }

  /** Remembers the present state; `rollback` returns to it, so that a defective record leaves no trace. */
  mark(): void {
    for (const leaf of this.leaves) leaf.mark();
  }

  rollback(): void {
    for (const leaf of this.leaves) leaf.rollback();
  }

  /** Appends the rows of `from`, which has the same schema. */
  appendAll(from: Columns): void {
    for (let i = 0; i < this.leaves.length; i++) {
      (this.leaves[i] as LeafColumn).appendAll(from.leaves[i] as LeafColumn);
    }
    this.rowCount += from.rowCount;
  }

  clear(): void {
    for (const leaf of this.leaves) leaf.clear();
    this.rowCount = 0;
  }
}

/** Writes null (or "absent because an ancestor is") at `definitionLevel` into every leaf below `node`. */
export function appendNullTo(node: ColumnNode, definitionLevel: number, repetitionLevel: number): void {
  if (node.kind === 'leaf') node.leaf.appendNull(definitionLevel, repetitionLevel);
  else if (node.kind === 'array') appendNullTo(node.element, definitionLevel, repetitionLevel);
  else if (node.kind === 'map') {
    appendNullTo(node.key, definitionLevel, repetitionLevel);
    appendNullTo(node.value, definitionLevel, repetitionLevel);
  } else for (const field of node.fields) appendNullTo(field, definitionLevel, repetitionLevel);
}

function buildNode(
  field: Field,
  parent: readonly string[],
  parentDefinition: number,
  repetitionLevel: number,
  leaves: LeafColumn[],
  held: HeldMemory,
): ColumnNode {
  const { name, type, nullable } = field;
  const path = [...parent, name];
  const definitionLevel = parentDefinition + (nullable ? 1 : 0);
  const levels = { name, nullable, definitionLevel, repetitionLevel };
  if (type.kind === 'primitive' || type.kind === 'decimal') {
    const leaf = new LeafColumn(path, type, definitionLevel, repetitionLevel, held);
    leaves.push(leaf);
    return { kind: 'leaf', ...levels, leaf };
  }
  if (type.kind === 'array') {
    const element = { name: 'element', type: type.element, nullable: type.containsNull };
    const node = buildNode(
      element,
      [...path, 'list'],
      definitionLevel + 1,
      repetitionLevel + 1,
      leaves,
      held,
    );
    return { kind: 'array', ...levels, element: node };
  }
  if (type.kind === 'map') {
    const entry = [...path, 'key_value'];
    const below = (name: string, type: DataType, nullable: boolean) =>
      buildNode({ name, type, nullable }, entry, definitionLevel + 1, repetitionLevel + 1, leaves, held);
    const key = below('key', type.key, false);
    return { kind: 'map', ...levels, key, value: below('value', type.value, type.valueContainsNull) };
  }
  const fields = type.fields.map((child) =>
    buildNode(child, path, definitionLevel, repetitionLevel, leaves, held),
  );
  return { kind: 'struct', ...levels, fields };
}

/** Small buffers double; of large ones, less would lie idle with half as much again. */
function grownTo(size: number, needed: number, first: number): number {
  return Math.max(needed, size < 4096 ? size * 2 : size + (size >>> 1), first);
}

function copied(levels: Buffer, length: number): Buffer {
  const grown = Buffer.allocUnsafe(length);
  grown.set(levels);
  releaseBuffer(levels);
  return grown;
}
