/**
 * The rest of a number when it has more digits than a double carries: read from its text, in time linear in
 * it, however long it is.
 */
export interface NumberText {
  /** RFC 8259's number in bytes `[start, end)`. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Digits from the first that is not 0 on, the fraction's included. */
  readonly significantDigits: number;
  /** Power of ten of the last digit. */
  readonly exponent: number;
}

/**
 * The number times 10^`scale`, exactly. Zeros beyond the scale are fine, other digits there are `tooPrecise`;
 * more than `precision` digits are `outOfRange`.
 */
export function unscaled(
  text: NumberText,
  precision: number,
  scale: number,
): bigint | 'tooPrecise' | 'outOfRange' {
  const { digits, exponent, cut } = significand(text, precision);
  if (digits === '') return 0n;
  if (exponent - cut + scale < 0) return 'tooPrecise';
  if (cut > 0 || digits.length + exponent + scale > precision) return 'outOfRange';
  const magnitude = BigInt(digits) * 10n ** BigInt(exponent + scale);
  return text.bytes[text.start] === MINUS ? -magnitude : magnitude;
}

/** As `unscaled`; what lies beyond the scale is cut off, towards smaller numbers. */
export function unscaledFloor(text: NumberText, precision: number, scale: number): bigint | 'outOfRange' {
  const { digits, exponent } = significand(text, precision);
  const kept = digits.length + exponent + scale;
  if (kept > precision) return 'outOfRange';
  const isNegative = text.bytes[text.start] === MINUS;
  // Fewer digits than are kept would have been exact.
  const magnitude = kept <= 0 ? 0n : BigInt(digits.slice(0, kept));
  return isNegative ? -magnitude - 1n : magnitude;
}

/** Whether a text is RFC 8259's number, and nothing else. */
export function isNumber(text: string): boolean {
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text);
}

/**
 * The FLOAT nearest to the number, ties to even, ±Infinity beyond the range. Rounding the nearest double
 * again is right, unless that double lies halfway between two floats: then the text decides on which side the
 * number is.
 *
 * @param double nearest to the number, finite
 */
export function nearestFloat(text: NumberText, double: number): number {
  const nearest = Math.fround(double);
  const other = neighbourAcross(double, nearest);
  if (other === undefined) return nearest;
  const side = compareMagnitude(text, Math.abs(double));
  if (side === 0) return nearest;
  const [smaller, larger] = Math.abs(nearest) < Math.abs(other) ? [nearest, other] : [other, nearest];
  return side < 0 ? smaller : larger;
}

/** The other float as near to `double` as `nearest` is, if there is one. */
function neighbourAcross(double: number, nearest: number): number | undefined {
  if (nearest === double) return undefined;
  // Beyond the largest float the next one would be 2^128.
  if (!Number.isFinite(nearest))
    return Math.abs(double) === FLOAT_OVERFLOW ? Math.sign(double) * MAX_FLOAT : undefined;
  const other = double + (double - nearest);
  return Math.fround(other) === other ? other : undefined;
}

const MAX_FLOAT = 2 ** 128 - 2 ** 104;
/** Halfway between the largest float and 2^128: rounds to infinity. */
const FLOAT_OVERFLOW = 2 ** 128 - 2 ** 103;
/** More than any number that lies halfway between two floats: those have at most 25 bits, down to 2^-150. */
const MIDPOINT_DIGITS = 160;

/** Below 0 where the number is nearer to zero than `double`, which lies halfway between two floats. */
function compareMagnitude(text: NumberText, double: number): number {
  const { digits, exponent, cut } = significand(text, MIDPOINT_DIGITS);
  // Times 2^150 such a double is an integer.
  const scaled = BigInt(double * 2 ** 150);
  const power = 10n ** BigInt(Math.abs(exponent));
  const left = (BigInt(digits) << 150n) * (exponent > 0 ? power : 1n);
  const right = scaled * (exponent < 0 ? power : 1n);
  if (left !== right) return left < right ? -1 : 1;
  return cut > 0 ? 1 : 0;
}

interface Significand {
  /** From the first digit that is not 0 to the last such one, but at most `most` of them; `''` for zero. */
  readonly digits: string;
  /** Power of ten of the last one in `digits`. */
  readonly exponent: number;
  /** How many would follow. */
  readonly cut: number;
}

function significand(
  { bytes, start, end, significantDigits, exponent }: NumberText,
  most: number,
): Significand {
  if (significantDigits === 0) return { digits: '', exponent: 0, cut: 0 };
  let at = start;
  while (at < end && !isNonZero(bytes[at] as number)) at++;
  let last = endOfMantissa(bytes, at, end) - 1;
  let zeros = 0;
  for (; last > at && !isNonZero(bytes[last] as number); last--) if (bytes[last] !== DOT) zeros++;
  let digits = '';
  for (; at <= last && digits.length < most; at++)
    if (bytes[at] !== DOT) digits += String.fromCharCode(bytes[at] as number);
  const cut = significantDigits - zeros - digits.length;
  return { digits, exponent: exponent + zeros + cut, cut };
}

function isNonZero(byte: number): boolean {
  return byte > ZERO && byte <= NINE;
}

/** From a position in the mantissa, or past it. */
function endOfMantissa(bytes: Uint8Array, from: number, end: number): number {
  for (let at = from; at < end; at++) if (((bytes[at] as number) | 0x20) === LOWER_E) return at;
  return end;
}

const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const LOWER_E = 0x65;
