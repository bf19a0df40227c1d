/**
 * Goal: any range of a real topic is read exactly, whatever lies at its ends, and what cannot be read has its
 * name. Method: every sub-range of small topics whose every offset we have put there ourselves, against that
 * knowledge and against an independent read_committed consumer (librdkafka, where Python is found).
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import kafkajs, { type Message } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { kafkaClient } from '../../../src/dev/kafka-client.ts';
import { ClusterSource } from '../../../src/kafka/cluster-source.ts';
import { connectSource } from '../../../src/kafka/connect-source.ts';
import { KafkajsConnections } from '../../../src/kafka/kafkajs-source.ts';
import { PATIENCE } from '../../../src/kafka/range-reader.ts';
import { RangeWalk } from '../../../src/kafka/record-batch.ts';
import type { KafkaSource, PartitionDescription, ReadOptions } from '../../../src/kafka/source.ts';
import { BATCH_BYTES, walkAll } from '../../kafka/batches.ts';
import { readersEnvironment, readTruth } from '../../readers/environment.ts';
import { createTopic, produce, uniqueName, withAdmin } from '../setup/harness.ts';

const brokers = inject('kafkaBrokers');
let source: KafkaSource;

beforeAll(async () => {
  source = await connectSource({ bootstrapServers: brokers.split(',') });
});
afterAll(() => source.close());

interface Read {
  readonly offsets: number[];
  readonly values: (string | null)[];
  /** records, markers, aborted, gaps */
  readonly counts: readonly [number, number, number, number];
  readonly complete: boolean;
}

async function read(
  topic: string,
  from: number,
  to: number,
  isolation: ReadOptions['isolation'] = 'read_committed',
): Promise<Read> {
  const range = { topic, kafkaPartition: 0, startingOffset: BigInt(from), endingOffset: BigInt(to) };
  const walk = new RangeWalk(range, isolation, BATCH_BYTES);
  const offsets: number[] = [];
  const values: (string | null)[] = [];
  const visitor = {
    record(offset: number, _timestampMs: number, buffer: Buffer, start: number, end: number) {
      offsets.push(offset);
      values.push(start < 0 ? null : buffer.toString('utf8', start, end));
    },
  };
  const signal = AbortSignal.timeout(60_000);
  for await (const fetched of source.readRange(range, { isolation, signal })) walkAll(walk, fetched, visitor);
  const { records, markers, aborted, gaps, complete } = walk;
  return { offsets, values, counts: [records, markers, aborted, gaps], complete };
}

type Fate = 'record' | 'marker' | 'aborted' | 'gap';

async function expectAllRanges(topic: string, fates: readonly Fate[]): Promise<void> {
  for (let from = 0; from < fates.length; from++) {
    for (let to = from; to <= fates.length; to++) {
      const expected = fates.slice(from, to);
      const count = (fate: Fate) => expected.filter((f) => f === fate).length;
      const { offsets, counts, complete } = await read(topic, from, to);
      expect({ from, to, offsets, counts, complete }).toEqual({
        from,
        to,
        offsets: expected.flatMap((fate, i) => (fate === 'record' ? [from + i] : [])),
        counts: [count('record'), count('marker'), count('aborted'), count('gap')],
        complete: true,
      });
    }
  }
}

async function partition(topic: string): Promise<PartitionDescription> {
  const [description] = await source.describeTopics([topic]);
  const [first] = description?.partitions ?? [];
  if (first === undefined) throw new Error(`no partition of ${topic}`);
  return first;
}

/** A marker is written after its transaction's end was acknowledged. */
async function reached(topic: string, highWatermark: number): Promise<void> {
  while ((await partition(topic)).highWatermark < BigInt(highWatermark)) await sleep(20);
}

const messages = (count: number, name = 'v'): Message[] =>
  Array.from({ length: count }, (_, i) => ({
    key: Buffer.from([0, 0, 0, 0]),
    value: `${name}${i}`,
    partition: 0,
  }));

/** As the truth's `values`: a hash over the hashes of all values, in the order of their offsets. */
function valuesChecksum(values: readonly (string | null)[]): string {
  const all = createHash('sha256');
  for (const value of values)
    all.update(value === null ? 'null' : createHash('sha256').update(value).digest());
  return all.digest('hex');
}

async function transactional(): Promise<kafkajs.Producer> {
  const producer = kafkaClient(brokers, 'tidemark-test').producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
    transactionalId: uniqueName('transaction'),
  });
  await producer.connect();
  onTestFinished(() => producer.disconnect());
  return producer;
}

describe('transactions', () => {
  it('overlapping, committed, aborted and open: all ranges, equal to an independent consumer', async () => {
    const topic = await createTopic(brokers, { name: uniqueName('transactions'), partitions: 1 });
    const [a, b] = await Promise.all([transactional(), transactional()]);
    await produce(brokers, topic, messages(2), { codec: 'LZ4' });
    const first = await a.transaction();
    const second = await b.transaction();
    await first.send({ topic, messages: messages(2, 'a'), compression: kafkajs.CompressionTypes.GZIP });
    await second.send({ topic, messages: messages(1, 'b') });
    await first.send({ topic, messages: messages(1, 'a') });
    await produce(brokers, topic, messages(1));
    await second.abort();
    await reached(topic, 8);
    await first.send({ topic, messages: messages(1, 'a') });
    await first.abort();
    await reached(topic, 10);
    const third = await a.transaction();
    await third.send({ topic, messages: messages(2, 'c') });
    await third.commit();
    await reached(topic, 13);
    const fates: Fate[] = [
      ...(['record', 'record'] as const),
      ...(['aborted', 'aborted', 'aborted', 'aborted'] as const),
      ...(['record', 'marker', 'aborted', 'marker'] as const),
      ...(['record', 'record', 'marker'] as const),
    ];

    const open = await b.transaction();
    await open.send({ topic, messages: messages(1, 'open') });
    await produce(brokers, topic, messages(1));
    expect(await partition(topic)).toEqual({
      kafkaPartition: 0,
      logStartOffset: 0n,
      lastStableOffset: BigInt(fates.length),
      highWatermark: BigInt(fates.length + 2),
    });
    const visible = await read(topic, 0, fates.length + 2, 'read_uncommitted');
    expect(visible.counts).toEqual([fates.length + 2 - 3, 3, 0, 0]);

    await open.abort();
    await reached(topic, fates.length + 3);
    fates.push('aborted', 'record', 'marker');
    await expectAllRanges(topic, fates);
    await expectTruth(topic, await read(topic, 0, fates.length));
  });

  async function expectTruth(topic: string, ours: Read): Promise<void> {
    const environment = await readersEnvironment();
    if ('missing' in environment) return console.warn(`no independent consumer: ${environment.missing}`);
    const truth = await readTruth(environment, brokers, [topic]);
    expect(truth.offsets[topic]?.['0']).toMatchObject({
      count: ours.offsets.length,
      checksum: createHash('sha256').update(ours.offsets.join()).digest('hex'),
      values: valuesChecksum(ours.values),
    });
  }
});

it.each(['None', 'GZIP', 'Snappy', 'LZ4', 'ZSTD'] as const)('codec %s', async (codec) => {
  const topic = await createTopic(brokers, { name: uniqueName('codec'), partitions: 1 });
  const sent = messages(3000, 'value '.repeat(30));
  await produce(brokers, topic, sent, { codec, batchSize: 700 });
  const { values, counts, complete } = await read(topic, 100, 2900);
  expect([counts, complete]).toEqual([[2800, 0, 0, 0], true]);
  expect(values).toEqual(sent.slice(100, 2900).map(({ value }) => value));
});

it('a batch larger than a fetch', async () => {
  const config = { 'max.message.bytes': String(16 << 20) };
  const topic = await createTopic(brokers, { name: uniqueName('large'), partitions: 1, config });
  const value = 'x'.repeat(1 << 20);
  await produce(
    brokers,
    topic,
    Array.from({ length: 9 }, () => ({ value, partition: 0 })),
  );
  const { values, complete } = await read(topic, 0, 9);
  expect([values.length, values.every((v) => v === value), complete]).toEqual([9, true, true]);
});

it('a compacted topic: holes at the beginning, inside and at the end of a range, an empty batch that is kept', async () => {
  const config = {
    'cleanup.policy': 'compact',
    'min.cleanable.dirty.ratio': '0.01',
    'segment.ms': '50',
    'min.compaction.lag.ms': '0',
  };
  const topic = await createTopic(brokers, { name: uniqueName('compacted'), partitions: 1, config });
  const record = (key: string): Message => ({ key, value: key, partition: 0 });
  await produce(brokers, topic, ['a', 'b', 'c', 'd'].map(record));
  const idempotent = kafkaClient(brokers, 'tidemark-test').producer({
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await idempotent.connect();
  await idempotent.send({ topic, messages: [record('a')] });
  await idempotent.disconnect();
  await produce(brokers, topic, ['a', 'b', 'd', 'e'].map(record));
  // Every append after `segment.ms` begins a segment; the cleaner leaves the active one alone.
  await sleep(100);
  await produce(brokers, topic, [record('last')]);
  const fates: Fate[] = [
    'gap',
    'gap',
    'record',
    'gap',
    'gap',
    'record',
    'record',
    'record',
    'record',
    'record',
  ];
  const deadline = Date.now() + 120_000;
  while ((await read(topic, 0, fates.length)).counts[3] < 4 && Date.now() < deadline) await sleep(500);

  await expectAllRanges(topic, fates);
  expect(await recordCounts(topic, fates.length)).toContain(0);
  expect((await source.describeTopics([topic]))[0]?.compacted).toBe(true);
});

/** Records per batch, by the batches' headers. */
async function recordCounts(topic: string, to: number): Promise<number[]> {
  const range = { topic, kafkaPartition: 0, startingOffset: 0n, endingOffset: BigInt(to) };
  const options = { isolation: 'read_committed', signal: AbortSignal.timeout(10_000) } as const;
  const counts: number[] = [];
  for await (const { records } of source.readRange(range, options)) {
    for (let at = 0; at < records.length; at += 12 + records.readInt32BE(at + 8))
      counts.push(records.readInt32BE(at + 57));
  }
  return counts;
}

describe('descriptions', () => {
  it('partitions in order, idle ones too; the range of an idle one is complete without a fetch', async () => {
    const topic = await createTopic(brokers, { name: uniqueName('idle'), partitions: 3 });
    await produce(brokers, topic, [{ value: 'x', partition: 2 }]);
    const [description] = await source.describeTopics([topic]);
    expect(description?.compacted).toBe(false);
    expect(
      description?.partitions.map(({ kafkaPartition, highWatermark }) => [kafkaPartition, highWatermark]),
    ).toEqual([
      [0, 0n],
      [1, 0n],
      [2, 1n],
    ]);
    expect(await read(topic, 0, 0)).toMatchObject({ offsets: [], complete: true });
  });

  it('the offset of a timestamp is the first at or after it', async () => {
    const topic = await createTopic(brokers, { name: uniqueName('timestamps'), partitions: 2 });
    const start = Date.now() - 10_000;
    const at = (i: number): Message => ({ value: 'x', partition: 0, timestamp: String(start + i * 1000) });
    await produce(brokers, topic, [0, 1, 2].map(at), { batchSize: 1 });
    const found = async (ms: number) => {
      const partitions = [0, 1].map((kafkaPartition) => ({ topic, kafkaPartition, timestampMs: start + ms }));
      return Object.fromEntries(await source.offsetsForTimestamps(partitions));
    };
    expect(await found(0)).toEqual({ [`${topic}/0`]: 0n });
    expect(await found(1)).toEqual({ [`${topic}/0`]: 1n });
    expect(await found(2000)).toEqual({ [`${topic}/0`]: 2n });
    expect(await found(2001)).toEqual({});
  });

  it('a broker without topic ids is read all the same', async () => {
    const topic = await createTopic(brokers, { name: uniqueName('no-ids'), partitions: 2 });
    const connections = new KafkajsConnections({ bootstrapServers: brokers.split(',') }, 10_000);
    const old = new ClusterSource(
      {
        anyBroker: (known) => connections.anyBroker(known),
        maxVersion: async () => 8, // as of Kafka 2.3: Metadata v6 is asked then
        send: (address, request) => connections.send(address, request),
        close: () => connections.close(),
      },
      PATIENCE,
    );
    onTestFinished(() => old.close());
    const [today] = await source.describeTopics([topic]);
    expect(await old.describeTopics([topic])).toEqual([{ ...today, identity: undefined }]);
    expect(await old.topicIds([topic])).toEqual(new Map());
  });

  it('a topic that is created again has another id', async () => {
    const name = uniqueName('again');
    await createTopic(brokers, { name, partitions: 2 });
    const id = async () => (await source.topicIds([name])).get(name);
    const before = await id();
    expect(before?.topicId).toMatch(/^[0-9a-f]{32}$/);
    expect((await source.describeTopics([name]))[0]?.identity).toEqual(before);
    await withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [name] }));
    await sleep(500);
    await createTopic(brokers, { name, partitions: 2 });
    const after = await id();
    expect(after?.topicId).toMatch(/^[0-9a-f]{32}$/);
    expect(after?.clusterId).toBe(before?.clusterId);
    expect(after?.topicId).not.toBe(before?.topicId);
  });
});

describe('what cannot be read', () => {
  it('records that were deleted', async () => {
    const topic = await createTopic(brokers, { name: uniqueName('deleted'), partitions: 1 });
    await produce(brokers, topic, messages(10), { batchSize: 1 });
    await withAdmin(brokers, async (admin) => {
      await admin.fetchTopicOffsets(topic); // without it kafkajs does not know the leader
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] });
    });
    await expect(read(topic, 1, 10)).rejects.toMatchObject({
      code: 'KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE',
      message: expect.stringContaining(`[1, 4) of ${topic}-0`),
    });
    expect((await read(topic, 4, 10)).offsets.length).toBe(6);
  });

  it('topics that are missing, all of them named, none created', async () => {
    const name = uniqueName('products');
    await createTopic(brokers, { name, partitions: 1 });
    const missing = [`${name}x`, uniqueName('nowhere')];
    await expect(source.describeTopics([missing[0] ?? '', name, missing[1] ?? ''])).rejects.toMatchObject({
      code: 'TOPIC_NOT_FOUND',
      message: expect.stringMatching(new RegExp(`${missing[0]} \\(there is ${name}\\).*${missing[1]}`)),
    });
    const existing = await withAdmin(brokers, (admin) => admin.listTopics());
    expect(existing.filter((topic) => missing.includes(topic))).toEqual([]);
  });

  it('brokers that refuse, or accept and say nothing: named within the time, and nothing is left behind', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    onTestFinished(() => void silent.close());
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const bootstrapServers = ['127.0.0.1:1', `127.0.0.1:${port}`, 'no-such-host.invalid:9092'];
    const begun = Date.now();
    await expect(connectSource({ bootstrapServers }, { withinMs: 3000 })).rejects.toMatchObject({
      code: 'KAFKA_UNREACHABLE',
      message: expect.stringMatching(new RegExp(bootstrapServers.join('[^]*'))),
    });
    expect(Date.now() - begun).toBeLessThan(4000);
  });
});

it('a process that has closed its source ends by itself, with no warning and without having been busy', async () => {
  const module = fileURLToPath(new URL('../../../src/kafka/connect-source.ts', import.meta.url));
  const script = `
    const { connectSource } = await import(${JSON.stringify(module)});
    const source = await connectSource({ bootstrapServers: process.env.BROKERS.split(',') });
    await source.describeTopics([process.env.TOPIC]);
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { user, system } = process.cpuUsage(before);
    console.log((user + system) / 1000);
    await source.close();`;
  const topic = await createTopic(brokers, { name: uniqueName('exit'), partitions: 1 });
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, BROKERS: brokers, TOPIC: topic },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 15_000,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const [exitCode] = await once(child, 'close');
  expect([exitCode, stderr]).toEqual([0, '']);
  expect(Number(stdout)).toBeLessThan(100);
});
