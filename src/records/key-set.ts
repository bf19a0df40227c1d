/**
 * The keys of one MAP value, to find one that comes twice. It holds where each key lies in its column,
 * outside the heap: a record may have millions of them.
 */
export class KeySet {
  /**
   * By hash, probed linearly: 1 + where the key's length begins in the column's values, 0 where there is
   * none.
   */
  private slots = new Uint32Array(SLOTS_MIN);
  private count = 0;

  clear(): void {
    if (this.slots.length > SLOTS_KEPT) this.slots = new Uint32Array(SLOTS_MIN);
    else if (this.count > 0) this.slots.fill(0);
    this.count = 0;
  }

  /**
   * Notes the key `[start, end)` of `bytes`, which is appended to its column next.
   *
   * @param values of the column: PLAIN, each key behind its length
   * @param valuesEnd where the key will stand there
   * @returns false where it is there already
   */
  add(values: Buffer, valuesEnd: number, bytes: Uint8Array, start: number, end: number): boolean {
    const slot = this.find(values, bytes, start, end);
    if (this.slots[slot] !== 0) return false;
    this.slots[slot] = valuesEnd + 1;
    this.count++;
    if (this.count * 2 > this.slots.length) this.grow(values, valuesEnd, bytes.subarray(start, end));
    return true;
  }

  /** The key's slot, or the free one where it belongs. */
  private find(values: Buffer, bytes: Uint8Array, start: number, end: number): number {
    const { slots } = this;
    const mask = slots.length - 1;
    let slot = hash(bytes, start, end) & mask;
    for (let at = slots[slot] as number; at !== 0; at = slots[slot] as number) {
      if (isAt(values, at - 1, bytes, start, end)) return slot;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  /** @param newest the key at `newestAt`, which is not in `values` yet */
  private grow(values: Buffer, newestAt: number, newest: Uint8Array): void {
    const before = this.slots;
    this.slots = new Uint32Array(before.length * 4);
    const mask = this.slots.length - 1;
    for (const at of before) {
      if (at === 0) continue;
      const start = at + LENGTH_BYTES - 1;
      const isNewest = at === newestAt + 1;
      let slot = isNewest
        ? hash(newest, 0, newest.length)
        : hash(values, start, start + values.readUInt32LE(at - 1));
      for (slot &= mask; this.slots[slot] !== 0; ) slot = (slot + 1) & mask;
      this.slots[slot] = at;
    }
  }
}

/** Powers of two. */
const SLOTS_MIN = 64;
const SLOTS_KEPT = 4096;
const LENGTH_BYTES = 4;

/** Differs from process to process, so that nobody can send keys that all meet in one slot. */
const SEED = (Math.random() * 2 ** 32) | 0;

/** FNV-1a, mixed once more: its low bits alone would be those of the last byte. */
function hash(bytes: Uint8Array, start: number, end: number): number {
  let value = SEED;
  for (let i = start; i < end; i++) value = Math.imul(value ^ (bytes[i] as number), 0x01000193);
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  return (value ^ (value >>> 13)) >>> 0;
}

function isAt(values: Buffer, at: number, bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (values.readUInt32LE(at) !== length) return false;
  const from = at + LENGTH_BYTES;
  for (let i = 0; i < length; i++) if (values[from + i] !== bytes[start + i]) return false;
  return true;
}
