/**
 * CRC-32C (Castagnoli), the checksum of a record batch, of `buffer[start, end)`, as a signed integer.
 *
 * Slicing-by-8 over 32-bit words, in two halves at once, since each step of one waits for the step before it:
 * 1.6 times as fast as one after the other. `node:zlib` has CRC-32 only, another polynomial.
 */
export function crc32c(buffer: Buffer, start: number, end: number): number {
  let crc = -1;
  let i = start;
  while (i < end && (buffer.byteOffset + i) % 4 !== 0) crc = step(crc, buffer[i++] as number);

  const half = ((end - i) >> 4) * 2;
  if (half > 0) {
    const words = new Int32Array(buffer.buffer, buffer.byteOffset + i, half * 2);
    let second = 0;
    for (let w = 0; w < half; w += 2) {
      const low = crc ^ (words[w] as number);
      const high = words[w + 1] as number;
      const secondLow = second ^ (words[w + half] as number);
      const secondHigh = words[w + half + 1] as number;
      crc =
        (T7[low & 255] as number) ^
        (T6[(low >>> 8) & 255] as number) ^
        (T5[(low >>> 16) & 255] as number) ^
        (T4[low >>> 24] as number) ^
        (T3[high & 255] as number) ^
        (T2[(high >>> 8) & 255] as number) ^
        (T1[(high >>> 16) & 255] as number) ^
        (T0[high >>> 24] as number);
      second =
        (T7[secondLow & 255] as number) ^
        (T6[(secondLow >>> 8) & 255] as number) ^
        (T5[(secondLow >>> 16) & 255] as number) ^
        (T4[secondLow >>> 24] as number) ^
        (T3[secondHigh & 255] as number) ^
        (T2[(secondHigh >>> 8) & 255] as number) ^
        (T1[(secondHigh >>> 16) & 255] as number) ^
        (T0[secondHigh >>> 24] as number);
    }
    crc = afterZeros(crc, half * 4) ^ second;
    i += half * 8;
  }

  for (; i < end; i++) crc = step(crc, buffer[i] as number);
  return ~crc;
}

/**
 * The state `crc` after so many bytes of 0: what the first half weighs once the second lies behind it. States
 * are polynomials over GF(2), lowest power first; a byte multiplies by x^8.
 */
function afterZeros(crc: number, bytes: number): number {
  let product = crc;
  for (let rest = bytes, power = 0; rest > 0; rest >>>= 1, power++)
    if (rest & 1) product = multiply(ZEROS[power] as number, product);
  return product;
}

function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = 31; bit >= 0; bit--) {
    if ((a >>> bit) & 1) product ^= shifted;
    shifted = shifted & 1 ? (shifted >>> 1) ^ REVERSED_POLYNOMIAL : shifted >>> 1;
  }
  return product;
}

function step(crc: number, byte: number): number {
  return (T0[(crc ^ byte) & 255] as number) ^ (crc >>> 8);
}

const REVERSED_POLYNOMIAL = 0x82f63b78;

/** x^(8 * 2^n): the factors of 1, 2, 4, 8 ... bytes. */
const ZEROS = Int32Array.from({ length: 32 });
for (let n = 0, power = 0x00800000; n < ZEROS.length; n++, power = multiply(power, power)) ZEROS[n] = power;

const T0 = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ REVERSED_POLYNOMIAL : crc >>> 1;
  return crc;
});
const T1 = oneByteFurther(T0);
const T2 = oneByteFurther(T1);
const T3 = oneByteFurther(T2);
const T4 = oneByteFurther(T3);
const T5 = oneByteFurther(T4);
const T6 = oneByteFurther(T5);
const T7 = oneByteFurther(T6);

/** The table of a byte that one more byte follows. */
function oneByteFurther(table: Int32Array): Int32Array {
  return table.map((crc) => (crc >>> 8) ^ (T0[crc & 255] as number));
}
