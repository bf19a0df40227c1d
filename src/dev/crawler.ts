import kafkajs from 'kafkajs';
import { kafkaClient } from './kafka-client.ts';

const DAY_MS = 86_400_000;
const FIRST_RUN_MS = 1_700_000_000_000;
const SEND_RECORDS = 5_000;
/**
 * A record batch's size, about: kafkajs makes one of all that a send has for a partition, brokers take 1 MiB
 * unless told otherwise.
 */
const SEND_BYTES_PER_PARTITION = 256 * 1024;

export type CrawlCodec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

export interface CrawlOptions {
  readonly topic: string;
  /** Of the topic, which is created if need be. */
  readonly partitions: number;
  readonly records: number;
  readonly crawl: FullCrawls | IncrementalCrawl;
  readonly codec: CrawlCodec;
  /** Equal options give equal bytes. */
  readonly seed: number;
}

/** Each of `runs` crawls visits every item once, and stamps its `crawl_ts` on its records: a day apart. */
export interface FullCrawls {
  readonly kind: 'full';
  readonly runs: number;
}

/**
 * Visits items below `items` at random, with the `crawl_ts` of day `day`, counted from the first full
 * crawl's.
 */
export interface IncrementalCrawl {
  readonly kind: 'incremental';
  readonly items: number;
  readonly day: number;
}

export interface CrawlRecord {
  readonly partition: number;
  readonly key: string;
  /** JSON of 13 fields, about 640 bytes: nested, repeated and null ones among them. */
  readonly value: string;
}

/** The DDL of the records; `crawl_ts` is in milliseconds, `fetched_at` in ISO 8601. */
export const CRAWL_SCHEMA = `id STRING NOT NULL,
site STRING,
url STRING,
title STRING,
price DOUBLE,
stock INT,
in_stock BOOLEAN,
rating DOUBLE,
tags ARRAY<STRING>,
seller STRUCT<name: STRING, since: BIGINT>,
description STRING,
crawl_ts TIMESTAMP,
fetched_at TIMESTAMP`;

/** Produces a crawl and waits for all acknowledgements. @returns the bytes of all values */
export async function produceCrawl(brokers: string, options: CrawlOptions): Promise<{ bytes: number }> {
  const kafka = kafkaClient(brokers, 'tidemark-crawler');
  await ensureTopic(kafka, options);
  const producer = kafka.producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true, // a request that is repeated leaves one copy
  });
  await producer.connect();
  let bytes = 0;
  let pending: CrawlRecord[] = [];
  let pendingBytes = 0;
  const send = async () => {
    if (pending.length > 0)
      await producer.send({
        topic: options.topic,
        messages: pending,
        compression: COMPRESSION[options.codec],
      });
    bytes += pendingBytes;
    pending = [];
    pendingBytes = 0;
  };
  try {
    for (const record of crawlRecords(options)) {
      pending.push(record);
      pendingBytes += Buffer.byteLength(record.value);
      if (pending.length === SEND_RECORDS || pendingBytes >= SEND_BYTES_PER_PARTITION * options.partitions)
        await send();
    }
    await send();
  } finally {
    await producer.disconnect();
  }
  return { bytes };
}

const COMPRESSION = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  snappy: kafkajs.CompressionTypes.Snappy,
  lz4: kafkajs.CompressionTypes.LZ4,
  zstd: kafkajs.CompressionTypes.ZSTD,
} as const;

async function ensureTopic(kafka: kafkajs.Kafka, { topic, partitions }: CrawlOptions): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    if ((await admin.listTopics()).includes(topic)) return;
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true });
  } finally {
    await admin.disconnect();
  }
}

/** The records of a crawl in order. An item keeps to its partition. */
export function* crawlRecords({ crawl, records, partitions, seed }: CrawlOptions): Generator<CrawlRecord> {
  const random = randomFrom(seed);
  const words = Array.from({ length: 5000 }, () => word(random));
  for (let i = 0; i < records; i++) {
    const { item, day } = visit(crawl, random, i, records);
    const page = crawlPage(random, words, item, FIRST_RUN_MS + day * DAY_MS);
    yield { partition: item % partitions, key: page.id, value: JSON.stringify(page) };
  }
}

function visit(crawl: FullCrawls | IncrementalCrawl, random: Random, i: number, records: number) {
  if (crawl.kind === 'incremental') return { item: random.below(crawl.items), day: crawl.day };
  const items = Math.ceil(records / crawl.runs);
  return { item: i % items, day: Math.floor(i / items) };
}

function crawlPage(random: Random, words: readonly string[], item: number, crawlTs: number) {
  const some = (from: number, to: number) =>
    Array.from({ length: random.between(from, to) }, () => pick(random, words));
  const site = pick(random, SITES);
  return {
    id: `p-${String(item).padStart(9, '0')}`,
    site,
    url: `https://${site}/item/${item}?ref=${pick(random, words)}`,
    title: some(4, 12).join(' ') + pick(random, HAN) + pick(random, HAN),
    price: random.below(100_000) / 100,
    stock: random.between(0, 500),
    in_stock: random.below(10) < 8,
    rating: random.below(10) === 0 ? null : random.below(51) / 10,
    tags: some(0, 5),
    seller: { name: pick(random, words), since: random.between(2000, 2024) },
    description: some(10, 50).join(' '),
    crawl_ts: crawlTs,
    fetched_at: new Date(crawlTs + random.below(DAY_MS)).toISOString(),
  };
}

const HAN = [...'爬虫数据全量增量解析清洗分区文件时间戳商品标题价格库存评论'];
const SITES = Array.from({ length: 40 }, (_, i) => `shop-${String(i).padStart(2, '0')}.example`);

function word(random: Random): string {
  return Array.from({ length: random.between(3, 10) }, () => String.fromCharCode(97 + random.below(26))).join(
    '',
  );
}

function pick(random: Random, from: readonly string[]): string {
  return from[random.below(from.length)] ?? '';
}

interface Random {
  /** Integer in [0, bound). */
  below(bound: number): number;
  /** Integer in [from, to]. */
  between(from: number, to: number): number;
}

/** mulberry32: small, quick, the same everywhere. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const below = (bound: number) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
  return { below, between: (from, to) => from + below(to - from + 1) };
}
