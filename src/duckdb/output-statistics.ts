import {
  type Bound,
  type Bounds,
  deltaStats,
  type LeafStatistics,
  leafKey,
  mergeStatistics,
} from '../parquet/statistics.ts';
import type { DataType, Field, PrimitiveName, Schema } from '../records/ddl.ts';
import type { LeafType } from '../records/leaf-buffers.ts';
import type { Value } from './database.ts';
import { fileList } from './table-sql.ts';

/**
 * Rows of `footerStatistics(file)`: leaf in schema order, values with nulls, nulls, min and max as DuckDB
 * writes them.
 */
export type FooterRow = readonly Value[];

/** What a finished file's footer says of every leaf and row group. The session's time zone has to be UTC. */
export function footerStatistics(file: string): string {
  return `SELECT column_id, num_values, stats_null_count, stats_min_value, stats_max_value
    FROM parquet_metadata(${fileList([file])}) ORDER BY row_group_id, column_id`;
}

/**
 * The Delta statistics of a file that DuckDB has written, from its own footer, by the same rules as those of
 * the files that we write. Where a footer is silent (a NaN, a text too long), so are the statistics.
 */
export function statsFromFooter(schema: Schema, rowCount: number, rows: readonly FooterRow[]): string {
  const leaves = leavesOf(schema.fields, []);
  const statistics = new Map<string, LeafStatistics>();
  for (const row of rows) {
    const leaf = leaves[Number(row[0])];
    if (leaf === undefined || leaf.isRepeated) continue;
    const before = statistics.get(leaf.key);
    const group = leafStatistics(leaf.type, row);
    statistics.set(leaf.key, before === undefined ? group : mergeStatistics(before, group));
  }
  return deltaStats(schema, rowCount, statistics);
}

interface Leaf {
  readonly key: string;
  readonly type: LeafType;
  /** Below an array or a map: Delta has no statistics of those. */
  readonly isRepeated: boolean;
}

/** In the order of Parquet's columns: depth first. */
function leavesOf(
  fields: readonly Pick<Field, 'name' | 'type'>[],
  parent: readonly string[],
  isRepeated = false,
): Leaf[] {
  return fields.flatMap(({ name, type }) => leavesBelow(type, [...parent, name], isRepeated));
}

function leavesBelow(type: DataType, path: readonly string[], isRepeated: boolean): Leaf[] {
  switch (type.kind) {
    case 'primitive':
    case 'decimal':
      return [{ key: leafKey(path), type, isRepeated }];
    case 'struct':
      return leavesOf(type.fields, path, isRepeated);
    case 'array':
      return leavesBelow(type.element, [...path, 'element'], true);
    case 'map':
      return [type.key, type.value].flatMap((part) => leavesBelow(part, path, true));
  }
}

function leafStatistics(type: LeafType, [, values, nulls, min, max]: FooterRow): LeafStatistics {
  const nullCount = Number(nulls);
  if (Number(values) === nullCount) return { bounds: { kind: 'empty' }, nullCount };
  return { bounds: boundsFrom(type, min, max), nullCount };
}

function boundsFrom(type: LeafType, minText: Value | undefined, maxText: Value | undefined): Bounds {
  const min = typeof minText === 'string' ? boundOfText(type, minText) : undefined;
  const max = typeof maxText === 'string' ? boundOfText(type, maxText) : undefined;
  if (min === undefined || max === undefined) return { kind: 'unordered' };
  // parquet.thrift, `ColumnOrder`: DuckDB holds the two zeros equal and may name either.
  return { kind: 'bounded', min: min === 0 && isFloating(type) ? -0 : min, max: max === 0 ? 0 : max };
}

function isFloating(type: LeafType): boolean {
  return type.kind === 'primitive' && (type.name === 'double' || type.name === 'float');
}

/**
 * A value as DuckDB writes it; undefined where it has no bound: a NaN, an infinity, a year beyond four
 * digits.
 */
export function boundOfText(type: LeafType, text: string): Bound | undefined {
  return type.kind === 'decimal' ? unscaled(text, type.scale) : primitiveFrom(type.name, text);
}

/** As many digits after the point as the scale says: DuckDB writes them all. */
function unscaled(text: string, scale: number): bigint | undefined {
  const [, sign, whole, fraction = ''] = /^(?=.*\d)(-?)(\d*)(?:\.(\d+))?$/.exec(text) ?? [];
  return whole === undefined || fraction.length !== scale ? undefined : BigInt(`${sign}${whole}${fraction}`);
}

function primitiveFrom(type: PrimitiveName, text: string): Bound | undefined {
  switch (type) {
    case 'binary':
      return undefined;
    case 'string':
      return Buffer.from(text);
    case 'long':
      return BigInt(text);
    case 'integer':
    case 'short':
    case 'byte':
      return Number(text);
    case 'float':
      // The shortest text of a float stands for another double.
      return finite(Math.fround(Number(text)));
    case 'double':
      return finite(Number(text));
    case 'boolean':
      return text === 'true' ? 1 : 0;
    case 'date':
      return finite(Date.parse(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : '') / 86_400_000);
    case 'timestamp':
      return microsFrom(text);
  }
}

/** `2026-11-22 10:00:00[.123456]+00`; anything else (infinity, years beyond four digits) has no bound. */
function microsFrom(text: string): bigint | undefined {
  const [, date, time, fraction = ''] =
    /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00$/.exec(text) ?? [];
  if (date === undefined) return undefined;
  return BigInt(Date.parse(`${date}T${time}Z`)) * 1000n + BigInt(fraction.padEnd(6, '0'));
}

function finite(number: number): number | undefined {
  return Number.isFinite(number) ? number : undefined;
}
