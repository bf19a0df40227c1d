import { decodeBase64 } from './base64.ts';
import type { ColumnNode, LeafColumn } from './columns.ts';
import { MAX_SECONDS, MIN_SECONDS, parseDate, type TimestampProblem, TimestampReader } from './date-time.ts';
import { compilePlan, Kind, type Plan, type ValueRules } from './decode-plan.ts';
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
import { isNumber, type NumberText, nearestFloat, unscaled, unscaledFloor } from './number-text.ts';
import type { TimestampPattern } from './timestamp-pattern.ts';
import { UnknownFields } from './unknown-fields.ts';

/**
 * - `row`: every column got its value.
 * - `fieldDefect`: well-formed JSON, but at least one value did not fit its column and stands there as null.
 * - `recordDefect`: no row was written: the text is not a JSON object, is beyond a limit, has a field or a
 *   key of a MAP twice, has a key of a MAP that is not text, or no fitting value for a column that is NOT
 *   NULL.
 */
export type DecodeOutcome = 'row' | 'fieldDefect' | 'recordDefect';

export interface JsonDecoderOptions extends ValueRules {
  /** The columns that the record's own fields go to: top-level nodes of one `Columns`. */
  readonly nodes: readonly ColumnNode[];
  readonly limits?: Partial<JsonLimits>;
  /**
   * A nullable STRING of the top level that takes the fields that no column takes; else they are left out.
   */
  readonly rest?: LeafColumn;
}

/**
 * Decodes one JSON object per call straight into columns: exactly one row into every leaf below `nodes`, or
 * nothing.
 *
 * - Fields in any order, names compared exactly, escapes decoded first. A field of the schema that occurs
 *   twice is a defect of the record, since the first is in its column already; so is a key of a MAP. Other
 *   fields are checked and left out, or kept as text (`UnknownFields`).
 * - STRING takes strings only, numbers and booleans likewise only their own (Spark would cast a number to
 *   text). `1.0` and `1e3` are no integers, as in Spark; as a time since 1970 they are. With `quotedNumbers`
 *   columns of numbers also take a string that holds one as RFC 8259 writes it. DOUBLE and FLOAT are rounded
 *   correctly from the number as written; beyond the range is a defect (Spark stores Infinity).
 * - DECIMAL is exact: digits beyond its scale are a defect unless they are zeros (Spark rounds half up).
 * - BINARY is base64 as encoders write it (`decodeBase64`).
 * - TIMESTAMP is ISO 8601 (`TimestampReader`), a pattern (`TimestampPattern`), an integer of milliseconds,
 *   microseconds or nanoseconds, or a number of seconds; within the years 0001 to 9999. A finer fraction than
 *   microseconds is a defect, or cut off towards the past where `truncateTimestamps` says so.
 *
 * Hot path: no object per record or value; strings with escapes, integers of more than 15 digits, doubles
 * that need more than one exact operation and keys of maps take a slower way. Recursion goes as deep as the
 * schema, never as the document.
 */
export class JsonDecoder extends JsonScanner {
  private readonly root: Plan;
  private readonly untaken: readonly Plan[];
  private readonly leaves: readonly LeafColumn[];
  private readonly timestamp = new TimestampReader();
  private readonly unknown: UnknownFields | undefined;
  /** Off while another column reads a value again. */
  private collectsUnknown = true;
  /** Times of the last record that lost digits beyond microseconds. */
  truncated = 0;

  constructor({ nodes, limits = {}, rest, ...rules }: JsonDecoderOptions) {
    super({ ...DEFAULT_JSON_LIMITS, ...limits });
    const { root, untaken } = compilePlan(nodes, rules);
    this.root = root;
    this.untaken = untaken;
    this.leaves = [...[root, ...untaken].flatMap(allLeaves), ...(rest === undefined ? [] : [rest])];
    this.unknown = rest === undefined ? undefined : new UnknownFields(rest);
  }

  /**
   * Decodes bytes `[start, end)`. Marks and, at a `recordDefect`, rolls back its own leaves; `rowCount` and
   * all other columns are the caller's. `defect()` has the details until the next call.
   */
  decode(buffer: Uint8Array, start: number, end: number): DecodeOutcome {
    this.open(buffer, start, end);
    for (const leaf of this.leaves) leaf.mark();
    this.unknown?.begin();
    this.collectsUnknown = true;
    this.truncated = 0;
    try {
      this.document();
    } catch (thrown) {
      if (!this.isMalformed(thrown)) throw thrown;
      this.rollback();
      return 'recordDefect';
    }
    this.unknown?.end();
    return this.isDefective ? 'fieldDefect' : 'row';
  }

  /** Takes back the row that the last `decode` wrote: for a `fieldDefect` that is not to be stored. */
  rollback(): void {
    for (const leaf of this.leaves) leaf.rollback();
  }

  /** A row of nulls, for a record that could not be decoded. All columns must be nullable. */
  appendNullRow(): void {
    this.truncated = 0;
    for (const column of [...this.root.grafts, ...this.untaken]) appendNull(column, 0);
    this.unknown?.appendNull();
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
    for (const column of this.untaken) appendNull(column, 0);
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
        break;
      case Kind.map:
        this.map(plan, repetitionLevel);
        break;
      case Kind.float:
        this.float(plan, repetitionLevel);
        break;
      case Kind.decimal:
        this.decimal(plan, repetitionLevel);
        break;
      case Kind.binary:
        this.binary(plan, repetitionLevel);
        break;
      case Kind.epochSeconds:
        this.epochSeconds(plan, repetitionLevel);
        break;
      case Kind.epochMicros:
        this.wholeEpoch(plan, this.position, 1000n, repetitionLevel);
        break;
      case Kind.patternTimestamp:
        this.patternTimestamp(plan, repetitionLevel);
        break;
      case Kind.epochNanos:
        this.wholeEpoch(plan, this.position, 1n, repetitionLevel);
        break;
      case Kind.several:
        this.several(plan, repetitionLevel);
    }
  }

  /** The value is read by one column after the other; the first tells what no column takes of it. */
  private several(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const { collectsUnknown } = this;
    for (const reader of plan.readers) {
      this.position = at;
      this.value(reader, repetitionLevel);
      this.collectsUnknown = false;
    }
    this.collectsUnknown = collectsUnknown;
  }

  private nullOrMisfit(plan: Plan, byte: number, repetitionLevel: number): void {
    const at = this.position;
    if (byte !== LOWER_N) {
      if (byte === QUOTE && plan.takesQuoted) {
        this.quotedNumber(plan, repetitionLevel);
        return;
      }
      this.skipValue();
      this.misfit(plan, 'wrongType', at, repetitionLevel);
      return;
    }
    this.takeNull();
    if (!plan.nullable) this.fail('nullNotAllowed', at);
    this.appendAbsent(plan, repetitionLevel);
  }

  /** The number is read where it stands, its quotes aside. One with escapes is none. */
  private quotedNumber(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const end = this.scanString();
    const after = this.position;
    if (this.escaped || !isNumber(this.text(at + 1, end))) {
      this.misfit(plan, 'wrongType', at, repetitionLevel);
      return;
    }
    this.position = at + 1;
    this.value(plan, repetitionLevel);
    this.position = after;
  }

  /** The value is well-formed but its column cannot hold it. */
  private misfit(plan: Plan, reason: DefectReason, at: number, repetitionLevel: number): void {
    if (!plan.nullable) this.fail(reason, at);
    this.note(reason, at);
    this.appendAbsent(plan, repetitionLevel);
  }

  /** Null, and so is what other columns take of it. */
  private appendAbsent(plan: Plan, repetitionLevel: number): void {
    for (const graft of plan.grafts) this.requireNullable(graft);
    appendNull(plan, repetitionLevel);
  }

  private requireNullable(plan: Plan): void {
    if (!plan.nullable) this.fail('missing', this.position - 1, plan.name);
    for (const graft of plan.grafts) this.requireNullable(graft);
  }

  /**
   * Most objects have their fields in the order of the one before, with the same white space between them:
   * where the bytes that led to the next field's value last time stand again, they mean the same, and are
   * passed over at once.
   */
  private object(plan: Plan, repetitionLevel: number): void {
    const { fields, leads } = plan;
    const visit = plan.nextVisit();
    this.enter();
    let found = 0;
    let expected = 0;
    let isFirst = true;
    /** -1 behind a field that the schema does not have. */
    let lead = 0;
    for (;;) {
      const start = this.position;
      let at: number;
      let index: number;
      const leadLength = lead < 0 ? 0 : leads.lengthAt(lead, this.view, start, this.end);
      if (leadLength > 0) {
        index = leads.fieldIndex(lead);
        at = start + leads.keyOffset(lead);
        this.position = start + leadLength;
      } else {
        at = this.nextKey(isFirst);
        if (at < 0) break;
        index = this.key(plan, expected);
        this.takeColon();
        if (index >= 0 && lead >= 0) {
          this.peek();
          leads.learn(lead, index, this.buffer, start, at, this.position);
        }
      }
      isFirst = false;
      if (index < 0) {
        this.unknownField(at);
        lead = -1;
        continue;
      }
      const field = fields[index] as Plan;
      if (field.visit === visit) this.fail('duplicateField', at, field.name);
      field.visit = visit;
      found++;
      expected = index + 1;
      this.value(field, repetitionLevel);
      lead = index + 1;
    }
    this.depth--;
    if (found < fields.length) this.absent(fields, visit, repetitionLevel);
  }

  /** To the quote of the next key; -1 past the object's end. */
  private nextKey(isFirst: boolean): number {
    let byte = this.peek();
    if (byte === CLOSE_BRACE) {
      this.position++;
      return -1;
    }
    if (!isFirst) {
      if (byte !== COMMA) this.failHere();
      this.position++;
      byte = this.peek();
    }
    if (byte !== QUOTE) this.failHere();
    return this.position;
  }

  private unknownField(nameStart: number): void {
    const { buffer, start, unknown } = this;
    if (unknown === undefined || !this.collectsUnknown) {
      this.skipValue();
      return;
    }
    this.peek();
    const valueStart = this.position;
    this.skipValue();
    // Every field repeats the names on its way: without a bound a record could grow without one.
    if (unknown.add(buffer, start, nameStart, valueStart, this.position) > this.limits.maxRecordBytes)
      this.fail('tooLarge', nameStart);
  }

  private failBefore(): never {
    this.position--;
    return this.failHere();
  }

  private absent(fields: readonly Plan[], visit: number, repetitionLevel: number): void {
    for (const field of fields) {
      if (field.visit === visit) continue;
      if (!field.nullable) this.fail('missing', this.position - 1, field.name);
      this.appendAbsent(field, repetitionLevel);
    }
  }

  /**
   * Takes a key and returns its field's index, -1 where the schema has none. Most records have the schema's
   * order.
   */
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

  private map(plan: Plan, repetitionLevel: number): void {
    const value = plan.element as Plan;
    const { keysSeen } = plan;
    this.enter();
    let byte = this.peek();
    if (byte === CLOSE_BRACE) {
      this.position++;
      for (const leaf of plan.leaves) leaf.appendNull(plan.definitionLevel, repetitionLevel);
    } else {
      keysSeen.clear();
      for (let level = repetitionLevel; ; level = value.repetitionLevel) {
        if (byte !== QUOTE) this.failHere();
        this.mapKey(plan, level);
        this.takeColon();
        this.value(value, level);
        byte = this.peek();
        this.position++;
        if (byte === CLOSE_BRACE) break;
        if (byte !== COMMA) this.failBefore();
        byte = this.peek();
      }
    }
    this.depth--;
  }

  private mapKey(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    let bytes = this.buffer;
    let start = at + 1;
    let end = this.scanString();
    if (this.escaped) {
      const length = this.unescape(start, end);
      if (length < 0) this.fail('loneSurrogate', at);
      bytes = this.unescaped;
      start = 0;
      end = length;
    }
    const { leaf, keysSeen } = plan;
    if (!keysSeen.add(leaf.values, leaf.valuesEnd, bytes, start, end))
      this.fail('duplicateField', at, Buffer.from(bytes.subarray(start, end)).toString());
    leaf.appendBytes(bytes, start, end, repetitionLevel);
  }

  private string(plan: Plan, repetitionLevel: number): void {
    if (this.end - this.position <= ONE_PASS_BYTES_MAX && this.stringInOnePass(plan.leaf, repetitionLevel))
      return;
    const at = this.position;
    const end = this.scanString();
    if (this.escaped) this.escapedString(plan, at, end, repetitionLevel);
    else plan.leaf.appendSlice(this.view, at + 1, end, repetitionLevel);
  }

  /**
   * Checks and copies at once; returns false and does nothing at an escape, or if the value is not a string.
   */
  private stringInOnePass(leaf: LeafColumn, repetitionLevel: number): boolean {
    const { buffer, view, end } = this;
    let at = this.position + 1;
    leaf.beginText(at, end);
    for (;;) {
      at = leaf.copyPlain(view, at, end);
      const byte = at < end ? (buffer[at] as number) : 0;
      if (byte === QUOTE) {
        leaf.endText(at, repetitionLevel);
        this.position = at + 1;
        return true;
      }
      if (byte < 0x80) return false;
      const after = this.scanUtf8(at);
      leaf.copyText(view, at, after);
      at = after;
    }
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
   * Both operands of the one multiplication or division are exact up to 15 digits and 10^22, so that its one
   * rounding is the correct one (W. D. Clinger, "How to read floating point numbers accurately").
   */
  private double(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const value = this.nearestDouble(at);
    if (Number.isFinite(value)) plan.leaf.appendDouble(value, repetitionLevel);
    else this.misfit(plan, 'outOfRange', at, repetitionLevel);
  }

  private nearestDouble(at: number): number {
    const digits = this.scanNumber();
    const { exponent } = this;
    if (this.significantDigits > 15 || exponent < -22 || exponent > 22)
      return Number(this.text(at, this.position));
    const power = POWERS_OF_TEN[exponent < 0 ? -exponent : exponent] as number;
    const value = exponent < 0 ? digits / power : digits * power;
    return this.negative ? -value : value;
  }

  private float(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const double = this.nearestDouble(at);
    const value = Math.fround(double) === double ? double : nearestFloat(this.numberText(at), double);
    if (Number.isFinite(value)) plan.leaf.appendFloat(value, repetitionLevel);
    else this.misfit(plan, 'outOfRange', at, repetitionLevel);
  }

  private decimal(plan: Plan, repetitionLevel: number): void {
    const { precision, scale, leaf } = plan;
    const at = this.position;
    const digits = this.scanNumber();
    const { significantDigits, exponent } = this;
    const places = exponent + scale;
    if (places < 0 || significantDigits + places > 15) this.longDecimal(plan, at, repetitionLevel);
    else if (digits !== 0 && significantDigits + places > precision) {
      this.misfit(plan, 'outOfRange', at, repetitionLevel);
    } else {
      const magnitude = digits * (POWERS_OF_TEN[places] as number);
      const value = this.negative ? -magnitude : magnitude;
      if (precision <= 9) leaf.appendInt32(value, repetitionLevel);
      else if (precision <= 18) leaf.appendInt53(value, repetitionLevel);
      else leaf.appendFixed(BigInt(value), repetitionLevel);
    }
  }

  private longDecimal(plan: Plan, at: number, repetitionLevel: number): void {
    const { precision, scale, leaf } = plan;
    const value = unscaled(this.numberText(at), precision, scale);
    if (typeof value === 'string') this.misfit(plan, value, at, repetitionLevel);
    else if (precision <= 9) leaf.appendInt32(Number(value), repetitionLevel);
    else if (precision <= 18) leaf.appendInt64(value, repetitionLevel);
    else leaf.appendFixed(value, repetitionLevel);
  }

  private binary(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const end = this.scanString();
    let length = 0;
    if (this.escaped) {
      const characters = this.unescape(at + 1, end);
      length = characters < 0 ? -1 : decodeBase64(this.unescaped, 0, characters, this.unescaped);
    } else {
      if (this.unescaped.length < end - at) this.unescaped = new Uint8Array(end - at);
      length = decodeBase64(this.buffer, at + 1, end, this.unescaped);
    }
    if (length < 0) this.misfit(plan, 'invalidBase64', at, repetitionLevel);
    else plan.leaf.appendBytes(this.unescaped, 0, length, repetitionLevel);
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
    const { max } = plan;
    if (!this.integral) this.misfit(plan, 'notAnInteger', at, repetitionLevel);
    else if (this.significantDigits > 10 || value < -max - 1 || value > max) {
      this.misfit(plan, 'outOfRange', at, repetitionLevel);
    } else plan.leaf.appendInt32(value, repetitionLevel);
  }

  private epochMillis(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const digits = this.scanNumber();
    if (!this.integral || this.significantDigits > 15) {
      this.position = at;
      this.wholeEpoch(plan, at, 1_000_000n, repetitionLevel);
      return;
    }
    const millis = this.negative ? -digits : digits;
    const seconds = Math.floor(millis / 1000);
    if (seconds < MIN_SECONDS || seconds > MAX_SECONDS) this.misfit(plan, 'outOfRange', at, repetitionLevel);
    else appendTimestamp(plan.leaf, seconds, (millis - seconds * 1000) * 1000, repetitionLevel);
  }

  /** @param unit in nanoseconds */
  private wholeEpoch(plan: Plan, at: number, unit: bigint, repetitionLevel: number): void {
    this.scanNumber();
    const count = unscaled(this.numberText(at), EPOCH_DIGITS, 0);
    if (typeof count === 'string') {
      const reason = count === 'tooPrecise' ? 'notAnInteger' : count;
      this.misfit(plan, reason, at, repetitionLevel);
      return;
    }
    const nanoseconds = count * unit;
    const finer = ((nanoseconds % 1000n) + 1000n) % 1000n;
    if (finer === 0n || plan.truncates) {
      if (finer !== 0n) this.truncated++;
      this.microseconds(plan, at, (nanoseconds - finer) / 1000n, repetitionLevel);
    } else this.misfit(plan, 'tooPrecise', at, repetitionLevel);
  }

  private epochSeconds(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    this.scanNumber();
    const text = this.numberText(at);
    let value = unscaled(text, MICROSECOND_DIGITS, 6);
    if (value === 'tooPrecise' && plan.truncates) {
      this.truncated++;
      value = unscaledFloor(text, MICROSECOND_DIGITS, 6);
    }
    if (typeof value === 'string') this.misfit(plan, value, at, repetitionLevel);
    else this.microseconds(plan, at, value, repetitionLevel);
  }

  private microseconds(plan: Plan, at: number, value: bigint, repetitionLevel: number): void {
    if (value < MIN_MICROSECONDS || value > MAX_MICROSECONDS)
      this.misfit(plan, 'outOfRange', at, repetitionLevel);
    else plan.leaf.appendInt64(value, repetitionLevel);
  }

  private patternTimestamp(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const end = this.scanString();
    const pattern = plan.pattern as TimestampPattern;
    const problem = this.escaped
      ? this.escapedPattern(pattern, at, end)
      : pattern.parse(this.buffer, at + 1, end);
    if (this.fits(plan, problem, at, repetitionLevel))
      appendTimestamp(plan.leaf, pattern.seconds, pattern.microseconds, repetitionLevel);
  }

  private escapedPattern(pattern: TimestampPattern, at: number, end: number): TimestampProblem {
    const length = this.unescape(at + 1, end);
    return length < 0 ? 'invalidTimestamp' : pattern.parse(this.unescaped, 0, length);
  }

  private isoTimestamp(plan: Plan, repetitionLevel: number): void {
    const at = this.position;
    const end = this.scanString();
    const { timestamp } = this;
    const problem = this.escaped ? this.escapedTimestamp(at, end) : timestamp.parse(this.buffer, at + 1, end);
    if (this.fits(plan, problem, at, repetitionLevel))
      appendTimestamp(plan.leaf, timestamp.seconds, timestamp.microseconds, repetitionLevel);
  }

  /** Whether the time is the column's, if need be without its finer digits; else it has become a defect. */
  private fits(plan: Plan, problem: TimestampProblem, at: number, repetitionLevel: number): boolean {
    if (problem === undefined) return true;
    if (problem === 'tooPrecise' && plan.truncates) {
      this.truncated++;
      return true;
    }
    this.misfit(plan, problem, at, repetitionLevel);
    return false;
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
    return latin1(this.buffer, start, end);
  }

  /** Of the number scanned last. */
  private numberText(start: number): NumberText {
    const { buffer: bytes, position: end, significantDigits, exponent } = this;
    return { bytes, start, end, significantDigits, exponent };
  }
}

/** Of the last microsecond of the year 9999. */
const MICROSECOND_DIGITS = 18;
/** As many in nanoseconds. */
const EPOCH_DIGITS = 21;
const MIN_MICROSECONDS = BigInt(MIN_SECONDS) * 1_000_000n;
const MAX_MICROSECONDS = BigInt(MAX_SECONDS) * 1_000_000n + 999_999n;

const BEYOND_INT64 = 1n << 64n;
/** Exact as doubles: 10^22 is the last one. */
/**
 * Of the rest of the record, for which the column makes room: it has to be little beside what a column holds
 * anyway.
 */
const ONE_PASS_BYTES_MAX = 8192;

const POWERS_OF_TEN = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

function appendNull(plan: Plan, repetitionLevel: number): void {
  for (const leaf of plan.leaves) leaf.appendNull(plan.definitionLevel - 1, repetitionLevel);
  for (const graft of plan.grafts) appendNull(graft, 0);
}

function allLeaves(plan: Plan): readonly LeafColumn[] {
  return [...plan.leaves, ...plan.grafts.flatMap(allLeaves)];
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

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

function equalBytes(buffer: Uint8Array, start: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i++) if (buffer[start + i] !== expected[i]) return false;
  return true;
}
