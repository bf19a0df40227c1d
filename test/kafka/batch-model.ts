/**
 * What a reader should see of a fetch, by an independent, slow parser: whole arrays, BigInt, other
 * decompressors where there are any. It is laxer than the walk in what it refuses: it only has to be right
 * about what the walk accepts.
 */
import { createRequire } from 'node:module';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import type { FetchedBatches } from '../../src/kafka/source.ts';

export interface Visible {
  readonly offset: number;
  readonly timestamp: bigint;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

export interface Expected {
  readonly records: readonly Visible[];
  readonly markers: number;
  readonly aborted: number;
  /** Next offset after the last batch within the range. */
  readonly position: number;
}

type ParsedRecord = Omit<Visible, 'offset'> & { readonly offset: bigint };

/**
 * Of offsets [from, to) in a fetch. What a walk need not look at (aborted records, all beyond `to`) is not
 * parsed.
 */
export function expected(
  { records, abortedTransactions }: FetchedBatches,
  from: number,
  to: number,
): Expected {
  const visible: Visible[] = [];
  let markers = 0;
  let aborted = 0;
  let position = from;
  let rest = records;
  let left = abortedTransactions.toSorted((a, b) => Number(a.firstOffset - b.firstOffset));
  const open = new Set<bigint>();
  while (rest.length > 17 && position < to) {
    const end = 12 + rest.readInt32BE(8);
    if (end > rest.length) break;
    const batch = rest.subarray(0, end);
    rest = rest.subarray(end);
    const attributes = batch.readInt16BE(21);
    const baseOffset = batch.readBigInt64BE(0);
    const lastOffset = baseOffset + BigInt(batch.readInt32BE(23));
    const producerId = batch.readBigInt64BE(43);

    for (const { producerId } of left.filter((t) => t.firstOffset <= lastOffset)) open.add(producerId);
    left = left.filter((t) => t.firstOffset > lastOffset);
    const isControl = (attributes & 0x20) !== 0;
    const isAborted = (attributes & 0x10) !== 0 && !isControl && open.has(producerId);
    if (isAborted && baseOffset >= BigInt(position) && lastOffset < BigInt(to)) {
      aborted += batch.readInt32BE(57);
    } else {
      const all = parseRecords(batch);
      const inRange = all.filter(({ offset }) => offset >= position && offset < to);
      if (isControl) markers += inRange.length;
      else if (isAborted) aborted += inRange.length;
      else visible.push(...inRange.map((record) => ({ ...record, offset: Number(record.offset) })));
      if (isControl && all[0]?.key?.slice(2, 4) === '\0\0') open.delete(producerId);
    }
    position = Math.max(position, Math.min(to, Number(lastOffset) + 1));
  }
  return { records: visible, markers, aborted, position };
}

/** As many as are well-formed, from the first on. */
function parseRecords(batch: Buffer): ParsedRecord[] {
  const attributes = batch.readInt16BE(21);
  const baseOffset = batch.readBigInt64BE(0);
  const count = batch.readInt32BE(57);
  const appendTime = (attributes & 8) !== 0;
  const baseTimestamp = batch.readBigInt64BE(appendTime ? 35 : 27);
  const records: ParsedRecord[] = [];
  try {
    const body = count === 0 ? Buffer.alloc(0) : decompress(attributes & 7, batch.subarray(61));
    const reader = new SlowReader(body);
    while (records.length < count) {
      reader.varint(); // length
      reader.take(1); // attributes
      const timestampDelta = reader.varint();
      const offset = baseOffset + BigInt.asIntN(32, reader.varint());
      const key = reader.text();
      const value = reader.text();
      const headers: (readonly [string, string | null])[] = [];
      for (let left = Number(reader.varint()); left > 0; left--)
        headers.push([reader.text() ?? '', reader.text()]);
      const timestamp = appendTime ? baseTimestamp : baseTimestamp + timestampDelta;
      records.push({ offset, timestamp, key, value, headers });
    }
  } catch (error) {
    if (!(error instanceof RangeError) && !(error as { code?: string }).code?.startsWith('ERR_')) throw error;
  }
  return records;
}

class SlowReader {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  take(length: number): Buffer {
    if (length < 0 || this.at + length > this.bytes.length) throw new RangeError('beyond the end');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** Zigzag, of any length. */
  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(this.take(1)[0] ?? 0);
      value |= (byte & 0x7fn) << shift;
      if (byte < 0x80n) return (value >> 1n) ^ -(value & 1n);
    }
  }

  text(): string | null {
    const length = Number(BigInt.asIntN(32, this.varint()));
    return length < 0 ? null : this.take(length).toString('latin1');
  }
}

const snappy = createRequire(import.meta.url)('snappyjs') as { uncompress(bytes: Buffer): Buffer };

function decompress(codec: number, bytes: Buffer): Buffer {
  if (codec === 0) return bytes;
  if (codec === 1) return gunzipSync(bytes);
  if (codec === 2) return Buffer.from(snappy.uncompress(bytes));
  if (codec === 3) return lz4Frames(bytes);
  if (codec === 4) return zstdDecompressSync(bytes);
  throw new RangeError(`codec ${codec}`);
}

/** LZ4 frame and block formats, byte by byte. */
function lz4Frames(bytes: Buffer): Buffer {
  const output: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    const magic = bytes.readUInt32LE(at);
    if (magic >>> 4 === 0x184d2a5) {
      at += 8 + bytes.readUInt32LE(at + 4);
      continue;
    }
    const flags = bytes.readUInt8(at + 4);
    at += 7 + (flags & 8 ? 8 : 0) + (flags & 1 ? 4 : 0);
    for (;;) {
      const header = bytes.readUInt32LE(at);
      at += 4;
      if (header === 0) break;
      const end = at + (header & 0x7fffffff);
      if (header >>> 31) output.push(...bytes.subarray(at, end));
      else lz4Block(bytes.subarray(at, end), output);
      at = end + (flags & 0x10 ? 4 : 0);
    }
    at += flags & 4 ? 4 : 0;
  }
  return Buffer.from(output);
}

function lz4Block(block: Buffer, output: number[]): void {
  let at = 0;
  const long = (start: number) => {
    let length = start;
    if (start < 15) return length;
    for (;;) {
      const more = block.readUInt8(at++);
      length += more;
      if (more < 255) return length;
    }
  };
  while (at < block.length) {
    const token = block.readUInt8(at++);
    const literals = long(token >> 4);
    for (let i = 0; i < literals; i++) output.push(block.readUInt8(at++));
    if (at >= block.length) return;
    const back = block.readUInt16LE(at);
    at += 2;
    if (back === 0 || back > output.length) throw new RangeError('a match before the beginning');
    const length = long(token & 15) + 4;
    for (let i = 0; i < length; i++) output.push(output[output.length - back] ?? 0);
  }
}
