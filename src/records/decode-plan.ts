import { assert } from '../errors.ts';
import { type ColumnNode, LeafColumn } from './columns.ts';
import type { PrimitiveName } from './ddl.ts';
import { appendStep, stepsOf } from './json-path.ts';
import { KeySet } from './key-set.ts';
import type { LeafType } from './leaf-buffers.ts';
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
  /** One value that several columns take, each its own way. */
  several: 18,
} as const;

export type Kind = (typeof Kind)[keyof typeof Kind];

/** How values are read where there is more than one way. */
export interface ValueRules {
  /** By path, as `timestampPaths` has them; iso8601 where absent. */
  readonly timestamps?: Readonly<Record<string, TimestampFormat>> | undefined;
  /**
   * TIMESTAMPs, by path or all, whose digits beyond microseconds are cut off; else such a value does not fit.
   */
  readonly truncateTimestamps?: true | readonly string[] | undefined;
  /** A number may stand in quotes, as proto3's JSON writes 64-bit integers. */
  readonly quotedNumbers?: boolean | undefined;
  /**
   * Top-level columns whose value is not the field of their name: the field's path (`stepsOf`), through
   * objects alone, or null where the column takes none. Columns that are not named take the field of their
   * name.
   */
  readonly from?: Readonly<Record<string, string | null>> | undefined;
}

/** The record as one object, whose fields lead to the top-level columns. */
export function compilePlan(
  nodes: readonly ColumnNode[],
  { timestamps = {}, truncateTimestamps = [], quotedNumbers = false, from = {} }: ValueRules,
): RecordPlan {
  const rules = {
    formats: new Map(Object.entries(timestamps)),
    truncates: (path: string) => truncateTimestamps === true || truncateTimestamps.includes(path),
    quotedNumbers,
  };
  const record = new Place();
  const untaken: Plan[] = [];
  for (const node of nodes) {
    const column = { node, path: appendStep('', node.name) };
    const source = Object.hasOwn(from, node.name) ? (from[node.name] ?? null) : column.path;
    if (source === null) untaken.push(compile(column, node.name, rules));
    else record.at(stepsOf(source) ?? []).columns.push(column);
  }
  const root = planOf(record, '', rules);
  assert(rules.formats.size === 0, `${[...rules.formats.keys()]} is not a TIMESTAMP column of the record`);
  return { root, untaken };
}

export interface RecordPlan {
  readonly root: Plan;
  /** Columns that no field fills. */
  readonly untaken: readonly Plan[];
}

interface Column {
  readonly node: ColumnNode;
  /** In the schema. */
  readonly path: string;
}

/** A place in a record: the columns that take its value, and the places in it that others take. */
class Place {
  readonly columns: Column[] = [];
  readonly fields = new Map<string, Place>();

  at([name, ...further]: readonly string[]): Place {
    if (name === undefined) return this;
    const place = this.fields.get(name) ?? new Place();
    this.fields.set(name, place);
    return place.at(further);
  }
}

interface CompileRules {
  /** Used entries are taken out. */
  readonly formats: Map<string, TimestampFormat>;
  readonly truncates: (path: string) => boolean;
  readonly quotedNumbers: boolean;
}

/** @param own the field of the STRUCT around it that the place is */
function planOf({ columns, fields }: Place, name: string, rules: CompileRules, own?: Column): Plan {
  const all = own === undefined ? columns : [own, ...columns];
  // One STRUCT takes in the others' places, so that each field is met once.
  const host = fields.size === 0 ? undefined : all.find(({ node }) => node.kind === 'struct');
  const plans = all.map((column) => compile(column, name, rules, column === host ? fields : NO_FIELDS));
  if (fields.size > 0 && host === undefined) {
    const foreign = [...fields].map(([field, place]) => planOf(place, field, rules));
    plans.push(new Plan(nothing(name), name, { ...NO_RULES, foreign }, [], undefined));
  }
  const [only, ...others] = plans;
  if (only !== undefined && others.length === 0) return only;
  const ownPlans = own !== undefined && only !== undefined ? [only] : [];
  // The first reader tells what no column takes: what looks into the value before what takes it whole.
  const readers = plans.toSorted((one, other) => Number(isObject(other)) - Number(isObject(one)));
  const foreign = plans.filter((plan) => !ownPlans.includes(plan));
  return new Plan(own?.node ?? nothing(name), name, { ...NO_RULES, readers, foreign }, ownPlans, undefined);
}

function isObject({ kind }: Plan): boolean {
  return kind === Kind.object;
}

const NO_FIELDS: ReadonlyMap<string, Place> = new Map();

/** A container that is not a column: null, or absent, where its columns are. */
function nothing(name: string): ColumnNode {
  return { kind: 'struct', name, nullable: true, definitionLevel: 0, repetitionLevel: 0, fields: [] };
}

/**
 * Elements and map values have the path of their column.
 *
 * @param name of the field that it takes
 * @param places in a STRUCT that other columns take
 */
function compile({ node, path }: Column, name: string, rules: CompileRules, places = NO_FIELDS): Plan {
  if (node.kind === 'struct') {
    const fields = node.fields.map((field) => {
      const own = { node: field, path: appendStep(path, field.name) };
      const place = places.get(field.name);
      return place ? planOf(place, field.name, rules, own) : compile(own, field.name, rules);
    });
    const names = new Set(node.fields.map((field) => field.name));
    const foreign = [...places].flatMap(([field, place]) =>
      names.has(field) ? [] : [planOf(place, field, rules)],
    );
    return new Plan(node, name, { ...NO_RULES, foreign }, fields, undefined);
  }
  if (node.kind === 'leaf')
    return new Plan(node, name, leafRules(node.leaf.type, path, rules), [], undefined);
  const inner = node.kind === 'array' ? node.element : node.value;
  return new Plan(node, name, NO_RULES, [], compile({ node: inner, path }, inner.name, rules));
}

interface PlanRules {
  readonly format: TimestampFormat | undefined;
  readonly truncates: boolean;
  readonly quotedNumbers: boolean;
  /** Of an object or a place of several: what other columns of the top level take there. */
  readonly foreign: readonly Plan[];
  /** Of a place that several columns take. */
  readonly readers: readonly Plan[];
}

const NO_RULES: PlanRules = {
  format: undefined,
  truncates: false,
  quotedNumbers: false,
  foreign: [],
  readers: [],
};

function leafRules(type: LeafType, path: string, rules: CompileRules): PlanRules {
  const { formats, truncates, quotedNumbers } = rules;
  if (type.kind !== 'primitive' || type.name !== 'timestamp') return { ...NO_RULES, quotedNumbers };
  const format = formats.get(path);
  formats.delete(path);
  return { ...NO_RULES, format, truncates: truncates(path), quotedNumbers };
}

/**
 * A column as the decoder wants it. One class for leaves, arrays, maps and objects alike: V8 then sees one
 * shape everywhere, and property reads in the hot path stay direct.
 */
export class Plan {
  // Fields read for every value stand first, in as few cache lines as it takes: a record may have hundreds of
  // columns.
  readonly kind: Kind;
  /** 1 at the bytes that a fitting value begins with. */
  readonly firstBytes: Uint8Array;
  /** Unused unless this is a leaf; of a map its keys. */
  readonly leaf: LeafColumn;
  /**
   * The visit of the object around this that had this field last: finds duplicates and gaps without clearing
   * a set.
   */
  visit = 0;
  readonly nullable: boolean;

  /** Of the field in the record. */
  readonly name: string;
  readonly definitionLevel: number;
  readonly repetitionLevel: number;
  /** All leaves below, itself included; not those of `grafts`. */
  readonly leaves: readonly LeafColumn[];
  readonly fields: readonly Plan[];
  /** Columns of the top level that are filled from within: null where this is. */
  readonly grafts: readonly Plan[];
  /** Of `Kind.several`. */
  readonly readers: readonly Plan[];
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
  /**
   * The name as JSON spells it, with its closing quote: bytes that match it are this key and nothing else.
   */
  readonly quotedKey: Uint8Array;

  private visits = 0;
  private readonly fieldsByLength: readonly (readonly number[])[];

  constructor(
    node: ColumnNode,
    name: string,
    { format, truncates, quotedNumbers, foreign, readers }: PlanRules,
    fields: readonly Plan[],
    element: Plan | undefined,
  ) {
    this.kind = readers.length > 0 ? Kind.several : kindOf(node, format);
    this.firstBytes = FIRST_BYTES[this.kind];
    this.name = name;
    this.nullable = node.nullable;
    this.definitionLevel = node.definitionLevel;
    this.repetitionLevel = node.repetitionLevel;
    this.fields = readers.length > 0 ? [] : [...fields, ...foreign];
    this.readers = readers;
    this.grafts = [...fields.flatMap((field) => field.grafts), ...foreign];
    this.leads = new Leads(this.fields.length);
    this.element = element;
    this.leaf = readers.length > 0 ? NO_LEAF : ownLeaf(node);
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
    this.key = Buffer.from(name);
    this.quotedKey = Buffer.from(JSON.stringify(name).slice(1));
    this.fieldsByLength = byLength(this.fields);
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
/**
 * Where in it: the field that follows (int32), the place of its key's quote, the text's length (0: nothing
 * was learnt), the text.
 */
const KEY_OFFSET_AT = 4;
const LENGTH_AT = 5;
const TEXT_AT = 8;
/** Words are compared, so that the shortest is one; longer keys are read by the grammar. */
const LEAD_BYTES_MIN = 4;
const LEAD_BYTES_MAX = SLOT_BYTES - TEXT_AT;

/**
 * What came last between two places of an object, the next field's key in it: separators, white space, the
 * colon. Lead 0 follows the object's opening brace, lead `i + 1` the value of field `i`.
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
  [Kind.several]: tableOf('"-0123456789{[tfn'),
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
