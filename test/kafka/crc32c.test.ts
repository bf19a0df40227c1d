/** Goal: the checksum is CRC-32C. Method: published vectors (RFC 3720, B.4), and a bitwise one at every alignment. */
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
  expect(crc32c(bytes, 0, bytes.length)).toBe(expected);
});

it('equals the bitwise one for every start and end in 80 bytes', () => {
  const bytes = Buffer.from(Array.from({ length: 80 }, (_, i) => (i * 151 + 7) & 255));
  for (let start = 0; start <= bytes.length; start++) {
    for (let end = start; end <= bytes.length; end++)
      expect(crc32c(bytes, start, end)).toBe(bitwise(bytes.subarray(start, end)));
  }
});

function bitwise(bytes: Buffer): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
