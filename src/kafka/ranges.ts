/** How many offsets a batch takes, and how they are shared out to write tasks. Pure. */
import type { OffsetRange } from './source.ts';

/**
 * What of these ranges one batch takes: all, or of each its share of `maxOffsets`, at least one offset.
 * The limit is soft as Spark's `maxOffsetsPerTrigger`: many tiny partitions round up.
 */
export function rateLimit<Range extends OffsetRange>(ranges: readonly Range[], maxOffsets: number): Range[] {
  const total = ranges.reduce((sum, range) => sum + sizeOf(range), 0n);
  const limit = BigInt(maxOffsets);
  if (total <= limit) return [...ranges];
  return ranges.map((range) => {
    const share = (limit * sizeOf(range)) / total;
    const take = share === 0n && sizeOf(range) > 0n ? 1n : share;
    return { ...range, endingOffset: range.startingOffset + take };
  });
}

/** About as many offsets as one write task should have, where `coalesce` does not say. */
const OFFSETS_PER_TASK = 500_000n;

/**
 * From so many offsets on there are two tasks at least: one would leave a core idle. With fewer, a second
 * thread's start costs more.
 */
const OFFSETS_FOR_TWO_TASKS = 100_000n;

/**
 * A workflow's history and a commit's input hold every task of a batch: beyond this they grow too large for
 * Temporal.
 */
export const TASKS_MAX = 1_000;

/**
 * Cuts the ranges, laid end to end, into tasks of equal size (they differ by one offset at most): small
 * ranges share a task, a big one is split. Tasks tile the ranges exactly and keep their order; empty ranges
 * belong to none.
 *
 * @param options.coalesce exactly so many tasks, fewer where there are fewer offsets; at most `TASKS_MAX`
 */
export function assignWriteTasks(
  ranges: readonly OffsetRange[],
  options: { readonly coalesce?: number | undefined; readonly offsetsPerTask?: number } = {},
): OffsetRange[][] {
  const total = ranges.reduce((sum, range) => sum + sizeOf(range), 0n);
  const half = total >= OFFSETS_FOR_TWO_TASKS ? (total + 1n) / 2n : total;
  const perTask = BigInt(options.offsetsPerTask ?? larger(1n, smaller(half, OFFSETS_PER_TASK)));
  const wanted = options.coalesce === undefined ? (total + perTask - 1n) / perTask : BigInt(options.coalesce);
  const count = smaller(smaller(wanted, total), BigInt(TASKS_MAX));
  return Array.from({ length: Number(count) }, (_, task) =>
    slice(ranges, (BigInt(task) * total) / count, (BigInt(task + 1) * total) / count),
  );
}

/** The part [from, to) of the ranges laid end to end. */
function slice(ranges: readonly OffsetRange[], from: bigint, to: bigint): OffsetRange[] {
  let before = 0n;
  return ranges.flatMap((range) => {
    const start = larger(from - before, 0n);
    const end = smaller(to - before, sizeOf(range));
    before += sizeOf(range);
    if (start >= end) return [];
    return [
      { ...range, startingOffset: range.startingOffset + start, endingOffset: range.startingOffset + end },
    ];
  });
}

function sizeOf(range: OffsetRange): bigint {
  return range.endingOffset - range.startingOffset;
}

// biome-ignore-start lint/complexity/useMathMinMax: Math takes no bigint.
export const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
export const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
// biome-ignore-end lint/complexity/useMathMinMax: as above.
