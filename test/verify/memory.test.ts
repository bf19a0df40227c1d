/**
 * Promise: any table that a drain and a compaction can make is proven, however many columns it has and
 * however large its values are. Method: real tables of many columns, of many members in one STRUCT, and of
 * long values, before and after a compaction, with the memory that `tidemark verify` gives DuckDB; then one
 * false statistic among 300 columns is found.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { versionPath } from '../../src/delta/log-files.ts';
import { World } from './world.ts';

const names = (count: number) => Array.from({ length: count }, (_, at) => `c${at}`);
const short = (count: number) => Object.fromEntries(names(count).map((name) => [name, `v${name}`]));
/** Words, so that pages compress as texts do, and no two values are alike. */
const long = (bytes: number, at: number) => `${at} ${'crawled words of a page '.repeat(bytes / 24)}`;

const TABLES: readonly (readonly [name: string, schema: string, records: readonly object[]])[] = [
  [
    '500 STRING columns',
    names(500)
      .map((name) => `${name} STRING`)
      .join(', '),
    [short(500)],
  ],
  [
    '300 members of one STRUCT',
    `id BIGINT, s STRUCT<${names(300)
      .map((name) => `${name}: STRING`)
      .join(', ')}>`,
    [{ id: 1, s: short(300) }, { id: 2 }],
  ],
  [
    '6,000 values of 10 KB',
    'url STRING, html STRING',
    Array.from({ length: 6_000 }, (_, at) => ({ url: `u${at}`, html: long(10_000, at) })),
  ],
  [
    '40 values of 2 MB, in two columns',
    'id BIGINT, a STRING, b STRING',
    Array.from({ length: 40 }, (_, id) => ({ id, a: long(2_000_000, id), b: long(2_000_000, id + 1) })),
  ],
];

test.each(TABLES)('%s', async (_, schema, records) => {
  using world = new World(`schema: "${schema}"`);
  await world.drain(records.map((record) => JSON.stringify(record)));
  await world.drain([JSON.stringify(records[0])]);
  const drained = await world.verify();
  expect(drained).toMatchObject({ outcome: 'agrees', rows: { rows: records.length + 1 } });
  await world.compact();
  expect(await world.verify()).toMatchObject({ outcome: 'agrees', rows: { rows: records.length + 1 } });
});

test('a minimum that is not true is found among 500 columns', async () => {
  using world = new World(
    `schema: "${names(500)
      .map((name) => `${name} STRING`)
      .join(', ')}"`,
  );
  await world.drain([JSON.stringify(short(500))]);
  const file = world.store.address(versionPath(0));
  const log = readFileSync(file, 'utf8');
  const altered = log.replace('\\"minValues\\":{\\"c0\\":\\"vc0\\"', '\\"minValues\\":{\\"c0\\":\\"wc0\\"');
  expect(altered).not.toBe(log);
  writeFileSync(file, altered);
  const { outcome, found } = await world.verify();
  expect(outcome).toBe('disagrees');
  expect(found).toMatchObject([{ check: 'statistics', column: 'c0' }]);
});
