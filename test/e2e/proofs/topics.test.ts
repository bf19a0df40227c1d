/**
 * Promise: whatever becomes of a topic, a drain either brings its table to the topic's end, with every offset
 * under its name, or says by name what is lost and moves nothing. Method: each case is made on a real broker
 * and drained by a worker; a table says what was expected and what was seen.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ApplicationFailure } from '@temporalio/common';
import kafkajs, { type Message } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { type Receipt, Tidemark, type Until } from '../../../src/client.ts';
import { kafkaClient } from '../../../src/dev/kafka-client.ts';
import { KafkajsConnections } from '../../../src/kafka/kafkajs-source.ts';
import { encodeBatch } from '../../kafka/batches.ts';
import {
  countRecords,
  createTopic,
  produce,
  produceTransaction,
  recreateTopic,
  servedEnvironment,
  temporalClient,
  uniqueName,
  waitUntil,
  withAdmin,
  writePipeline,
} from '../setup/harness.ts';
import { report } from './proof.ts';

const brokers = inject('kafkaBrokers');

const rows: string[] = [];
const served = servedEnvironment();
let folder = '';
beforeAll(async () => {
  rows.push('| case | expected | seen |', '|---|---|---|');
  folder = await mkdtemp(join(tmpdir(), 'tidemark-test-'));
});
afterAll(async () => {
  for (const row of rows) report(row);
  await rm(folder, { recursive: true, force: true });
});

/** Puts the case into the table, then judges it. */
function judge(name: string, expected: string, seen: string): void {
  rows.push(`| ${name} | ${expected} | ${seen} |`);
  expect(seen).toBe(expected);
}

describe('topics come, go and change', () => {
  it('a new partition and a new topic of a pattern, after a start at latest', async () => {
    const prefix = uniqueName('grow');
    const first = await topicOf(5, `${prefix}.a`);
    const drain = await pipeline({ subscribePattern: `${prefix}\\..*`, startingOffsets: 'latest' });
    judge('pattern, startingOffsets: latest', 'complete: 0 rows', await drain());
    await withAdmin(brokers, (admin) =>
      admin.createPartitions({ topicPartitions: [{ topic: first, count: 3 }] }),
    );
    await produce(brokers, first, messages(4, 2));
    judge('new partition', 'complete: 4 rows', await drain());
    await topicOf(6, `${prefix}.b`);
    judge('new topic that the pattern matches', 'complete: 6 rows', await drain());
    judge('the same topics again', 'complete: 0 rows', await drain());
  });

  it.each([
    ['fewer records', 4, 2],
    ['the same number of records', 10, 2],
    ['more records', 20, 2],
    ['fewer partitions', 10, 1],
    ['more partitions', 20, 3],
  ])('a recreated topic with %s', async (name, count, partitions) => {
    const topic = await topicOf(10, undefined, { partitions: 2 });
    const drain = await pipeline({ subscribe: topic });
    await drain();
    await recreateTopic(brokers, topic, partitions);
    await produce(brokers, topic, messages(count, 0));
    judge(`recreated with ${name}`, 'TOPIC_RECREATED, exit code 4, repair named', await drain());
  });

  it('a topic of a pattern that is deleted', async () => {
    const prefix = uniqueName('gone');
    const [kept, deleted] = [await topicOf(3, `${prefix}.kept`), await topicOf(3, `${prefix}.deleted`)];
    const subscribePattern = `${prefix}\\..*`;
    const strict = await pipeline({ subscribePattern });
    const lenient = await pipeline({ subscribePattern, failOnDataLoss: false });
    await strict();
    await lenient();
    await withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [deleted] }));
    await produce(brokers, kept, messages(2, 0));
    judge(
      'topic of the pattern deleted',
      'KAFKA_DATA_LOSS.PARTITIONS_DELETED, exit code 4, repair named',
      await strict(),
    );
    judge('the same, failOnDataLoss: false', 'complete: 2 rows', await lenient());
    await withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [kept] }));
    judge('no topic matches any more', 'TOPIC_NOT_FOUND, exit code 2', await lenient());
  });

  it('a subscribed topic that is deleted', async () => {
    const topic = await topicOf(3);
    const drain = await pipeline({ subscribe: topic });
    await drain();
    await withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [topic] }));
    await waitUntil(async () => !(await withAdmin(brokers, (admin) => admin.listTopics())).includes(topic));
    judge('subscribed topic deleted', 'TOPIC_NOT_FOUND, exit code 2, repair named', await drain());
  });
});

describe('records are gone', () => {
  it('before and behind the committed offset', async () => {
    const topic = await topicOf(10);
    const strict = await pipeline({ subscribe: topic });
    const lenient = await pipeline({ subscribe: topic, failOnDataLoss: false });
    await strict();
    await lenient();
    await produce(brokers, topic, messages(10, 0));
    await deleteRecords(topic, 8);
    judge('DeleteRecords before the committed offset', 'complete: 10 rows', await strict());
    await produce(brokers, topic, messages(10, 0));
    await deleteRecords(topic, 26);
    judge(
      'DeleteRecords or retention past the committed offset',
      'KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE, exit code 4, repair named',
      await strict(),
    );
    judge('the same, failOnDataLoss: false', 'complete: 4 rows, 16 lost', await lenient());
    await produce(brokers, topic, messages(10, 0));
    await deleteRecords(topic, 40);
    judge('all of it gone, failOnDataLoss: false', 'complete: 0 rows, 10 lost', await lenient());
    await produce(brokers, topic, messages(1, 0));
    judge('after that', 'complete: 1 rows', await lenient());
  });
});

describe('where a pipeline begins', () => {
  it('at timestamps', async () => {
    const topic = await createTopic(brokers, { name: uniqueName('times'), partitions: 2 });
    const at = (time: number, partition: number) => ({
      ...record(time),
      partition,
      timestamp: String(1_700_000_000_000 + time),
    });
    await produce(brokers, topic, [at(0, 0), at(10, 0), at(20, 0), at(0, 1)], { batchSize: 1 });
    const from = (source: object) => pipeline({ subscribe: topic, ...source }).then((drain) => drain());
    const startingTimestamp = 1_700_000_000_010;
    judge(
      'startingTimestamp after the last record of a partition',
      'KAFKA_DATA_LOSS.INITIAL_OFFSET_NOT_FOUND_FOR_PARTITIONS, exit code 2',
      await from({ startingTimestamp }),
    );
    judge(
      'the same, strategy latest',
      'complete: 2 rows',
      await from({ startingTimestamp, startingOffsetsByTimestampStrategy: 'latest' }),
    );
    judge(
      'startingOffsetsByTimestamp, each its own',
      'complete: 2 rows',
      await from({
        startingOffsetsByTimestamp: { [topic]: { 0: startingTimestamp + 10, 1: 1_700_000_000_000 } },
      }),
    );
    judge(
      'startingOffsetsByTimestamp without a partition',
      'KAFKA_TIMESTAMP_OFFSET_DOES_NOT_MATCH_ASSIGNED, exit code 2',
      await from({ startingOffsetsByTimestamp: { [topic]: { 0: startingTimestamp } } }),
    );
  });
});

describe('transactions', () => {
  const SPARK_CASES = [
    ['committed', ['commit'], 'complete: 5 rows, 1 markers', 'complete: 5 rows, 1 markers'],
    ['aborted', ['abort'], 'complete: 0 rows, 1 markers, 5 aborted', 'complete: 5 rows, 1 markers'],
    [
      'committed, aborted, committed',
      ['commit', 'abort', 'commit'],
      'complete: 10 rows, 3 markers, 5 aborted',
      'complete: 15 rows, 3 markers',
    ],
    [
      'committed, then nothing but aborted ones',
      ['commit', 'abort', 'abort'],
      'complete: 5 rows, 3 markers, 10 aborted',
      'complete: 15 rows, 3 markers',
    ],
  ] as const;

  it.each(SPARK_CASES)('%s', async (name, ends, committed, uncommitted) => {
    const topic = await createTopic(brokers, { name: uniqueName('transactions'), partitions: 1 });
    for (const end of ends) await produceTransaction(brokers, topic, messages(5, 0), end);
    const drained = async (isolation: string) => (await pipeline({ subscribe: topic, isolation }))();
    judge(`${name}, read_committed`, committed, await drained('read_committed'));
    judge(`${name}, read_uncommitted`, uncommitted, await drained('read_uncommitted'));
  });

  it('an open one, and one whose producer is gone', async () => {
    const topic = await topicOf(4);
    const drain = await pipeline({ subscribe: topic });
    const producer = await transactionalProducer(20_000);
    const open = await producer.transaction();
    await open.send({ topic, messages: messages(3, 0) });
    await produce(brokers, topic, messages(2, 0));
    judge('open transaction, until latest', 'complete: 4 rows', await drain());
    const until = { offsets: { [topic]: { 0: 9 } } };
    judge('open transaction, until beyond it', 'partial: 0 rows', await drain(until));
    await producer.disconnect();
    judge('hung transaction', 'partial: 0 rows', await drain(until));
    // The broker's marker is the record after the nine.
    await waitUntil(async () => (await countRecords(brokers, topic)) > 9n);
    judge('after the broker has aborted it', 'complete: 2 rows, 3 aborted', await drain(until));
  });

  it('overlapping aborted ones', async () => {
    const topic = await topicOf(2);
    const [a, b] = [await transactionalProducer(), await transactionalProducer()];
    const first = await a.transaction();
    const second = await b.transaction();
    await first.send({ topic, messages: messages(2, 0) });
    await second.send({ topic, messages: messages(1, 0) });
    await first.send({ topic, messages: messages(1, 0) });
    await second.abort();
    await first.send({ topic, messages: messages(1, 0) });
    await first.abort();
    await produce(brokers, topic, messages(3, 0));
    const drain = await pipeline({ subscribe: topic });
    judge('overlapping aborted transactions', 'complete: 5 rows, 2 markers, 5 aborted', await drain());
  });

  it('records whose keys look like markers', async () => {
    const topic = await createTopic(brokers, { name: uniqueName('key-zero'), partitions: 1 });
    const keys = [0, 1].map((type) => Buffer.from([0, 0, 0, type]));
    const marked = keys.map((key, n) => ({ ...record(n), key, partition: 0 }));
    await produce(brokers, topic, marked);
    await produceTransaction(brokers, topic, marked, 'commit');
    await produceTransaction(brokers, topic, marked, 'abort');
    const drain = await pipeline({ subscribe: topic });
    judge('int32 keys 0 and 1', 'complete: 4 rows, 2 markers, 2 aborted', await drain());
  });
});

describe('sizes', () => {
  const config = { 'max.message.bytes': String(32 << 20) };
  const large = [{ value: JSON.stringify({ n: 1, pad: 'x'.repeat(10_000_000) }), partition: 0 }];

  it('a record of 10 MB', async () => {
    const topic = await topicOf(0, undefined, { config });
    await produce(brokers, topic, [...large, ...messages(1, 0)]);
    judge('a record of 10 MB', 'complete: 2 rows', await (await pipeline({ subscribe: topic }))());
  });

  it('a batch of 200,000 records', async () => {
    const topic = await topicOf(0, undefined, { config });
    const records = Array.from({ length: 200_000 }, (_, n) => ({ offsetDelta: n, value: `{"n":${n}}` }));
    const gzip = { codec: 1, compress: (plain: Buffer) => gzipSync(plain) };
    await produceBatch(topic, encodeBatch({ baseOffset: 0, records, baseTimestamp: Date.now(), ...gzip }));
    const drain = await pipeline({ subscribe: topic });
    judge('one batch of 200,000 records', 'complete: 200000 rows', await drain());
  });

  it('a decompression bomb', async () => {
    const topic = await topicOf(0, undefined, { config });
    await produce(brokers, topic, large, { codec: 'GZIP' });
    const limited = await pipeline({ subscribe: topic }, { maxRecordBatchBytes: '1MiB' });
    judge('10 KB that become 10 MB, limit 1 MiB', 'KAFKA_BATCH_TOO_LARGE, exit code 1', await limited());
    judge('the same, default limit', 'complete: 1 rows', await (await pipeline({ subscribe: topic }))());
  });

  it('1,000 partitions of which 990 are idle', async () => {
    const topic = await topicOf(0, uniqueName('wide'), { partitions: 1000 });
    onTestFinished(() => withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [topic] })));
    const some = Array.from({ length: 10 }, (_, i) => messages(10, i * 100)).flat();
    await produce(brokers, topic, some);
    const drain = await pipeline({ subscribe: topic });
    judge('1,000 partitions, 990 idle', 'complete: 100 rows', await drain());
    await produce(brokers, topic, some);
    const started = Date.now();
    judge('the next drain', 'complete: 100 rows', await drain());
    const seconds = (Date.now() - started) / 1000;
    const handle = (await temporalClient(served.TEMPORAL_NAMESPACE)).workflow.getHandle(
      `drain-${drain.pipeline}`,
    );
    const { historyLength, historySize } = await handle.describe();
    const size = `${historyLength} events, ${Math.ceil((historySize ?? 0) / 1024)} KiB of history`;
    rows.push(`| it takes | less than 15 s, 100 events, 256 KiB | ${seconds.toFixed(1)} s, ${size} |`);
    expect(seconds).toBeLessThan(15);
    expect(historyLength).toBeLessThan(100);
    expect(historySize).toBeLessThan(256 * 1024);
  });
});

describe('group offsets', () => {
  it('are what lag tools see, and nothing is read from them', async () => {
    const topic = await topicOf(10, undefined, { partitions: 2 });
    const drain = await pipeline({ subscribe: topic });
    await drain();
    await produce(brokers, topic, messages(7, 0));
    const groupId = `tidemark.${drain.pipeline}`;
    judge('lag of the group after a drain and 7 records', '7', await lag(groupId, topic));
    await withAdmin(brokers, (admin) =>
      admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '0' }] }),
    );
    judge('group offsets set back by somebody', 'complete: 7 rows', await drain());
    judge('lag after that', '0', await lag(groupId, topic));

    const consumer = kafkaClient(brokers, 'tidemark-test').consumer({ groupId });
    await consumer.connect();
    await consumer.subscribe({ topic });
    const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
    await consumer.run({ autoCommit: false, eachMessage: async () => {} });
    await joined;
    onTestFinished(() => consumer.disconnect());
    await produce(brokers, topic, messages(1, 0));
    judge('a consumer under the name of the group', 'complete: 1 rows', await drain());
  });
});

// What the cases are made of.

interface Drain {
  /** What became of it, in words. */
  (until?: Until): Promise<string>;
  readonly pipeline: string;
}

async function pipeline(source: object, limits: object = {}): Promise<Drain> {
  const name = uniqueName('topics');
  await writePipeline(served.TIDEMARK_PIPELINES ?? '', name, {
    source: { bootstrapServers: brokers, ...source },
    records: { format: 'json', mode: 'failFast', schema: 'n BIGINT NOT NULL' },
    table: { location: join(folder, name) },
    limits,
  });
  const tidemark = new Tidemark(await temporalClient(served.TEMPORAL_NAMESPACE));
  const drain = (until: Until = 'latest') =>
    tidemark.drain(name, until).then(describeReceipt, describeFailure);
  return Object.assign(drain, { pipeline: name });
}

function describeReceipt({ outcome, totals }: Receipt): string {
  const counted = (['markers', 'aborted', 'gaps', 'lost'] as const).filter((term) => totals[term] > 0);
  return [`${outcome}: ${totals.rows} rows`, ...counted.map((term) => `${totals[term]} ${term}`)].join(', ');
}

/** The activity's failure, as the CLI would show it. */
function describeFailure(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof ApplicationFailure)) continue;
    const [details] = (cause.details ?? []) as { exitCode?: number }[];
    const repair = cause.message.includes('tidemark repair') ? ', repair named' : '';
    return `${cause.type}, exit code ${details?.exitCode}${repair}`;
  }
  throw error;
}

const record = (n: number) => ({ value: JSON.stringify({ n }) });

function messages(count: number, partition: number): Message[] {
  return Array.from({ length: count }, (_, n) => ({ ...record(n), partition }));
}

async function topicOf(
  count: number,
  name = uniqueName('topics'),
  options: { partitions?: number; config?: Record<string, string> } = {},
): Promise<string> {
  const topic = name;
  await createTopic(brokers, { name, partitions: options.partitions ?? 1, ...options }).catch(() => {});
  // kafkajs gives up where a broker has not heard of the topic, or of leading it, at once.
  await waitUntil(() =>
    withAdmin(brokers, (admin) => admin.fetchTopicOffsets(topic)).then(
      () => true,
      () => false,
    ),
  );
  if (count > 0) await produce(brokers, topic, messages(count, 0));
  return topic;
}

/** A record batch as it is: kafkajs copies its list of records for each record of it. */
async function produceBatch(topic: string, batch: Buffer): Promise<void> {
  const int16 = (value: number) => Buffer.of((value >> 8) & 0xff, value & 0xff);
  const int32 = (value: number) => Buffer.concat([int16(value >> 16), int16(value)]);
  const partition = [int32(1), int32(0), int32(batch.length), batch];
  const named = [int32(1), int16(topic.length), Buffer.from(topic)];
  const body = Buffer.concat([int16(-1), int16(-1), int32(30_000), ...named, ...partition]);
  const connections = new KafkajsConnections({ bootstrapServers: [brokers] }, 10_000);
  // Produce v7: after the topic's name, a partition and its error code.
  const decode = (payload: Buffer) => payload.readInt16BE(4 + 2 + topic.length + 4 + 4);
  try {
    const errorCode = await connections.send(brokers, {
      apiKey: 0,
      apiVersion: 7,
      apiName: 'Produce',
      body,
      decode,
    });
    expect(errorCode).toBe(0);
  } finally {
    await connections.close();
  }
}

async function deleteRecords(topic: string, before: number): Promise<void> {
  const partitions = [{ partition: 0, offset: String(before) }];
  await withAdmin(brokers, async (admin) => {
    await admin.fetchTopicOffsets(topic); // kafkajs wants to know the topic first
    await admin.deleteTopicRecords({ topic, partitions });
  });
}

async function transactionalProducer(transactionTimeout = 60_000): Promise<kafkajs.Producer> {
  const producer = kafkaClient(brokers, 'tidemark-test').producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
    transactionalId: uniqueName('transaction'),
    transactionTimeout,
  });
  await producer.connect();
  onTestFinished(() => producer.disconnect());
  return producer;
}

/** As `kafka-consumer-groups --describe` sums it up. */
async function lag(groupId: string, topic: string): Promise<string> {
  return withAdmin(brokers, async (admin) => {
    const ends = await admin.fetchTopicOffsets(topic);
    const [group] = await admin.fetchOffsets({ groupId, topics: [topic] });
    const offsets = new Map(group?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    return String(
      ends.reduce((sum, { partition, high }) => sum + Number(high) - (offsets.get(partition) ?? 0), 0),
    );
  });
}
