import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { uncompressSync as uncompressLz4Block } from 'lz4-napi';
import { uncompressSync as uncompressSnappyBlock } from 'snappy';
import { Failure } from '../errors.ts';
import { releaseBuffer } from '../release-buffer.ts';

/** `attributes & 7` of a record batch. Kafka protocol, "Record Batch". */
const CODEC_NAMES = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

/**
 * Output grows in pieces of this size: 64 KiB decodes a third faster than the default of 16 KiB, more gains
 * little.
 */
const OUTPUT_CHUNK_BYTES = 64 * 1024;

/**
 * The records of a compressed batch, whole. The buffer holds until the next call, which may reuse its memory.
 *
 * @param codec 1 gzip, 2 snappy (raw or in the blocks of Java's `SnappyOutputStream`), 3 lz4 frames, 4 zstd
 * @param compressed not written to, not kept
 * @param maxBytes bound of the result, checked before it is allocated wherever the format announces its size
 *
 * Throws KAFKA_UNSUPPORTED_RECORD_FORMAT for another codec, KAFKA_BATCH_TOO_LARGE beyond `maxBytes`,
 * KAFKA_CORRUPT_BATCH for bytes that the codec cannot read.
 */
export function decompress(codec: number, compressed: Buffer, maxBytes: number): Buffer {
  try {
    if (codec === 1) return lend(gunzipSync(compressed, outputOptions(maxBytes)));
    if (codec === 2) return decompressSnappy(compressed, maxBytes);
    if (codec === 3) return decompressLz4(compressed, maxBytes);
    if (codec === 4) return lend(decompressZstd(compressed, maxBytes));
  } catch (error) {
    throw asFailure(codec, error, maxBytes);
  }
  throw new Failure(
    'KAFKA_UNSUPPORTED_RECORD_FORMAT',
    `The batch is compressed with codec ${codec}, which Kafka does not define.`,
    'Find out which producer wrote it. Kafka defines gzip, snappy, lz4 and zstd.',
  );
}

let lent: Buffer = Buffer.alloc(0);

function lend(output: Buffer): Buffer {
  releaseBuffer(lent);
  lent = output;
  return output;
}

function outputOptions(maxBytes: number): { maxOutputLength: number; chunkSize: number } {
  return { maxOutputLength: Math.max(1, maxBytes), chunkSize: OUTPUT_CHUNK_BYTES };
}

function asFailure(codec: number, error: unknown, maxBytes: number): Failure {
  if (error instanceof Failure) return error;
  if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') return tooLarge(codec, maxBytes);
  return corrupt(codec, (error as Error).message, error);
}

function tooLarge(codec: number, maxBytes: number): Failure {
  return new Failure(
    'KAFKA_BATCH_TOO_LARGE',
    `The ${CODEC_NAMES[codec]} batch grows beyond ${maxBytes} bytes (limits.maxRecordBatchBytes) when it is decompressed.`,
    'Find out which producer wrote it: a batch of that size is usually a mistake or an attack. If it is intended, raise limits.maxRecordBatchBytes in the pipeline file: the worker holds one such batch per write task.',
  );
}

function corrupt(codec: number, why: string, cause?: unknown): Failure {
  return new Failure(
    'KAFKA_CORRUPT_BATCH',
    `The ${CODEC_NAMES[codec]} data of the batch cannot be read: ${why}.`,
    'Find out which producer wrote it; its checksum is right, so it was written like this.',
    { cause },
  );
}

/** Frame by frame: `zstdDecompressSync` stops after the first and says nothing of what follows it. */
function decompressZstd(compressed: Buffer, maxBytes: number): Buffer {
  const frames: Buffer[] = [];
  let total = 0;
  let at = 0;
  do {
    const options = { ...outputOptions(maxBytes - total), info: true };
    // The types leave out what `info` makes of the result.
    const { buffer, engine } = zstdDecompressSync(compressed.subarray(at), options) as unknown as {
      buffer: Buffer;
      engine: { bytesWritten: number };
    };
    frames.push(buffer);
    total += buffer.length;
    at += engine.bytesWritten;
    if (engine.bytesWritten === 0) throw corrupt(4, 'a frame is cut off');
    if (total > maxBytes) throw tooLarge(4, maxBytes);
  } while (at < compressed.length);
  return frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames);
}

/** "\x82SNAPPY\0", then version and lowest compatible version: how Java's producers wrap their blocks. */
const XERIAL_MAGIC = Buffer.from('\x82SNAPPY\0', 'latin1');
const XERIAL_HEADER_BYTES = 16;

function decompressSnappy(compressed: Buffer, maxBytes: number): Buffer {
  const blocks = snappyBlocks(compressed);
  const bytes = blocks.reduce((sum, block) => sum + snappyBlockBytes(block), 0);
  if (bytes > maxBytes) throw tooLarge(2, maxBytes);
  const output = scratch(bytes);
  let end = 0;
  for (const block of blocks) {
    // Copied out, it is six times as fast: an external buffer costs a page fault per 4 KiB, and waits for the
    // collector.
    const part = uncompressSnappyBlock(block, { asBuffer: true, copyOutputData: true }) as Buffer;
    end += part.copy(output, end);
    releaseBuffer(part);
  }
  return output.subarray(0, end);
}

function snappyBlocks(compressed: Buffer): Buffer[] {
  if (!startsWith(compressed, XERIAL_MAGIC, 0)) return [compressed];
  const blocks: Buffer[] = [];
  let at = 0;
  while (at < compressed.length) {
    if (startsWith(compressed, XERIAL_MAGIC, at)) {
      at += XERIAL_HEADER_BYTES;
      continue;
    }
    const start = at + 4;
    const length = start <= compressed.length ? compressed.readInt32BE(at) : -1;
    if (length < 0 || start + length > compressed.length) throw corrupt(2, 'a block is cut off');
    blocks.push(compressed.subarray(start, start + length));
    at = start + length;
  }
  return blocks;
}

/** A snappy block begins with its decompressed length, a varint of at most 32 bits. */
function snappyBlockBytes(block: Buffer): number {
  let bytes = 0;
  for (let i = 0; i < 5 && i < block.length; i++) {
    const byte = block[i] ?? 0;
    bytes += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return bytes;
  }
  throw corrupt(2, 'it does not begin with a length');
}

const LZ4_FRAME_MAGIC = 0x184d2204;
const LZ4_SKIPPABLE_MAGIC = 0x184d2a50;
const LZ4_WINDOW_BYTES = 64 * 1024;

/**
 * Block by block into one buffer. The binding's own frame decoder is a tenth as fast (it grows its output as
 * it goes), stops silently after the first frame, and knows no limit.
 */
function decompressLz4(compressed: Buffer, maxBytes: number): Buffer {
  const blocks = lz4Blocks(compressed);
  const bound = blocks.reduce((sum, block) => sum + block.maxBytes, 0);
  if (bound > maxBytes) throw tooLarge(3, maxBytes);
  const output = scratch(bound);
  let end = 0;
  let frameStart = 0;
  for (const { start, length, stored, maxBytes, linked, opensFrame } of blocks) {
    if (opensFrame) frameStart = end;
    if (stored) {
      end += compressed.copy(output, end, start, start + length);
      continue;
    }
    const sized = withSize(compressed, start, length, maxBytes);
    const window = output.subarray(Math.max(frameStart, end - LZ4_WINDOW_BYTES), end);
    const block = linked && window.length > 0 ? uncompressLz4Block(sized, window) : uncompressLz4Block(sized);
    end += block.copy(output, end);
    releaseBuffer(block);
  }
  return output.subarray(0, end);
}

/**
 * The binding wants the size in front of a block, and takes an upper bound for it. Good until the next one.
 */
function withSize(compressed: Buffer, start: number, length: number, maxBytes: number): Buffer {
  if (sizedBlock.length < 4 + length) sizedBlock = Buffer.allocUnsafeSlow(4 + length);
  sizedBlock.writeUInt32LE(maxBytes, 0);
  compressed.copy(sizedBlock, 4, start, start + length);
  return sizedBlock.subarray(0, 4 + length);
}

let sizedBlock = Buffer.alloc(0);

interface Lz4Block {
  readonly start: number;
  readonly length: number;
  /** Not compressed. */
  readonly stored: boolean;
  /** What it can grow to: no block exceeds its frame's block size, nor 255 times its own. */
  readonly maxBytes: number;
  /** May refer to the blocks of its frame before it. */
  readonly linked: boolean;
  readonly opensFrame: boolean;
}

/**
 * The blocks of all frames. LZ4 Frame Format 1.6, "General Structure of LZ4 Frame format". Checksums are
 * skipped: the batch has its own over all of it.
 */
function lz4Blocks(buffer: Buffer): Lz4Block[] {
  const blocks: Lz4Block[] = [];
  let at = 0;
  while (at < buffer.length) {
    if (at + 8 > buffer.length) throw corrupt(3, 'a frame header is cut off');
    const magic = buffer.readUInt32LE(at);
    if ((magic & 0xfffffff0) >>> 0 === LZ4_SKIPPABLE_MAGIC) {
      at += 8 + buffer.readUInt32LE(at + 4);
      continue;
    }
    if (magic !== LZ4_FRAME_MAGIC) throw corrupt(3, 'it does not begin with a frame');
    const flags = buffer.readUInt8(at + 4);
    const blockBytes = 1 << (8 + 2 * ((buffer.readUInt8(at + 5) >> 4) & 7));
    const linked = (flags & 0x20) === 0;
    const blockChecksumBytes = flags & 0x10 ? 4 : 0;
    const contentChecksumBytes = flags & 0x04 ? 4 : 0;
    at += 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0);
    for (let opensFrame = true; ; opensFrame = false) {
      if (at + 4 > buffer.length) throw corrupt(3, 'a block is cut off');
      const header = buffer.readUInt32LE(at);
      const start = at + 4;
      at = start;
      if (header === 0) break;
      const length = header & 0x7fffffff;
      const stored = header >>> 31 === 1;
      at += length + blockChecksumBytes;
      if (at > buffer.length) throw corrupt(3, 'a block is cut off');
      const maxBytes = stored ? length : Math.min(blockBytes, length * 255);
      blocks.push({ start, length, stored, maxBytes, linked, opensFrame });
    }
    at += contentChecksumBytes;
    if (at > buffer.length) throw corrupt(3, 'a checksum is cut off');
  }
  return blocks;
}

/** Batches are rarely larger; what is gets memory of its own. */
const SCRATCH_BYTES = 16 * 1024 * 1024;
let shared: Buffer | undefined;

function scratch(bytes: number): Buffer {
  if (bytes > SCRATCH_BYTES) return Buffer.allocUnsafe(bytes);
  shared ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  return shared;
}

function startsWith(buffer: Buffer, prefix: Buffer, at: number): boolean {
  return (
    at + prefix.length <= buffer.length &&
    buffer.compare(prefix, 0, prefix.length, at, at + prefix.length) === 0
  );
}
