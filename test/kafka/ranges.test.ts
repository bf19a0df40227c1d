/**
 * Goal: batches and write tasks take exactly the offsets they should. Method: properties, and Spark's
 * numbers.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignWriteTasks, rateLimit } from '../../src/kafka/ranges.ts';
import type { OffsetRange } from '../../src/kafka/source.ts';

const ranges = fc
  .array(fc.tuple(fc.nat(1000), fc.oneof(fc.constant(0), fc.nat(10), fc.nat(2_000_000))), { maxLength: 12 })
  .map((pairs) => pairs.map(([start, size], kafkaPartition) => rangeOf(kafkaPartition, start, size)));

function rangeOf(kafkaPartition: number, start: number, size: number): OffsetRange {
  return { topic: 't', kafkaPartition, startingOffset: BigInt(start), endingOffset: BigInt(start + size) };
}

const size = (range: OffsetRange) => Number(range.endingOffset - range.startingOffset);
const total = (ranges: readonly OffsetRange[]) => ranges.reduce((sum, range) => sum + size(range), 0);

describe('write tasks', () => {
  it('tile the ranges exactly, in order, and differ by one offset at most', () => {
    const coalesce = fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined });
    const property = fc.property(
      ranges,
      coalesce,
      fc.integer({ min: 1, max: 700_000 }),
      (ranges, coalesce, offsetsPerTask) => {
        fc.pre(coalesce !== undefined || total(ranges) / offsetsPerTask < 1000);
        const tasks = assignWriteTasks(ranges, { coalesce, offsetsPerTask });

        const joined: OffsetRange[] = [];
        for (const piece of tasks.flat()) {
          const last = joined.at(-1);
          const continues =
            last?.kafkaPartition === piece.kafkaPartition && last.endingOffset === piece.startingOffset;
          if (continues && last) joined[joined.length - 1] = { ...last, endingOffset: piece.endingOffset };
          else joined.push(piece);
        }
        expect(joined).toEqual(ranges.filter((range) => size(range) > 0));

        const sizes = tasks.map(total);
        expect(Math.max(0, ...sizes) - Math.min(...sizes, Math.max(0, ...sizes))).toBeLessThanOrEqual(1);
        expect(tasks.flat().every((piece) => size(piece) > 0)).toBe(true);
        const wanted = coalesce ?? Math.ceil(total(ranges) / offsetsPerTask);
        expect(tasks.length).toBe(Math.min(wanted, total(ranges)));
      },
    );
    fc.assert(property, { numRuns: 500 });
  });

  it('share a task among small ranges and split a big one', () => {
    const small = assignWriteTasks([rangeOf(0, 5, 10), rangeOf(1, 0, 0), rangeOf(2, 7, 10)]);
    expect(small).toEqual([[rangeOf(0, 5, 10), rangeOf(2, 7, 10)]]);
    const big = assignWriteTasks([rangeOf(0, 0, 1_000_000)]);
    expect(big).toEqual([[rangeOf(0, 0, 500_000)], [rangeOf(0, 500_000, 500_000)]]);
  });

  it('are two as soon as two threads pay, and more with half a million offsets each', () => {
    const sizesOf = (offsets: number) => assignWriteTasks([rangeOf(0, 0, offsets)]).map(total);
    expect(sizesOf(99_999)).toEqual([99_999]);
    expect(sizesOf(100_001)).toEqual([50_000, 50_001]);
    expect(sizesOf(1_200_000)).toEqual([400_000, 400_000, 400_000]);
    expect(sizesOf(0)).toEqual([]);
  });
});

describe('rate limit', () => {
  it('takes everything within the limit', () => {
    expect(rateLimit([rangeOf(0, 3, 10), rangeOf(1, 0, 20)], 30)).toEqual([
      rangeOf(0, 3, 10),
      rangeOf(1, 0, 20),
    ]);
  });

  it("is Spark's: proportional, rounded down, but never below one offset", () => {
    const limited = rateLimit(
      [rangeOf(0, 100, 1000), rangeOf(1, 5, 3), rangeOf(2, 9, 0), rangeOf(3, 0, 500)],
      100,
    );
    expect(limited.map(size)).toEqual([66, 1, 0, 33]);
    expect(limited.map((range) => Number(range.startingOffset))).toEqual([100, 5, 9, 0]);
  });

  it('ends within the ranges, makes progress, and exceeds the limit by its roundings only', () => {
    fc.assert(
      fc.property(ranges, fc.integer({ min: 1, max: 3_000_000 }), (ranges, limit) => {
        const limited = rateLimit(ranges, limit);
        limited.forEach((range, i) => {
          const whole = ranges[i] as OffsetRange;
          expect(range.startingOffset).toBe(whole.startingOffset);
          expect(size(range)).toBeLessThanOrEqual(size(whole));
          expect(size(range) > 0).toBe(size(whole) > 0);
        });
        expect(total(limited)).toBeLessThanOrEqual(limit + ranges.length);
      }),
    );
  });
});
