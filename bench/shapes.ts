import { CRAWL_SCHEMA, crawlRecords, randomFrom } from '../src/dev/crawler.ts';

/** What a benchmark's topic holds. Equal arguments give equal records, so that all systems read the same. */
export interface Shape {
  readonly summary: string;
  /** DDL of the records. Every field is of a type that all peers have; times in milliseconds stay numbers. */
  readonly schema: string;
  records(count: number, partitions: number): Iterable<ShapeRecord>;
  /** How many of `count` records are no JSON. */
  readonly brokenOf?: (count: number) => number;
}

export interface ShapeRecord {
  readonly partition: number;
  readonly key: string;
  readonly value: string;
}

const SEED = 7;
const CRAWLS = 10;
const BENCH_CRAWL_SCHEMA = CRAWL_SCHEMA.replace('crawl_ts TIMESTAMP', 'crawl_ts BIGINT').replace(
  'id STRING NOT NULL',
  'id STRING',
);
/** One record in so many is cut off in the middle. */
const BROKEN_EVERY = 100;

const crawl = (records: number, partitions: number) =>
  crawlRecords({
    topic: '',
    codec: 'none',
    records,
    partitions,
    seed: SEED,
    crawl: { kind: 'full', runs: CRAWLS },
  });

export const SHAPES: Readonly<Record<string, Shape>> = {
  crawler: {
    summary: 'crawler pages of about 640 bytes: 13 fields, nested, repeated and null ones',
    schema: BENCH_CRAWL_SCHEMA,
    records: crawl,
  },
  tiny: {
    summary: 'events of about 60 bytes: 4 fields',
    schema: 'user_id STRING, kind STRING, amount DOUBLE, at_ms BIGINT',
    *records(count, partitions) {
      const random = randomFrom(SEED);
      const kinds = ['view', 'click', 'buy', 'leave'];
      for (let i = 0; i < count; i++) {
        const user_id = `u${random.below(100_000)}`;
        const kind = kinds[random.below(4)];
        const at_ms = 1_700_000_000_000 + i;
        yield record(i, partitions, { user_id, kind, amount: random.below(10_000) / 100, at_ms });
      }
    },
  },
  wide: {
    summary: '200 columns, half of them numbers, half texts; about 4 KB',
    schema: wideColumns()
      .map((name, i) => `${name} ${i % 2 === 0 ? 'BIGINT' : 'STRING'}`)
      .join(', '),
    *records(count, partitions) {
      const names = wideColumns();
      for (let i = 0; i < count; i++) {
        const fields = names.map((name, column) => [
          name,
          column % 2 === 0 ? i + column : `text ${i % (column + 1)}`,
        ]);
        yield record(i, partitions, Object.fromEntries(fields));
      }
    },
  },
  nested: {
    summary: 'documents of about 8 KB: 20 offers, each with a seller, tags and attributes',
    schema:
      'id BIGINT, offers ARRAY<STRUCT<seller: STRUCT<name: STRING, since: BIGINT>, price: DOUBLE, ' +
      'tags: ARRAY<STRING>, attributes: STRUCT<colour: STRING, size: STRING, text: STRING>>>',
    *records(count, partitions) {
      for (let i = 0; i < count; i++) yield record(i, partitions, { id: i, offers: offers(i) });
    },
  },
  dirty: {
    summary: 'crawler pages, one in a hundred cut off: not JSON',
    schema: BENCH_CRAWL_SCHEMA,
    brokenOf: (count) => Math.floor(count / BROKEN_EVERY),
    *records(count, partitions) {
      let i = 0;
      for (const page of crawl(count, partitions)) {
        const broken = ++i % BROKEN_EVERY === 0;
        yield broken ? { ...page, value: page.value.slice(0, page.value.length >> 1) } : page;
      }
    },
  },
};

function record(i: number, partitions: number, fields: object): ShapeRecord {
  return { partition: i % partitions, key: `k${i}`, value: JSON.stringify(fields) };
}

function wideColumns(): string[] {
  return Array.from({ length: 200 }, (_, i) => `c${i}`);
}

function offers(document: number): object[] {
  return Array.from({ length: 20 }, (_, i) => ({
    seller: { name: `seller ${(document * 31 + i) % 1_000}`, since: 1_700_000_000_000 + document },
    price: (document % 1_000) + i / 100,
    tags: [`tag-${i % 7}`, `tag-${document % 11}`, 'sale'],
    attributes: { colour: 'green', size: `${i}`, text: `${'word '.repeat(40)}${document}` },
  }));
}
