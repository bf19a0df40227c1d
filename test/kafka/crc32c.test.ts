/**
 * Goal: the checksum is CRC-32C. Method: published vectors (RFC 3720, B.4), and a bitwise one at every
 * alignment.
 */
import { expect, it } from 'vitest';
import { crc32c } from '../../src/kafka/crc32c.ts';

const ascending = Buffer.from(Array.from({ length: 32 }, (_, i) => i));

it.each([
  ['123456789', Buffer.from('123456789'), 0xe3069283],
  ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
  ['32 times 0xff', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['32 ascending', ascending, 0x46dd794e],
  ['nothing', Buffer.alloc(0), 0],
])('%s', (_name, bytes, expected) => {
  expect(crc32c(bytes, 0, bytes.length)).toBe(expected | 0);
});

it('equals the bitwise one for every start and end in 80 bytes', () => {
  const bytes = Buffer.from(Array.from({ length: 80 }, (_, i) => (i * 151 + 7) & 255));
  for (let start = 0; start <= bytes.length; start++) {
    for (let end = start; end <= bytes.length; end++)
      expect(crc32c(bytes, start, end)).toBe(bitwise(bytes.subarray(start, end)));
  }
});

it('equals the bitwise one at lengths around powers of two, up to those of record batches', () => {
  const bytes = Buffer.from(
    Array.from({ length: 300_000 }, (_, i) => (Math.imul(i, 2654435761) >>> 11) & 255),
  );
  for (let power = 7; power <= 18; power++) {
    for (const length of [2 ** power - 9, 2 ** power, 2 ** power + 5]) {
      const start = power % 5;
      expect(crc32c(bytes, start, start + length)).toBe(bitwise(bytes.subarray(start, start + length)));
    }
  }
});

function bitwise(bytes: Buffer): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc;
}
