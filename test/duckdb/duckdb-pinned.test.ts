/**
 * Goal: nobody changes the version of DuckDB's client without noticing: one of its deep modules is altered,
 * since its decoder drops a U+FEFF at the beginning of a text. Method: the installed package, and a text that
 * begins so.
 */
import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { Database } from '../../src/duckdb/database.ts';

it('is exactly what is declared, and gives back every text as it is', async () => {
  const installed = createRequire(import.meta.url)('@duckdb/node-api/package.json') as { version: string };
  expect([manifest.dependencies['@duckdb/node-api'], installed.version]).toEqual(['1.5.6-r.1', '1.5.6-r.1']);
  const database = await Database.open({ memoryLimitBytes: 64 * 1024 ** 2, threads: 1, readableFiles: [] });
  try {
    expect(await database.all("SELECT chr(65279) || 'a'")).toEqual([['\ufeffa']]);
  } finally {
    database.close();
  }
});
