import { committedPartitions } from '../commits/pipeline-state.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { withSource } from '../kafka/connect-source.ts';
import { assignedPartitions, logEnd } from '../kafka/offsets.ts';
import type { TopicDescription } from '../kafka/source.ts';
import { selectTopics } from '../kafka/topic-names.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { Outside } from '../runs/outside.ts';

const KAFKA_WITHIN_MS = 3_000;

/** Offsets are decimal strings. */
export interface PartitionLag {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** Next offset to read; null where the table has none of this partition. */
  readonly committedOffset: string | null;
  /**
   * Exclusive, as the source's isolation sees it; null where Kafka was not reached, or lacks the partition.
   */
  readonly logEndOffset: string | null;
  /** Offsets that a drain would read now; null where `logEndOffset` is. */
  readonly lag: string | null;
}

/** A pipeline's topics and partitions as Kafka has them now. */
export interface KafkaPositions {
  readonly topics: readonly TopicDescription[];
  readonly partitions: readonly KafkaPartition[];
}

export interface KafkaPartition {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly logStartOffset: bigint;
  readonly logEndOffset: bigint;
}

/** Throws KAFKA_UNREACHABLE after 3 s, TOPIC_NOT_FOUND. */
export async function readKafkaPositions(
  { source }: Specification,
  { environment }: Outside,
): Promise<KafkaPositions> {
  return await withSource(source, { withinMs: KAFKA_WITHIN_MS, environment }, async (kafka) => {
    const topics = await kafka.describeTopics(await selectTopics(source.topics, kafka));
    const partitions = assignedPartitions(source.topics, topics).map((partition) => ({
      ...partition,
      logEndOffset: logEnd(partition, source.isolation),
    }));
    return { topics, partitions };
  });
}

/** The table's partitions and Kafka's, whichever of them are known. */
export function partitionLags(
  snapshot: Snapshot | undefined,
  kafka: readonly KafkaPartition[],
): PartitionLag[] {
  const known = new Map<string, Known>();
  for (const log of kafka) {
    known.set(`${log.topic}/${log.kafkaPartition}`, {
      topic: log.topic,
      kafkaPartition: log.kafkaPartition,
      log,
    });
  }
  const ofTable = snapshot === undefined ? [] : committedPartitions(snapshot);
  for (const { topic, kafkaPartition, committedOffset: committed } of ofTable) {
    const key = `${topic}/${kafkaPartition}`;
    known.set(key, { topic, kafkaPartition, ...known.get(key), committed });
  }
  return [...known.values()]
    .sort((a, b) => (a.topic === b.topic ? a.kafkaPartition - b.kafkaPartition : a.topic < b.topic ? -1 : 1))
    .map(lagOf);
}

interface Known {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly committed?: bigint;
  readonly log?: KafkaPartition;
}

function lagOf({ topic, kafkaPartition, committed, log }: Known): PartitionLag {
  return {
    topic,
    kafkaPartition,
    committedOffset: committed?.toString() ?? null,
    logEndOffset: log?.logEndOffset.toString() ?? null,
    lag: log ? String(log.logEndOffset - (committed ?? log.logStartOffset)) : null,
  };
}
