/**
 * Goal: `clean` takes rows out and changes columns without an offset getting lost from the books, and what is
 * wrong with an expression is told before a record is read. Method: Kafka, a worker and the CLI; the table is
 * read back by SQL, the receipt's numbers per Kafka partition are compared with what was produced, and a
 * worker is killed in the middle.
 */
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { describe, expect } from 'vitest';
import { tidemark, uniqueName, waitUntil } from './setup/harness.ts';
import { it, type Place } from './setup/place.ts';

const PARTITIONS = 3;
const RECORDS = 3_000;
const priceOf = (n: number) => (n % 10) - 2;

async function topicWithPrices(place: Place): Promise<string> {
  const messages = Array.from({ length: RECORDS }, (_, n) => ({
    partition: n % PARTITIONS,
    value: JSON.stringify({
      id: `P${n}`,
      price: priceOf(n),
      shop: `shop${n % 4}`,
      seen: 1_700_000_000_000 + n,
    }),
  }));
  const records = [...messages, { partition: 0, value: null }];
  return await place.topic('clean', records, { partitions: PARTITIONS });
}

function pipeline(topic: string, clean: object, table: object = {}) {
  return {
    source: { subscribe: [topic] },
    records: {
      schema: 'id STRING NOT NULL, price BIGINT, shop STRING, seen TIMESTAMP',
      timestamps: { seen: 'epochMillis' },
      clean,
    },
    table: { partitionBy: ['shop'], ...table },
  };
}

async function place(at: Place, clean: object, table: object = {}) {
  const topic = await topicWithPrices(at);
  const name = await at.pipeline(uniqueName('clean'), pipeline(topic, clean, table));
  return { ...at, env: { ...at.env, TMPDIR: at.folder }, location: at.location, name, topic };
}

/** Its scratch folders are seen in the test's. */
async function workerFor(own: Place) {
  return await own.worker({ TMPDIR: own.folder });
}

async function query(name: string, sql: string, env: Place['env']): Promise<unknown[]> {
  const { stdout, stderr, exitCode } = await tidemark(['query', name, sql, '-o', 'json'], env);
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout);
}

const scratchFolders = async (folder: string) =>
  (await readdir(folder)).filter((entry) => entry.startsWith('tidemark-clean-'));

const CLEAN = {
  where: 'price > 0',
  columns: { price: 'CAST(price * 100 AS DECIMAL(12,2))', label: "upper(id) || '-' || shop" },
};

describe('drain with clean', () => {
  it('keeps, counts and changes exactly what the expressions say', async ({ own }) => {
    const { name, env, folder, location } = await place(own, CLEAN, { coalesce: 1 });
    await workerFor(own);
    const { stdout, stderr, exitCode } = await tidemark(['drain', name, '-o', 'json'], env);
    expect(exitCode, stderr).toBe(0);
    const receipt = JSON.parse(stdout);
    for (const { kafkaPartition, ...counts } of receipt.partitions) {
      const prices = Array.from({ length: RECORDS / PARTITIONS }, (_, at) =>
        priceOf(at * PARTITIONS + kafkaPartition),
      );
      const kept = prices.filter((price) => price > 0).length;
      expect(counts.accounting ?? counts).toMatchObject({
        rows: kept,
        filtered: prices.length - kept,
        tombstones: kafkaPartition === 0 ? 1 : 0,
      });
    }
    const [row] = await query(
      name,
      `SELECT count(*) AS n, count(DISTINCT id) AS ids, sum(price)::DOUBLE AS total, typeof(any_value(price)) AS type,
         count(*) FILTER (label = upper(id) || '-' || shop) AS labels, count(*) FILTER (seen >= '2023-01-01') AS seen
       FROM "${name}"`,
      env,
    );
    const kept = Array.from({ length: RECORDS }, (_, n) => priceOf(n)).filter((price) => price > 0);
    const total = kept.reduce((sum, price) => sum + price * 100, 0);
    const n = kept.length;
    expect(row).toEqual({ n, ids: n, total, type: 'DECIMAL(12,2)', labels: n, seen: n });
    expect(await scratchFolders(folder)).toEqual([]);
    expect(await readdir(location)).not.toContain('rows');
  });

  it('makes no file of a table partition that is filtered away, and commits the offsets all the same', async ({
    served,
  }) => {
    const { name, env, location } = await place(served, { where: "shop = 'none'" });
    const { stdout, stderr, exitCode } = await tidemark(['drain', name, '-o', 'json'], env);
    expect(exitCode, stderr).toBe(0);
    expect(JSON.parse(stdout).totals).toMatchObject({ rows: 0, filtered: RECORDS, files: 0 });
    expect((await readdir(location)).filter((entry) => entry.startsWith('shop='))).toEqual([]);
    const again = await tidemark(['drain', name, '-o', 'json'], env);
    expect(JSON.parse(again.stdout).totals).toMatchObject({ filtered: 0 });
  });

  it('refuses a broken expression before it reads, and names one that fails on a row', async ({ own }) => {
    const broken = await place(own, { where: 'prize > 0', columns: { at: 'now()' } });
    await workerFor(own);
    const refused = await tidemark(['drain', broken.name], broken.env);
    expect([refused.stdout, refused.exitCode]).toEqual(['', 2]);
    expect(refused.stderr).toContain('CLEAN_INVALID');
    expect(refused.stderr).toContain('records.clean.where: there is no column prize');
    expect(refused.stderr).toContain('records.clean.columns.at: now() does not depend on the row alone');
    expect(refused.stderr).not.toMatch(/\n\s+at /);
    await expect(readdir(broken.location)).rejects.toThrow();
    const validated = await tidemark(['validate', broken.name], broken.env);
    expect([validated.exitCode, validated.stderr]).toEqual([2, expect.stringContaining('CLEAN_INVALID')]);

    await own.pipeline(broken.name, pipeline(broken.topic, { columns: { n: 'CAST(id AS BIGINT)' } }));
    const failed = await tidemark(['drain', broken.name], broken.env);
    expect(failed.exitCode).toBe(1);
    expect(failed.stderr).toContain('CLEAN_FAILED');
    expect(failed.stderr).toContain('records.clean.columns.n failed on a row: Conversion Error');
    expect(failed.stderr).toContain('TRY_CAST');
    expect(await scratchFolders(broken.folder)).toEqual([]);
    const { stdout } = await tidemark(['files', broken.name], broken.env);
    expect(stdout.trim()).toBe('');
  });

  it('is the same after a worker was killed in the middle, and leaves no scratch folder', async ({ own }) => {
    const { name, env, folder } = await place(own, CLEAN, { coalesce: 1 });
    const first = await workerFor(own);
    const drain = tidemark(['drain', name, '-o', 'json'], env);
    await waitUntil(async () => (await scratchFolders(folder)).length > 0);
    first.stop('SIGKILL');
    await workerFor(own);
    const { stdout, stderr, exitCode } = await drain;
    expect(exitCode, stderr).toBe(0);
    const kept = Array.from({ length: RECORDS }, (_, n) => priceOf(n)).filter((price) => price > 0).length;
    expect(JSON.parse(stdout).totals).toMatchObject({ rows: kept, filtered: RECORDS - kept });
    const [row] = await query(name, `SELECT count(*) AS n, count(DISTINCT id) AS ids FROM "${name}"`, env);
    expect(row).toEqual({ n: kept, ids: kept });
    await waitUntil(async () => (await scratchFolders(folder)).length === 0);
    expect(tmpdir()).not.toBe(folder);
  });
});
