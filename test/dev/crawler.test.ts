/**
 * Goal: a crawl is the same every time, and has the shape that the demo, the proofs and the benchmark rely
 * on. Method: the pure generator, small.
 */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type CrawlOptions, crawlRecords } from '../../src/dev/crawler.ts';

const full: CrawlOptions = {
  topic: 't',
  partitions: 3,
  records: 1000,
  crawl: { kind: 'full', runs: 4 },
  codec: 'none',
  seed: 7,
};

test('equal options give equal records, another seed gives others', () => {
  expect(digest(full)).toBe(digest(full));
  expect(digest({ ...full, seed: 8 })).not.toBe(digest(full));
});

test('a full crawl visits every item once per run, each run with its own crawl_ts', () => {
  const pages = [...crawlRecords(full)].map(({ value }) => JSON.parse(value));
  const byRun = Map.groupBy(pages, (page) => page.crawl_ts);
  expect(byRun.size).toBe(4);
  for (const run of byRun.values()) expect(new Set(run.map((page) => page.id)).size).toBe(250);
});

test('an incremental crawl picks among the items, on its day', () => {
  const [first] = crawlRecords(full);
  const started = JSON.parse(first?.value ?? '').crawl_ts;
  const crawl = { kind: 'incremental', items: 50, day: 4 } as const;
  const pages = [...crawlRecords({ ...full, crawl })].map(({ value }) => JSON.parse(value));
  expect(pages.every((page) => page.crawl_ts === started + 4 * 86_400_000)).toBe(true);
  expect(new Set(pages.map((page) => page.id)).size).toBe(50);
});

test('an item keeps to its partition, and every partition has some', () => {
  const partitions = new Map<string, number>();
  for (const { key, partition } of crawlRecords(full)) {
    expect(partitions.get(key) ?? partition).toBe(partition);
    partitions.set(key, partition);
  }
  expect(new Set(partitions.values()).size).toBe(3);
});

test('records have the 13 fields and about 640 bytes', () => {
  const records = [...crawlRecords(full)];
  for (const { value } of records) expect(Object.keys(JSON.parse(value))).toHaveLength(13);
  const bytes = records.reduce((sum, { value }) => sum + Buffer.byteLength(value), 0) / records.length;
  expect(bytes).toBeGreaterThan(500);
  expect(bytes).toBeLessThan(750);
});

function digest(options: CrawlOptions): string {
  return createHash('sha256')
    .update(JSON.stringify([...crawlRecords(options)]))
    .digest('hex');
}
