/**
 * Goal: a leader that dies in the middle of a range costs a pause, neither a record nor a duplicate. Method:
 * three real brokers; the leader gets SIGKILL after the first fetch, with the second one in flight.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type KafkaServer, startKafka } from '../../../src/dev/kafka-server.ts';
import { connectSource } from '../../../src/kafka/connect-source.ts';
import { RangeWalk } from '../../../src/kafka/record-batch.ts';
import { BATCH_BYTES, walkAll } from '../../kafka/batches.ts';
import { createTopic, produce, uniqueName, withAdmin } from '../setup/harness.ts';

let kafka: KafkaServer;

beforeAll(async () => {
  kafka = await startKafka({ nodes: 3, properties: { 'min.insync.replicas': '1' } });
});
afterAll(() => kafka.stop());

it('the range goes on from the next leader', async () => {
  const brokers = kafka.bootstrapServers;
  const topic = await createTopic(brokers, {
    name: uniqueName('leader'),
    partitions: 1,
    replicationFactor: 3,
  });
  const count = 20_000;
  const padding = 'x'.repeat(1000);
  const messages = Array.from({ length: count }, (_, i) => ({ value: `${i} ${padding}`, partition: 0 }));
  await produce(brokers, topic, messages, { batchSize: 500 });

  const source = await connectSource({ bootstrapServers: brokers.split(',') });
  const range = { topic, kafkaPartition: 0, startingOffset: 0n, endingOffset: BigInt(count) };
  const walk = new RangeWalk(range, 'read_committed', BATCH_BYTES);
  const numbers: number[] = [];
  const visitor = {
    record: (_offset: number, _timestampMs: number, buffer: Buffer, start: number) =>
      void numbers.push(Number.parseInt(buffer.toString('latin1', start, start + 6), 10)),
  };
  let fetches = 0;
  const options = { isolation: 'read_committed', signal: AbortSignal.timeout(90_000) } as const;
  for await (const fetched of source.readRange(range, options)) {
    walkAll(walk, fetched, visitor);
    if (++fetches === 1) await killLeader(topic);
  }
  await source.close();

  expect(fetches).toBeGreaterThan(3);
  expect([walk.complete, walk.gaps]).toEqual([true, 0]);
  expect(numbers).toEqual(messages.map((_, i) => i));
});

async function killLeader(topic: string): Promise<void> {
  const { topics } = await withAdmin(kafka.bootstrapServers, (admin) =>
    admin.fetchTopicMetadata({ topics: [topic] }),
  );
  const leader = topics[0]?.partitions[0]?.leader;
  const node = kafka.nodes.find(({ nodeId }) => nodeId === leader);
  expect(node).toBeDefined();
  await node?.kill('SIGKILL');
}
