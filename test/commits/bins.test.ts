import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type BinFile,
  type BinGoal,
  type BinOptions,
  packTasks,
  planBins,
  tablePartitionKey,
  takeRound,
  totalBytes,
} from '../../src/commits/bins.ts';

/**
 * Goal: a plan merges what should be merged, touches no file twice, never mixes table partitions, and doing
 * what it says reaches the goal. Method: properties over random tables, where "doing" is a model in which a
 * merged file is as large as its parts; the edges by example.
 */

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const options = { seed, numRuns: 500 };

const tableFile = fc.record({
  sizeBytes: fc.oneof(fc.integer({ min: 0, max: 150 }), fc.constantFrom(0, 1, 74, 75, 76, 99, 100, 101)),
  modifiedMs: fc.integer({ min: 0, max: 20 }),
  partitionValues: fc.constantFrom<Record<string, string | null>>(
    { day: '2026-11-22', country: 'de' },
    { country: 'de', day: '2026-11-22' },
    { day: null, country: 'de' },
    { day: 'null', country: 'de' },
  ),
});
const table: fc.Arbitrary<BinFile[]> = fc
  .array(tableFile, { maxLength: 60 })
  .map((files) => files.map((file, index) => ({ ...file, path: `part-${index}.parquet` })));
const goalBySize = fc
  .integer({ min: 1, max: 12 })
  .map((minInputFiles): BinGoal => ({ kind: 'targetFileBytes', targetFileBytes: 100, minInputFiles }));
const goalByCount = fc
  .integer({ min: 1, max: 6 })
  .map((targetFiles): BinGoal => ({ kind: 'targetFiles', targetFiles }));
const ALL: BinOptions = { olderThanMs: 0, nowMs: 100 };

describe(`bins (seed ${seed})`, () => {
  test('a file is in one bin at most, a bin has two files or more, all of one table partition', () => {
    fc.assert(
      fc.property(table, fc.oneof(goalBySize, goalByCount), (files, goal) => {
        const bins = planBins(files, goal, ALL).units.flat();
        const paths = bins.flat().map((file) => file.path);
        expect(new Set(paths).size).toBe(paths.length);
        for (const bin of bins) {
          expect(bin.length).toBeGreaterThan(1);
          expect(new Set(bin.map((file) => tablePartitionKey(file.partitionValues))).size).toBe(1);
        }
      }),
      options,
    );
  });

  test('the order in which files are listed does not matter', () => {
    fc.assert(
      fc.property(
        table,
        fc.oneof(goalBySize, goalByCount),
        fc.infiniteStream(fc.nat()),
        (files, goal, keys) => {
          const keyed = files.map((file) => ({ file, key: keys.next().value as number }));
          const shuffled = keyed.sort((a, b) => a.key - b.key).map(({ file }) => file);
          // Equal partitions may spell their columns in another order: the plan is compared by paths.
          const paths = (list: readonly BinFile[]) =>
            planBins(list, goal, ALL).units.map((unit) => unit.map((bin) => bin.map((file) => file.path)));
          expect(paths(shuffled)).toEqual(paths(files));
        },
      ),
      options,
    );
  });

  test('by size: bins fit the target, leave large files alone and are worth their write', () => {
    fc.assert(
      fc.property(table, goalBySize, (files, goal) => {
        if (goal.kind !== 'targetFileBytes') return;
        for (const bin of planBins(files, goal, ALL).units.flat()) {
          expect(totalBytes(bin)).toBeLessThanOrEqual(100);
          for (const file of bin) expect(file.sizeBytes).toBeLessThan(75);
          expect(totalBytes(bin) >= 75 || bin.length >= goal.minInputFiles).toBe(true);
        }
      }),
      options,
    );
  });

  test('by size: repeated, it comes to rest, and no table partition keeps a fitting group of minInputFiles', () => {
    fc.assert(
      fc.property(table, goalBySize, (files, goal) => {
        if (goal.kind !== 'targetFileBytes') return;
        let live = files;
        for (;;) {
          const { units } = planBins(live, goal, ALL);
          if (units.length === 0) break;
          const next = merged(live, units.flat());
          expect(next.length).toBeLessThan(live.length);
          live = next;
        }
        for (const members of byPartition(live).values()) {
          const small = members.filter((file) => file.sizeBytes < 75);
          if (small.length >= Math.max(2, goal.minInputFiles)) expect(totalBytes(small)).toBeGreaterThan(100);
        }
      }),
      options,
    );
  });

  test('by count: every table partition ends with exactly N files, or had fewer and says so', () => {
    fc.assert(
      fc.property(table, goalByCount, (files, goal) => {
        if (goal.kind !== 'targetFiles') return;
        const plan = planBins(files, goal, ALL);
        const before = byPartition(files);
        const after = byPartition(merged(files, plan.units.flat()));
        let below = 0;
        for (const [key, members] of before) {
          if (members.length < goal.targetFiles) below++;
          expect(after.get(key)?.length).toBe(Math.min(members.length, goal.targetFiles));
        }
        expect(plan.partitionsBelowTarget).toBe(below);
      }),
      options,
    );
  });

  test('by count: the largest file is at most 4/3 of what the best possible choice would make it', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 7 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 3 }), (sizes, targetFiles) => {
        const files = sizes.map((sizeBytes, index) => ({
          path: `${index}`,
          sizeBytes,
          modifiedMs: index,
          partitionValues: {},
        }));
        const plan = planBins(files, { kind: 'targetFiles', targetFiles }, ALL);
        const largest = Math.max(...merged(files, plan.units.flat()).map((file) => file.sizeBytes));
        expect(largest).toBeLessThanOrEqual((4 / 3) * smallestMaximum(sizes, Array(targetFiles).fill(0)));
      }),
      options,
    );
  });

  test('rounds and tasks: nothing is lost, limits hold, a unit is never cut', () => {
    const limit = fc.integer({ min: 1, max: 400 });
    fc.assert(
      fc.property(
        table,
        fc.oneof(goalBySize, goalByCount),
        limit,
        limit,
        (files, goal, roundBytes, taskBytes) => {
          const { units } = planBins(files, goal, ALL);
          const { bins, complete } = takeRound(units, roundBytes);
          expect(bins).toEqual(units.flat().slice(0, bins.length));
          expect(complete).toBe(bins.length === units.flat().length);
          expect(units.length === 0 || bins.length >= (units[0]?.length ?? 0)).toBe(true);
          if (bins.length > (units[0]?.length ?? 0))
            expect(totalBytes(bins.flat())).toBeLessThanOrEqual(roundBytes);
          const tasks = packTasks(bins, { maxBytes: taskBytes, maxBins: 3 });
          expect(tasks.flat()).toEqual(bins);
          for (const task of tasks) {
            expect(task.length).toBeLessThanOrEqual(3);
            if (task.length > 1) expect(totalBytes(task.flat())).toBeLessThanOrEqual(taskBytes);
          }
        },
      ),
      options,
    );
  });

  test('a table partition that was written to lately is left alone as a whole', () => {
    const file = (path: string, modifiedMs: number, day: string) => ({
      path,
      sizeBytes: 1,
      modifiedMs,
      partitionValues: { day },
    });
    const files = [file('a', 10, 'old'), file('b', 50, 'old'), file('c', 10, 'new'), file('d', 51, 'new')];
    const plan = planBins(files, { kind: 'targetFiles', targetFiles: 1 }, { olderThanMs: 50, nowMs: 100 });
    expect(plan.units.flat().map((bin) => bin.map(({ path }) => path))).toEqual([['a', 'b']]);
    expect(plan.freshPartitions).toBe(1);
  });

  test('a file from the future does not count as old', () => {
    const files = [1, 2].map((n) => ({ path: `${n}`, sizeBytes: 1, modifiedMs: 500, partitionValues: {} }));
    const goal: BinGoal = { kind: 'targetFiles', targetFiles: 1 };
    expect(planBins(files, goal, { olderThanMs: 1, nowMs: 100 }).freshPartitions).toBe(1);
    expect(planBins(files, goal, ALL).units).toHaveLength(1);
  });
});

/** By trying every way to put the sizes into the bins. */
function smallestMaximum([size, ...others]: readonly number[], bins: readonly number[]): number {
  if (size === undefined) return Math.max(...bins);
  const ways = bins.map((_, at) => bins.map((bytes, index) => (index === at ? bytes + size : bytes)));
  return Math.min(...ways.map((way) => smallestMaximum(others, way)));
}

/** The table after the plan, by the model: a merged file is as large as its parts. */
function merged(files: readonly BinFile[], bins: readonly (readonly BinFile[])[]): BinFile[] {
  const gone = new Set(bins.flat().map((file) => file.path));
  const outputs = bins.map((bin, index) => ({
    path: `${files.length}-merged-${index}`,
    sizeBytes: totalBytes(bin),
    modifiedMs: 100,
    partitionValues: bin[0]?.partitionValues ?? {},
  }));
  return [...files.filter((file) => !gone.has(file.path)), ...outputs];
}

function byPartition(files: readonly BinFile[]): Map<string, BinFile[]> {
  return Map.groupBy(files, (file) => tablePartitionKey(file.partitionValues));
}
