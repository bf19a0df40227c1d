import { randomBytes } from 'node:crypto';
import kafkajs, { type Admin, type ITopicConfig, type Message } from 'kafkajs';
import { kafkaClient } from '../../../src/dev/kafka-client.ts';
import { waitUntil } from './processes.ts';

export type Codec = keyof typeof kafkajs.CompressionTypes;

/** `prefix-1a2b3c4d`: fit for topics, pipelines and workflow ids. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString('hex')}`;
}

export async function withAdmin<T>(brokers: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafkaClient(brokers, 'tidemark-test').admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

export interface TopicOptions {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor?: number;
  /** `{'cleanup.policy': 'compact'}` */
  readonly config?: Readonly<Record<string, string>>;
}

/** @returns the name */
export async function createTopic(brokers: string, options: TopicOptions): Promise<string> {
  const topic: ITopicConfig = {
    topic: options.name,
    numPartitions: options.partitions,
    replicationFactor: options.replicationFactor ?? 1,
    configEntries: Object.entries(options.config ?? {}).map(([name, value]) => ({ name, value })),
  };
  await withAdmin(brokers, async (admin) => {
    // False where there is one, perhaps one that is about to be deleted.
    const isNew = await admin.createTopics({ topics: [topic], waitForLeaders: false });
    if (!isNew) throw new Error(`there is a topic ${options.name} already`);
    await waitUntil(() => isServed(admin, options));
  });
  return options.name;
}

/** A leader that is known is not at once one that serves: it is asked. */
async function isServed(admin: Admin, { name, partitions }: TopicOptions): Promise<boolean> {
  const offsets = await admin.fetchTopicOffsets(name).catch(() => []);
  return offsets.length === partitions;
}

/** Deletes the topic and makes one of the same name, which is empty and has another id. */
export async function recreateTopic(brokers: string, name: string, partitions: number): Promise<void> {
  await withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [name] }));
  // The deletion takes its time; until then there is a topic already.
  const isMade = () =>
    createTopic(brokers, { name, partitions }).then(
      () => true,
      () => false,
    );
  await waitUntil(isMade);
}

export interface ProduceOptions {
  readonly codec?: Codec;
  /** Records per record batch, about: one send each. Default: all in one. */
  readonly batchSize?: number;
}

/** Produces the records as given; without `partition`, round-robin by the client. */
export async function produce(
  brokers: string,
  topic: string,
  messages: readonly Message[],
  options: ProduceOptions = {},
): Promise<void> {
  const producer = kafkaClient(brokers, 'tidemark-test').producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true, // else kafkajs sends again what one partition of a request took when another refused
  });
  await producer.connect();
  const compression = kafkajs.CompressionTypes[options.codec ?? 'None'];
  const size = options.batchSize ?? 10_000;
  try {
    for (let i = 0; i < messages.length; i += size) {
      await producer.send({ topic, messages: messages.slice(i, i + size), compression });
    }
  } finally {
    await producer.disconnect();
  }
}

/**
 * Produces the records in one transaction and commits or aborts it: one control record more per partition
 * written to. The coordinator answers before these are written, so it waits for them.
 */
export async function produceTransaction(
  brokers: string,
  topic: string,
  messages: readonly Message[],
  end: 'commit' | 'abort',
  options: ProduceOptions = {},
): Promise<void> {
  const before = await countRecords(brokers, topic);
  const producer = kafkaClient(brokers, 'tidemark-test').producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
    transactionalId: uniqueName('transaction'),
  });
  await producer.connect();
  try {
    const transaction = await producer.transaction();
    const compression = kafkajs.CompressionTypes[options.codec ?? 'None'];
    await transaction.send({ topic, messages: [...messages], compression });
    await (end === 'commit' ? transaction.commit() : transaction.abort());
  } finally {
    await producer.disconnect();
  }
  const markers = new Set(messages.map(({ partition }) => partition)).size;
  const written = before + BigInt(messages.length + markers);
  await waitUntil(async () => (await countRecords(brokers, topic)) >= written);
}

/** Offsets between log start and high watermark, over all partitions. */
export async function countRecords(brokers: string, topic: string): Promise<bigint> {
  const offsets = await withAdmin(brokers, (admin) => admin.fetchTopicOffsets(topic));
  return offsets.reduce((sum, { low, high }) => sum + BigInt(high) - BigInt(low), 0n);
}
