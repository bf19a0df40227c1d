import {
  committedOffsetOf,
  committedPartitions,
  epochOf,
  isAnotherTopic,
  newestRetryOf,
} from '../commits/pipeline-state.ts';
import { refusal } from '../commits/refusal.ts';
import { refuseOwner, refuseRestored, refuseSchema } from '../commits/rules.ts';
import type { DeltaLog } from '../delta/log.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';
import { type AssignedPartition, partitionKey } from '../kafka/offsets.ts';
import type { PartitionDescription, TopicIdentity } from '../kafka/source.ts';
import type { SourceSpecification } from '../kafka/source-specification.ts';
import { partitionFilter } from '../kafka/topic-names.ts';
import type { Specification } from '../pipeline/specification.ts';
import { tableSchemas } from '../records/table-schema.ts';

/**
 * The table as a drain sees it before it reads a byte. Fails by name where the table is somebody else's, was
 * restored, or has columns that the pipeline's rows do not fit.
 */
export async function readTable(log: DeltaLog, specification: Specification): Promise<TableState> {
  const snapshot = await log.snapshot();
  const { name, records, table } = specification;
  if (snapshot !== undefined) {
    const { tableSchema: schema, partitionColumns } = tableSchemas(records, table.partitionBy);
    const refused =
      refuseOwner(snapshot, name) ??
      refuseRestored(snapshot, { versionsSincePlan: [] }) ??
      refuseSchema(snapshot, { schema, partitionColumns });
    if (refused !== undefined) throw refusal(refused, table.location, name);
  }
  return new TableState(snapshot, name);
}

export class TableState {
  readonly tableId: string | null;
  /** -1 where there is no table yet. */
  readonly tableVersion: number;
  readonly epoch: bigint;
  /** The newest version that retried dead letters; undefined before the first. */
  readonly newestRetry: bigint | undefined;
  private readonly snapshot: Pick<Snapshot, 'txns'>;
  private readonly pipeline: string;

  constructor(snapshot: Snapshot | undefined, pipeline: string) {
    this.tableId = snapshot?.metaData.id ?? null;
    this.tableVersion = snapshot?.tableVersion ?? -1;
    this.epoch = epochOf(snapshot);
    this.snapshot = snapshot ?? { txns: new Map() };
    this.newestRetry = newestRetryOf(this.snapshot);
    this.pipeline = pipeline;
  }

  /** Next offset to read; undefined where the table has none for this partition. */
  committedOffset(topic: string, kafkaPartition: number): bigint | undefined {
    return committedOffsetOf(this.snapshot, topic, kafkaPartition);
  }

  /**
   * Whether the pipeline has committed anything: then `startingOffsets` has had its say. An adopted table
   * that another program made has rows and no offsets.
   */
  get hasProgress(): boolean {
    return committedPartitions(this.snapshot).length > 0;
  }

  /** A goal is meant for one table under one epoch: under another the same numbers would be other records. */
  requireSameTable(goal: { readonly tableId: string | null; readonly epoch: string }): void {
    if (String(this.epoch) === goal.epoch && (goal.tableId === null || goal.tableId === this.tableId)) return;
    throw new Failure(
      'FENCED',
      `The table was repaired, reset or replaced since this run began (epoch ${goal.epoch} then, ${this.epoch} now).`,
      'This run ends here. Start the drain again: it then plans from the table as it is now.',
    );
  }

  /** Throws TOPIC_RECREATED where a topic's id is proven to be another than the table's. */
  requireSameTopics(topics: readonly { topic: string; identity: TopicIdentity | null | undefined }[]): void {
    for (const { topic, identity } of topics) {
      if (!isAnotherTopic(this.snapshot, { topic, identity: identity ?? undefined })) continue;
      throw new Failure(
        'TOPIC_RECREATED',
        `${topic} was deleted and created again since the table's last batch: its id is now ${identity?.topicId}.`,
        'Offsets of the new topic are other records; nothing was read. ' +
          `Continue with it from its beginning or its end: tidemark repair ${this.pipeline}`,
      );
    }
  }

  /**
   * Throws KAFKA_DATA_LOSS.PARTITIONS_DELETED where Kafka no longer has a partition that the table has
   * offsets of.
   *
   * If the topic still exists, it always throws: Kafka never deletes single partitions, so its offsets may be
   * other records. If a pattern chooses topics, a whole topic may disappear; then `failOnDataLoss: false`
   * lets the others continue.
   */
  requirePartitions(
    { topics: selection, failOnDataLoss }: Pick<SourceSpecification, 'topics' | 'failOnDataLoss'>,
    partitions: readonly AssignedPartition[],
  ): void {
    const deleted = deletedPartitions(this.snapshot, selection, partitions).filter(
      ({ isTopicGone }) => !isTopicGone || failOnDataLoss,
    );
    if (deleted.length === 0) return;
    const names = deleted.map(({ topic, kafkaPartition }) => `${topic}-${kafkaPartition}`).join(', ');
    throw new Failure(
      'KAFKA_DATA_LOSS.PARTITIONS_DELETED',
      `Partitions are gone: ${names}. Some data may have been missed.`,
      `Kafka never deletes single partitions: their topic was deleted, or created again with fewer. ${this.look()}`,
    );
  }

  /**
   * Of a log that ends before the table's offset. Its next records would get offsets that the table already
   * holds.
   */
  logShrunk({
    topic,
    kafkaPartition,
    highWatermark,
  }: PartitionDescription & { readonly topic: string }): Failure {
    return new Failure(
      'KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED',
      `${topic}-${kafkaPartition} ends at ${highWatermark}, before offset ${this.committedOffset(topic, kafkaPartition)} that the table already holds.`,
      'Records were lost on the broker (an unclean leader election) or the topic was replaced. Nothing was committed. ' +
        this.look(),
    );
  }

  private look(): string {
    return `Run: tidemark repair ${this.pipeline}`;
  }
}

/**
 * Partitions of which the table has an offset, of topics that `selection` reads, and which Kafka does not
 * have.
 */
export function deletedPartitions(
  snapshot: Pick<Snapshot, 'txns'>,
  selection: SourceSpecification['topics'],
  partitions: readonly AssignedPartition[],
): { topic: string; kafkaPartition: number; isTopicGone: boolean }[] {
  const present = new Set(partitions.map(({ topic, kafkaPartition }) => partitionKey(topic, kafkaPartition)));
  const topics = new Set(partitions.map(({ topic }) => topic));
  const isRead = partitionFilter(selection);
  return committedPartitions(snapshot)
    .filter(
      (partition) =>
        isRead(partition) && !present.has(partitionKey(partition.topic, partition.kafkaPartition)),
    )
    .map((partition) => ({ ...partition, isTopicGone: !topics.has(partition.topic) }));
}
