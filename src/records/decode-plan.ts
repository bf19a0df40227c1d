import { assert } from '../errors.ts';
import { type ColumnNode, LeafColumn, type LeafType } from './columns.ts';
import type { PrimitiveName } from './ddl.ts';
import { appendStep } from './json-path.ts';
import { KeySet } from './key-set.ts';
import { EPOCH_FORMATS, type EpochFormat, type TimestampFormat } from './timestamp-format.ts';
import { TimestampPattern } from './timestamp-pattern.ts';

/** What a column takes from JSON. Small integers, so that the decoder's switch is a jump. */
export const Kind = {
  string: 0,
  long: 1,
  /** INT, SMALLINT and TINYINT. */
  integer: 2,
  double: 3,
  boolean: 4,
  date: 5,
  isoTimestamp: 6,
  epochMillis: 7,
  array: 8,
  object: 9,
  float: 10,
  decimal: 11,
  binary: 12,
  map: 13,
  epochSeconds: 14,
  epochMicros: 15,
  patternTimestamp: 16,
  epochNanos: 17,
} as const;

export type Kind = (typeof Kind)[keyof typeof Kind];

/** How values are read where there is more than one way. */
export interface ValueRules {
  /** By path, as `timestampPaths` has them; iso8601 where absent. */
  readonly timestamps?: Readonly<Record<string, TimestampFormat>> | undefined;
  /** TIMESTAMPs, by path or all, whose digits beyond microseconds are cut off; else such a value does not fit. */
  readonly truncateTimestamps?: true | readonly string[] | undefined;
  /** A number may stand in quotes, as proto3's JSON writes 64-bit integers. */
  readonly quotedNumbers?: boolean | undefined;
}

/** The record as one object whose fields are the top-level columns. */
export function compilePlan(
  nodes: readonly ColumnNode[],
  { timestamps = {}, truncateTimestamps = [], quotedNumbers = false }: ValueRules,
): Plan {
  const rules = {
    formats: new Map(Object.entries(timestamps)),
    truncates: (path: string) => truncateTimestamps === true || truncateTimestamps.includes(path),
    quotedNumbers,
  };
  const fields = nodes.map((node) => compile(node, appendStep('', node.name), rules));
  assert(rules.formats.size === 0, `${[...rules.formats.keys()]} is no TIMESTAMP column of the record`);
  const levels = { name: '', nullable: false, definitionLevel: 0, repetitionLevel: 0 };
  return new Plan({ kind: 'struct', ...levels, fields: nodes }, NO_RULES, fields, undefined);
}

interface CompileRules {
  /** What is used is taken out. */
  readonly formats: Map<string, TimestampFormat>;
  readonly truncates: (path: string) => boolean;
  readonly quotedNumbers: boolean;
}

/** Elements and map values have the path of their column. */
function compile(node: ColumnNode, path: string, rules: CompileRules): Plan {
  if (node.kind === 'struct') {
    const fields = node.fields.map((field) => compile(field, appendStep(path, field.name), rules));
    return new Plan(node, NO_RULES, fields, undefined);
  }
  if (node.kind === 'array') return new Plan(node, NO_RULES, [], compile(node.element, path, rules));
  if (node.kind === 'map') return new Plan(node, NO_RULES, [], compile(node.value, path, rules));
  return new Plan(node, leafRules(node.leaf.type, path, rules), [], undefined);
}

interface LeafRules {
  readonly format: TimestampFormat | undefined;
  readonly truncates: boolean;
  readonly quotedNumbers: boolean;
}

const NO_RULES: LeafRules = { format: undefined, truncates: false, quotedNumbers: false };

function leafRules(type: LeafType, path: string, rules: CompileRules): LeafRules {
  const { formats, truncates, quotedNumbers } = rules;
  if (type.kind !== 'primitive' || type.name !== 'timestamp') return { ...NO_RULES, quotedNumbers };
  const format = formats.get(path);
  formats.delete(path);
  return { format, truncates: truncates(path), quotedNumbers };
}

/**
 * A column as the decoder wants it. One class for leaves, arrays, maps and objects alike: V8 then sees one shape
 * everywhere, and property reads in the hot path stay direct.
 */
export class Plan {
  // What is read for every value stands first, in as few cache lines as it takes: a record may have hundreds of columns.
  readonly kind: Kind;
  /** 1 at the bytes that a fitting value begins with. */
  readonly firstBytes: Uint8Array;
  /** Stands for nothing where this is no leaf; of a map its keys. */
  readonly leaf: LeafColumn;
  /** The visit of the object around this that had this field last: finds duplicates and gaps without clearing a set. */
  visit = 0;
  readonly nullable: boolean;

  readonly name: string;
  readonly definitionLevel: number;
  readonly repetitionLevel: number;
  /** All leaves below, itself included. */
  readonly leaves: readonly LeafColumn[];
  readonly fields: readonly Plan[];
  readonly leads: Leads;
  /** Of an array its elements, of a map its values. */
  readonly element: Plan | undefined;
  /** Of `Kind.integer`: the largest; the smallest is `-max - 1`. */
  readonly max: number;
  /** Of `Kind.decimal`. */
  readonly precision: number;
  readonly scale: number;
  readonly pattern: TimestampPattern | undefined;
  /** Of a TIMESTAMP: digits beyond microseconds are cut off. */
  readonly truncates: boolean;
  /** Takes a number in quotes. */
  readonly takesQuoted: boolean;
  /** Of a map: the keys that the object being decoded had so far. */
  readonly keysSeen = new KeySet();

  /** The name as UTF-8. */
  readonly key: Uint8Array;
  /** The name as JSON spells it, with its closing quote: bytes that match it are this key and nothing else. */
  readonly quotedKey: Uint8Array;

  private visits = 0;
  private readonly fieldsByLength: readonly (readonly number[])[];

  constructor(
    node: ColumnNode,
    { format, truncates, quotedNumbers }: LeafRules,
    fields: readonly Plan[],
    element: Plan | undefined,
  ) {
    this.kind = kindOf(node, format);
    this.firstBytes = FIRST_BYTES[this.kind];
    this.name = node.name;
    this.nullable = node.nullable;
    this.definitionLevel = node.definitionLevel;
    this.repetitionLevel = node.repetitionLevel;
    this.fields = fields;
    this.leads = new Leads(fields.length);
    this.element = element;
    this.leaf = ownLeaf(node);
    const below = [...fields, ...(element ? [element] : [])].flatMap((plan) => plan.leaves);
    this.leaves = this.leaf === NO_LEAF ? below : [this.leaf, ...below];
    const { type } = this.leaf;
    this.max = (type.kind === 'primitive' && LARGEST[type.name]) || 0;
    this.precision = type.kind === 'decimal' ? type.precision : 0;
    this.scale = type.kind === 'decimal' ? type.scale : 0;
    this.pattern =
      this.kind === Kind.patternTimestamp && format !== undefined ? new TimestampPattern(format) : undefined;
    this.truncates = truncates;
    this.takesQuoted = quotedNumbers && this.firstBytes === NUMBER;
    this.key = Buffer.from(node.name);
    this.quotedKey = Buffer.from(JSON.stringify(node.name).slice(1));
    this.fieldsByLength = byLength(fields);
  }

  /** Begins another object of this plan; a field that was met in it has this number as its `visit`. */
  nextVisit(): number {
    if (this.visits === MAX_VISITS) {
      for (const field of this.fields) field.visit = 0;
      this.visits = 0;
    }
    return ++this.visits;
  }

  /** Index of the field named by bytes `[start, end)`, or -1. */
  indexOf(bytes: Uint8Array, start: number, end: number): number {
    const candidates = this.fieldsByLength[end - start];
    if (candidates === undefined) return -1;
    for (const index of candidates) {
      const { key } = this.fields[index] as Plan;
      let i = 0;
      while (i < key.length && key[i] === bytes[start + i]) i++;
      if (i === key.length) return index;
    }
    return -1;
  }
}

/** Of one lead: a cache line. */
const SLOT_BYTES = 64;
/** Where in it: the field that follows (int32), the place of its key's quote, the text's length (0: nothing was learnt), the text. */
const KEY_OFFSET_AT = 4;
const LENGTH_AT = 5;
const TEXT_AT = 8;
/** Words are compared, so that the shortest is one; longer keys are read by the grammar. */
const LEAD_BYTES_MIN = 4;
const LEAD_BYTES_MAX = SLOT_BYTES - TEXT_AT;

/**
 * What came last between two places of an object, the next field's key in it: separators, white space, the colon. Lead 0 follows
 * the object's opening brace, lead `i + 1` the value of field `i`.
 */
export class Leads {
  private readonly slots: DataView;

  constructor(fieldCount: number) {
    this.slots = new DataView(new ArrayBuffer((fieldCount + 1) * SLOT_BYTES));
  }

  /** Length of the lead if it stands at `at` again, where it means the same; else 0. */
  lengthAt(lead: number, source: DataView, at: number, end: number): number {
    const { slots } = this;
    const slot = lead * SLOT_BYTES;
    const length = slots.getUint8(slot + LENGTH_AT);
    if (length === 0 || at + length > end) return 0;
    const text = slot + TEXT_AT;
    const last = length - 4;
    for (let i = 0; i < last; i += 4)
      if (source.getInt32(at + i, true) !== slots.getInt32(text + i, true)) return 0;
    return source.getInt32(at + last, true) === slots.getInt32(text + last, true) ? length : 0;
  }

  /** The field whose value follows. */
  fieldIndex(lead: number): number {
    return this.slots.getInt32(lead * SLOT_BYTES, true);
  }

  /** Where its key's quote stands in the lead. */
  keyOffset(lead: number): number {
    return this.slots.getUint8(lead * SLOT_BYTES + KEY_OFFSET_AT);
  }

  /** Remembers bytes `[start, end)`, the key's quote at `key`. */
  learn(lead: number, fieldIndex: number, buffer: Uint8Array, start: number, key: number, end: number): void {
    const { slots } = this;
    const slot = lead * SLOT_BYTES;
    const length = end - start;
    const fits = length >= LEAD_BYTES_MIN && length <= LEAD_BYTES_MAX;
    slots.setUint8(slot + LENGTH_AT, fits ? length : 0);
    if (!fits) return;
    slots.setInt32(slot, fieldIndex, true);
    slots.setUint8(slot + KEY_OFFSET_AT, key - start);
    for (let i = 0; i < length; i++) slots.setUint8(slot + TEXT_AT + i, buffer[start + i] as number);
  }
}

const NO_LEAF = new LeafColumn([], { kind: 'primitive', name: 'string' }, 0, 0);
/** The largest integer that V8 keeps without a heap object everywhere. */
const MAX_VISITS = 0x3fffffff;

const LARGEST: Partial<Record<PrimitiveName, number>> = { integer: 2147483647, short: 32767, byte: 127 };

const STRING = tableOf('"');
const NUMBER = tableOf('-0123456789');
const OBJECT = tableOf('{');

const FIRST_BYTES: Readonly<Record<Kind, Uint8Array>> = {
  [Kind.string]: STRING,
  [Kind.long]: NUMBER,
  [Kind.integer]: NUMBER,
  [Kind.double]: NUMBER,
  [Kind.boolean]: tableOf('tf'),
  [Kind.date]: STRING,
  [Kind.isoTimestamp]: STRING,
  [Kind.epochMillis]: NUMBER,
  [Kind.array]: tableOf('['),
  [Kind.object]: OBJECT,
  [Kind.float]: NUMBER,
  [Kind.decimal]: NUMBER,
  [Kind.binary]: STRING,
  [Kind.map]: OBJECT,
  [Kind.epochSeconds]: NUMBER,
  [Kind.epochMicros]: NUMBER,
  [Kind.patternTimestamp]: STRING,
  [Kind.epochNanos]: NUMBER,
};

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const byte of Buffer.from(characters)) table[byte] = 1;
  return table;
}

function kindOf(node: ColumnNode, format: TimestampFormat | undefined): Kind {
  if (node.kind === 'array') return Kind.array;
  if (node.kind === 'map') return Kind.map;
  if (node.kind === 'struct') return Kind.object;
  return leafKind(node.leaf.type, format);
}

function leafKind(type: LeafType, format: TimestampFormat = 'iso8601'): Kind {
  if (type.kind === 'decimal') return Kind.decimal;
  switch (type.name) {
    case 'short':
    case 'byte':
      return Kind.integer;
    case 'timestamp':
      if (format === 'iso8601') return Kind.isoTimestamp;
      return isEpochFormat(format) ? Kind[format] : Kind.patternTimestamp;
    default:
      return Kind[type.name];
  }
}

function isEpochFormat(format: TimestampFormat): format is EpochFormat {
  return (EPOCH_FORMATS as readonly string[]).includes(format);
}

function ownLeaf(node: ColumnNode): LeafColumn {
  if (node.kind === 'leaf') return node.leaf;
  if (node.kind !== 'map') return NO_LEAF;
  assert(node.key.kind === 'leaf', 'keys of a MAP are STRING');
  return node.key.leaf;
}

function byLength(fields: readonly Plan[]): readonly (readonly number[])[] {
  const lengths: number[][] = [];
  fields.forEach((field, index) => {
    const length = field.key.length;
    while (lengths.length <= length) lengths.push([]);
    (lengths[length] as number[]).push(index);
  });
  return lengths;
}
