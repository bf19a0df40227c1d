import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { kafkaClient } from '../../../src/dev/kafka-client.ts';

export interface SteadyOptions {
  readonly topic: string;
  readonly partitions: number;
  readonly everyMs: number;
  /** Per partition and send. */
  readonly records: number;
  /** The record of this offset. */
  readonly value: (kafkaPartition: number, offset: number) => string;
}

export interface Lag {
  readonly records: number;
  /** Since the oldest record that is not committed was acknowledged. */
  readonly seconds: number;
}

export interface SteadyProducer {
  /** Acknowledged records. */
  sent(): number;
  /** How far a table is behind what was acknowledged. */
  lagOf(committedOffset: (kafkaPartition: number) => bigint | undefined): Lag;
  stop(): Promise<void>;
}

/** Produces a few records to every partition again and again, each send acknowledged by all replicas. */
export async function startProducer(brokers: string, options: SteadyOptions): Promise<SteadyProducer> {
  const producer = kafkaClient(brokers, 'tidemark-test').producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true, // else kafkajs sends again what one partition of a request took when another refused
  });
  await producer.connect();
  const partitions = Array.from({ length: options.partitions }, () => [] as { end: number; atMs: number }[]);
  let sent = 0;
  let stopping = false;
  const loop = async () => {
    while (!stopping) {
      const messages = partitions.flatMap((sends, partition) =>
        Array.from({ length: options.records }, (_, i) => ({
          value: options.value(partition, (sends.at(-1)?.end ?? 0) + i),
          partition,
        })),
      );
      for (const { partition, baseOffset } of await producer.send({ topic: options.topic, messages })) {
        partitions[partition]?.push({ end: Number(baseOffset) + options.records, atMs: Date.now() });
      }
      sent += messages.length;
      await sleep(options.everyMs);
    }
  };
  const ended = loop();
  // Awaited by `stop`; until then a failure is not unhandled.
  ended.catch(() => {});
  return {
    sent: () => sent,
    lagOf(committedOffset) {
      const lags = partitions.map((sends, partition) => {
        const committed = Number(committedOffset(partition) ?? 0n);
        const oldest = sends.find(({ end }) => end > committed);
        const end = sends.at(-1)?.end ?? 0;
        const seconds = oldest === undefined ? 0 : (Date.now() - oldest.atMs) / 1000;
        return { records: Math.max(0, end - committed), seconds };
      });
      return {
        records: lags.reduce((sum, { records }) => sum + records, 0),
        seconds: Math.max(...lags.map(({ seconds }) => seconds)),
      };
    },
    async stop() {
      stopping = true;
      await ended;
      await producer.disconnect();
    },
  };
}

/** The value below which `share` of the sorted numbers lie. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
