/**
 * Promise: a retry's pass holds every letter once, in batches within their bounds. Method: properties over
 * random files.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutBatches, type LetterFile } from '../../src/activities/plan-retry.ts';

const files = fc.array(
  fc.record({ rowCount: fc.integer({ min: 0, max: 40 }), bytesPerRow: fc.integer({ min: 1, max: 50 }) }),
);
const bounds = fc.record({
  letters: fc.integer({ min: 1, max: 30 }),
  bytes: fc.integer({ min: 1, max: 300 }),
});

test('every letter is in one batch, in order, and no batch is larger than it may be', () => {
  fc.assert(
    fc.property(files, bounds, (sizes, max) => {
      const given: LetterFile[] = sizes.map(({ rowCount, bytesPerRow }, index) => ({
        path: `f${index}`,
        rowCount,
        sizeBytes: rowCount * bytesPerRow,
      }));
      const batches = cutBatches(given, max);
      const rows = batches
        .flat()
        .flatMap(({ path, startRow, endRow }) =>
          Array.from({ length: endRow - startRow }, (_, i) => `${path}/${startRow + i}`),
        );
      expect(rows).toEqual(
        given.flatMap(({ path, rowCount }) => Array.from({ length: rowCount }, (_, row) => `${path}/${row}`)),
      );
      for (const batch of batches) {
        const letters = batch.reduce((sum, { startRow, endRow }) => sum + endRow - startRow, 0);
        const bytes = batch.reduce((sum, { path, startRow, endRow }) => {
          const bytesPerRow = sizes[Number(path.slice(1))]?.bytesPerRow ?? 0;
          return sum + (endRow - startRow) * bytesPerRow;
        }, 0);
        expect(letters).toBeGreaterThan(0);
        expect(letters).toBeLessThanOrEqual(max.letters);
        if (letters > 1) expect(bytes).toBeLessThanOrEqual(max.bytes);
      }
    }),
  );
});
