/**
 * Goal: every sequence of levels or dictionary indices comes back as it went in, in the space promised.
 * Method: a decoder written from the text of Encodings.md; all short sequences of small widths, then
 * sequences of runs and noise of every width from 1 to 32.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bitWidthOf, encodeHybrid, encodeLevels, maxHybridBytes } from '../../src/parquet/levels.ts';
import { decodeHybrid } from './hybrid.ts';

function roundTrip(values: number[], bitWidth: number): number[] {
  const out = new Uint8Array(maxHybridBytes(values.length, bitWidth)).fill(0xaa);
  const end = encodeHybrid(Uint32Array.from([7, ...values, 7]), 1, values.length + 1, bitWidth, out, 0);
  expect(end).toBeLessThanOrEqual(out.length);
  return decodeHybrid(out.subarray(0, end), bitWidth, values.length);
}

test('all sequences of up to 17 one-bit values and up to 9 two-bit values', () => {
  for (const [bitWidth, longest] of [
    [1, 17],
    [2, 9],
  ] as const) {
    const buffer = new Uint8Array(64);
    for (let length = 1; length <= longest; length++) {
      const levels = new Uint8Array(length);
      for (let number = 0; number < 2 ** (bitWidth * length); number++) {
        for (let i = 0; i < length; i++) levels[i] = (number >> (bitWidth * i)) & (2 ** bitWidth - 1);
        const end = encodeHybrid(levels, 0, length, bitWidth, buffer, 0);
        const decoded = decodeHybridFast(buffer, end, bitWidth, length);
        if (decoded !== number) throw new Error(`width ${bitWidth}, values ${levels.join(' ')}`);
      }
    }
  }
});

/** `decodeHybrid` without an assertion per sequence: a quarter of a million of them. */
function decodeHybridFast(bytes: Uint8Array, end: number, bitWidth: number, count: number): number {
  let number = 0;
  let seen = 0;
  let at = 0;
  const mask = 2 ** bitWidth - 1;
  while (at < end) {
    const header = bytes[at++] as number;
    const length = header & 1 ? (header >> 1) * 8 : header >> 1;
    for (let i = 0; i < length && seen < count; i++, seen++) {
      const position = i * bitWidth;
      const value =
        header & 1
          ? ((bytes[at + (position >> 3)] as number) >> (position & 7)) & mask
          : (bytes[at] as number);
      number |= value << (bitWidth * seen);
    }
    at += header & 1 ? (header >> 1) * bitWidth : 1;
  }
  return seen === count ? number : -1;
}

test('runs and noise of every width from 1 to 32', () => {
  const piece = (bitWidth: number) => {
    const value = fc.integer({ min: 0, max: 2 ** bitWidth - 1 });
    const run = fc.tuple(
      value,
      fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 500, max: 2000 })),
    );
    return fc.oneof(
      run.map(([value, length]) => new Array<number>(length).fill(value)),
      fc.array(value, { maxLength: 50 }),
    );
  };
  const sequences = fc
    .integer({ min: 1, max: 32 })
    .chain((bitWidth) => fc.tuple(fc.constant(bitWidth), fc.array(piece(bitWidth), { maxLength: 12 })));
  fc.assert(
    fc.property(sequences, ([bitWidth, pieces]) => {
      const values = pieces.flat();
      expect(roundTrip(values, bitWidth)).toEqual(values);
    }),
    { numRuns: 500 },
  );
});

test('the longest encoding fits the room promised: runs of eight between single groups', () => {
  for (const bitWidth of [1, 2, 7, 8, 9, 17, 32]) {
    const top = 2 ** bitWidth - 1;
    const values = Array.from({ length: 4096 }, (_, i) => (i % 16 < 8 ? top : i % 2));
    expect(roundTrip(values, bitWidth)).toEqual(values);
  }
});

test('a data page v1 puts the length of its levels before them, and long runs cost few bytes', () => {
  const out = new Uint8Array(64);
  const end = encodeLevels(new Uint8Array(1_000_000).fill(3), 0, 1_000_000, bitWidthOf(3), out, 10);
  expect(Buffer.from(out.buffer).readUInt32LE(10)).toBe(end - 14);
  expect(decodeHybrid(out.subarray(14, end), 2, 1_000_000).every((level) => level === 3)).toBe(true);
  expect(end - 14).toBe(4);
});

test('bit widths of levels', () => {
  expect([0, 1, 2, 3, 4, 7, 8, 255].map(bitWidthOf)).toEqual([0, 1, 2, 2, 3, 3, 4, 8]);
});
