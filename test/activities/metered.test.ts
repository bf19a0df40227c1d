/**
 * Goal: what a worker asks of stores and of Kafka is counted where it asks, whatever comes of it. Method: a
 * commit that loses its race, on a real disk; a source that answers by hand.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Dependencies } from '../../src/activities/dependencies.ts';
import { metered } from '../../src/activities/metered.ts';
import { BATCH } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import { Failure } from '../../src/errors.ts';
import type { FetchedBatches, KafkaSource } from '../../src/kafka/source.ts';
import { Meter } from '../../src/meter.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { freezingStore, makeFolder, openLog, planBatch } from '../delta/table.ts';

test('a store: calls, bytes both ways, lost races, failures, time', async () => {
  await using folder = await makeFolder();
  const freezing = freezingStore(folder.path);
  const { meter, openStore, openLog: openMetered } = worker({ openStore: () => freezing.store });
  const [log, store] = [openMetered(folder.path), openStore(folder.path)];
  await commit(log, BATCH, await planBatch(log, store, 'first'));
  const planned = await planBatch(log, store, 'late', 2, 1);
  const others = openLog(new LocalStore(folder.path));
  freezing.meanwhile(async () => {
    await commit(others, BATCH, await planBatch(others, new LocalStore(folder.path), 'early'));
  });
  expect(await commit(log, BATCH, planned)).toMatchObject({ kind: 'committed' });
  const totals = meter.totals();
  expect(totals.get('store.putIfAbsent')).toMatchObject({ calls: 3, failures: 0, lostRaces: 1 });
  expect(totals.get('store.write')?.bytes).toBe(await bytesOf(openStore(folder.path), ['first', 'late']));
  const { durationMs = 0, longestMs = 0 } = totals.get('store.putIfAbsent') ?? {};
  expect(longestMs).toBeGreaterThan(0);
  expect(longestMs).toBeLessThanOrEqual(durationMs);

  const before = meter.totals().get('store.read');
  await store.put('ten', Buffer.alloc(10));
  await store.read('ten');
  await store.readRange('ten', 5, 99);
  await expect(store.localCopy('gone')).rejects.toThrow(join(folder.path, 'gone'));
  expect(meter.totals().get('store.put')).toMatchObject({ calls: 1, bytes: 10 });
  expect(meter.totals().get('store.read')?.bytes).toBe((before?.bytes ?? 0) + 10);
  expect(meter.totals().get('store.readRange')).toMatchObject({ calls: 1, bytes: 5 });
  expect(meter.totals().get('store.localCopy')).toMatchObject({ calls: 1, failures: 1, bytes: 0 });
});

test('Kafka: connections, questions, fetches with their bytes', async () => {
  const lost = new Failure('KAFKA_UNREACHABLE', 'gone', 'wait');
  const fetched = (bytes: number): FetchedBatches => ({
    records: Buffer.alloc(bytes),
    abortedTransactions: [],
  });
  const source: Partial<KafkaSource> = {
    listTopics: async () => ['t'],
    async *readRange() {
      yield fetched(7);
      yield fetched(8);
      throw lost;
    },
    close: async () => {},
  };
  const { meter, connectKafka } = worker({ connectKafka: async () => source as KafkaSource });
  const kafka = await connectKafka({} as never);
  expect(await kafka.listTopics()).toEqual(['t']);
  const read = async () => {
    const range = { topic: 't', kafkaPartition: 0, startingOffset: 0n, endingOffset: 9n };
    const options = { isolation: 'read_committed', signal: new AbortController().signal } as const;
    for await (const { records } of kafka.readRange(range, options)) expect(records.length).toBeLessThan(9);
  };
  await expect(read()).rejects.toBe(lost);
  await kafka.close();
  const one = { calls: 1, failures: 0, bytes: 0 };
  expect(Object.fromEntries(meter.totals())).toMatchObject({
    'kafka.connect': one,
    'kafka.listTopics': one,
    'kafka.fetch': { calls: 3, failures: 1, bytes: 15 },
    'kafka.close': one,
  });
});

function worker(built: Partial<Dependencies>) {
  const meter = new Meter();
  return { meter, ...metered(built as Dependencies, meter) };
}

async function bytesOf(store: ObjectStore, batches: readonly string[]) {
  const stats = await Promise.all(batches.map((batch) => store.stat(`${batch}.parquet`)));
  return stats.reduce((sum, stat) => sum + (stat?.sizeBytes ?? 0), 0);
}
