import type { TimestampFormat } from '../../src/pipeline/specification.ts';
import type { DataType, Field, PrimitiveName, Schema } from '../../src/records/ddl.ts';

/**
 * Random schemas, documents that mostly fit them, and damaged copies, all from one seed. Biased to what decoders get
 * wrong: escaped and odd keys, numbers at the borders, gaps, duplicates, nulls, wrong types, foreign fields.
 */
export class JsonGenerator {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  schema(): Schema {
    return { fields: this.fields(0) };
  }

  timestamps(schema: Schema): Record<string, TimestampFormat> {
    const isTimestamp = ({ type }: Field): boolean => type.kind === 'primitive' && type.name === 'timestamp';
    const chosen = schema.fields.filter((field) => isTimestamp(field) && this.chance(0.5));
    return Object.fromEntries(chosen.map((field) => [field.name, 'epochMillis']));
  }

  document(schema: Schema): Buffer {
    return Buffer.from(this.space() + this.object(schema.fields) + this.space());
  }

  /** One to three bytes or slices changed, anywhere. */
  damage(document: Buffer): Buffer {
    let bytes = document;
    for (let i = 0; i <= this.below(3); i++) {
      const at = this.below(bytes.length + 1);
      const kept = this.pick([at, at + 1, at + 1, at + 1 + this.below(6), bytes.length]);
      const inserted = this.pick([
        Buffer.alloc(0),
        Buffer.from([this.byte()]),
        Buffer.from([this.byte()]),
        this.slice(bytes),
      ]);
      bytes = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(kept)]);
    }
    return bytes;
  }

  below(bound: number): number {
    // Mulberry32.
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  }

  private chance(share: number): boolean {
    return this.below(1000) < share * 1000;
  }

  private pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  private byte(): number {
    return this.chance(0.7) ? this.pick([...Buffer.from('"\\{}[]:,0-+.eEutfn 1\n\t\0')]) : this.below(256);
  }

  private slice(bytes: Buffer): Buffer {
    const start = this.below(bytes.length + 1);
    return bytes.subarray(start, start + this.below(12));
  }

  private fields(depth: number): Field[] {
    const names = new Set(Array.from({ length: 1 + this.below(5) }, () => this.pick(NAMES)));
    return [...names].map((name) => ({ name, type: this.type(depth), nullable: this.chance(0.8) }));
  }

  private type(depth: number): DataType {
    if (depth < 4 && this.chance(0.2)) return { kind: 'struct', fields: this.fields(depth + 1) };
    if (depth < 4 && this.chance(0.25)) {
      return { kind: 'array', element: this.type(depth + 1), containsNull: this.chance(0.8) };
    }
    return { kind: 'primitive', name: this.pick(PRIMITIVES) };
  }

  private object(fields: readonly Field[]): string {
    const members = fields.filter(() => this.chance(0.9)).map((field) => this.member(field.name, field.type));
    if (this.chance(0.2)) members.reverse();
    if (this.chance(0.2)) members.splice(this.below(members.length + 1), 0, this.foreignMember());
    if (this.chance(0.03) && members.length > 0) members.push(this.pick(members));
    return `{${this.space()}${members.join(`${this.space()},${this.space()}`)}${this.space()}}`;
  }

  private member(name: string, type: DataType): string {
    return `${this.spell(name)}${this.space()}:${this.space()}${this.value(type)}`;
  }

  private foreignMember(): string {
    return this.member(
      this.pick(['', 'x', 'i', 'idd', 'ID', '\ud800', 'constructor', '"', 'Ü']),
      this.type(2),
    );
  }

  private value(type: DataType): string {
    if (this.chance(0.06)) return 'null';
    if (this.chance(0.03)) return this.value(this.type(3));
    if (type.kind === 'struct') return this.object(type.fields);
    if (type.kind === 'primitive') return this.scalar(type.name);
    const elements = Array.from({ length: this.below(4) }, () => this.value(type.element));
    return `[${this.space()}${elements.join(`${this.space()},`)}${this.space()}]`;
  }

  private scalar(type: PrimitiveName): string {
    switch (type) {
      case 'string':
        return this.spell(this.string());
      case 'boolean':
        return this.pick(['true', 'false']);
      case 'date':
        return this.spell(this.date());
      case 'timestamp':
        return this.chance(0.4) ? this.integer() : this.spell(this.timestamp());
      case 'double':
        return this.chance(0.3) ? this.integer() : this.double();
      default:
        return this.integer();
    }
  }

  private string(): string {
    return Array.from({ length: this.below(8) }, () => this.pick(PIECES)).join('');
  }

  private integer(): string {
    if (this.chance(0.2)) return this.pick(BORDERS);
    const digits = Array.from({ length: this.below(20) }, () => this.below(10)).join('');
    return `${this.pick(['', '-'])}${digits.replace(/^0+(?=.)/, '') || '0'}`;
  }

  private double(): string {
    if (this.chance(0.1)) return this.pick(DOUBLES);
    const digits = Array.from({ length: 1 + this.below(22) }, () => this.below(10)).join('');
    const exponent = this.chance(0.4)
      ? `${this.pick(['e', 'E'])}${this.pick(['', '+', '-'])}${this.below(330)}`
      : '';
    return `${this.integer()}.${digits}${exponent}`;
  }

  private date(): string {
    const two = (bound: number): string => String(this.below(bound)).padStart(2, '0');
    const year = this.chance(0.2) ? this.pick(['0000', '0001', '1900', '2000', '9999']) : `20${two(100)}`;
    return `${year}-${two(14)}-${two(33)}`;
  }

  private timestamp(): string {
    if (this.chance(0.1)) return this.date();
    const two = (bound: number): string => String(this.below(bound)).padStart(2, '0');
    const digits = Array.from({ length: this.below(11) }, (_, i) =>
      i < 6 ? this.below(10) : this.pick([0, 0, 0, 1]),
    );
    const fraction = this.chance(0.5) ? `.${digits.join('')}` : '';
    const zone = this.pick(['', 'Z', 'Z', 'z', `+${two(20)}:${two(62)}`, `-${two(20)}${two(62)}`, '+01']);
    return `${this.date()}${this.pick(['T', 'T', ' ', 't'])}${two(25)}:${two(61)}:${two(61)}${fraction}${zone}`;
  }

  /** A JSON string for `text`: plain where possible, or with escapes that need not be there. */
  private spell(text: string): string {
    const plain = JSON.stringify(text);
    if (this.chance(0.9)) return plain;
    const units = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
    return `"${units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')}"`;
  }

  private space(): string {
    return this.chance(0.8) ? '' : this.pick([' ', '\n', '\t', '\r', '  \n']);
  }
}

const NAMES = [
  'id',
  'price',
  'Ü',
  '键',
  '__proto__',
  'constructor',
  'a.b',
  'q"q',
  'b\\s',
  'x😀',
  'long_name_of_a_column',
  'i',
  'a',
];
const PRIMITIVES: PrimitiveName[] = ['string', 'long', 'integer', 'double', 'boolean', 'date', 'timestamp'];
const PIECES = [
  'a',
  'word ',
  'é',
  '爬虫',
  '😀',
  '"',
  '\\',
  '/',
  '\n',
  '\u0000',
  '\u007f',
  '\uffff',
  '\ud800',
  '\udc00',
  'x'.repeat(60),
];
const BORDERS = [
  '0 -0 9007199254740991 9007199254740993 -9007199254740993 999999999999999 1000000000000000 2147483647 2147483648',
  '-2147483648 -2147483649 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809',
  '18446744073709551616 253402300799999 253402300800000 -62135596800000 -62135596800001 9007199254740 9007199254741',
  `${'9'.repeat(400)} 00 01 -`,
].flatMap((line) => line.split(' '));
const DOUBLES = [
  '0.0 -0.0 1e22 1e23 1e-22 1e-23 123456789012345e22 123456789012345678e5 0.1 0.30000000000000004 5e-324 2e-324',
  '1.7976931348623157e308 1.7976931348623159e308 1e400 -1e400 0e400 1e-400 8.41e21 9007199254740993.0 2.2250738585072011e-308',
  '0.000000000000000000000000000001 1e99999999999999999999 1e-99999999999999999999 1. .5 1e 1e+ NaN Infinity 0x10',
].flatMap((line) => line.split(' '));
