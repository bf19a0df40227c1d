/**
 * Goal: every item is worked on once, never more at once than asked for; after a failure nothing begins, and
 * nothing goes on once it is thrown. Method: random numbers of items and lanes, work that ends in a random
 * order, failures anywhere.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { inLanes } from '../src/lanes.ts';

const CASE = fc.record({
  turns: fc.array(fc.nat(5), { maxLength: 30 }),
  atOnce: fc.integer({ min: 1, max: 8 }),
  failing: fc.uniqueArray(fc.nat(30), { maxLength: 3 }),
});

it('begins in order, so many at once, until one fails; ends what runs', async () => {
  await fc.assert(
    fc.asyncProperty(CASE, async ({ turns, atOnce, failing }) => {
      const begun: number[] = [];
      const failed: number[] = [];
      let running = 0;
      let most = 0;
      const work = async (at: number) => {
        expect(failed).toEqual([]);
        begun.push(at);
        most = Math.max(most, ++running);
        for (let left = turns[at] ?? 0; left > 0; left--) await new Promise(setImmediate);
        running--;
        if (!failing.includes(at)) return -at;
        failed.push(at);
        throw new Error(`item ${at}`);
      };
      const outcome = await inLanes(turns.keys(), atOnce, work).catch((error: unknown) => error);
      expect(running).toBe(0);
      expect(most).toBeLessThanOrEqual(atOnce);
      expect(begun).toEqual(begun.map((_, at) => at));
      if (failed.length > 0) expect(outcome).toEqual(new Error(`item ${failed[0]}`));
      else expect(outcome).toEqual(turns.map((_, at) => -at));
    }),
    { numRuns: 300 },
  );
});

it('fills its lanes', async () => {
  let running = 0;
  let most = 0;
  await inLanes([1, 2, 3, 4, 5, 6, 7], 3, async () => {
    most = Math.max(most, ++running);
    await new Promise(setImmediate);
    running--;
  });
  expect(most).toBe(3);
});

it('a failure that is undefined is a failure', async () => {
  await expect(inLanes([1], 2, () => Promise.reject())).rejects.toBeUndefined();
});
