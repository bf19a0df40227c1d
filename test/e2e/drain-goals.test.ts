/**
 * Promises: a run ends where it was asked to, whoever asks and whenever; what it says of itself covers what
 * it promised; no partition starts behind records that were never skipped on purpose. Method: workers in this
 * process, whose connection to Kafka can be held open at will, so that a caller meets a run in a chosen
 * moment; real servers, real tables.
 */
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, inject } from 'vitest';
import type { Dependencies } from '../../src/activities/dependencies.ts';
import { createActivities } from '../../src/activities/index.ts';
import type { Receipt, Tidemark } from '../../src/client.ts';
import { DeltaLog } from '../../src/delta/log.ts';
import { kafkaClient } from '../../src/dev/kafka-client.ts';
import { rewriteBins } from '../../src/duckdb/rewrite-bins.ts';
import { connectSource } from '../../src/kafka/connect-source.ts';
import { loadPipeline } from '../../src/pipeline/load.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { TaskThreads } from '../../src/tasks/task-threads.ts';
import { workflowBundle } from './setup/bundle.ts';
import {
  createTopic,
  produce,
  temporalNamespace,
  uniqueName,
  waitUntil,
  withAdmin,
} from './setup/harness.ts';
import { it, type Place } from './setup/place.ts';

/** Held by a test: the run's activities have their answers from Kafka and cannot go on. */
let kafkaIsHeld: Promise<void> = Promise.resolve();
let heldNow = 0;
/** Of the running test's pipelines. */
let folder = '';

let stopWorkers: () => Promise<void>;
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const connection = await NativeConnection.connect({ address: inject('temporalAddress') });
  const shared = {
    connection,
    namespace: temporalNamespace(),
    activities: createActivities(dependencies()),
  };
  const workers = [
    await Worker.create({
      ...shared,
      taskQueue: 'tidemark',
      workflowBundle: { code: workflowBundle() },
    }),
    await Worker.create({ ...shared, taskQueue: 'tidemark-heavy', maxConcurrentActivityTaskExecutions: 2 }),
  ];
  const running = Promise.all(workers.map((worker) => worker.run()));
  stopWorkers = async () => {
    for (const worker of workers) worker.shutdown();
    await running;
    await connection.close();
  };
});
afterAll(() => stopWorkers());

it('covers what a caller asks for who attaches while the run is writing', async ({ own }) => {
  const { name, topic, fill, tidemark } = await pipeline(own, { maxOffsetsPerBatch: 100 });
  await fill(0, 800);
  const first = await tidemark.startDrain(name);
  await tidemark.pause(name);
  expect(first.endingOffsets).toEqual({ [topic]: { 0: '800' } });
  await fill(800, 1_000);

  const second = tidemark.drain(name);
  await waitUntil(async () => (await tidemark.progress(name)).offsetsToDrain === 1_000);
  await tidemark.resume(name);
  expectEnds(await second, { 0: '1000' });
  expect(await first.handle.result()).toEqual(await second);
});

it('covers what a caller asks for who attaches while the run still fixes its end', async ({ own }) => {
  const { name, fill, tidemark } = await pipeline(own);
  await fill(0, 800);
  const release = holdKafka();
  const first = tidemark.drain(name);
  await waitUntil(() => heldNow === 1);
  await fill(800, 1_000);

  const second = tidemark.drain(name);
  const handle = (await own.temporal()).workflow.getHandle(`drain-${name}`);
  await waitUntil(async () => (await updatesAccepted(handle)) === 2);
  release();
  expectEnds(await second, { 0: '1000' });
  expectEnds(await first, { 0: '1000' });
});

it('covers what a caller asks for who attaches while the run is ending', async ({ own }) => {
  const { name, fill, tidemark } = await pipeline(own);
  for (let round = 1; round <= 8; round++) {
    const first = tidemark.drain(name);
    await fill((round - 1) * 10, round * 10);
    expectEnds(await tidemark.drain(name), { 0: String(round * 10) });
    await first;
  }
});

it('lowers an end to the running batch at most, and tells whom it had promised more', async ({ own }) => {
  const { name, topic, fill, tidemark } = await pipeline(own, { maxOffsetsPerBatch: 100 });
  await fill(0, 1_000);
  const drained = tidemark.drain(name);
  await waitUntil(async () => (await progressOf(tidemark, name))?.batch !== undefined);
  const { endingOffsets } = await tidemark.retarget(name, { until: { offsets: { [topic]: { 0: 1 } } } });
  const end = Number(endingOffsets[topic]?.[0]);
  expect(end % 100).toBe(0);
  expect(end).toBeGreaterThan(0);
  expect(end).toBeLessThan(1_000);

  const receipt = await drained;
  expect(receipt).toMatchObject({ outcome: 'partial', reason: expect.stringContaining('lowered') });
  expectEnds(receipt, { 0: String(end) }, 'partial');
});

it('is partial where an exact end lies beyond the log, or behind an open transaction', async ({ own }) => {
  const { name, topic, fill, tidemark } = await pipeline(own);
  await fill(0, 50);
  const beyond = await tidemark.drain(name, { offsets: { [topic]: { 0: 60 } } });
  expectEnds(beyond, { 0: '50' }, 'partial');
  expect(beyond.partitions[0]?.requestedOffset).toBe('60');

  const producer = kafkaClient(own.brokers, 'tidemark-test').producer({
    idempotent: true,
    maxInFlightRequests: 1,
    transactionalId: uniqueName('open'),
  });
  await producer.connect();
  const transaction = await producer.transaction();
  await transaction.send({ topic, messages: [{ value: '{"n":50}', partition: 0 }] });
  expectEnds(await tidemark.drain(name, { offsets: { [topic]: { 0: 51 } } }), { 0: '50' }, 'partial');
  expectEnds(await tidemark.drain(name), { 0: '50' });
  await transaction.commit();
  await producer.disconnect();
  const rest = await tidemark.drain(name);
  expectEnds(rest, { 0: '52' });
  expect(rest.totals).toMatchObject({ rows: 1, markers: 1 });
});

it('loses nothing of an idle partition that began at latest, nor of one that appears later', async ({
  own,
}) => {
  const { name, topic, fill, tidemark } = await pipeline(own, {}, () => 'latest');
  await fill(0, 7);
  const begun = await tidemark.drain(name);
  expect(begun.totals).toMatchObject({ rows: 0, batches: 1 });

  await fill(7, 57);
  expect((await tidemark.drain(name)).totals.rows).toBe(50);

  await addPartition(own, topic);
  await fill(100, 120, 1);
  const receipt = await tidemark.drain(name);
  expect(receipt.totals.rows).toBe(20);
  expectEnds(receipt, { 0: '57', 1: '20' });
});

it("starts a partition at earliest that appears between the run's start and its first commit", async ({
  own,
}) => {
  const { name, topic, fill, tidemark } = await pipeline(own, {}, (topic) => ({ [topic]: { 0: -1 } }));
  await fill(0, 5);
  const client = await own.temporal();
  await client.workflow.signalWithStart('drain', {
    workflowId: `drain-${name}`,
    taskQueue: 'tidemark',
    args: [{ pipeline: name }],
    signal: 'pause',
  });
  await waitUntil(async () => (await progressOf(tidemark, name))?.phase === 'paused');
  await addPartition(own, topic);
  await fill(100, 130, 1);
  const drained = tidemark.drain(name);
  await waitUntil(async () => (await progressOf(tidemark, name))?.offsetsToDrain === 30);
  await tidemark.resume(name);
  const receipt = await drained;
  expectEnds(receipt, { 0: '5', 1: '30' });
  expect(receipt.totals.rows).toBe(30);
});

it('moves no end to records of a topic that was created again', async ({ own }) => {
  const { name, topic, fill, tidemark } = await pipeline(own);
  await fill(0, 5);
  const client = await own.temporal();
  const handle = await client.workflow.signalWithStart('drain', {
    workflowId: `drain-${name}`,
    taskQueue: 'tidemark',
    args: [{ pipeline: name }],
    signal: 'pause',
  });
  await waitUntil(async () => (await progressOf(tidemark, name))?.phase === 'paused');
  await withAdmin(own.brokers, (admin) => admin.deleteTopics({ topics: [topic] }));
  await createTopic(own.brokers, { name: topic, partitions: 1 });
  await expect(tidemark.retarget(name, { until: 'latest' })).rejects.toMatchObject({
    name: 'Failure',
    code: 'TOPIC_RECREATED',
  });
  await handle.cancel();
  await expect(handle.result()).rejects.toThrow();
});

it.for<[string, object[]]>([
  ['no input', []],
  ['no pipeline', [{}]],
  ['an empty until', [{ pipeline: 'p', until: {} }]],
  ['offsets that are none', [{ pipeline: 'p', until: { offsets: { t: 5 } } }]],
])('fails by name with %s', async ([, args], { own }) => {
  const client = await own.temporal();
  const handle = await client.workflow.start('drain', {
    workflowId: uniqueName('malformed'),
    taskQueue: 'tidemark',
    args,
    workflowRunTimeout: '15s',
  });
  await expect(handle.result()).rejects.toMatchObject({
    cause: { type: expect.stringMatching(/USAGE|OFFSETS_INVALID/) },
  });
});

function dependencies(): Dependencies {
  const environment = {};
  const threads = new TaskThreads(environment);
  return {
    build: '0.1.0+test',
    loadPipeline: (name) => loadPipeline(name, { folder, environment }),
    openStore: (location) => new LocalStore(location),
    openLog: (location) => new DeltaLog(new LocalStore(location), { now: Date.now }),
    async connectKafka(specification) {
      const source = await connectSource(specification, { environment });
      const close = source.close.bind(source);
      source.close = async () => {
        heldNow++;
        await kafkaIsHeld;
        heldNow--;
        await close();
      };
      return source;
    },
    runWriteThread: (order, onProgress, signal) => threads.run('write', order, onProgress, signal),
    runRetryThread: (order, onProgress, signal) => threads.run('retry', order, onProgress, signal),
    rewriteBins,
  };
}

function holdKafka(): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  kafkaIsHeld = promise;
  return resolve;
}

async function pipeline(
  own: Place,
  limits: object = {},
  startingOffsets: (topic: string) => unknown = () => 'earliest',
) {
  folder = own.folder;
  const topic = await own.topic('goal');
  const name = await own.pipeline(uniqueName('goal'), {
    source: { subscribe: [topic], startingOffsets: startingOffsets(topic) },
    records: { format: 'json', mode: 'failFast', schema: 'n BIGINT' },
    limits,
  });
  const fill = async (from: number, to: number, partition = 0) => {
    const messages = Array.from({ length: to - from }, (_, i) => ({ value: `{"n":${from + i}}`, partition }));
    await produce(own.brokers, topic, messages);
  };
  return { name, topic, fill, tidemark: await own.client() };
}

async function addPartition({ brokers }: Place, topic: string): Promise<void> {
  await withAdmin(brokers, (admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }));
}

async function progressOf(tidemark: Tidemark, name: string) {
  return await tidemark.progress(name).catch(() => undefined);
}

async function updatesAccepted(handle: { fetchHistory(): Promise<{ events?: unknown }> }): Promise<number> {
  const events = (await handle.fetchHistory()).events as {
    workflowExecutionUpdateAcceptedEventAttributes?: object;
  }[];
  return events.filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes).length;
}

function expectEnds(
  { outcome, partitions, totals }: Receipt,
  ends: Record<number, string>,
  expected: Receipt['outcome'] = 'complete',
): void {
  const found = partitions.map(({ kafkaPartition, endingOffset }) => [String(kafkaPartition), endingOffset]);
  expect({ outcome, ends: Object.fromEntries(found) }).toEqual({ outcome: expected, ends });
  const moved = partitions.reduce((sum, p) => sum + Number(p.endingOffset) - Number(p.startingOffset), 0);
  expect(totals.offsets + totals.committedByOthers).toBe(moved);
}
