import { assert } from '../errors.ts';
import type { TimestampFormat } from '../pipeline/specification.ts';
import { type ColumnNode, LeafColumn } from './columns.ts';

/** What a column takes from JSON. Small integers, so that the decoder's switch is a jump. */
export const Kind = {
  string: 0,
  long: 1,
  integer: 2,
  double: 3,
  boolean: 4,
  date: 5,
  isoTimestamp: 6,
  epochMillis: 7,
  array: 8,
  object: 9,
} as const;

export type Kind = (typeof Kind)[keyof typeof Kind];

/** The record as one object whose fields are the top-level columns. */
export function compilePlan(
  nodes: readonly ColumnNode[],
  timestamps: Readonly<Record<string, TimestampFormat>>,
): Plan {
  for (const name of Object.keys(timestamps)) {
    const node = nodes.find((column) => column.name === name);
    assert(
      node?.kind === 'leaf' && node.leaf.type === 'timestamp',
      `${name} is no TIMESTAMP column of the record`,
    );
  }
  const fields = nodes.map((node) =>
    compile(node, Object.hasOwn(timestamps, node.name) ? timestamps[node.name] : undefined),
  );
  const levels = { name: '', nullable: false, definitionLevel: 0, repetitionLevel: 0 };
  return new Plan({ kind: 'struct', ...levels, fields: nodes }, undefined, fields, undefined);
}

function compile(node: ColumnNode, format: TimestampFormat | undefined): Plan {
  const fields = node.kind === 'struct' ? node.fields.map((field) => compile(field, undefined)) : [];
  const element = node.kind === 'array' ? compile(node.element, undefined) : undefined;
  return new Plan(node, format, fields, element);
}

/**
 * A column as the decoder wants it. One class for leaves, arrays and objects alike: V8 then sees one shape
 * everywhere, and property reads in the hot path stay direct.
 */
export class Plan {
  readonly kind: Kind;
  /** 1 at the bytes that a fitting value begins with. */
  readonly firstBytes: Uint8Array;
  readonly name: string;
  readonly nullable: boolean;
  readonly definitionLevel: number;
  readonly repetitionLevel: number;
  /** Stands for nothing where this is no leaf. */
  readonly leaf: LeafColumn;
  /** All leaves below, itself included. */
  readonly leaves: readonly LeafColumn[];
  readonly fields: readonly Plan[];
  readonly element: Plan | undefined;

  /** The name as UTF-8. */
  readonly key: Uint8Array;
  /** The name as JSON spells it, with its closing quote: bytes that match it are this key and nothing else. */
  readonly quotedKey: Uint8Array;
  /** The visit of the object around this that had this field last: finds duplicates and gaps without clearing a set. */
  visit = 0;

  private visits = 0;
  private readonly fieldsByLength: readonly (readonly number[])[];

  constructor(
    node: ColumnNode,
    format: TimestampFormat | undefined,
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
    this.element = element;
    this.leaf = node.kind === 'leaf' ? node.leaf : NO_LEAF;
    this.leaves =
      node.kind === 'leaf'
        ? [node.leaf]
        : [...fields, ...(element ? [element] : [])].flatMap((plan) => plan.leaves);
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

const NO_LEAF = new LeafColumn([], 'string', 0, 0);
/** The largest integer that V8 keeps without a heap object everywhere. */
const MAX_VISITS = 0x3fffffff;

const FIRST_BYTES: Readonly<Record<Kind, Uint8Array>> = {
  [Kind.string]: tableOf('"'),
  [Kind.long]: tableOf('-0123456789'),
  [Kind.integer]: tableOf('-0123456789'),
  [Kind.double]: tableOf('-0123456789'),
  [Kind.boolean]: tableOf('tf'),
  [Kind.date]: tableOf('"'),
  [Kind.isoTimestamp]: tableOf('"'),
  [Kind.epochMillis]: tableOf('-0123456789'),
  [Kind.array]: tableOf('['),
  [Kind.object]: tableOf('{'),
};

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const byte of Buffer.from(characters)) table[byte] = 1;
  return table;
}

function kindOf(node: ColumnNode, format: TimestampFormat | undefined): Kind {
  if (node.kind === 'array') return Kind.array;
  if (node.kind === 'struct') return Kind.object;
  const { type } = node.leaf;
  if (type === 'timestamp') return format === 'epochMillis' ? Kind.epochMillis : Kind.isoTimestamp;
  return Kind[type];
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
