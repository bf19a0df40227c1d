import type { LeafBuffers } from '../records/leaf-buffers.ts';
import { valueWidth } from './value-width.ts';

/**
 * A larger dictionary doesn't fit a reader's cache, and what it saves shrinks. parquet-java's limit for its
 * page.
 */
const MAX_BYTES = 1024 * 1024;
const MAX_ENTRIES = 65_536;
/** Keys made to collide would otherwise cost a walk through all of them, each. */
const MAX_PROBES = 64;
/** Of a chunk's values, within bounds. */
const SAMPLE_SHARE = 1 / 16;
const SAMPLE_MIN = 256;
const SAMPLE_MAX = 2048;
const SAMPLE_RUN = 32;
/**
 * A sixteenth of the values repeats itself less than this where they occur fewer than about twice each; 2048
 * of 100,000, six times.
 */
const MIN_SAMPLE_REPEATS = 1 / 16;
/** Beyond, one call into the runtime is quicker than a loop. */
const WORDWISE_BYTES_MAX = 200;

/**
 * What a dictionary-encoded column chunk consists of. Views of the builder's memory, good until its next
 * `build`.
 */
export interface Dictionary {
  readonly entryCount: number;
  /** The entries, PLAIN-encoded, each once: body of the dictionary page. */
  readonly entries: Buffer;
  /** Entry of each non-null value. */
  readonly indices: Uint32Array;
}

/**
 * Hot path. Memory grows with the chunks and is kept from one to the next; at most 2 MiB and 4 bytes a value.
 */
export class DictionaryBuilder {
  private entries = Buffer.alloc(0);
  private entriesView: DataView = new DataView(new ArrayBuffer(0));
  private entryStarts = new Uint32Array(1);
  /** Open addressing: entry + 1, or 0. */
  private slots = new Uint32Array(0);
  private slotMask = 0;
  private indices = new Uint32Array(0);
  private entryCount = 0;

  /** A dictionary of the leaf's values, or undefined where PLAIN is no larger or a sample says so. */
  build(leaf: LeafBuffers): Dictionary | undefined {
    const { valueCount, physicalType } = leaf;
    if (physicalType === 'BOOLEAN' || valueCount === 0 || !this.sampleRepeats(leaf)) return undefined;
    this.reset(leaf, valueCount);
    if (this.insertRuns(leaf, valueCount, 0) !== valueCount) return undefined;
    const entries = this.entries.subarray(0, this.entryStarts[this.entryCount]);
    const indexBytes = (valueCount * indexBits(this.entryCount)) / 8;
    if (entries.length + indexBytes >= leaf.valuesEnd) return undefined;
    return { entryCount: this.entryCount, entries, indices: this.indices.subarray(0, valueCount) };
  }

  /** In runs of neighbours, since many values repeat only within a document or a page of a site. */
  private sampleRepeats(leaf: LeafBuffers): boolean {
    const share = Math.floor(leaf.valueCount * SAMPLE_SHARE);
    const size = Math.min(leaf.valueCount, Math.max(SAMPLE_MIN, Math.min(share, SAMPLE_MAX)));
    const runs = Math.ceil(size / SAMPLE_RUN);
    const between = Math.max(0, Math.floor(leaf.valueCount / runs) - SAMPLE_RUN);
    this.reset(leaf, Math.min(leaf.valueCount, size * 2));
    const sampled = this.insertRuns(leaf, SAMPLE_RUN, between);
    return sampled - this.entryCount >= sampled * MIN_SAMPLE_REPEATS;
  }

  /** Empties the dictionary, with room for `count` values of the leaf. */
  private reset(leaf: LeafBuffers, count: number): void {
    const maxEntries = Math.min(count, MAX_ENTRIES);
    const slotCount = 2 ** Math.ceil(Math.log2(maxEntries * 2));
    const entryBytes = Math.min(leaf.valuesEnd, MAX_BYTES);
    if (this.indices.length < count) this.indices = new Uint32Array(count);
    if (this.entryStarts.length <= maxEntries) this.entryStarts = new Uint32Array(maxEntries + 1);
    if (this.entries.length < entryBytes) {
      this.entries = Buffer.allocUnsafe(entryBytes);
      this.entriesView = new DataView(this.entries.buffer, this.entries.byteOffset, this.entries.length);
    }
    if (this.slots.length < slotCount) this.slots = new Uint32Array(slotCount);
    else this.slots.fill(0, 0, slotCount);
    this.slotMask = slotCount - 1;
    this.entryCount = 0;
  }

  /**
   * Inserts runs of so many values, so many between them, and returns how many there were before the
   * dictionary was full.
   */
  private insertRuns(leaf: LeafBuffers, run: number, between: number): number {
    const { values, valuesEnd } = leaf;
    const view = new DataView(values.buffer, values.byteOffset, valuesEnd);
    const width = valueWidth(leaf);
    let inserted = 0;
    let lastAt = 0;
    let lastLength = -1;
    let entry = -1;
    for (let at = 0; at < valuesEnd; ) {
      for (let left = run; left > 0 && at < valuesEnd; left--) {
        const length = width === 0 ? 4 + view.getUint32(at, true) : width;
        // Many columns stay the same for long: the topic, the time of a crawl.
        if (length !== lastLength || !equal(view, lastAt, view, at, length)) {
          entry = this.insert(view, at, length);
          if (entry < 0) return inserted;
          lastAt = at;
          lastLength = length;
        }
        this.indices[inserted++] = entry;
        at += length;
      }
      if (width > 0) at += between * width;
      else for (let left = between; left > 0 && at < valuesEnd; left--) at += 4 + view.getUint32(at, true);
    }
    return inserted;
  }

  /** The entry for the PLAIN bytes of one value, or -1 where it is new and finds no room. */
  private insert(view: DataView, at: number, length: number): number {
    const { entriesView, entryStarts, slots, slotMask } = this;
    let slot = hash(view, at, length) & slotMask;
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const entry = (slots[slot] as number) - 1;
      if (entry < 0) return this.add(slot, view, at, length);
      const start = entryStarts[entry] as number;
      if (
        (entryStarts[entry + 1] as number) - start === length &&
        equal(entriesView, start, view, at, length)
      ) {
        return entry;
      }
      slot = (slot + 1) & slotMask;
    }
    return -1;
  }

  private add(slot: number, view: DataView, at: number, length: number): number {
    const entry = this.entryCount;
    const start = this.entryStarts[entry] as number;
    if (entry === MAX_ENTRIES || start + length > MAX_BYTES) return -1;
    if (length > WORDWISE_BYTES_MAX)
      this.entries.set(new Uint8Array(view.buffer, view.byteOffset + at, length), start);
    else copyWords(view, at, this.entriesView, start, length);
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

// Four bytes at a time, the last four of them again if their number is not a multiple of four: no PLAIN value
// but BOOLEAN is shorter.

/** The shift brings what only high bits differ in down to the slots, which go by the low ones. */
function hash(bytes: DataView, at: number, length: number): number {
  const last = at + length - 4;
  let h = length;
  for (let i = at; i < last; i += 4) {
    h = Math.imul(h ^ bytes.getInt32(i, true), 0x85ebca6b);
    h ^= h >>> 15;
  }
  h = Math.imul(h ^ bytes.getInt32(last, true), 0x85ebca6b);
  h ^= h >>> 15;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function equal(a: DataView, aStart: number, b: DataView, bStart: number, length: number): boolean {
  const last = length - 4;
  for (let i = 0; i < last; i += 4)
    if (a.getInt32(aStart + i, true) !== b.getInt32(bStart + i, true)) return false;
  return a.getInt32(aStart + last, true) === b.getInt32(bStart + last, true);
}

function copyWords(from: DataView, fromStart: number, to: DataView, toStart: number, length: number): void {
  const last = length - 4;
  for (let i = 0; i < last; i += 4) to.setInt32(toStart + i, from.getInt32(fromStart + i, true), true);
  to.setInt32(toStart + last, from.getInt32(fromStart + last, true), true);
}
