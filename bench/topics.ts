import kafkajs from 'kafkajs';
import type { CrawlCodec } from '../src/dev/crawler.ts';
import { kafkaClient } from '../src/dev/kafka-client.ts';
import type { Shape, ShapeRecord } from './shapes.ts';

/**
 * What librdkafka and Java producers are set to where throughput matters; each send makes one batch per
 * partition of it.
 */
const BATCH_BYTES = 256 * 1024;
/**
 * A broker takes requests of 100 MiB at most (`socket.request.max.bytes`) and closes the connection on a
 * larger one.
 */
const MAX_SEND_BYTES = 64 * 1024 * 1024;

const COMPRESSION: Readonly<Record<CrawlCodec, kafkajs.CompressionTypes>> = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  snappy: kafkajs.CompressionTypes.Snappy,
  lz4: kafkajs.CompressionTypes.LZ4,
  zstd: kafkajs.CompressionTypes.ZSTD,
};

export interface TopicOptions {
  readonly topic: string;
  readonly records: number;
  readonly partitions: number;
  readonly codec: CrawlCodec;
}

/** Creates the topic and fills it with records of the shape. @returns bytes of all values */
export async function fillTopic(
  brokers: string,
  shape: Shape,
  { topic, records, partitions, codec }: TopicOptions,
): Promise<{ bytes: number }> {
  const kafka = kafkaClient(brokers, 'tidemark-bench');
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true });
  await admin.disconnect();
  const producer = kafka.producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true, // a request that is repeated leaves one copy
  });
  await producer.connect();
  let bytes = 0;
  try {
    for (const messages of sends(
      shape.records(records, partitions),
      Math.min(BATCH_BYTES * partitions, MAX_SEND_BYTES),
    )) {
      bytes += messages.reduce((sum, { value }) => sum + Buffer.byteLength(value), 0);
      await producer.send({ topic, messages: [...messages], compression: COMPRESSION[codec] });
    }
  } finally {
    await producer.disconnect();
  }
  return { bytes };
}

function* sends(records: Iterable<ShapeRecord>, maxBytes: number): Generator<readonly ShapeRecord[]> {
  let pending: ShapeRecord[] = [];
  let pendingBytes = 0;
  for (const record of records) {
    pending.push(record);
    pendingBytes += record.value.length;
    if (pendingBytes < maxBytes) continue;
    yield pending;
    pending = [];
    pendingBytes = 0;
  }
  if (pending.length > 0) yield pending;
}
