import {
  committedOffsetOf,
  epochOf,
  refuseOwner,
  refuseRestored,
  refuseSchema,
  topicIdAppId,
  topicIdHash,
} from '../delta/commit.ts';
import type { DeltaLog } from '../delta/log.ts';
import { refusal } from '../delta/refusal.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';
import { type AssignedPartition, partitionKey } from '../kafka/offsets.ts';
import type { TopicIdentity } from '../kafka/source.ts';
import { topicPattern } from '../kafka/topic-names.ts';
import type { SourceSpecification, Specification } from '../pipeline/specification.ts';
import { tableSchemas } from '../records/table-schema.ts';

/**
 * The table as a drain sees it before it reads a byte. Fails by name where the table is somebody else's, was restored,
 * or has columns that the pipeline's rows do not fit.
 */
export async function readTable(log: DeltaLog, specification: Specification): Promise<TableState> {
  const snapshot = await log.snapshot();
  if (snapshot !== undefined) {
    const { name, records, table } = specification;
    const { tableSchema: schema, partitionColumns } = tableSchemas(records, table.partitionBy);
    const refused =
      refuseOwner(snapshot, name) ??
      refuseRestored(snapshot, { versionsSincePlan: [] }) ??
      refuseSchema(snapshot, { schema, partitionColumns });
    if (refused !== undefined) throw refusal(refused, table.location);
  }
  return new TableState(snapshot);
}

export class TableState {
  readonly tableId: string | null;
  /** -1 where there is no table yet. */
  readonly tableVersion: number;
  readonly epoch: bigint;
  private readonly txns: ReadonlyMap<string, bigint>;

  constructor(snapshot: Snapshot | undefined) {
    this.tableId = snapshot?.metaData.id ?? null;
    this.tableVersion = snapshot?.tableVersion ?? -1;
    this.epoch = epochOf(snapshot);
    this.txns = snapshot?.txns ?? new Map();
  }

  /** Next offset to read; undefined where the table has none for this partition. */
  committedOffset(topic: string, kafkaPartition: number): bigint | undefined {
    return committedOffsetOf({ txns: this.txns }, topic, kafkaPartition);
  }

  /** Whether the pipeline has committed anything: then `startingOffsets` has had its say. */
  get hasProgress(): boolean {
    return this.tableId !== null;
  }

  /** A goal is meant for one table under one epoch: under another the same numbers would be other records. */
  requireSameTable(goal: { readonly tableId: string | null; readonly epoch: string }): void {
    if (String(this.epoch) === goal.epoch && (goal.tableId === null || goal.tableId === this.tableId)) return;
    throw new Failure(
      'FENCED',
      `The table was repaired, reset or replaced since this run began (epoch ${goal.epoch} then, ${this.epoch} now).`,
      'This run ends here. Start the drain again: it plans anew from the table as it is.',
    );
  }

  /** Throws TOPIC_RECREATED where a topic's id is proven to be another than the table's. */
  requireSameTopics(topics: readonly { topic: string; identity: TopicIdentity | null | undefined }[]): void {
    for (const { topic, identity } of topics) {
      const known = this.txns.get(topicIdAppId(topic));
      if (
        identity === undefined ||
        identity === null ||
        known === undefined ||
        known === topicIdHash(identity)
      )
        continue;
      throw new Failure(
        'TOPIC_RECREATED',
        `${topic} was deleted and created again since the table's last batch: its id is now ${identity.topicId}.`,
        'Offsets of the new topic are other records; nothing was read. Drain the new topic into a new location.',
      );
    }
  }

  /**
   * Throws KAFKA_DATA_LOSS.PARTITIONS_DELETED where Kafka no longer has a partition that the table has offsets of. Whole
   * topics, which only a pattern can miss, may be gone where loss is accepted.
   */
  requirePartitions(
    { topics: selection, failOnDataLoss }: Pick<SourceSpecification, 'topics' | 'failOnDataLoss'>,
    partitions: readonly AssignedPartition[],
  ): void {
    const present = new Set(
      partitions.map(({ topic, kafkaPartition }) => partitionKey(topic, kafkaPartition)),
    );
    const topics = new Set(partitions.map(({ topic }) => topic));
    const pattern = selection.kind === 'subscribePattern' ? topicPattern(selection.pattern) : undefined;
    const isRead = (topic: string) =>
      (topics.has(topic) && selection.kind !== 'assign') || (failOnDataLoss && pattern?.test(topic));
    const deleted = this.partitions().filter(
      ({ topic, kafkaPartition }) => isRead(topic) && !present.has(partitionKey(topic, kafkaPartition)),
    );
    if (deleted.length === 0) return;
    const names = deleted.map(({ topic, kafkaPartition }) => `${topic}-${kafkaPartition}`).join(', ');
    throw new Failure(
      'KAFKA_DATA_LOSS.PARTITIONS_DELETED',
      `Partitions are gone: ${names}. Some data may have been missed.`,
      'Kafka never deletes single partitions: the topic was created again with fewer. Drain it into a new location.',
    );
  }

  private partitions(): { topic: string; kafkaPartition: number }[] {
    return [...this.txns.keys()].flatMap((appId) => {
      const [owner, topic, partition] = appId.split('/');
      if (owner !== 'tidemark' || topic === undefined || !/^\d+$/.test(partition ?? '')) return [];
      const kafkaPartition = Number(partition);
      return this.committedOffset(topic, kafkaPartition) === undefined ? [] : [{ topic, kafkaPartition }];
    });
  }
}
