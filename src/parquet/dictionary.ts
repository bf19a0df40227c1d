import type { LeafColumn } from '../records/columns.ts';
import { valueWidth } from './value-width.ts';

/** A larger dictionary doesn't fit a reader's cache, and what it saves shrinks. parquet-java's limit for its page. */
const MAX_BYTES = 1024 * 1024;
const MAX_ENTRIES = 65_536;
/** Keys made to collide would otherwise cost a walk through all of them, each. */
const MAX_PROBES = 64;
const SAMPLE_SIZE = 2048;
/** A sample of 2048 repeats itself less than this where values occur fewer than about six times in 100,000. */
const MIN_SAMPLE_REPEATS = 1 / 16;

/** What a dictionary-encoded column chunk consists of. Views of the builder's memory, good until its next `build`. */
export interface Dictionary {
  readonly entryCount: number;
  /** The entries, PLAIN-encoded, each once: body of the dictionary page. */
  readonly entries: Buffer;
  /** Entry of each non-null value. */
  readonly indices: Uint32Array;
}

/** Hot path. Memory grows with the chunks and is kept from one to the next; at most 2 MiB and 4 bytes a value. */
export class DictionaryBuilder {
  private entries = Buffer.alloc(0);
  private entryStarts = new Uint32Array(1);
  /** Open addressing: entry + 1, or 0. */
  private slots = new Uint32Array(0);
  private slotMask = 0;
  private indices = new Uint32Array(0);
  private entryCount = 0;

  /** A dictionary of the leaf's values, or undefined where PLAIN is no larger or a sample says so. */
  build(leaf: LeafColumn): Dictionary | undefined {
    const { valueCount, physicalType } = leaf;
    if (physicalType === 'BOOLEAN' || valueCount === 0 || !this.sampleRepeats(leaf)) return undefined;
    this.reset(leaf, valueCount);
    if (this.insertEvery(leaf, 1) !== valueCount) return undefined;
    const entries = this.entries.subarray(0, this.entryStarts[this.entryCount]);
    const indexBytes = (valueCount * indexBits(this.entryCount)) / 8;
    if (entries.length + indexBytes >= leaf.valuesEnd) return undefined;
    return { entryCount: this.entryCount, entries, indices: this.indices.subarray(0, valueCount) };
  }

  private sampleRepeats(leaf: LeafColumn): boolean {
    const stride = Math.max(1, Math.floor(leaf.valueCount / SAMPLE_SIZE));
    this.reset(leaf, Math.ceil(leaf.valueCount / stride));
    const sampled = this.insertEvery(leaf, stride);
    return sampled - this.entryCount >= sampled * MIN_SAMPLE_REPEATS;
  }

  /** Empties the dictionary, with room for `count` values of the leaf. */
  private reset(leaf: LeafColumn, count: number): void {
    const maxEntries = Math.min(count, MAX_ENTRIES);
    const slotCount = 2 ** Math.ceil(Math.log2(maxEntries * 2));
    const entryBytes = Math.min(leaf.valuesEnd, MAX_BYTES);
    if (this.indices.length < count) this.indices = new Uint32Array(count);
    if (this.entryStarts.length <= maxEntries) this.entryStarts = new Uint32Array(maxEntries + 1);
    if (this.entries.length < entryBytes) this.entries = Buffer.allocUnsafe(entryBytes);
    if (this.slots.length < slotCount) this.slots = new Uint32Array(slotCount);
    else this.slots.fill(0, 0, slotCount);
    this.slotMask = slotCount - 1;
    this.entryCount = 0;
  }

  /** Inserts each `stride`-th value, and returns how many there were before the dictionary was full. */
  private insertEvery(leaf: LeafColumn, stride: number): number {
    const { values, valuesEnd } = leaf;
    const width = valueWidth(leaf);
    let inserted = 0;
    let skip = 0;
    for (let at = 0; at < valuesEnd; ) {
      const length = width === 0 ? 4 + values.readUInt32LE(at) : width;
      if (skip === 0) {
        const entry = this.insert(values, at, length);
        if (entry < 0) return inserted;
        this.indices[inserted++] = entry;
        skip = stride;
      }
      skip--;
      at += length;
    }
    return inserted;
  }

  /** The entry for the PLAIN bytes of one value, or -1 where it is new and finds no room. */
  private insert(values: Buffer, at: number, length: number): number {
    const { entries, entryStarts, slots, slotMask } = this;
    let slot = hash(values, at, length) & slotMask;
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const entry = (slots[slot] as number) - 1;
      if (entry < 0) return this.add(slot, values, at, length);
      const start = entryStarts[entry] as number;
      if (
        (entryStarts[entry + 1] as number) - start === length &&
        equal(entries, start, values, at, length)
      ) {
        return entry;
      }
      slot = (slot + 1) & slotMask;
    }
    return -1;
  }

  private add(slot: number, values: Buffer, at: number, length: number): number {
    const entry = this.entryCount;
    const start = this.entryStarts[entry] as number;
    if (entry === MAX_ENTRIES || start + length > MAX_BYTES) return -1;
    values.copy(this.entries, start, at, at + length);
    this.entryStarts[entry + 1] = start + length;
    this.slots[slot] = entry + 1;
    this.entryCount = entry + 1;
    return entry;
  }
}

/** Width of an index. A single entry takes one bit too: not every reader accepts none. */
export function indexBits(entryCount: number): number {
  return Math.max(1, 32 - Math.clz32(entryCount - 1));
}

/** FNV-1a. */
function hash(bytes: Buffer, at: number, length: number): number {
  let h = 0x811c9dc5;
  for (let i = at; i < at + length; i++) h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
  return h ^ (h >>> 15);
}

function equal(a: Buffer, aStart: number, b: Buffer, bStart: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}
