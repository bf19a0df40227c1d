import { connectKafka } from '../kafka/kafkajs-source.ts';
import type { KafkaSource } from '../kafka/source.ts';
import type { Specification } from '../pipeline/specification.ts';

/**
 * Runs `use` with a connection to the pipeline's Kafka, which is closed after it. Throws KAFKA_UNREACHABLE.
 */
export async function withKafka<T>(
  { source: { bootstrapServers } }: Specification,
  use: (kafka: KafkaSource) => Promise<T>,
): Promise<T> {
  const kafka = await connectKafka({ bootstrapServers });
  try {
    return await use(kafka);
  } finally {
    await kafka.close();
  }
}
