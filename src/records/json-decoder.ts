import type { TimestampFormat } from '../pipeline/specification.ts';
import type { ColumnNode, LeafColumn } from './columns.ts';
import { MAX_SECONDS, MIN_SECONDS, parseDate, type TimestampProblem, TimestampReader } from './date-time.ts';
import { compilePlan, Kind, type Plan } from './decode-plan.ts';
import type { DefectReason } from './json-defect.ts';
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COMMA,
  DEFAULT_JSON_LIMITS,
  type JsonLimits,
  JsonScanner,
  LOWER_N,
  LOWER_T,
  OPEN_BRACE,
  QUOTE,
} from './json-scanner.ts';

/**
 * - `row`: every column got its value.
 * - `fieldDefect`: well-formed JSON, but at least one value did not fit its column and stands there as null.
 * - `recordDefect`: no row was written: the text is not a JSON object, is beyond a limit, has a field twice, or has
 *   no fitting value for a column that is NOT NULL.
 */
export type DecodeOutcome = 'row' | 'fieldDefect' | 'recordDefect';

export interface JsonDecoderOptions {
  /** The columns that the record's own fields go to: top-level nodes of one `Columns`. */
  readonly nodes: readonly ColumnNode[];
  /** Of top-level TIMESTAMP columns; iso8601 where absent, and always below the top level. */
  readonly timestamps?: Readonly<Record<string, TimestampFormat>>;
  readonly limits?: Partial<JsonLimits>;
}

/**
 * Decodes one JSON object per call straight into columns: exactly one row into every leaf below `nodes`, or nothing.
 *
 * - Fields in any order, names compared exactly, escapes decoded first. A field of the schema that occurs twice is a
 *   defect of the record, since the first is in its column already. Other fields are checked and left out.
 * - STRING takes strings only, numbers and booleans likewise only their own (Spark would cast a number to text).
 *   `1.0` and `1e3` are no integers, as in Spark. Doubles are rounded correctly; beyond the range is a defect.
 * - TIMESTAMP is ISO 8601 (`TimestampReader`) or an integer of milliseconds, within the years 0001 to 9999.
 *
 * Hot path: no object per record or value; strings with escapes, integers of more than 15 digits and doubles that need
 * more than one exact operation take a slower way.
 */
export class JsonDecoder extends JsonScanner {
  private readonly root: Plan;
  private readonly leaves: readonly LeafColumn[];
  private readonly timestamp = new TimestampReader();

  constructor({ nodes, timestamps = {}, limits = {} }: JsonDecoderOptions) {
    super({ ...DEFAULT_JSON_LIMITS, ...limits });
    this.root = compilePlan(nodes, timestamps);
    this.leaves = this.root.leaves;
  }

  /**
   * Decodes bytes `[start, end)`. Marks and, at a `recordDefect`, rolls back its own leaves; `rowCount` and all other
   * columns are the caller's. `defect()` has the details until the next call.
   */
  decode(buffer: Uint8Array, start: number, end: number): DecodeOutcome {
    this.open(buffer, start, end);
    for (const leaf of this.leaves) leaf.mark();
    try {
      this.document();
    } catch (thrown) {
      if (!this.isMalformed(thrown)) throw thrown;
      for (const leaf of this.leaves) leaf.rollback();
      return 'recordDefect';
    }
    return this.isDefective ? 'fieldDefect' : 'row';
  }

  /** A row of nulls, for a record that could not be decoded. All columns must be nullable. */
  appendNullRow(): void {
    for (const field of this.root.fields) appendNull(field, 0);
  }

  private document(): void {
    const { buffer, start, end } = this;
    if (end - start > this.limits.maxRecordBytes) this.fail('tooLarge', start);
    const byte = this.peek();
    if (byte !== OPEN_BRACE) {
      if (byte === -1) this.fail('emptyRecord', this.position);
      if (buffer[start] === 0xef && buffer[start + 1] === 0xbb && buffer[start + 2] === 0xbf) {
        this.fail('byteOrderMark', start);
      }
      this.skipValue();
      this.fail('notAnObject', start);
    }
    this.object(this.root, 0);
    if (this.peek() !== -1) this.fail('trailingBytes', this.position);
  }

  private value(plan: Plan, repetitionLevel: number): void {
    const byte = this.peek();
    if (byte < 0 || plan.firstBytes[byte] === 0) {
      this.nullOrMisfit(plan, byte, repetitionLevel);
      return;
    }
    switch (plan.kind) {
      case Kind.string:
        this.string(plan, repetitionLevel);
        break;
      case Kind.long:
        this.long(plan, repetitionLevel);
        break;
      case Kind.integer:
        this.integer(plan, repetitionLevel);
        break;
      case Kind.double:
        this.double(plan, repetitionLevel);
        break;
      case Kind.boolean:
        this.boolean(plan, byte, repetitionLevel);
        break;
      case Kind.date:
        this.date(plan, repetitionLevel);
        break;
      case Kind.isoTimestamp:
        this.isoTimestamp(plan, repetitionLevel);
        break;
      case Kind.epochMillis:
        this.epochMillis(plan, repetitionLevel);
        break;
      case Kind.array:
        this.array(plan, repetitionLevel);
        break;
      case Kind.object:
        this.object(plan, repetitionLevel);
    }
  }

  private nullOrMisfit(plan: Plan, byte: number, repetitionLevel: number): void {
    const at = this.position;
    if (byte !== LOWER_N) {
      this.skipValue();
      this.misfit(plan, 'wrongType', at, repetitionLevel);
      return;
    }
    this.takeNull();
    if (!plan.nullable) this.fail('nullNotAllowed', at);
    appendNull(plan, repetitionLevel);
  }

  /** The value is well-formed but its column cannot hold it. */
  private misfit(plan: Plan, reason: DefectReason, at: number, repetitionLevel: number): void {
    if (!plan.nullable) this.fail(reason, at);
    this.note(reason, at);
    appendNull(plan, repetitionLevel);
  }

  private object(plan: Plan, repetitionLevel: number): void {
    const { fields } = plan;
    const visit = plan.nextVisit();
    this.enter();
    let found = 0;
    let expected = 0;
    let byte = this.peek();
    if (byte === CLOSE_BRACE) this.position++;
    else {
      for (;;) {
        if (byte !== QUOTE) this.failHere();
        const at = this.position;
        const index = this.key(plan, expected);
        this.takeColon();
        if (index < 0) this.skipValue();
        else {
          const field = fields[index] as Plan;
          if (field.visit === visit) this.fail('duplicateField', at, field.name);
          field.visit = visit;
          found++;
          expected = index + 1;
          this.value(field, repetitionLevel);
        }
        byte = this.peek();
        this.position++;
        if (byte === CLOSE_BRACE) break;
        if (byte !== COMMA) this.failBefore();
        byte = this.peek();
      }
    }
    this.depth--;
    if (found < fields.length) this.absent(fields, visit, repetitionLevel);
  }

  private failBefore(): never {
    this.position--;
    return this.failHere();
  }

  private absent(fields: readonly Plan[], visit: number, repetitionLevel: number): void {
    for (const field of fields) {
      if (field.visit === visit) continue;
      if (!field.nullable) this.fail('missing', this.position - 1, field.name);
      appendNull(field, repetitionLevel);
    }
  }

  /** Takes a key and returns its field's index, -1 where the schema has none. Most records have the schema's order. */
  private key(plan: Plan, expected: number): number {
    const { buffer } = this;
    const start = this.position + 1;
    const field = plan.fields[expected];
    if (field !== undefined) {
      const spelling = field.quotedKey;
      const after = start + spelling.length;
      if (after <= this.end && equalBytes(buffer, start, spelling)) {
        this.position = after;
        return expected;
      }
    }
    const end = this.scanString();
    if (!this.escaped) return plan.indexOf(buffer, start, end);
    const length = this.unescape(start, end);
    return length < 0 ? -1 : plan.indexOf(this.unescaped, 0, length);
  }

  private array(plan: Plan, repetitionLevel: number): void {
    const element = plan.element as Plan;
    this.enter();
    if (this.peek() === CLOSE_BRACKET) {
      this.position++;
      for (const leaf of plan.leaves) leaf.appendNull(plan.definitionLevel, repetitionLevel);
    } else {
      this.value(element, repetitionLevel);
      let byte = this.peek();
      for (; byte === COMMA; byte = this.peek()) {
        this.position++;
        this.value(element, element.repetitionLevel);
      }
      if (byte !== CLOSE_BRACKET) this.failHere();
      this.position++;
    }
    this.depth--;
  }

  private string(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const end = this.scanString();
    if (this.escaped) this.escapedString(plan, at, end, repetitionLevel);
    else plan.leaf.appendBytes(this.buffer, at + 1, end, repetitionLevel);
  }

  private escapedString(plan: Plan, at: number, end: number, repetitionLevel: number): void {
    const length = this.unescape(at + 1, end);
    if (length < 0) this.misfit(plan, 'loneSurrogate', at, repetitionLevel);
    else plan.leaf.appendBytes(this.unescaped, 0, length, repetitionLevel);
  }

  private boolean(plan: Plan, byte: number, repetitionLevel: number): void {
    if (byte === LOWER_T) this.takeTrue();
    else this.takeFalse();
    plan.leaf.appendBoolean(byte === LOWER_T, repetitionLevel);
  }

  /**
   * Both operands of the one multiplication or division are exact up to 15 digits and 10^22, so that its one rounding
   * is the correct one (W. D. Clinger, "How to read floating point numbers accurately").
   */
  private double(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const digits = this.scanNumber();
    const { exponent } = this;
    let value: number;
    if (this.significantDigits <= 15 && exponent >= -22 && exponent <= 22) {
      const power = POWERS_OF_TEN[exponent < 0 ? -exponent : exponent] as number;
      value = exponent < 0 ? digits / power : digits * power;
      if (this.negative) value = -value;
    } else value = Number(this.text(at, this.position));
    if (Number.isFinite(value)) plan.leaf.appendDouble(value, repetitionLevel);
    else this.misfit(plan, 'outOfRange', at, repetitionLevel);
  }

  private long(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const digits = this.scanNumber();
    if (!this.integral) this.misfit(plan, 'notAnInteger', at, repetitionLevel);
    else if (this.significantDigits > 15) this.longOfManyDigits(plan, at, repetitionLevel);
    else plan.leaf.appendInt53(this.negative ? -digits : digits, repetitionLevel);
  }

  private longOfManyDigits(plan: Plan, at: number, repetitionLevel: number): void {
    const value = this.significantDigits <= 19 ? BigInt(this.text(at, this.position)) : BEYOND_INT64;
    if (BigInt.asIntN(64, value) === value) plan.leaf.appendInt64(value, repetitionLevel);
    else this.misfit(plan, 'outOfRange', at, repetitionLevel);
  }

  private integer(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const digits = this.scanNumber();
    const value = this.negative ? -digits : digits;
    if (!this.integral) this.misfit(plan, 'notAnInteger', at, repetitionLevel);
    else if (this.significantDigits > 10 || value < -2147483648 || value > 2147483647) {
      this.misfit(plan, 'outOfRange', at, repetitionLevel);
    } else plan.leaf.appendInt32(value, repetitionLevel);
  }

  private epochMillis(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const digits = this.scanNumber();
    const millis = this.negative ? -digits : digits;
    const seconds = Math.floor(millis / 1000);
    if (!this.integral) this.misfit(plan, 'notAnInteger', at, repetitionLevel);
    else if (this.significantDigits > 15 || seconds < MIN_SECONDS || seconds > MAX_SECONDS) {
      this.misfit(plan, 'outOfRange', at, repetitionLevel);
    } else appendTimestamp(plan.leaf, seconds, (millis - seconds * 1000) * 1000, repetitionLevel);
  }

  private isoTimestamp(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const end = this.scanString();
    const { timestamp } = this;
    const problem = this.escaped ? this.escapedTimestamp(at, end) : timestamp.parse(this.buffer, at + 1, end);
    if (problem !== undefined) this.misfit(plan, problem, at, repetitionLevel);
    else appendTimestamp(plan.leaf, timestamp.seconds, timestamp.microseconds, repetitionLevel);
  }

  private escapedTimestamp(at: number, end: number): TimestampProblem {
    const length = this.unescape(at + 1, end);
    return this.timestamp.parse(this.unescaped, 0, length);
  }

  private date(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const end = this.scanString();
    const days = this.escaped ? this.escapedDate(at, end) : parseDate(this.buffer, at + 1, end);
    if (Number.isNaN(days)) this.misfit(plan, 'invalidDate', at, repetitionLevel);
    else plan.leaf.appendInt32(days, repetitionLevel);
  }

  private escapedDate(at: number, end: number): number {
    const length = this.unescape(at + 1, end);
    return parseDate(this.unescaped, 0, length);
  }

  private text(start: number, end: number): string {
    return Buffer.from(this.buffer.buffer, this.buffer.byteOffset + start, end - start).toString('latin1');
  }
}

const BEYOND_INT64 = 1n << 64n;
/** Exact as doubles: 10^22 is the last one. */
const POWERS_OF_TEN = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

function appendNull(plan: Plan, repetitionLevel: number): void {
  for (const leaf of plan.leaves) leaf.appendNull(plan.definitionLevel - 1, repetitionLevel);
}

function appendTimestamp(
  leaf: LeafColumn,
  seconds: number,
  microseconds: number,
  repetitionLevel: number,
): void {
  const value = seconds * 1_000_000 + microseconds;
  // Beyond 2^53 (after the year 2255, before 1684) the sum is not exact as a double.
  if (Number.isSafeInteger(value)) leaf.appendInt53(value, repetitionLevel);
  else leaf.appendInt64(BigInt(seconds) * 1_000_000n + BigInt(microseconds), repetitionLevel);
}

function equalBytes(buffer: Uint8Array, start: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i++) if (buffer[start + i] !== expected[i]) return false;
  return true;
}
