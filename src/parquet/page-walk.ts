import { crc32 } from 'node:zlib';
import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js';
import type { ObjectStore } from '../storage/object-store.ts';
import type { ColumnChunk } from './file-reader.ts';

export interface PageDamage {
  readonly rowGroup: number;
  readonly column: string;
  readonly problem: string;
}

export interface WalkedPages {
  readonly pages: number;
  /** Those that carry a checksum: not every writer leaves them. */
  readonly checked: number;
  readonly bytes: number;
  /** The first of each column chunk: behind it nothing can be found. */
  readonly damages: readonly PageDamage[];
}

/** Whole chunks of ordinary files; a larger one goes by parts. */
const WINDOW_BYTES = 2 * 1024 * 1024;
/** A header with bounds of long texts in it still fits. */
const HEADER_BYTES_MAX = 1024 * 1024;

/**
 * Reads every page of a file's column chunks and compares its checksum (parquet.thrift, `PageHeader.crc`),
 * decoding nothing. A byte that was turned over on the disk shows here, also where it would still decode.
 */
export async function walkPages(
  store: ObjectStore,
  path: string,
  chunks: readonly ColumnChunk[],
): Promise<WalkedPages> {
  const bytes = new Window(store, path, chunks.at(-1)?.endByte ?? 0);
  let [pages, checked, total] = [0, 0, 0];
  const damages: PageDamage[] = [];
  for (const chunk of chunks) {
    try {
      for (let at = chunk.startByte; at < chunk.endByte; ) {
        const page = await walkPage(bytes, at, chunk.endByte);
        pages++;
        if (page.isChecked) checked++;
        at = page.endByte;
      }
      total += chunk.endByte - chunk.startByte;
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      damages.push({ rowGroup: chunk.rowGroup, column: chunk.column, problem: error.message });
    }
  }
  return { pages, checked, bytes: total, damages };
}

/** CRC-32 of the file's first `sizeBytes` bytes, in hexadecimal. */
export async function fileChecksum(store: ObjectStore, path: string, sizeBytes: number): Promise<string> {
  let checksum = 0;
  for (let at = 0; at < sizeBytes; at += WINDOW_BYTES) {
    const part = await store.readRange(path, at, Math.min(at + WINDOW_BYTES, sizeBytes));
    checksum = crc32(part ?? Buffer.alloc(0), checksum);
  }
  return checksum.toString(16).padStart(8, '0');
}

class Damage extends Error {}

async function walkPage(
  bytes: Window,
  startByte: number,
  endByte: number,
): Promise<{ endByte: number; isChecked: boolean }> {
  const { bodySize, crc, headerSize } = headerOf(
    await bytes.at(startByte, Math.min(HEADER_BYTES_MAX, endByte - startByte)),
    startByte,
  );
  const bodyStart = startByte + headerSize;
  const bodyEnd = bodyStart + bodySize;
  if (bodySize < 0 || bodyEnd > endByte)
    throw new Damage(`the page at byte ${startByte} claims ${bodySize} bytes, beyond its column chunk`);
  if (crc === undefined) return { endByte: bodyEnd, isChecked: false };
  let sum = 0;
  for (let at = bodyStart; at < bodyEnd; ) {
    const part = await bytes.at(at, Math.min(WINDOW_BYTES, bodyEnd - at));
    sum = crc32(part, sum);
    at += part.length;
  }
  if ((sum | 0) !== crc)
    throw new Damage(`the page at byte ${startByte} does not match the checksum in its header`);
  return { endByte: bodyEnd, isChecked: true };
}

function headerOf(
  bytes: Buffer,
  startByte: number,
): { bodySize: number; crc: number | undefined; headerSize: number } {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), offset: 0 };
  try {
    const header = deserializeTCompactProtocol(reader);
    const { field_3: bodySize, field_4: crc } = header as { field_3?: unknown; field_4?: unknown };
    if (typeof bodySize === 'number')
      return { bodySize, crc: typeof crc === 'number' ? crc : undefined, headerSize: reader.offset };
  } catch {
    // Falls through: bytes that are not a header are damage, however they fail.
  }
  throw new Damage(`at byte ${startByte} there is no page header`);
}

/** Bytes of one file, read ahead. */
class Window {
  private readonly store: ObjectStore;
  private readonly path: string;
  private readonly endByte: number;
  private start = 0;
  private bytes: Buffer = Buffer.alloc(0);

  constructor(store: ObjectStore, path: string, endByte: number) {
    this.store = store;
    this.path = path;
    this.endByte = endByte;
  }

  async at(startByte: number, length: number): Promise<Buffer> {
    if (startByte < this.start || startByte + length > this.start + this.bytes.length) {
      const end = Math.min(startByte + Math.max(length, WINDOW_BYTES), this.endByte);
      this.bytes = (await this.store.readRange(this.path, startByte, end)) ?? Buffer.alloc(0);
      this.start = startByte;
    }
    const part = this.bytes.subarray(startByte - this.start, startByte - this.start + length);
    if (part.length < length && part.length === 0)
      throw new Damage('the file ends before its column chunk does');
    return part;
  }
}
