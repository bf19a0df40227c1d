import type { DefectReason } from '../records/json-defect.ts';
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COMMA,
  DEFAULT_JSON_LIMITS,
  JsonScanner,
  LOWER_F,
  LOWER_N,
  LOWER_T,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from '../records/json-scanner.ts';
import { isFinerThanMicroseconds, TEXT_FORMATS, type TextFormat } from './time-guesses.ts';

/**
 * What a JSON value is to the decoder: of numbers `integer` fits BIGINT, `bigInteger` does not, `fraction`
 * has a point or an exponent, `hugeNumber` is beyond DOUBLE; `brokenString` has half a surrogate pair;
 * `duplicate` stands for a field that comes twice, `oddKey` for a key that is not text, `tooDeep` for what
 * lies deeper than columns are proposed for.
 */
export type ValueKind =
  | 'null'
  | 'boolean'
  | 'integer'
  | 'bigInteger'
  | 'fraction'
  | 'hugeNumber'
  | 'string'
  | 'brokenString'
  | 'object'
  | 'array'
  | 'duplicate'
  | 'oddKey'
  | 'tooDeep';

export interface Tally {
  /** Values: an array has many in one record. */
  count: number;
  /** Numbers of the records that have one. */
  readonly records: Set<number>;
  /** The first few, as they are written in the record, shortened. */
  readonly examples: string[];
}

/** Everything that was seen in one place of the records. */
export class Observation {
  readonly kinds = new Map<ValueKind, Tally>();
  readonly fields = new Map<string, Observation>();
  /** Fields beyond those that are kept apart. */
  otherFields: Observation | undefined;
  /** Objects seen, and all their fields together: few fields of many names make a MAP. */
  objects = 0;
  fieldsOfObjects = 0;
  element: Observation | undefined;
  /** How all strings so far can be read as times. */
  formats: readonly TextFormat[] = TEXT_FORMATS;
  /** Of all numbers, as a DECIMAL would need them. */
  integerDigits = 0;
  scale = 0;
  significantDigits = 0;
  /** Of the integers alone. */
  integerSignificantDigits = 0;
  /** Whether all numbers are whole, however they are spelled. */
  isWhole = true;
  /** Whether all numbers end in three zeros: nanoseconds that are microseconds. */
  isThousands = true;
  /** Whether some text is a time with more than six digits after the seconds. */
  isFiner = false;
  lowest = Number.POSITIVE_INFINITY;
  highest = Number.NEGATIVE_INFINITY;
  tally(kind: ValueKind, record: number, example?: string): void {
    let tally = this.kinds.get(kind);
    if (tally === undefined) {
      tally = { count: 0, records: new Set(), examples: [] };
      this.kinds.set(kind, tally);
    }
    tally.count++;
    tally.records.add(record);
    if (example !== undefined && tally.examples.length < EXAMPLES && !tally.examples.includes(example))
      tally.examples.push(example);
  }

  /** Takes in what another place has seen: the values of a MAP are one column. */
  merge(other: Observation): void {
    for (const [kind, { count, records, examples }] of other.kinds) {
      const [first, ...rest] = records;
      if (first === undefined) continue;
      this.tally(kind, first);
      const tally = this.kinds.get(kind);
      if (tally === undefined) continue;
      tally.count += count - 1;
      for (const record of rest) tally.records.add(record);
      for (const example of examples)
        if (tally.examples.length < EXAMPLES && !tally.examples.includes(example))
          tally.examples.push(example);
    }
    for (const [name, field] of other.fields) this.field(name).merge(field);
    if (other.otherFields) this.field(undefined).merge(other.otherFields);
    if (other.element) {
      this.element ??= new Observation();
      this.element.merge(other.element);
    }
    this.objects += other.objects;
    this.fieldsOfObjects += other.fieldsOfObjects;
    this.formats = this.formats.filter((format) => other.formats.includes(format));
    this.integerDigits = Math.max(this.integerDigits, other.integerDigits);
    this.scale = Math.max(this.scale, other.scale);
    this.significantDigits = Math.max(this.significantDigits, other.significantDigits);
    this.integerSignificantDigits = Math.max(this.integerSignificantDigits, other.integerSignificantDigits);
    this.isWhole &&= other.isWhole;
    this.isThousands &&= other.isThousands;
    this.isFiner ||= other.isFiner;
    this.lowest = Math.min(this.lowest, other.lowest);
    this.highest = Math.max(this.highest, other.highest);
  }

  /** Where the field of that name is observed; undefined is any other. */
  field(name: string | undefined): Observation {
    const known = name === undefined ? undefined : this.fields.get(name);
    if (known) return known;
    const observation = new Observation();
    if (name !== undefined && this.fields.size < FIELDS_MAX) {
      this.fields.set(name, observation);
      return observation;
    }
    this.otherFields ??= observation;
    return this.otherFields;
  }
}

const EXAMPLES = 3;
const EXAMPLE_BYTES = 40;
/** Names that are kept apart in one place. */
const FIELDS_MAX = 1000;
/** Objects and lists around a value for which a column is proposed. */
const DEPTH_MAX = 12;

/** All that a sample of records shows. */
export class SampleObservation {
  readonly root = new Observation();
  /** Records that are JSON objects, by the numbers that `records` of tallies hold. */
  readonly objects = new Set<number>();
  /** Those that are none, by why. */
  readonly malformed = new Map<DefectReason, number>();
  records = 0;
}

/**
 * Looks at records, one by one, as strictly as the decoder does: what is malformed there is malformed here.
 */
export class RecordObserver extends JsonScanner {
  readonly sample = new SampleObservation();

  constructor() {
    super(DEFAULT_JSON_LIMITS);
  }

  observe(record: Uint8Array): void {
    const { sample } = this;
    const number = sample.records++;
    this.open(record, 0, record.length);
    try {
      if (this.peek() !== OPEN_BRACE) this.refuse();
      this.skipValue();
      if (this.peek() !== -1) this.fail('trailingBytes', this.position);
    } catch (thrown) {
      if (!this.isMalformed(thrown)) throw thrown;
      const reason = this.defect()?.reason ?? 'syntax';
      sample.malformed.set(reason, (sample.malformed.get(reason) ?? 0) + 1);
      return;
    }
    this.position = 0;
    this.peek();
    sample.objects.add(number);
    this.value(sample.root, number);
  }

  private refuse(): never {
    const at = this.position;
    if (at === this.end) this.fail('emptyRecord', at);
    this.skipValue();
    this.fail('notAnObject', at);
  }

  /** Of a record that is known to be well-formed. */
  private value(into: Observation, record: number): void {
    const byte = this.peek();
    const at = this.position;
    if (this.depth >= DEPTH_MAX && (byte === OPEN_BRACE || byte === OPEN_BRACKET)) {
      this.skipValue();
      into.tally('tooDeep', record);
    } else if (byte === OPEN_BRACE) this.object(into, record);
    else if (byte === OPEN_BRACKET) this.array(into, record);
    else if (byte === QUOTE) this.text(into, record);
    else if (byte === LOWER_N) {
      this.takeNull();
      into.tally('null', record);
    } else if (byte === LOWER_T || byte === LOWER_F) {
      this.skipValue();
      into.tally('boolean', record, this.excerpt(at));
    } else this.number(into, record);
  }

  private object(into: Observation, record: number): void {
    into.tally('object', record);
    into.objects++;
    this.enter();
    const seen = new Set<string>();
    while (this.peek() !== CLOSE_BRACE) {
      const name = this.key();
      this.takeColon();
      if (name === undefined) {
        into.tally('oddKey', record);
        this.skipValue();
      } else {
        const field = into.field(name);
        if (seen.has(name)) field.tally('duplicate', record);
        seen.add(name);
        this.value(field, record);
      }
      if (this.peek() === COMMA) this.position++;
    }
    into.fieldsOfObjects += seen.size;
    this.position++;
    this.depth--;
  }

  /** Undefined for half a surrogate pair. */
  private key(): string | undefined {
    const start = this.position + 1;
    const end = this.scanString();
    return this.scanned(start, end);
  }

  private array(into: Observation, record: number): void {
    into.tally('array', record);
    into.element ??= new Observation();
    this.enter();
    while (this.peek() !== CLOSE_BRACKET) {
      this.value(into.element, record);
      if (this.peek() === COMMA) this.position++;
    }
    this.position++;
    this.depth--;
  }

  private text(into: Observation, record: number): void {
    const at = this.position;
    const end = this.scanString();
    const text = this.scanned(at + 1, end);
    if (text === undefined) {
      into.tally('brokenString', record, this.excerpt(at));
      return;
    }
    into.tally('string', record, this.excerpt(at));
    if (into.formats.length === 0) return;
    const bytes = Buffer.from(text);
    into.formats = into.formats.filter((format) => format.reads(bytes));
    into.isFiner ||= isFinerThanMicroseconds(bytes);
  }

  private scanned(start: number, end: number): string | undefined {
    if (!this.escaped) return Buffer.from(this.buffer.subarray(start, end)).toString();
    const length = this.unescape(start, end);
    return length < 0 ? undefined : Buffer.from(this.unescaped.subarray(0, length)).toString();
  }

  private number(into: Observation, record: number): void {
    const at = this.position;
    this.scanNumber();
    const { significantDigits, exponent, integral } = this;
    const text = Buffer.from(this.buffer.subarray(at, this.position)).toString('latin1');
    const value = Number(text);
    into.tally(this.numberKind(text, value), record, this.excerpt(at));
    into.integerDigits = Math.max(into.integerDigits, significantDigits + exponent);
    into.scale = Math.max(into.scale, -exponent);
    into.significantDigits = Math.max(into.significantDigits, significantDigits);
    if (integral) into.integerSignificantDigits = Math.max(into.integerSignificantDigits, significantDigits);
    into.isWhole &&= Number.isInteger(value);
    into.isThousands &&= text.endsWith('000');
    into.lowest = Math.min(into.lowest, value);
    into.highest = Math.max(into.highest, value);
  }

  private numberKind(text: string, value: number): ValueKind {
    if (!Number.isFinite(value)) return 'hugeNumber';
    if (!this.integral) return 'fraction';
    if (this.significantDigits <= 18) return 'integer';
    const integer = this.significantDigits <= 19 ? BigInt(text) : 1n << 64n;
    return BigInt.asIntN(64, integer) === integer ? 'integer' : 'bigInteger';
  }

  private excerpt(at: number): string {
    const text = Buffer.from(
      this.buffer.subarray(at, Math.min(this.position, at + EXAMPLE_BYTES)),
    ).toString();
    return this.position - at > EXAMPLE_BYTES ? `${text}…` : text;
  }
}
