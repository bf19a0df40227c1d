/**
 * Goal: what a write task holds is bounded, however many table partitions it meets, and every row is in a
 * file of its table partition, once. Method: rows over 1 to 10,000 table partitions into a store on disk,
 * asking `isFull` after each as a walk does; the judges are the bytes that the columns themselves count, and
 * the footers.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Columns } from '../../src/records/columns.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { TableFiles, type TableFilesOptions } from '../../src/tasks/table-files.ts';

const root = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
let tables = 0;
afterAll(() => rmSync(root, { recursive: true }));

const schema = parseDdl('p INT, n BIGINT, text STRING');
const MIB = 1024 * 1024;

function tableFiles(options: Partial<TableFilesOptions> = {}) {
  const location = join(root, `${tables++}`);
  const files = new TableFiles({
    store: new LocalStore(location),
    rowSchema: schema,
    fileSchema: { fields: schema.fields.slice(1) },
    table: { location, partitionBy: [], targetFileBytes: 128 * MIB, compression: 'none' },
    maxFiles: 10_000,
    keyValueMetadata: {},
    task: 0,
    ...options,
  });
  return { files, location };
}

/** Row `n` with `bytes` of text into table partition `p`. */
function append(files: TableFiles, p: number, n: number, bytes: number): Columns {
  const columns = files.columnsOf(`${p}`, () => ({ p: `${p}` }));
  const [first, second, text] = columns.leaves;
  first?.appendInt32(p, 0);
  second?.appendInt53(n, 0);
  text?.appendBytes(Buffer.alloc(bytes, 'x'), 0, bytes, 0);
  columns.rowCount++;
  return columns;
}

describe('TableFiles', { timeout: 120_000 }, () => {
  test.each([
    [1, 10_000, MIB],
    [7, 10_000, MIB],
    [100, 4_000, MIB / 2],
  ])('%i table partitions: %i rows within %i bytes, none lost', async (partitions, rows, budget) => {
    const { files, location } = tableFiles({ bufferedBytesMax: budget });
    const held = new Map<number, Columns>();
    let beyond = 0;
    let writeOuts = 0;
    for (let n = 0; n < rows; n++) {
      held.set(n % partitions, append(files, n % partitions, n, 300));
      if (!files.isFull) continue;
      const bytes = [...held.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      beyond = Math.max(beyond, bytes - budget);
      held.clear();
      await files.writeOut();
      writeOuts++;
      expect(files.isFull).toBe(false);
    }
    const written = await files.finish();
    // By how much one row may make a buffer grow: by all that it has.
    expect(beyond).toBeLessThan(budget + MIB);
    expect(writeOuts).toBeGreaterThan(0);
    expect(written.reduce((sum, { rowCount }) => sum + rowCount, 0)).toBe(rows);
    const byPartition = new Map<string | null | undefined, number>();
    for (const { partitionValues, rowCount } of written)
      byPartition.set(partitionValues.p, (byPartition.get(partitionValues.p) ?? 0) + rowCount);
    expect(byPartition.size).toBe(partitions);
    for (const count of byPartition.values()) expect(Math.abs(count - rows / partitions)).toBeLessThan(1);
    expect(files.bytesWritten).toBe(written.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    expect(readdirSync(location).length).toBeGreaterThanOrEqual(partitions);
  });

  test.each([1_000, 10_000])(
    '%i open table partitions stay within the budget of a worker',
    async (partitions) => {
      const { files } = tableFiles();
      const held = new Set<Columns>();
      for (let n = 0; n < partitions; n++) held.add(append(files, n, n, 300));
      const bytes = [...held].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      expect(files.isFull).toBe(bytes > 64 * MIB);
      expect(bytes).toBeLessThan(96 * MIB);
      await files.abort();
    },
  );

  test('the largest are written out first, until half of the budget is free', async () => {
    const { files } = tableFiles({ bufferedBytesMax: MIB });
    const sizes = [100_000, 200_000, 300_000, 240_000, 260_000];
    for (const [p, bytes] of sizes.entries()) append(files, p, 0, bytes);
    expect(files.isFull).toBe(true);
    await files.writeOut();
    const rowsHeld = sizes.map((_, p) => files.columnsOf(`${p}`, () => ({})).rowCount);
    expect(rowsHeld).toEqual([1, 1, 0, 0, 0]);
    expect((await files.finish()).map(({ rowCount }) => rowCount)).toEqual([1, 1, 1, 1, 1]);
  });

  test('one table partition too many fails by name, and abort leaves no file', async () => {
    const { files, location } = tableFiles({ bufferedBytesMax: 1, maxFiles: 2 });
    for (const p of [0, 1]) append(files, p, 0, 10);
    await files.writeOut();
    expect(() => append(files, 2, 0, 10)).toThrow(expect.objectContaining({ code: 'MAX_FILES_PER_BATCH' }));
    await files.abort();
    const left = readdirSync(location, { recursive: true, encoding: 'utf8' });
    expect(left.filter((name) => name.endsWith('.parquet'))).toEqual([]);
  });
});
