import type { TimestampFormat } from '../../src/pipeline/specification.ts';
import type { DataType, Field, PrimitiveName, Schema } from '../../src/records/ddl.ts';
import type { DecodeOutcome } from '../../src/records/json-decoder.ts';
import type { Assembled } from './assembly.ts';

export interface Decoded {
  readonly outcome: DecodeOutcome;
  readonly row: Assembled;
}

/**
 * What the decoder must make of a record, the slow and obvious way. `JSON.parse` judges the grammar, a fatal
 * `TextDecoder` the bytes; then the text is cut into tokens, since parsing loses duplicates and the digits of numbers.
 */
export function decodeSlowly(
  schema: Schema,
  timestamps: Readonly<Record<string, TimestampFormat>>,
  bytes: Uint8Array,
  maxDepth = 512,
): Decoded {
  const model = new Model(timestamps);
  try {
    const row = model.record(schema, treeOf(bytes, maxDepth));
    return { outcome: model.misfits > 0 ? 'fieldDefect' : 'row', row };
  } catch (thrown) {
    if (thrown instanceof RecordDefect) return { outcome: 'recordDefect', row: null };
    throw thrown;
  }
}

class RecordDefect extends Error {}
class Misfit extends Error {}

type Tree =
  | { readonly kind: 'object'; readonly entries: readonly (readonly [string, Tree])[] }
  | { readonly kind: 'array'; readonly elements: readonly Tree[] }
  | { readonly kind: 'scalar'; readonly source: string };

function treeOf(bytes: Uint8Array, maxDepth: number): Tree {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    JSON.parse(text);
    return buildTree(text.match(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g) ?? [], maxDepth);
  } catch (cause) {
    throw new RecordDefect('not JSON', { cause });
  }
}

/** `tokens` are known to be JSON. */
function buildTree(tokens: readonly string[], maxDepth: number): Tree {
  let next = 0;
  const value = (depth: number): Tree => {
    const source = tokens[next++] as string;
    if (source !== '{' && source !== '[') return { kind: 'scalar', source };
    if (depth === maxDepth) throw new RecordDefect('too deep');
    const close = source === '{' ? '}' : ']';
    const entries: [string, Tree][] = [];
    const elements: Tree[] = [];
    while (tokens[next] !== close) {
      if (tokens[next] === ',') next++;
      if (source === '[') elements.push(value(depth + 1));
      else {
        const key: string = JSON.parse(tokens[next] as string);
        next += 2;
        entries.push([key, value(depth + 1)]);
      }
    }
    next++;
    return source === '{' ? { kind: 'object', entries } : { kind: 'array', elements };
  };
  return value(0);
}

class Model {
  misfits = 0;
  private readonly timestamps: Readonly<Record<string, TimestampFormat>>;

  constructor(timestamps: Readonly<Record<string, TimestampFormat>>) {
    this.timestamps = timestamps;
  }

  record(schema: Schema, tree: Tree): Assembled {
    if (tree.kind !== 'object') throw new RecordDefect('not an object');
    return this.object(schema.fields, tree.entries, (name) =>
      Object.hasOwn(this.timestamps, name) ? (this.timestamps[name] as TimestampFormat) : 'iso8601',
    );
  }

  private object(
    fields: readonly Field[],
    entries: readonly (readonly [string, Tree])[],
    format: (name: string) => TimestampFormat,
  ): Assembled {
    const object: { [name: string]: Assembled } = Object.create(null);
    for (const { name, type, nullable } of fields) {
      const found = entries.filter(([key]) => key === name);
      if (found.length > 1) throw new RecordDefect(`duplicate ${name}`);
      const tree = found[0]?.[1];
      object[name] = tree === undefined ? absent(nullable) : this.value(type, nullable, tree, format(name));
    }
    return object;
  }

  private value(type: DataType, nullable: boolean, tree: Tree, format: TimestampFormat): Assembled {
    if (tree.kind === 'scalar' && tree.source === 'null') return absent(nullable);
    try {
      return this.fitting(type, tree, format);
    } catch (thrown) {
      if (!(thrown instanceof Misfit)) throw thrown;
      this.misfits++;
      return absent(nullable);
    }
  }

  private fitting(type: DataType, tree: Tree, format: TimestampFormat): Assembled {
    if (type.kind === 'struct' && tree.kind === 'object')
      return this.object(type.fields, tree.entries, () => 'iso8601');
    if (type.kind === 'array' && tree.kind === 'array') {
      return tree.elements.map((element) => this.value(type.element, type.containsNull, element, 'iso8601'));
    }
    if (type.kind !== 'primitive' || tree.kind !== 'scalar') throw new Misfit();
    return scalar(type.name, tree.source, format);
  }
}

function absent(nullable: boolean): null {
  if (!nullable) throw new RecordDefect('null');
  return null;
}

function scalar(type: PrimitiveName, source: string, format: TimestampFormat): Assembled {
  switch (type) {
    case 'string':
      return stringOf(source);
    case 'boolean':
      if (source !== 'true' && source !== 'false') throw new Misfit();
      return source === 'true';
    case 'double':
      if (!/^[-0-9]/.test(source) || !Number.isFinite(Number(source))) throw new Misfit();
      return Number(source);
    case 'long':
      return integerOf(source, -(2n ** 63n), 2n ** 63n - 1n);
    case 'integer':
      return Number(integerOf(source, -(2n ** 31n), 2n ** 31n - 1n));
    case 'date':
      return Number(daysOf(stringOf(source)));
    case 'timestamp':
      return format === 'iso8601'
        ? microsecondsOf(stringOf(source))
        : integerOf(source, MIN_MICROSECONDS / 1000n, MAX_MICROSECONDS / 1000n) * 1000n;
  }
}

const MIN_MICROSECONDS = BigInt(Date.parse('0001-01-01T00:00:00Z')) * 1000n;
const MAX_MICROSECONDS = BigInt(Date.parse('9999-12-31T23:59:59.999Z')) * 1000n + 999n;

function stringOf(source: string): string {
  if (!source.startsWith('"')) throw new Misfit();
  const text: string = JSON.parse(source);
  if (!text.isWellFormed()) throw new Misfit();
  return text;
}

function integerOf(source: string, min: bigint, max: bigint): bigint {
  if (!/^-?[0-9]+$/.test(source)) throw new Misfit();
  const value = BigInt(source);
  if (value < min || value > max) throw new Misfit();
  return value;
}

/** `Date` rolls February 30 over into March, so the day is only right if it comes back. */
function daysOf(text: string): bigint {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text) || text.startsWith('0000')) throw new Misfit();
  const millis = Date.parse(`${text}T00:00:00Z`);
  if (Number.isNaN(millis) || new Date(millis).toISOString().slice(0, 10) !== text) throw new Misfit();
  return BigInt(millis) / 86_400_000n;
}

const TIME =
  /^[T ]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:?[0-9]{2})?$/;

function microsecondsOf(text: string): bigint {
  const midnight = daysOf(text.slice(0, 10)) * 86_400_000_000n;
  if (text.length === 10) return midnight;
  const [, hours = '', minutes = '', seconds = '', fraction = '', zone = 'Z'] =
    TIME.exec(text.slice(10)) ?? [];
  if (hours === '') throw new Misfit();
  const nanoseconds = BigInt(fraction.padEnd(9, '0'));
  if (nanoseconds % 1000n !== 0n) throw new Misfit();
  const time =
    (BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds)) * 1_000_000n + nanoseconds / 1000n;
  const value = midnight + time - offsetOf(zone);
  if (value < MIN_MICROSECONDS || value > MAX_MICROSECONDS) throw new Misfit();
  return value;
}

function offsetOf(zone: string): bigint {
  if (zone === 'Z') return 0n;
  const hours = BigInt(zone.slice(1, 3));
  const minutes = BigInt(zone.slice(-2));
  if (minutes > 59n || hours * 60n + minutes > 18n * 60n) throw new Misfit();
  return (hours * 3600n + minutes * 60n) * 1_000_000n * (zone.startsWith('-') ? -1n : 1n);
}
