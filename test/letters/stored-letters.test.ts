/**
 * Promise: a letter's time is the same moment, whoever wrote the file: another writer's OPTIMIZE chooses its
 * own unit. Method: one moment in every unit that Parquet has, written by DuckDB.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { letterSlices } from '../../src/letters/stored-letters.ts';
import { LocalStore } from '../../src/storage/local-store.ts';

const root = mkdtempSync(join(tmpdir(), 'tidemark-letters-'));
beforeAll(async () => {
  const duckdb = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
  for (const type of ['TIMESTAMPTZ', 'TIMESTAMP', 'TIMESTAMP_MS', 'TIMESTAMP_NS']) {
    await duckdb.run(
      `COPY (SELECT CAST('2026-11-22 10:00:00.123' AS ${type}) AS timestamp) TO '${join(root, type)}' (FORMAT parquet)`,
    );
  }
  duckdb.closeSync();
});
afterAll(() => rmSync(root, { recursive: true }));

test.each(['TIMESTAMPTZ', 'TIMESTAMP', 'TIMESTAMP_MS', 'TIMESTAMP_NS'])('%s', async (type) => {
  const times: unknown[] = [];
  for await (const slice of letterSlices(new LocalStore(root), type)) {
    for (const { timestamp } of await slice.read(['timestamp'])) times.push(timestamp);
  }
  expect(times).toEqual([BigInt(Date.UTC(2026, 10, 22, 10, 0, 0, 123)) * 1000n]);
});
