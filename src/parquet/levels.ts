/**
 * The RLE / bit-packed hybrid of the Parquet format (Encodings.md, "RLE = 3"): repetition and definition
 * levels, and the indices of dictionary-encoded values.
 *
 * A run is `varint(length << 1)` and the value in whole bytes; a bit-packed stretch is `varint(groups << 1 |
 * 1)` and groups of eight values, the lowest bit first. Only the last group may be padded.
 */

const GROUP = 8;

/**
 * Encodes `values[start, end)`, each below `2 ** bitWidth`, into `out` at `at`, and returns the position
 * after it. Room for `maxHybridBytes` is the caller's to give.
 *
 * @param bitWidth 1 to 32
 */
export function encodeHybrid(
  values: Uint8Array | Uint32Array,
  start: number,
  end: number,
  bitWidth: number,
  out: Uint8Array,
  at: number,
): number {
  let position = at;
  let i = start;
  while (i < end) {
    const run = runLength(values, i, end);
    if (run >= GROUP) {
      position = writeVarint(run * 2, out, position);
      position = writeValue(values[i] as number, bitWidth, out, position);
      i += run;
    } else {
      const packedEnd = endOfPacked(values, i, end);
      position = writeVarint(Math.ceil((packedEnd - i) / GROUP) * 2 + 1, out, position);
      position = writePacked(values, i, packedEnd, bitWidth, out, position);
      i = packedEnd;
    }
  }
  return position;
}

/** As `encodeHybrid`, after its length in 4 bytes: how a data page v1 holds its levels. */
export function encodeLevels(
  levels: Uint8Array,
  start: number,
  end: number,
  bitWidth: number,
  out: Uint8Array,
  at: number,
): number {
  const position = encodeHybrid(levels, start, end, bitWidth, out, at + 4);
  const length = position - at - 4;
  for (let i = 0; i < 4; i++) out[at + i] = (length >>> (8 * i)) & 0xff;
  return position;
}

/** Bits that hold every level from 0 to `maxValue`; 0 where there is but one. */
export function bitWidthOf(maxValue: number): number {
  return 32 - Math.clz32(maxValue);
}

/**
 * No encoding of `count` values takes more: each group costs its bits, and at worst a header and a run's
 * value.
 */
export function maxHybridBytes(count: number, bitWidth: number): number {
  return Math.ceil(count / GROUP) * (bitWidth + 6) + 16;
}

function runLength(values: Uint8Array | Uint32Array, start: number, end: number): number {
  const value = values[start];
  let i = start + 1;
  while (i < end && values[i] === value) i++;
  return i - start;
}

/**
 * Where the groups that begin at `start` end: before the first group that a run of its own would serve
 * better.
 */
function endOfPacked(values: Uint8Array | Uint32Array, start: number, end: number): number {
  let i = start + GROUP;
  while (i < end && !beginsRun(values, i, end)) i += GROUP;
  return Math.min(i, end);
}

function beginsRun(values: Uint8Array | Uint32Array, start: number, end: number): boolean {
  if (start + GROUP > end) return false;
  const value = values[start];
  for (let i = start + 1; i < start + GROUP; i++) if (values[i] !== value) return false;
  return true;
}

function writePacked(
  values: Uint8Array | Uint32Array,
  start: number,
  end: number,
  bitWidth: number,
  out: Uint8Array,
  at: number,
): number {
  let position = at;
  let byte = 0;
  let filled = 0;
  for (let i = start; i < end; i++) {
    let value = values[i] as number;
    let left = bitWidth;
    while (left > 0) {
      const taken = Math.min(8 - filled, left);
      byte |= (value & ((1 << taken) - 1)) << filled;
      value >>>= taken;
      left -= taken;
      filled += taken;
      if (filled === 8) {
        out[position++] = byte;
        byte = 0;
        filled = 0;
      }
    }
  }
  if (filled > 0) out[position++] = byte;
  const padded = at + Math.ceil((end - start) / GROUP) * bitWidth;
  while (position < padded) out[position++] = 0;
  return position;
}

function writeValue(value: number, bitWidth: number, out: Uint8Array, at: number): number {
  const bytes = Math.ceil(bitWidth / 8);
  for (let i = 0; i < bytes; i++) out[at + i] = (value >>> (8 * i)) & 0xff;
  return at + bytes;
}

function writeVarint(value: number, out: Uint8Array, at: number): number {
  let position = at;
  let rest = value;
  while (rest > 0x7f) {
    out[position++] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 128);
  }
  out[position++] = rest;
  return position;
}
