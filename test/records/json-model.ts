import type { DataType, DecimalType, Field, PrimitiveName, Schema } from '../../src/records/ddl.ts';
import type { ValueRules } from '../../src/records/decode-plan.ts';
import type { DecodeOutcome } from '../../src/records/json-decoder.ts';
import type { Assembled } from './assembly.ts';
import { readPattern } from './pattern-model.ts';

export interface Decoded {
  readonly outcome: DecodeOutcome;
  readonly row: Assembled;
  /** Text of `_rest`. */
  readonly rest: string | null;
  /** Times that lost digits. */
  readonly truncated: number;
}

/**
 * What the decoder must make of a record, the slow and obvious way. `JSON.parse` judges the grammar, a fatal
 * `TextDecoder` the bytes; then the text is cut into tokens, since parsing loses duplicates and the digits of
 * numbers.
 */
export function decodeSlowly(schema: Schema, rules: ValueRules, bytes: Uint8Array, maxDepth = 512): Decoded {
  const model = new Model(rules);
  try {
    const row = model.record(schema, treeOf(bytes, maxDepth));
    const { misfits, truncated } = model;
    return { outcome: misfits > 0 ? 'fieldDefect' : 'row', row, rest: model.rest(), truncated };
  } catch (thrown) {
    if (thrown instanceof RecordDefect)
      return { outcome: 'recordDefect', row: null, rest: null, truncated: 0 };
    throw thrown;
  }
}

class RecordDefect extends Error {}
export class Misfit extends Error {}

type Tree = { readonly start: number; readonly source: string } & (
  | { readonly kind: 'object'; readonly entries: readonly (readonly [string, Tree])[] }
  | { readonly kind: 'array'; readonly elements: readonly Tree[] }
  | { readonly kind: 'scalar' }
);

function treeOf(bytes: Uint8Array, maxDepth: number): Tree {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    JSON.parse(text);
    return buildTree(text, maxDepth);
  } catch (cause) {
    throw new RecordDefect('not JSON', { cause });
  }
}

/** `text` is known to be JSON. */
function buildTree(text: string, maxDepth: number): Tree {
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g)];
  let next = 0;
  const value = (depth: number): Tree => {
    const { 0: first, index: start } = tokens[next++] as RegExpExecArray;
    if (first !== '{' && first !== '[') return { kind: 'scalar', start, source: first };
    if (depth === maxDepth) throw new RecordDefect('too deep');
    const close = first === '{' ? '}' : ']';
    const entries: [string, Tree][] = [];
    const elements: Tree[] = [];
    while (tokens[next]?.[0] !== close) {
      if (tokens[next]?.[0] === ',') next++;
      if (first === '[') elements.push(value(depth + 1));
      else {
        const key: string = JSON.parse(tokens[next]?.[0] as string);
        next += 2;
        entries.push([key, value(depth + 1)]);
      }
    }
    const source = text.slice(start, (tokens[next++] as RegExpExecArray).index + 1);
    return first === '{'
      ? { kind: 'object', start, source, entries }
      : { kind: 'array', start, source, elements };
  };
  return value(0);
}

class Model {
  misfits = 0;
  truncated = 0;
  private readonly rules: ValueRules;
  private readonly unknown: { readonly start: number; readonly text: string }[] = [];

  constructor(rules: ValueRules) {
    this.rules = rules;
  }

  record(schema: Schema, tree: Tree): Assembled {
    if (tree.kind !== 'object') throw new RecordDefect('not an object');
    const row: { [name: string]: Assembled } = Object.create(null);
    const place: Taken = { types: [], fields: new Map() };
    for (const { name, type, nullable } of schema.fields) {
      const { from = {} } = this.rules;
      const path = Object.hasOwn(from, name) ? from[name] : undefined;
      if (path === null) row[name] = absent(nullable);
      else {
        const steps = path?.split('.') ?? [name];
        row[name] = this.at(type, nullable, tree, steps, { column: columnStep('', name), place: '' });
        takeAt(place, steps).types.push(type);
      }
    }
    this.leftOver(place, tree, '');
    return row;
  }

  /** A column's value at `steps` into `tree`. */
  private at(type: DataType, nullable: boolean, tree: Tree, steps: readonly string[], path: Path): Assembled {
    const [name, ...further] = steps;
    if (name === undefined) return this.value(type, nullable, tree, path);
    if (tree.source === 'null') return absent(nullable);
    if (tree.kind !== 'object') {
      this.misfits++;
      return absent(nullable);
    }
    const found = tree.entries.filter(([key]) => key === name);
    if (found.length > 1) throw new RecordDefect(`duplicate ${name}`);
    const inner = found[0]?.[1];
    return inner === undefined ? absent(nullable) : this.at(type, nullable, inner, further, path);
  }

  /** What no column takes of a value, in `unknown`. What looks into it comes before what takes it whole. */
  private leftOver({ types, fields }: Taken, tree: Tree, place: string): void {
    const struct = types.find((type) => type.kind === 'struct');
    const [type] = types;
    if (tree.kind === 'array' && type?.kind === 'array' && !struct && fields.size === 0)
      tree.elements.forEach((element, i) => {
        this.leftOver({ types: [type.element], fields: new Map() }, element, `${place}[${i}]`);
      });
    if (tree.kind !== 'object') return;
    if (struct === undefined && fields.size === 0 && place !== '') {
      if (type?.kind !== 'map') return;
      for (const [key, inner] of tree.entries)
        this.leftOver({ types: [type.value], fields: new Map() }, inner, placeStep(place, key));
      return;
    }
    for (const [key, inner] of tree.entries) {
      const own = struct?.fields.find(({ name }) => name === key)?.type;
      const other = fields.get(key);
      const path = placeStep(place, key);
      if (own === undefined && other === undefined)
        this.unknown.push({ start: inner.start, text: `${JSON.stringify(path)}:${inner.source}` });
      else {
        const taken = [...(own ? [own] : []), ...(other?.types ?? [])];
        this.leftOver({ types: taken, fields: other?.fields ?? new Map() }, inner, path);
      }
    }
  }

  rest(): string | null {
    const inOrder = this.unknown.sort((a, b) => a.start - b.start).map(({ text }) => text);
    return inOrder.length === 0 ? null : `{${inOrder.join(',')}}`;
  }

  private object(
    fields: readonly Field[],
    entries: readonly (readonly [string, Tree])[],
    at: Path,
  ): Assembled {
    const object: { [name: string]: Assembled } = Object.create(null);
    for (const { name, type, nullable } of fields) {
      const found = entries.filter(([key]) => key === name);
      if (found.length > 1) throw new RecordDefect(`duplicate ${name}`);
      const tree = found[0]?.[1];
      const below = { column: columnStep(at.column, name), place: placeStep(at.place, name) };
      object[name] = tree === undefined ? absent(nullable) : this.value(type, nullable, tree, below);
    }
    return object;
  }

  private map(
    type: DataType & { kind: 'map' },
    entries: readonly (readonly [string, Tree])[],
    at: Path,
  ): Assembled {
    const keys = entries.map(([key]) => key);
    if (new Set(keys).size < keys.length) throw new RecordDefect('duplicate key');
    if (keys.some((key) => !key.isWellFormed())) throw new RecordDefect('key is no text');
    return entries.map(([key, tree]) => {
      const below = { column: at.column, place: placeStep(at.place, key) };
      const value = this.value(type.value, type.valueContainsNull, tree, below);
      return Object.assign(Object.create(null), { key, value });
    });
  }

  private value(type: DataType, nullable: boolean, tree: Tree, at: Path): Assembled {
    if (tree.source === 'null') return absent(nullable);
    try {
      return this.fitting(type, tree, at);
    } catch (thrown) {
      if (!(thrown instanceof Misfit)) throw thrown;
      this.misfits++;
      return absent(nullable);
    }
  }

  private fitting(type: DataType, tree: Tree, at: Path): Assembled {
    if (type.kind === 'struct' && tree.kind === 'object') return this.object(type.fields, tree.entries, at);
    if (type.kind === 'map' && tree.kind === 'object') return this.map(type, tree.entries, at);
    if (type.kind === 'array' && tree.kind === 'array') {
      return tree.elements.map((element, i) =>
        this.value(type.element, type.containsNull, element, {
          column: at.column,
          place: `${at.place}[${i}]`,
        }),
      );
    }
    if (tree.kind !== 'scalar') throw new Misfit();
    if (type.kind === 'decimal') return decimalOf(this.numberIn(tree.source), type);
    if (type.kind !== 'primitive') throw new Misfit();
    if (type.name === 'timestamp') return this.timestamp(tree.source, at.column);
    return scalar(type.name, NUMBERS.has(type.name) ? this.numberIn(tree.source) : tree.source);
  }

  private timestamp(source: string, column: string): bigint {
    const { timestamps = {}, truncateTimestamps = [] } = this.rules;
    const format = (Object.hasOwn(timestamps, column) ? timestamps[column] : undefined) ?? 'iso8601';
    const picoseconds = format.startsWith('epoch')
      ? epochPicoseconds(this.numberIn(source), format)
      : format === 'iso8601'
        ? isoPicoseconds(stringOf(source))
        : readPattern(format, stringOf(source));
    const finer = ((picoseconds % 1_000_000n) + 1_000_000n) % 1_000_000n;
    const value = inRange((picoseconds - finer) / 1_000_000n);
    if (finer === 0n) return value;
    if (truncateTimestamps !== true && !truncateTimestamps.includes(column)) throw new Misfit();
    this.truncated++;
    return value;
  }

  private numberIn(source: string): string {
    const inner = /^"([^"\\]*)"$/.exec(source)?.[1];
    if (!this.rules.quotedNumbers || inner === undefined) return source;
    // What is a number is what `JSON.parse` takes for one.
    if (!/^[-0-9]/.test(inner) || /\s$/.test(inner)) throw new Misfit();
    try {
      JSON.parse(inner);
    } catch {
      throw new Misfit();
    }
    return inner;
  }
}

/** A place in a record: the types of the columns that take its value, and the places in it. */
interface Taken {
  readonly types: DataType[];
  readonly fields: Map<string, Taken>;
}

function takeAt(place: Taken, [name, ...further]: readonly string[]): Taken {
  if (name === undefined) return place;
  const inner = place.fields.get(name) ?? { types: [], fields: new Map() };
  place.fields.set(name, inner);
  return takeAt(inner, further);
}

/** Of a value: the path of its column in the schema, and its place in the document. */
interface Path {
  readonly column: string;
  readonly place: string;
}

function columnStep(parent: string, name: string): string {
  const step = name.includes('.') || name.includes('`') ? `\`${name.replaceAll('`', '``')}\`` : name;
  return [parent, step].filter((part) => part !== '').join('.');
}

function placeStep(parent: string, name: string): string {
  const step = /^[A-Za-z_]\w*$/.test(name) ? name : `\`${name.replaceAll('`', '``')}\``;
  return parent === '' ? step : `${parent}.${step}`;
}

function absent(nullable: boolean): null {
  if (!nullable) throw new RecordDefect('null');
  return null;
}

const NUMBERS: ReadonlySet<PrimitiveName> = new Set(['double', 'float', 'long', 'integer', 'short', 'byte']);

function scalar(type: Exclude<PrimitiveName, 'timestamp'>, source: string): Assembled {
  switch (type) {
    case 'string':
      return stringOf(source);
    case 'binary':
      return binaryOf(stringOf(source));
    case 'boolean':
      if (source !== 'true' && source !== 'false') throw new Misfit();
      return source === 'true';
    case 'double':
      if (!/^[-0-9]/.test(source) || !Number.isFinite(Number(source))) throw new Misfit();
      return Number(source);
    case 'float':
      return floatOf(source);
    case 'long':
      return integerOf(source, -(2n ** 63n), 2n ** 63n - 1n);
    case 'integer':
      return Number(integerOf(source, -(2n ** 31n), 2n ** 31n - 1n));
    case 'short':
      return Number(integerOf(source, -32768n, 32767n));
    case 'byte':
      return Number(integerOf(source, -128n, 127n));
    case 'date':
      return Number(daysOf(stringOf(source)));
  }
}

function stringOf(source: string): string {
  if (!source.startsWith('"')) throw new Misfit();
  const text: string = JSON.parse(source);
  if (!text.isWellFormed()) throw new Misfit();
  return text;
}

function binaryOf(text: string): string {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new Misfit();
  return `0x${bytes.toString('hex')}`;
}

function integerOf(source: string, min: bigint, max: bigint): bigint {
  if (!/^-?[0-9]+$/.test(source)) throw new Misfit();
  const value = BigInt(source);
  if (value < min || value > max) throw new Misfit();
  return value;
}

/** An exact fraction: `numerator / 10 ** places`. */
interface Exact {
  readonly numerator: bigint;
  readonly places: number;
}

/** Of a number whose exponent has few digits; one with more is 0, or beyond every range. */
function exactOf(source: string): Exact | 'huge' | 'tiny' {
  const [, sign = '', whole = '', fraction = '', power = '0'] =
    /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(source) ?? [];
  if (whole === '') throw new Misfit();
  const numerator = BigInt(`${whole}${fraction}`) * (sign === '-' ? -1n : 1n);
  if (numerator === 0n) return { numerator, places: 0 };
  if (Math.abs(Number(power)) > 5000) return Number(power) > 0 ? 'huge' : 'tiny';
  return { numerator, places: fraction.length - Number(power) };
}

function decimalOf(source: string, { precision, scale }: DecimalType): Assembled {
  const value = scaled(source, scale);
  if (value >= 10n ** BigInt(precision) || value <= -(10n ** BigInt(precision))) throw new Misfit();
  return precision <= 9 ? Number(value) : value;
}

/** Times `10 ** scale`, which must be an integer. */
function scaled(source: string, scale: number): bigint {
  const exact = exactOf(source);
  if (typeof exact === 'string') throw new Misfit();
  const { numerator, places } = exact;
  if (places <= scale) return numerator * 10n ** BigInt(scale - places);
  const divisor = 10n ** BigInt(places - scale);
  if (numerator % divisor !== 0n) throw new Misfit();
  return numerator / divisor;
}

/** The nearest of the floats around the number, each compared with it exactly; a tie goes to the even one. */
function floatOf(source: string): number {
  const exact = exactOf(source);
  if (exact === 'huge') throw new Misfit();
  const sign = source.startsWith('-') ? -1 : 1;
  if (exact === 'tiny') return sign * 0;
  const estimate = bitsOf(Math.min(Math.abs(Number(source)), MAX_FLOAT));
  const candidates = [estimate - 1, estimate, estimate + 1].filter((bits) => bits >= 0);
  const numerator = exact.numerator < 0n ? -exact.numerator : exact.numerator;
  let best = 0;
  let smallest: bigint | undefined;
  for (const bits of candidates) {
    const distance = distanceTo(bits, { ...exact, numerator });
    if (smallest === undefined || distance < smallest || (distance === smallest && bits % 2 === 0)) {
      smallest = distance;
      best = bits;
    }
  }
  if (best === INFINITY_BITS) throw new Misfit();
  return sign * floatWith(best);
}

const MAX_FLOAT = 2 ** 128 - 2 ** 104;
const INFINITY_BITS = 0x7f800000;

function bitsOf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0] as number;
}

function floatWith(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0] as number;
}

/**
 * Times `2 ** 149 * 10 ** |places|`, so that it is an integer. Infinity stands where the next float would:
 * 2^128.
 */
function distanceTo(bits: number, { numerator, places }: Exact): bigint {
  const float = bits === INFINITY_BITS ? 2 ** 128 : floatWith(bits);
  const power = 10n ** BigInt(Math.abs(places));
  const candidate = BigInt(float * 2 ** 149) * (places > 0 ? power : 1n);
  const number = (numerator << 149n) * (places < 0 ? power : 1n);
  return candidate > number ? candidate - number : number - candidate;
}

/** `Date` rolls February 30 over into March, so the day is only right if it comes back. */
export function daysOf(text: string): bigint {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text) || text.startsWith('0000')) throw new Misfit();
  const millis = Date.parse(`${text}T00:00:00Z`);
  if (Number.isNaN(millis) || new Date(millis).toISOString().slice(0, 10) !== text) throw new Misfit();
  return BigInt(millis) / 86_400_000n;
}

const UNIT_PLACES: Readonly<Record<string, number>> = {
  epochSeconds: 12,
  epochMillis: 9,
  epochMicros: 6,
  epochNanos: 3,
};

/**
 * Of seconds a fraction counts, of all others there is none. A fraction finer than picoseconds counts as one.
 */
function epochPicoseconds(source: string, format: string): bigint {
  const exact = exactOf(source);
  if (exact === 'huge') throw new Misfit();
  const isSeconds = format === 'epochSeconds';
  if (exact === 'tiny') {
    if (!isSeconds) throw new Misfit();
    return source.startsWith('-') ? -1n : 1n;
  }
  if (!isSeconds) return scaled(source, 0) * 10n ** BigInt(UNIT_PLACES[format] ?? 0);
  const { numerator, places } = exact;
  if (places <= 12) return numerator * 10n ** BigInt(12 - places);
  const divisor = 10n ** BigInt(places - 12);
  if (numerator % divisor === 0n) return numerator / divisor;
  const floor = numerator / divisor - (numerator < 0n ? 1n : 0n);
  return floor % 1_000_000n === 0n ? floor + 1n : floor;
}

function inRange(microseconds: bigint): bigint {
  if (microseconds < MIN_MICROSECONDS || microseconds > MAX_MICROSECONDS) throw new Misfit();
  return microseconds;
}

const MIN_MICROSECONDS = BigInt(Date.parse('0001-01-01T00:00:00Z')) * 1000n;
const MAX_MICROSECONDS = BigInt(Date.parse('9999-12-31T23:59:59.999Z')) * 1000n + 999n;

const TIME =
  /^[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?$/;

function isoPicoseconds(text: string): bigint {
  const midnight = daysOf(text.slice(0, 10)) * 86_400n * SECOND;
  if (text.length === 10) return midnight;
  const [, hours = '', minutes = '', seconds = '0', fraction = '', zone = 'Z'] =
    TIME.exec(text.slice(10)) ?? [];
  if (hours === '') throw new Misfit();
  const time = (BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds)) * SECOND;
  return midnight + time + picosecondsOf(fraction) - offsetOf(zone);
}

/** In picoseconds: what is finer than a microsecond is still to be seen. */
export const SECOND = 1_000_000_000_000n;

/** Of the digits after the point. */
export function picosecondsOf(fraction: string): bigint {
  return BigInt(fraction.padEnd(12, '0'));
}

/** Of `Z`, `+01`, `+0130` or `+01:30`, in picoseconds. */
export function offsetOf(zone: string): bigint {
  if (zone === 'Z') return 0n;
  const hours = BigInt(zone.slice(1, 3));
  const minutes = BigInt(zone.length === 3 ? 0 : zone.slice(-2));
  if (minutes > 59n || hours * 60n + minutes > 18n * 60n) throw new Misfit();
  return (hours * 3600n + minutes * 60n) * SECOND * (zone.startsWith('-') ? -1n : 1n);
}
