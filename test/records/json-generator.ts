import type { DataType, DecimalType, Field, PrimitiveName, Schema } from '../../src/records/ddl.ts';
import type { ValueRules } from '../../src/records/decode-plan.ts';
import { timestampPaths } from '../../src/records/timestamp-format.ts';
import { PATTERNS } from './pattern-model.ts';

/**
 * Random schemas, documents that mostly fit them, and damaged copies, all from one seed. Biased to what
 * decoders get wrong: escaped and odd keys, numbers at the borders, gaps, duplicates, nulls, wrong types,
 * foreign fields.
 */
export class JsonGenerator {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  schema(): Schema {
    return { fields: this.fields(0) };
  }

  rules(schema: Schema): ValueRules {
    const paths = timestampPaths(schema);
    const chosen = paths.filter(() => this.chance(0.7));
    return {
      timestamps: Object.fromEntries(chosen.map((path) => [path, this.pick(FORMATS)])),
      truncateTimestamps: this.chance(0.2) ? true : paths.filter(() => this.chance(0.2)),
      quotedNumbers: this.chance(0.3),
      from: this.chance(0.4) ? this.from(schema) : undefined,
    };
  }

  /** Paths of names without dots: what those mean is another test's. */
  private from({ fields }: Schema): Record<string, string | null> {
    const plain = fields.map(({ name }) => name).filter((name) => /^\w+$/.test(name));
    const name = () => this.pick([...plain, ...plain, 'payload', 'payload', 'x', 'a']);
    const chosen = fields.filter(() => this.chance(0.5));
    return Object.fromEntries(
      chosen.map(({ name: column, nullable }) => [
        column,
        nullable && this.chance(0.1)
          ? null
          : this.pick([name(), `${name()}.${name()}`, `${name()}.${name()}.${name()}`]),
      ]),
    );
  }

  /** What a document may look like whose fields lead to these columns. */
  source(schema: Schema, { from = {} }: ValueRules): Schema {
    let source: Schema = { fields: [] };
    for (const field of schema.fields) {
      const path = Object.hasOwn(from, field.name) ? from[field.name] : undefined;
      if (path !== null) source = grown(source, path?.split('.') ?? [field.name], field);
    }
    return source;
  }

  document(schema: Schema): Buffer {
    return Buffer.from(this.space() + this.object(schema.fields) + this.space());
  }

  /** Bits flipped, the end cut off, or one to three bytes or slices changed, anywhere. */
  damage(document: Buffer): Buffer {
    if (this.chance(0.1)) return this.flipBits(document);
    if (this.chance(0.1)) return document.subarray(0, this.below(document.length + 1));
    let bytes = document;
    for (let i = 0; i <= this.below(3); i++) {
      const at = this.below(bytes.length + 1);
      const kept = this.pick([at, at + 1, at + 1, at + 1 + this.below(6), bytes.length]);
      const inserted = this.pick([
        Buffer.alloc(0),
        Buffer.from([this.byte()]),
        Buffer.from([this.byte()]),
        this.slice(bytes, 12),
        this.slice(bytes, bytes.length),
      ]);
      bytes = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(kept)]);
    }
    return bytes;
  }

  private flipBits(document: Buffer): Buffer {
    const bytes = Buffer.from(document);
    for (let i = 0; i <= this.below(2); i++) {
      const at = this.below(bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << this.below(8));
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

  private slice(bytes: Buffer, most: number): Buffer {
    const start = this.below(bytes.length + 1);
    return bytes.subarray(start, start + this.below(most + 1));
  }

  private fields(depth: number): Field[] {
    const names = new Set(Array.from({ length: 1 + this.below(5) }, () => this.pick(NAMES)));
    return [...names].map((name) => ({ name, type: this.type(depth), nullable: this.chance(0.93) }));
  }

  private type(depth: number): DataType {
    if (depth < 4 && this.chance(0.2)) return { kind: 'struct', fields: this.fields(depth + 1) };
    if (depth < 4 && this.chance(0.25)) {
      return { kind: 'array', element: this.type(depth + 1), containsNull: this.chance(0.9) };
    }
    if (depth < 4 && this.chance(0.15)) {
      const key = { kind: 'primitive', name: 'string' } as const;
      return { kind: 'map', key, value: this.type(depth + 1), valueContainsNull: this.chance(0.9) };
    }
    if (this.chance(0.2)) return this.decimalType();
    return { kind: 'primitive', name: this.pick(PRIMITIVES) };
  }

  private decimalType(): DecimalType {
    const precision = this.pick([1, 5, 9, 10, 18, 19, 38]);
    return {
      kind: 'decimal',
      precision,
      scale: this.pick([0, 0, 2, 6, precision].filter((n) => n <= precision)),
    };
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
    if (this.chance(0.04)) return 'null';
    if (this.chance(0.03)) return this.value(this.type(3));
    if (type.kind === 'struct') return this.object(type.fields);
    if (type.kind === 'primitive') return this.quoted(this.scalar(type.name));
    if (type.kind === 'decimal') return this.quoted(this.decimal(type));
    if (type.kind === 'map') return this.map(type.value);
    const elements = Array.from({ length: this.below(4) }, () => this.value(type.element));
    return `[${this.space()}${elements.join(`${this.space()},`)}${this.space()}]`;
  }

  /** A number now and then in quotes, or in quotes with something beside it. */
  private quoted(scalar: string): string {
    if (!/^[-0-9]/.test(scalar) || this.chance(0.85)) return scalar;
    return this.spell(this.chance(0.9) ? scalar : this.pick([` ${scalar}`, `${scalar} `, `+${scalar}`, '']));
  }

  private map(value: DataType): string {
    const keys = Array.from({ length: this.below(4) }, () => this.pick([...NAMES, '', '0', 'key', '\ud800']));
    const distinct = this.chance(0.95) ? [...new Set(keys)].filter((key) => key !== '\ud800') : keys;
    return `{${this.space()}${distinct.map((key) => this.member(key, value)).join(`${this.space()},`)}}`;
  }

  /** Mostly one that fits. */
  private decimal({ precision, scale }: DecimalType): string {
    if (this.chance(0.2)) return this.chance(0.5) ? this.integer() : this.double();
    const digits = Array.from({ length: 1 + this.below(precision) }, () => this.pick([0, 0, 1, 5, 9])).join(
      '',
    );
    const padded = digits.padStart(scale + 1, '0');
    const whole = padded.slice(0, padded.length - scale).replace(/^0+(?=.)/, '');
    const fraction = padded.slice(padded.length - scale) + this.pick(['', '', '0', '0000', '1']);
    const number = `${this.pick(['', '-'])}${whole}${fraction === '' ? '' : `.${fraction}`}`;
    return this.chance(0.2) ? `${number}${this.pick(['e0', 'E1', 'e-1', 'e+2', 'e-03'])}` : number;
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
        return this.pick([this.epoch(), this.spell(this.timestamp()), this.spell(this.patterned())]);
      case 'binary':
        return this.spell(this.base64());
      case 'float':
        return this.chance(0.3)
          ? this.nearMidpoint()
          : this.pick([this.integer(), this.double(), this.pick(FLOATS)]);
      case 'short':
      case 'byte':
        return this.chance(0.6) ? `${this.pick(['', '-'])}${this.below(200)}` : this.integer();
      case 'double':
        return this.chance(0.3) ? this.integer() : this.double();
      default:
        return this.integer();
    }
  }

  private base64(): string {
    const text = Buffer.from(Array.from({ length: this.below(10) }, () => this.below(256))).toString(
      'base64',
    );
    return this.chance(0.8)
      ? text
      : this.pick([`${text}=`, text.slice(1), `${text} `, text.replace(/.=/, 'B='), '-_--']);
  }

  /** The decimals of the place between two floats, or a digit beside it. */
  private nearMidpoint(): string {
    const bits = Uint32Array.of(this.below(4) === 0 ? this.below(64) : this.below(0x7f800000));
    const float = new Float32Array(bits.buffer)[0] as number;
    bits[0] = (bits[0] as number) + 1;
    const next = new Float32Array(bits.buffer)[0] as number;
    const between = exactDecimal(Number.isFinite(next) ? (float + next) / 2 : 2 ** 128 - 2 ** 103);
    return this.pick([
      between,
      `${between}0001`,
      `${between}e0`,
      between.replace(/[1-9](?=0*$)/, (digit) => String(Number(digit) - 1)),
    ]);
  }

  private epoch(): string {
    if (this.chance(0.3)) return this.integer();
    const seconds = String(this.below(2_000_000_000));
    const digits = Array.from({ length: this.below(8) }, () => this.pick([0, 0, 5, this.below(10)])).join('');
    return this.pick([
      seconds,
      `${seconds}123`,
      `${seconds}123456`,
      `${seconds}123456${this.pick(['000', '000', '789'])}`,
      `${seconds}${this.pick(['000', '123000'])}.0`,
      `1.7E${this.pick([9, 12, 15, 18])}`,
      `-${seconds}.5`,
      `${this.pick(['', '-'])}${seconds}.${digits}`,
      `${seconds}e0`,
    ]);
  }

  /** A text in one of the patterns, now and then with a number that does not fit. */
  private patterned(): string {
    const two = (from: number, to: number): string =>
      String(from + this.below(to - from + 2)).padStart(2, '0');
    const month = this.pick(['Jan', 'feb', 'MAR', 'May', 'Dec', 'Foo']);
    const year = `20${two(0, 98)}`;
    const time = `${two(0, 23)}:${two(0, 59)}:${two(0, 59)}`;
    const zone = this.pick(['Z', '+01:30', '-0800', '+00', '+19:00', '']);
    const fraction = this.pick(['', '.5', '.123456', '.123456000', '.1234567', '.']);
    return this.pick([
      `${year}-${two(1, 12)}-${two(1, 28)} ${time}${fraction}`,
      `${year}-${two(1, 12)}-${two(1, 28)}T${this.pick([time, time.slice(0, 5)])}${fraction}${zone}`,
      `${two(1, 28)}/${two(1, 12)}/${year} ${time.slice(0, 5)}`,
      `${1 + this.below(13)}/${1 + this.below(31)}/24 ${this.below(14)}:${two(0, 59)} ${this.pick(['AM', 'pm', 'XM'])}`,
      `${two(1, 28)}/${month}/${year}:${time} ${this.pick(['+0100', '-0730', 'Z', '+1'])}`,
      `${1 + this.below(28)} ${this.pick(['January', 'march', 'MAY', 'Sept'])} ${year}${this.pick(['', ' 7', ' 12'])}${zone}`,
      `${year}${two(1, 12)}${two(1, 28)}${time.replaceAll(':', '')}${this.pick(['1', '123', '1234', ''])}`,
      `'${year}年${two(1, 12)}月${two(1, 28)}`,
    ]);
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
    const zone = this.pick([
      '',
      'Z',
      'Z',
      'z',
      `+${two(20)}`,
      `+${two(20)}:${two(62)}`,
      `-${two(20)}${two(62)}`,
      '+01',
    ]);
    return `${this.date()}${this.pick(['T', 'T', ' ', 't'])}${two(25)}:${two(61)}${this.chance(0.2) ? '' : `:${two(61)}${fraction}`}${zone}`;
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

/** With a field of that type at a path, where another is not in the way. */
function grown({ fields }: Schema, [name = '', ...further]: readonly string[], column: Field): Schema {
  const found = fields.find((field) => field.name === name);
  if (found === undefined) {
    const type: DataType =
      further.length === 0
        ? column.type
        : { kind: 'struct', fields: grown({ fields: [] }, further, column).fields };
    return { fields: [...fields, { name, type, nullable: true }] };
  }
  if (found.type.kind !== 'struct' || further.length === 0) return { fields };
  const type = { ...found.type, fields: grown(found.type, further, column).fields };
  return { fields: fields.map((field) => (field === found ? { ...field, type } : field)) };
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
const PRIMITIVES: PrimitiveName[] = [
  'string',
  'long',
  'integer',
  'short',
  'byte',
  'double',
  'float',
  'boolean',
  'binary',
  'date',
  'timestamp',
  'timestamp',
];
const FORMATS = [
  'iso8601',
  'epochSeconds',
  'epochMillis',
  'epochMicros',
  'epochNanos',
  ...Object.keys(PATTERNS),
  ...Object.keys(PATTERNS),
];
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
const FLOATS = [
  '3.4028235e38 3.4028235677973366e38 3.40282356779733661637539395458142568447e38 3.4028235677973366e38 1e39 -1e39',
  '1e-45 7e-46 7.006492321624085e-46 1.1754943508222875e-38 16777217 16777216.999999999999999999999 0.1 1e-60 -0.0',
  `16777217.${'0'.repeat(300)}1 0.${'0'.repeat(300)}1e301 ${'1'.repeat(200)}e-180`,
].flatMap((line) => line.split(' '));

/** All digits of a double: BigInt has the integer, five and ten divide the rest. */
function exactDecimal(value: number): string {
  const places = Number.isInteger(value) ? 0 : 160;
  const digits = String(BigInt(value * 2 ** 160) * 5n ** 160n).padStart(161, '0');
  const whole = digits.slice(0, -160);
  return places === 0 ? whole : `${whole}.${digits.slice(-160).replace(/0+$/, '')}`;
}
