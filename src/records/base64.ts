/**
 * Decodes base64 (RFC 4648, section 4) in bytes `[start, end)` into `out` from 0 on, and returns the length;
 * -1 where it is not exactly what an encoder writes: the standard alphabet, padded to a multiple of four, the
 * bits that padding leaves over zero, no white space. Two texts then never stand for the same bytes.
 *
 * `out` has at least three quarters of the text's length, and may be the text's own buffer where `start` is
 * 0.
 */
export function decodeBase64(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  if ((end - start) % 4 !== 0) return -1;
  if (start === end) return 0;
  const padding = bytes[end - 1] !== PAD ? 0 : bytes[end - 2] !== PAD ? 1 : 2;
  let length = 0;
  let at = start;
  for (const whole = padding === 0 ? end : end - 4; at < whole; at += 4) {
    const group = groupAt(bytes, at, 4);
    if (group < 0) return -1;
    out[length++] = group >> 16;
    out[length++] = group >> 8;
    out[length++] = group;
  }
  if (padding === 0) return length;
  const group = groupAt(bytes, at, 4 - padding);
  if (group < 0 || (group & (padding === 1 ? 0xff : 0xffff)) !== 0) return -1;
  out[length++] = group >> 16;
  if (padding === 1) out[length++] = group >> 8;
  return length;
}

const PAD = 0x3d;
const VALUES = new Int8Array(256).fill(-1);
Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/').forEach((byte, value) => {
  VALUES[byte] = value;
});

/**
 * 24 bits of the first `digits` of four characters, the others taken as zero; negative where one is not
 * base64.
 */
function groupAt(bytes: Uint8Array, at: number, digits: number): number {
  const first = VALUES[bytes[at] as number] as number;
  const second = VALUES[bytes[at + 1] as number] as number;
  const third = digits > 2 ? (VALUES[bytes[at + 2] as number] as number) : 0;
  const fourth = digits > 3 ? (VALUES[bytes[at + 3] as number] as number) : 0;
  if (first < 0 || second < 0 || third < 0 || fourth < 0) return -1;
  return (first << 18) | (second << 12) | (third << 6) | fourth;
}
