import { boundOfText } from '../duckdb/output-statistics.ts';
import type { Bound } from '../parquet/bounds.ts';
import type { Field } from '../records/ddl.ts';
import type { LeafType } from '../records/leaf-buffers.ts';

/** A column without fields, outside of arrays and maps: what Delta has statistics of. */
export interface Leaf {
  readonly path: readonly string[];
  readonly type: LeafType;
}

/** A leaf, or a column without statistics that is still read, so that damage shows. */
export type StatisticsColumn =
  | { readonly kind: 'leaf'; readonly leaf: Leaf }
  | { readonly kind: 'nested'; readonly field: Field };

/** What the rows of a file hold of one leaf; texts as DuckDB writes them, null where all are null. */
export interface SeenLeaf {
  readonly nonNull: number;
  readonly min: string | null;
  readonly max: string | null;
}

/** Delta has no bounds of bytes. */
export function isBinary({ type }: Leaf): boolean {
  return type.kind === 'primitive' && type.name === 'binary';
}

export interface StatisticsProblem {
  readonly column: string;
  readonly problem: string;
}

/** The leaves that may have statistics: the table's, without those of its partition columns. */
export function statisticsLeaves(fields: readonly Field[], partitionColumns: readonly string[]): Leaf[] {
  return leavesBelow(
    fields.filter(({ name }) => !partitionColumns.includes(name)),
    [],
  );
}

/**
 * Where the log's statistics of a file are not true of its rows: a null count that differs, or a bound that
 * does not bound. A reader that skips by them would leave out rows. A missing statistic is not a problem, nor
 * is a wide bound: strings are cut, and times are in milliseconds.
 */
export function statisticsProblems(
  stats: string | undefined,
  leaves: readonly Leaf[],
  rowCount: number,
  seen: (leaf: Leaf) => SeenLeaf | undefined,
): StatisticsProblem[] {
  const told = parseStatistics(stats);
  if (told === undefined) return [];
  return leaves.flatMap((leaf) => {
    const rows = seen(leaf);
    if (rows === undefined) return [];
    const column = leaf.path.join('.');
    const [nulls, min, max] = (['nullCount', 'minValues', 'maxValues'] as const).map((name) =>
      valueAt(told[name], leaf.path),
    );
    return [
      ...nullProblems(nulls, rowCount - rows.nonNull),
      ...boundProblems('minimum', leaf.type, min, rows.min),
      ...boundProblems('maximum', leaf.type, max, rows.max),
    ].map((problem) => ({ column, problem }));
  });
}

function nullProblems(told: unknown, nulls: number): string[] {
  return told === undefined || Number(told) === nulls
    ? []
    : [`its statistics say ${told} nulls, its rows have ${nulls}`];
}

function boundProblems(
  which: 'minimum' | 'maximum',
  type: LeafType,
  told: unknown,
  text: string | null,
): string[] {
  const bound = boundOfStatistics(type, told);
  const value = text === null ? undefined : boundOfText(type, text);
  if (bound === undefined || value === undefined) return [];
  const holds = which === 'minimum' ? !isBefore(value, bound) : !isBefore(upTo(type, bound), value);
  return holds ? [] : [`its statistics give the ${which} ${shown(told)}, a row has ${shown(text)}`];
}

/**
 * "Timestamp ... truncated to milliseconds" (PROTOCOL.md, "Per-file Statistics"): the maximum of most
 * writers, too.
 */
function upTo(type: LeafType, bound: Bound): Bound {
  return type.kind === 'primitive' && type.name === 'timestamp' ? (bound as bigint) + 999n : bound;
}

function isBefore(a: Bound, b: Bound): boolean {
  return Buffer.isBuffer(a) && Buffer.isBuffer(b) ? Buffer.compare(a, b) < 0 : a < b;
}

/** Undefined if it is missing, or in a form that none of our readers knows. */
function boundOfStatistics(type: LeafType, told: unknown): Bound | undefined {
  if (typeof told === 'boolean') return told ? 1 : 0;
  if (typeof told !== 'string') return undefined;
  if (type.kind === 'decimal') return unscaled(told, type.scale);
  switch (type.name) {
    case 'string':
      return Buffer.from(told);
    case 'long':
      return /^-?\d+$/.test(told) ? BigInt(told) : undefined;
    case 'date':
      return boundOfText(type, told);
    case 'timestamp':
      return microsOf(told);
    case 'boolean':
    case 'binary':
      return undefined;
    case 'float':
      // The shortest text of a float stands for another double.
      return Number.isFinite(Number(told)) ? Math.fround(Number(told)) : undefined;
    default:
      return Number.isFinite(Number(told)) ? Number(told) : undefined;
  }
}

/**
 * Exact where all digits are written; a writer that goes through a double may be beside the value by its
 * rounding.
 */
function unscaled(text: string, scale: number): bigint | undefined {
  const [, sign = '', whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  if (whole === undefined || fraction.length > scale) return undefined;
  const digits = `${whole}${fraction.padEnd(scale, '0')}`;
  return digits.replace(/^0+/, '').length > 15 && fraction.length < scale
    ? undefined
    : BigInt(`${sign}${digits}`);
}

/** ISO 8601 with up to nine digits of a second; without a zone, UTC. */
function microsOf(text: string): bigint | undefined {
  const [, whole, fraction = '', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  const millis = Date.parse(`${whole?.replace(' ', 'T')}${zone}`);
  return Number.isNaN(millis)
    ? undefined
    : BigInt(millis) * 1000n + BigInt(fraction.padEnd(6, '0').slice(0, 6));
}

type Told = Readonly<Partial<Record<'nullCount' | 'minValues' | 'maxValues', unknown>>>;

/** Numbers as they are written: a double would round BIGINT and DECIMAL bounds. */
function parseStatistics(stats: string | undefined): Told | undefined {
  if (stats === undefined) return undefined;
  const parse = JSON.parse as (
    text: string,
    revive: (key: string, value: unknown, context: { source?: string }) => unknown,
  ) => unknown;
  try {
    return parse(stats, (_key, value, { source }) => (typeof value === 'number' ? source : value)) as Told;
  } catch {
    return undefined;
  }
}

function valueAt(told: unknown, path: readonly string[]): unknown {
  let value = told;
  for (const name of path) value = (value as Readonly<Record<string, unknown>> | null | undefined)?.[name];
  return value ?? undefined;
}

function leavesBelow(fields: readonly Field[], parent: readonly string[]): Leaf[] {
  return fields.flatMap(({ name, type }) => {
    const path = [...parent, name];
    if (type.kind === 'struct') return leavesBelow(type.fields, path);
    return type.kind === 'primitive' || type.kind === 'decimal' ? [{ path, type }] : [];
  });
}

function shown(value: unknown): string {
  const text = String(value);
  return text.length > 60 ? `${JSON.stringify(text.slice(0, 57))}...` : JSON.stringify(text);
}
