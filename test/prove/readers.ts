import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { CRAWL_SCHEMA, type CrawlCodec, produceCrawl } from '../../src/dev/crawler.ts';
import { spawnWorker, tidemark } from '../e2e/processes.ts';
import { uniqueName } from '../e2e/topics.ts';
import { type Reader, readTable, readTopicWithSpark, readTruth } from '../readers/environment.ts';
import type { Ground } from './ground.ts';
import type { Proof } from './main.ts';

const CODECS: readonly CrawlCodec[] = ['lz4', 'gzip'];
const READERS: readonly Reader[] = ['spark', 'delta-rs', 'polars', 'duckdb'];

export const proof: Proof = {
  summary: "A drained table reads alike in every engine, equal to Spark's own reading of the topics.",
  prove: proveReaders,
};

async function proveReaders(ground: Ground): Promise<void> {
  const readers = await ground.readers();
  const brokers = ground.kafka.bootstrapServers;
  const topics = await produceTopics(ground);
  const name = uniqueName('readers');
  const env = await writePipeline(ground, name, topics);
  const worker = spawnWorker(env);
  try {
    const drain = await tidemark(['drain', name, '-o', 'json'], env);
    ground.claim('the drain is complete', drain.exitCode === 0, drain.stderr.trim().split('\n').at(-1));
    const listing = join(ground.folder, 'files.json');
    await writeFile(listing, (await tidemark(['files', name, '-o', 'json'], env)).stdout);

    const expected = await readTopicWithSpark(readers, brokers, {
      topics,
      schema: CRAWL_SCHEMA,
      timestamps: { crawl_ts: 'epochMillis' },
      kafkaColumns: ['topic', 'partition', 'offset', 'timestamp'],
      days: ['crawl_ts'],
    });
    const truth = await readTruth(readers, brokers, topics);
    const reports = [];
    for (const reader of READERS) {
      reports.push(
        await readTable(readers, reader, reader === 'duckdb' ? listing : join(ground.folder, 'table')),
      );
    }
    ground.table(
      ['reader', 'rows', 'checksum', 'seconds'],
      [{ ...expected, reader: 'spark, the topics' }, ...reports].map(
        ({ reader, count, checksum, seconds }) => [
          reader,
          String(count),
          checksum.slice(0, 16),
          String(seconds),
        ],
      ),
    );
    ground.claim(
      'Kafka holds what was produced',
      truth.count === ground.options.records,
      String(truth.count),
    );
    for (const report of reports) {
      ground.claim(
        `${report.reader} reads the rows, sums and types that Spark reads from the topics`,
        same(
          [report.count, report.checksum, report.sums, report.columns],
          [expected.count, expected.checksum, expected.sums, expected.columns],
        ),
      );
      ground.claim(
        `${report.reader} finds every committed offset once`,
        same(report.offsets, withoutValues(truth.offsets)),
      );
    }
  } finally {
    await worker.stop();
    ground.say(worker.output().trim().split('\n').at(-1) ?? '');
  }
}

async function produceTopics(ground: Ground): Promise<string[]> {
  const topics = [];
  for (const codec of CODECS) {
    const topic = uniqueName(`crawl-${codec}`);
    const records = Math.floor(ground.options.records / CODECS.length);
    const seed = ground.options.seed + topics.length;
    const { bytes } = await produceCrawl(ground.kafka.bootstrapServers, {
      topic,
      partitions: 4,
      records,
      kind: 'full',
      runs: 5,
      codec,
      seed,
    });
    ground.say(`${topic}: ${records} records, ${Math.round(bytes / 2 ** 20)} MiB, ${codec}, 4 partitions`);
    topics.push(topic);
  }
  return topics;
}

/** @returns the environment for our processes */
async function writePipeline(
  ground: Ground,
  name: string,
  topics: readonly string[],
): Promise<Record<string, string>> {
  const pipeline = {
    name,
    source: { bootstrapServers: ground.kafka.bootstrapServers, subscribe: topics },
    records: {
      format: 'json',
      mode: 'failFast',
      schema: CRAWL_SCHEMA,
      timestamps: { crawl_ts: 'epochMillis' },
    },
    table: { location: join(ground.folder, 'table'), partitionBy: ['day(crawl_ts)'] },
  };
  await writeFile(join(ground.folder, `${name}.yaml`), stringify(pipeline));
  return {
    TEMPORAL_ADDRESS: ground.temporal.address,
    TEMPORAL_NAMESPACE: ground.temporal.namespace,
    TIDEMARK_PIPELINES: ground.folder,
  };
}

function withoutValues(offsets: Awaited<ReturnType<typeof readTruth>>['offsets']) {
  return mapValues(offsets, (partitions) => mapValues(partitions, ({ values: _, ...rest }) => rest));
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

/** Equal, whatever the order of keys. */
function same(one: unknown, other: unknown): boolean {
  const sorted = (_: string, value: unknown) =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return JSON.stringify(one, sorted) === JSON.stringify(other, sorted);
}
