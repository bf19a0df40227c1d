/**
 * Goal: what the producers of the world write is read, and a bomb is refused before it fills the memory.
 * Method: batches of 1,000 records as Java's producer 4.3.0 and librdkafka 2.16.0 wrote them through a
 * broker; frames by the formats' specifications; limits right at and below the size.
 */
import { readFileSync } from 'node:fs';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { compressFrameSync } from 'lz4-napi';
import { compressSync } from 'snappy';
import { describe, expect, it } from 'vitest';
import { decompress } from '../../src/kafka/codecs.ts';
import { RangeWalk } from '../../src/kafka/record-batch.ts';
import { BATCH_BYTES, fetched, Recorder, rangeOf, walkAll } from './batches.ts';

it.each(['java-gzip', 'java-snappy', 'java-lz4', 'java-zstd', 'librdkafka-snappy'])('%s', (name) => {
  const records = readFileSync(new URL(`./golden/${name}.bin`, import.meta.url));
  const recorder = new Recorder();
  const walk = new RangeWalk(rangeOf(0, 1000), 'read_committed', BATCH_BYTES);
  walkAll(walk, fetched(records), recorder);
  expect(recorder.seen).toEqual(
    Array.from({ length: 1000 }, (_, i) => ({
      offset: i,
      timestampMs: 1_700_000_000_000 + i,
      key: `key-${i}`,
      value: `{"id":${i},"text":"${'tidemark '.repeat(20)}${i}"}`,
    })),
  );
});

const plain = Buffer.from('tidemark '.repeat(30_000));
const half = plain.length / 2;
const xerial = (...blocks: Buffer[]) =>
  Buffer.concat([
    Buffer.from('\x82SNAPPY\0\0\0\0\x01\0\0\0\x01', 'latin1'),
    ...blocks.flatMap((block) => {
      const compressed = compressSync(block);
      const length = Buffer.alloc(4);
      length.writeInt32BE(compressed.length);
      return [length, compressed];
    }),
  ]);
const lz4Frames = Buffer.concat([
  compressFrameSync(plain.subarray(0, half)),
  compressFrameSync(plain.subarray(half)),
]);
const skippable = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);

const FORMS: readonly (readonly [string, number, Buffer])[] = [
  ['gzip', 1, gzipSync(plain)],
  [
    'gzip, two members',
    1,
    Buffer.concat([gzipSync(plain.subarray(0, half)), gzipSync(plain.subarray(half))]),
  ],
  ['snappy, raw', 2, compressSync(plain)],
  ['snappy, Java blocks', 2, xerial(plain.subarray(0, half), plain.subarray(half))],
  [
    'snappy, two Java streams',
    2,
    Buffer.concat([xerial(plain.subarray(0, half)), xerial(plain.subarray(half))]),
  ],
  ['lz4', 3, compressFrameSync(plain)],
  ['lz4 with checksums', 3, compressFrameSync(plain, { blockChecksums: true, contentChecksum: true })],
  ['lz4, two frames and a skippable one', 3, Buffer.concat([skippable, lz4Frames])],
  ['zstd', 4, zstdCompressSync(plain)],
  [
    'zstd, two frames',
    4,
    Buffer.concat([zstdCompressSync(plain.subarray(0, half)), zstdCompressSync(plain.subarray(half))]),
  ],
];

it('lz4 with blocks that refer to the block before', () => {
  const header = [0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0];
  const stored = [8, 0, 0, 0x80, ...Buffer.from('abcdefgh')];
  // One literal, four bytes from nine back, five literals.
  const linked = [10, 0, 0, 0, 0x10, 0x58, 9, 0, 0x50, ...Buffer.from('12345')];
  const frame = Buffer.from([...header, ...stored, ...linked, 0, 0, 0, 0]);
  expect(decompress(3, frame, BATCH_BYTES).toString()).toBe('abcdefghXabcd12345');
});

it('a block of lz4 that claims more than its frame allows is refused', () => {
  const header = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0];
  const block = [0x1f, 0x58, 1, 0, ...Array<number>(300).fill(255), 0, 0x50, ...Buffer.from('12345')];
  const frame = Buffer.from([...header, block.length & 255, block.length >> 8, 0, 0, ...block, 0, 0, 0, 0]);
  expect(() => decompress(3, frame, BATCH_BYTES)).toThrow(
    expect.objectContaining({ code: 'KAFKA_CORRUPT_BATCH' }),
  );
});

describe.each(FORMS)('%s', (_name, codec, compressed) => {
  it('is read whole', () => {
    expect(decompress(codec, compressed, BATCH_BYTES).equals(plain)).toBe(true);
  });

  it('is refused by name where it grows beyond the limit', () => {
    expect(() => decompress(codec, compressed, plain.length - 1)).toThrow(
      expect.objectContaining({ code: 'KAFKA_BATCH_TOO_LARGE' }),
    );
  });

  it('is refused by name wherever it is cut', () => {
    const step = Math.ceil(compressed.length / 200);
    for (let length = 0; length < compressed.length; length += step) {
      try {
        // A stream may end between two members, blocks or frames; it is shorter then.
        expect(decompress(codec, compressed.subarray(0, length), BATCH_BYTES).length).toBeLessThan(
          plain.length,
        );
      } catch (error) {
        expect(error).toMatchObject({ code: 'KAFKA_CORRUPT_BATCH' });
      }
    }
  });
});

it('a snappy block that claims 2 GiB is refused before anything is allocated', () => {
  expect(() => decompress(2, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x07, 0]), BATCH_BYTES)).toThrow(
    'grows beyond 268435456',
  );
});

it('a few kilobytes of zstd that stand for 512 MiB are refused at the limit', () => {
  const bomb = zstdCompressSync(Buffer.alloc(1 << 28));
  expect(() => decompress(4, Buffer.concat([bomb, bomb]), BATCH_BYTES)).toThrow('grows beyond 268435456');
});
