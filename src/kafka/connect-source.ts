import type { Environment } from '../environment.ts';
import { ClusterSource } from './cluster-source.ts';
import { KafkajsConnections } from './kafkajs-source.ts';
import { PATIENCE, type Patience } from './range-reader.ts';
import type { KafkaSource } from './source.ts';
import type { SourceConnection } from './source-specification.ts';

export interface ConnectOptions {
  /** For all bootstrap servers together. @default 10,000 */
  readonly withinMs?: number;
  readonly patience?: Patience;
  /** Of the command or the worker: what secrets that the source refers to are resolved with. */
  readonly environment?: Environment;
}

/**
 * Connects to the first bootstrap server that answers: the only way from a source to its Kafka. Throws
 * KAFKA_UNREACHABLE within `withinMs`, naming every server and what was wrong with it. The process can end
 * only after `close()`.
 */
export async function connectSource(
  source: SourceConnection,
  { withinMs = 10_000, patience = PATIENCE }: ConnectOptions = {},
): Promise<KafkaSource> {
  const connections = new KafkajsConnections(source, withinMs);
  try {
    await connections.bootstrap();
  } catch (error) {
    await connections.close();
    throw error;
  }
  return new ClusterSource(connections, patience);
}

/**
 * Runs `use` with a connection to the source's Kafka, which is closed after it. Throws as `connectSource`
 * does.
 */
export async function withSource<T>(
  source: SourceConnection,
  options: ConnectOptions,
  use: (kafka: KafkaSource) => Promise<T>,
): Promise<T> {
  const kafka = await connectSource(source, options);
  try {
    return await use(kafka);
  } finally {
    await kafka.close();
  }
}
