import { type Defect, type DefectReason, describeDefect } from './json-defect.ts';
import { ENDS_PLAIN, firstMarked, plainEnds } from './plain-text.ts';

export interface JsonLimits {
  /** Objects and lists around a value, the record itself included. */
  readonly maxDepth: number;
  readonly maxRecordBytes: number;
}

export const DEFAULT_JSON_LIMITS: JsonLimits = { maxDepth: 512, maxRecordBytes: 64 * 1024 * 1024 };

/**
 * Unwinds to the record's beginning. Made once: a stack trace per bad record would cost more than decoding
 * it.
 */
const MALFORMED = new Error('malformed record');

/**
 * RFC 8259 over bytes: strings with their UTF-8 and escapes, numbers with their value, and values passed
 * over. Knows no schema. Nothing is allocated but for strings with escapes, and nothing recurs: nesting
 * cannot exhaust the stack.
 *
 * Part of the hot path: state lies in fields, and `position` is where the next byte is read.
 */
export class JsonScanner {
  protected buffer: Uint8Array = new Uint8Array(0);
  /** Of all of `buffer`. */
  protected view: DataView = new DataView(new ArrayBuffer(0));
  protected start = 0;
  protected position = 0;
  protected end = 0;
  /** Objects and lists open around `position`. */
  protected depth = 0;
  protected readonly limits: JsonLimits;

  /** Of the string scanned last: whether it has escapes. */
  protected escaped = false;
  /** Holds the string unescaped last. */
  protected unescaped: Uint8Array = new Uint8Array(256);

  /**
   * Of the number scanned last: digits from the first that is not 0 on; -1, 0 or 1 places are common for
   * `exponent`.
   */
  protected negative = false;
  protected integral = false;
  protected significantDigits = 0;
  /**
   * Power of ten that the digits, read as an integer, are multiplied with; clamped far beyond any number of
   * digits.
   */
  protected exponent = 0;

  private defectReason: DefectReason | undefined;
  private defectPosition = 0;
  private defectField: string | undefined;
  /** For values passed over: 1 where the container at that depth is an object. */
  private readonly isObject: Uint8Array;

  constructor(limits: JsonLimits) {
    this.limits = limits;
    this.isObject = new Uint8Array(limits.maxDepth + 1);
  }

  /**
   * The defect of the record decoded last: the one that made it undecodable, else the first value that did
   * not fit. Built on demand from the record's bytes: read it before the next record and before they change.
   */
  defect(): Defect | undefined {
    if (this.defectReason === undefined) return undefined;
    const record = this.buffer.subarray(this.start, this.end);
    return describeDefect(record, this.defectReason, this.defectPosition - this.start, this.defectField);
  }

  protected open(buffer: Uint8Array, start: number, end: number): void {
    if (buffer !== this.buffer) {
      this.buffer = buffer;
      this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    }
    this.start = start;
    this.position = start;
    this.end = end;
    this.depth = 0;
    this.defectReason = undefined;
    this.defectField = undefined;
  }

  protected get isDefective(): boolean {
    return this.defectReason !== undefined;
  }

  /** Remembers the first defect of a value; decoding goes on. */
  protected note(reason: DefectReason, position: number): void {
    if (this.defectReason !== undefined) return;
    this.defectReason = reason;
    this.defectPosition = position;
  }

  /** Gives the record up. `isMalformed` tells this from a bug. */
  protected fail(reason: DefectReason, position: number, field?: string): never {
    this.defectReason = reason;
    this.defectPosition = position;
    this.defectField = field;
    throw MALFORMED;
  }

  protected isMalformed(thrown: unknown): boolean {
    return thrown === MALFORMED;
  }

  /** The next byte that is not white space, not yet taken; -1 at the end. */
  protected peek(): number {
    const { buffer, end } = this;
    let at = this.position;
    while (at < end) {
      const byte = buffer[at] as number;
      if (byte > SPACE || (byte !== SPACE && byte !== NEWLINE && byte !== RETURN && byte !== TAB)) {
        this.position = at;
        return byte;
      }
      at++;
    }
    this.position = at;
    return -1;
  }

  /** At something else than the grammar asks for. */
  protected failHere(): never {
    return this.fail(this.position < this.end ? 'syntax' : 'unexpectedEnd', this.position);
  }

  protected enter(): void {
    if (++this.depth > this.limits.maxDepth) this.fail('tooDeep', this.position);
    this.position++;
  }

  /** From the opening quote past the closing one; returns where the content ends. Sets `escaped`. */
  protected scanString(): number {
    const { buffer, view, end } = this;
    let at = this.position + 1;
    this.escaped = false;
    for (;;) {
      for (; at <= end - 4; at += 4) {
        const ends = plainEnds(view.getInt32(at, true));
        if (ends === 0) continue;
        at += firstMarked(ends);
        break;
      }
      while (at < end && ENDS_PLAIN[buffer[at] as number] === 0) at++;
      if (at >= end) this.fail('unexpectedEnd', at);
      const byte = buffer[at] as number;
      if (byte === QUOTE) {
        this.position = at + 1;
        return at;
      }
      if (byte === BACKSLASH) at = this.scanEscape(at);
      else if (byte >= 0x80) at = this.scanUtf8(at);
      else this.fail('controlCharacter', at);
    }
  }

  private scanEscape(at: number): number {
    this.escaped = true;
    if (at + 1 >= this.end) this.fail('unexpectedEnd', this.end);
    const kind = this.buffer[at + 1] as number;
    if (kind === LOWER_U) {
      if (at + 6 > this.end) this.fail('unexpectedEnd', this.end);
      for (let i = at + 2; i < at + 6; i++)
        if (hexDigit(this.buffer[i] as number) < 0) this.fail('syntax', i);
      return at + 6;
    }
    if (unescapedByte(kind) < 0) this.fail('syntax', at + 1);
    return at + 2;
  }

  /** A run of multi-byte characters. Unicode 16, table 3-7 "Well-Formed UTF-8 Byte Sequences". */
  protected scanUtf8(start: number): number {
    const { buffer, end } = this;
    let at = start;
    while (at < end) {
      const lead = buffer[at] as number;
      if (lead < 0x80) break;
      const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
      if (lead < 0xc2 || lead > 0xf4 || at + length > end) this.fail('invalidUtf8', at);
      const second = buffer[at + 1] as number;
      const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
      const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
      if (second < lowest || second > highest) this.fail('invalidUtf8', at);
      if (length > 2 && ((buffer[at + 2] as number) & 0xc0) !== 0x80) this.fail('invalidUtf8', at);
      if (length > 3 && ((buffer[at + 3] as number) & 0xc0) !== 0x80) this.fail('invalidUtf8', at);
      at += length;
    }
    return at;
  }

  /**
   * Decodes the escapes of a scanned string into `unescaped`; returns its length, -1 for half a surrogate
   * pair.
   */
  protected unescape(start: number, end: number): number {
    const { buffer } = this;
    // No escape is shorter than the UTF-8 it stands for.
    if (this.unescaped.length < end - start) this.unescaped = new Uint8Array(end - start);
    const out = this.unescaped;
    let length = 0;
    for (let at = start; at < end; ) {
      const byte = buffer[at] as number;
      if (byte !== BACKSLASH) {
        out[length++] = byte;
        at++;
      } else if (buffer[at + 1] !== LOWER_U) {
        out[length++] = unescapedByte(buffer[at + 1] as number);
        at += 2;
      } else {
        let codePoint = codeUnit(buffer, at + 2);
        at += 6;
        if (codePoint >= 0xd800 && codePoint < 0xe000) {
          const paired = at + 6 <= end && buffer[at] === BACKSLASH && buffer[at + 1] === LOWER_U;
          const low = paired ? codeUnit(buffer, at + 2) : 0;
          if (codePoint >= 0xdc00 || low < 0xdc00 || low >= 0xe000) return -1;
          codePoint = 0x10000 + (codePoint - 0xd800) * 0x400 + (low - 0xdc00);
          at += 6;
        }
        length = writeUtf8(out, length, codePoint);
      }
    }
    return length;
  }

  /**
   * Takes a number and returns its digits as an integer, without sign, point and exponent: exact where
   * `significantDigits <= 15`, else to be read from the text.
   */
  protected scanNumber(): number {
    const { buffer, end } = this;
    let at = this.position;
    this.negative = buffer[at] === MINUS;
    if (this.negative) at++;
    let digits = 0;
    let significant = 0;
    let exponent = 0;
    let digit = at < end ? (buffer[at] as number) - ZERO : -1;
    if (digit === 0) at++;
    else {
      const first = at;
      while (digit >= 0 && digit <= 9) {
        if (at - first < 15) digits = digits * 10 + digit;
        digit = ++at < end ? (buffer[at] as number) - ZERO : -1;
      }
      significant = at - first;
      if (significant === 0) this.failAt(at);
    }
    this.integral = true;
    if (at < end && buffer[at] === DOT) {
      this.integral = false;
      const first = ++at;
      digit = at < end ? (buffer[at] as number) - ZERO : -1;
      while (digit >= 0 && digit <= 9) {
        if (significant > 0 || digit > 0) significant++;
        if (significant <= 15) digits = digits * 10 + digit;
        digit = ++at < end ? (buffer[at] as number) - ZERO : -1;
      }
      if (at === first) this.failAt(at);
      exponent = first - at;
    }
    this.significantDigits = significant;
    this.exponent = exponent;
    this.position = at;
    if (at < end && ((buffer[at] as number) | 0x20) === LOWER_E) this.scanExponent(exponent);
    return digits;
  }

  private scanExponent(places: number): void {
    const { buffer, end } = this;
    let at = this.position + 1;
    this.integral = false;
    const sign = at < end ? buffer[at] : 0;
    if (sign === MINUS || sign === PLUS) at++;
    const first = at;
    let exponent = 0;
    for (; at < end; at++) {
      const digit = (buffer[at] as number) - ZERO;
      if (digit < 0 || digit > 9) break;
      exponent = Math.min(exponent * 10 + digit, 1e15);
    }
    if (at === first) this.failAt(at);
    this.exponent = places + (sign === MINUS ? -exponent : exponent);
    this.position = at;
  }

  private failAt(position: number): never {
    this.position = position;
    return this.failHere();
  }

  protected takeTrue(): void {
    this.takeLiteral(TRUE);
  }

  protected takeFalse(): void {
    this.takeLiteral(FALSE);
  }

  protected takeNull(): void {
    this.takeLiteral(NULL);
  }

  private takeLiteral(literal: Uint8Array): void {
    for (let i = 0; i < literal.length; i++) {
      if (this.position >= this.end || this.buffer[this.position] !== literal[i]) this.failHere();
      this.position++;
    }
  }

  /** Passes over any value, checked as strictly as one that is stored. */
  protected skipValue(): void {
    const outside = this.depth;
    this.skipToScalar();
    while (this.depth > outside) {
      const byte = this.peek();
      const inObject = this.isObject[this.depth] === 1;
      if (byte === COMMA) {
        this.position++;
        if (inObject) this.skipKey();
        this.skipToScalar();
      } else if (byte === (inObject ? CLOSE_BRACE : CLOSE_BRACKET)) {
        this.position++;
        this.depth--;
      } else this.failHere();
    }
  }

  /**
   * Takes one scalar or empty container, and before it the opening of all containers that it stands first in.
   */
  private skipToScalar(): void {
    let byte = this.peek();
    while (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      const isObject = byte === OPEN_BRACE;
      this.enter();
      this.isObject[this.depth] = isObject ? 1 : 0;
      byte = this.peek();
      if (byte === (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) {
        this.position++;
        this.depth--;
        return;
      }
      if (isObject) {
        this.skipKey();
        byte = this.peek();
      }
    }
    this.skipScalar(byte);
  }

  private skipKey(): void {
    if (this.peek() !== QUOTE) this.failHere();
    this.scanString();
    this.takeColon();
  }

  protected takeColon(): void {
    if (this.peek() !== COLON) this.failHere();
    this.position++;
  }

  private skipScalar(byte: number): void {
    if (byte === QUOTE) this.scanString();
    else if (byte === MINUS || (byte >= ZERO && byte <= NINE)) this.scanNumber();
    else if (byte === LOWER_T) this.takeTrue();
    else if (byte === LOWER_F) this.takeFalse();
    else if (byte === LOWER_N) this.takeNull();
    else this.failHere();
  }
}

export const TAB = 0x09;
export const NEWLINE = 0x0a;
export const RETURN = 0x0d;
export const SPACE = 0x20;
export const QUOTE = 0x22;
export const PLUS = 0x2b;
export const COMMA = 0x2c;
export const MINUS = 0x2d;
export const DOT = 0x2e;
export const ZERO = 0x30;
export const NINE = 0x39;
export const COLON = 0x3a;
export const OPEN_BRACKET = 0x5b;
export const BACKSLASH = 0x5c;
export const CLOSE_BRACKET = 0x5d;
export const LOWER_E = 0x65;
export const LOWER_F = 0x66;
export const LOWER_N = 0x6e;
export const LOWER_T = 0x74;
export const LOWER_U = 0x75;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const NULL = Buffer.from('null');

/** What `\` and this byte stand for, `\u` excepted; -1 for no escape. */
function unescapedByte(kind: number): number {
  switch (kind) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f:
      return kind;
    case 0x62:
      return 0x08;
    case LOWER_F:
      return 0x0c;
    case LOWER_N:
      return NEWLINE;
    case 0x72:
      return RETURN;
    case LOWER_T:
      return TAB;
    default:
      return -1;
  }
}

function hexDigit(byte: number): number {
  if (byte >= ZERO && byte <= NINE) return byte - ZERO;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= LOWER_F ? lower - 0x61 + 10 : -1;
}

function codeUnit(buffer: Uint8Array, at: number): number {
  let unit = 0;
  for (let i = at; i < at + 4; i++) unit = unit * 16 + hexDigit(buffer[i] as number);
  return unit;
}

function writeUtf8(out: Uint8Array, start: number, codePoint: number): number {
  let at = start;
  if (codePoint < 0x80) {
    out[at++] = codePoint;
    return at;
  }
  if (codePoint < 0x800) out[at++] = 0xc0 | (codePoint >> 6);
  else {
    if (codePoint < 0x10000) out[at++] = 0xe0 | (codePoint >> 12);
    else {
      out[at++] = 0xf0 | (codePoint >> 18);
      out[at++] = 0x80 | ((codePoint >> 12) & 0x3f);
    }
    out[at++] = 0x80 | ((codePoint >> 6) & 0x3f);
  }
  out[at++] = 0x80 | (codePoint & 0x3f);
  return at;
}
