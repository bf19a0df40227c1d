/**
 * Goal: every row of a write task is kept or filtered, each counted under its range, and what is kept is in
 * the output in order with the new columns. Method: random rows over random ranges, cleaned by the process
 * that workers use; the judge is the condition in JavaScript. Failures of single rows, of files and of the
 * process by example.
 */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { CleanFilesOrder } from '../../src/duckdb/clean-files.ts';
import { CleanProcess } from '../../src/duckdb/run-clean-process.ts';
import { readParquetRows } from '../../src/parquet/file-reader.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import type { CleanSpecification } from '../../src/records/records-specification.ts';
import { type Row, writeRows } from '../parquet/rows.ts';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const folder = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
let scratches = 0;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rowSchema = parseDdl('id STRING, n BIGINT');
const stored = parseDdl('id STRING, n BIGINT, range INT NOT NULL');
const fileSchema = parseDdl('id STRING, n BIGINT, twice DECIMAL(38,0)');
const clean: CleanSpecification = {
  where: 'n > 0',
  columns: [{ name: 'twice', expression: 'CAST(n AS DECIMAL(38,0)) * 2', type: 'DECIMAL(38,0)' }],
};

async function cleaned(
  inputs: readonly (readonly Row[])[],
  ranges: number,
  change: Partial<CleanFilesOrder> = {},
) {
  const scratch = join(folder, `scratch-${scratches++}`);
  mkdirSync(scratch);
  const files = await Promise.all(
    inputs.map(async (rows, at) => {
      const input = join(scratch, `in-${at}.parquet`);
      writeFileSync(input, (await writeRows(stored, rows, 'none')).bytes);
      return { input, output: join(scratch, `out-${at}.parquet`) };
    }),
  );
  const process = new CleanProcess(scratch);
  try {
    const order = {
      clean,
      files,
      rowSchema,
      fileSchema,
      rangeColumn: 'range',
      ranges,
      compression: 'zstd',
    } as const;
    let steps = 0;
    const results = await process.clean({ ...order, ...change }, { onCleaned: () => steps++ });
    expect(steps, 'each file is told when it is done').toBe(files.length);
    const outputs = await Promise.all(
      files.map(async ({ output }) => (existsSync(output) ? await rowsIn(readFileSync(output)) : undefined)),
    );
    return { results, outputs };
  } finally {
    await process.stop();
    expect(existsSync(scratch), 'the scratch folder is removed').toBe(false);
  }
}

describe(`CleanProcess.clean (seed ${seed})`, { timeout: 120_000 }, () => {
  test('keeps what is true, in order; filters false and null; counts both by range', async () => {
    const row = fc.record({
      id: fc.option(fc.string({ maxLength: 5 })),
      n: fc.option(fc.bigInt({ min: -3n, max: 5n })),
      range: fc.nat(3),
    });
    const file = fc.array(row, { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.array(file, { minLength: 1, maxLength: 3 }), async (inputs) => {
        const { results, outputs } = await cleaned(inputs, 4);
        for (const [at, rows] of inputs.entries()) {
          const kept = rows.filter(({ n }) => n !== null && n > 0n);
          const byRange = (some: typeof rows) =>
            [0, 1, 2, 3].map((range) => some.filter((one) => one.range === range).length);
          expect(results[at]?.rowCount).toBe(kept.length);
          expect(results[at]?.kept).toEqual(byRange(kept));
          expect(results[at]?.filtered).toEqual(byRange(rows.filter((one) => !kept.includes(one))));
          expect(outputs[at]?.map(({ id, n }) => ({ id, n })) ?? []).toEqual(
            kept.map(({ id, n }) => ({ id, n })),
          );
          expect(outputs[at]?.map(({ twice }) => Number(twice)) ?? []).toEqual(
            kept.map(({ n }) => Number(n) * 2),
          );
          if (kept.length > 0) expect(JSON.parse(results[at]?.stats ?? '').numRecords).toBe(kept.length);
        }
      }),
      { seed, numRuns: 6 },
    );
  });

  test('a row that an expression fails on fails by name; one that is filtered does not', async () => {
    const failing: CleanSpecification = {
      where: 'n > 0',
      columns: [
        { name: 'twice', expression: 'CAST(CAST(id AS BIGINT) AS DECIMAL(38,0))', type: 'DECIMAL(38,0)' },
      ],
    };
    const rows = [
      { id: '1', n: 1n, range: 0 },
      { id: 'x', n: 0n, range: 0 },
    ];
    const { results } = await cleaned([rows], 1, { clean: failing });
    expect(results[0]).toMatchObject({ rowCount: 1, kept: [1], filtered: [1] });
    await expect(
      cleaned([[...rows, { id: 'y', n: 1n, range: 0 }]], 1, { clean: failing }),
    ).rejects.toMatchObject({
      code: 'CLEAN_FAILED',
      message: expect.stringMatching(/records\.clean\.columns\.twice failed on a row: Conversion Error.*'y'/),
      fix: expect.stringContaining('TRY_CAST'),
    });
  });

  test('a damaged file is no fault of an expression', async () => {
    const scratch = join(folder, 'damaged');
    mkdirSync(scratch);
    const input = join(scratch, 'in.parquet');
    writeFileSync(input, 'PAR1 and nothing else');
    const process = new CleanProcess(scratch);
    const files = [{ input, output: join(scratch, 'out.parquet') }];
    const order = {
      clean,
      files,
      rowSchema,
      fileSchema,
      rangeColumn: 'range',
      ranges: 1,
      compression: 'zstd',
    } as const;
    await expect(process.clean(order)).rejects.toMatchObject({ code: 'REWRITE_FAILED' });
    await process.stop();
  });

  test('an expression cannot reach other files, whatever it is', async () => {
    const secret = join(folder, 'secret.txt');
    writeFileSync(secret, 'secret');
    const columns = [
      {
        name: 'twice',
        expression: `(SELECT length(content) FROM read_text('${secret}'))`,
        type: 'DECIMAL(38,0)',
      },
    ];
    await expect(cleaned([[{ id: 'a', n: 1n, range: 0 }]], 1, { clean: { columns } })).rejects.toThrow(
      /Permission Error/,
    );
  });

  test('the scratch folder goes when whoever started the process is gone', async () => {
    const scratch = join(folder, 'orphaned');
    mkdirSync(scratch);
    writeFileSync(join(scratch, 'rows.parquet'), '');
    const { Worker } = await import('node:worker_threads');
    const module = new URL('../../src/duckdb/run-clean-process.ts', import.meta.url).href;
    const code = `import(${JSON.stringify(module)}).then(async ({ CleanProcess }) => { await new CleanProcess(${JSON.stringify(scratch)}).started(); require('node:worker_threads').parentPort.postMessage('on'); })`;
    const thread = new Worker(code, { eval: true });
    await new Promise((resolve) => thread.once('message', resolve));
    await thread.terminate();
    for (let tries = 0; existsSync(scratch) && tries < 100; tries++) await delay(100);
    expect(readdirSync(folder)).not.toContain('orphaned');
  });
});

async function rowsIn(bytes: Buffer): Promise<Record<string, unknown>[]> {
  return (await readParquetRows(bytes)).map((row) => ({ ...row }));
}
