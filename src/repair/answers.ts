import {
  committedOffsetOf,
  committedPartitions,
  DEAD_LETTERS_APP_ID,
  epochOf,
  isAnotherTopic,
  PIPELINE_PROPERTY,
  RETRIED_APP_ID,
  topicIdAppId,
  topicIdHash,
  WITHDRAWN,
} from '../commits/pipeline-state.ts';
import type { Marker, OffsetMove, Repair, SeenTable, TopicMove } from '../commits/repair.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { logEnd } from '../kafka/offsets.ts';
import type { PartitionDescription, ReadOptions, TopicDescription } from '../kafka/source.ts';

/**
 * What each answer would move, from the table and Kafka as they are. Pure; `decideRepair` commits it or
 * refuses.
 */

type Moves = Pick<Repair, 'moves' | 'topics' | 'markers'>;

export function seenTable(snapshot: Snapshot): SeenTable {
  const { metaData, tableVersion, unrepairedRestore } = snapshot;
  const owner = metaData.configuration[PIPELINE_PROPERTY];
  return { tableId: metaData.id, tableVersion, epoch: epochOf(snapshot), owner, unrepairedRestore };
}

/**
 * How a topic is related to the offsets that the table has of it.
 *
 * - `recreated`: another topic of the same name, proven by its id, or by partitions that it no longer has,
 *   or, where ids cannot tell, by a log that ends before the table's offset
 * - `shrunken`: the same topic, proven by its id, has lost the end of a log
 */
export function topicChange(snapshot: Snapshot, topic: TopicDescription): 'same' | 'recreated' | 'shrunken' {
  if (isAnotherTopic(snapshot, topic)) return 'recreated';
  const now = new Set(topic.partitions.map(numberOf));
  const committed = committedOf(snapshot, topic.topic).map(numberOf);
  if (committed.some((kafkaPartition) => !now.has(kafkaPartition))) return 'recreated';
  if (shrunkenPartitions(snapshot, topic).length === 0) return 'same';
  const isProvenSame = topic.identity !== undefined && snapshot.txns.has(topicIdAppId(topic.topic));
  return isProvenSame ? 'shrunken' : 'recreated';
}

/** Partitions that the topic has, whose log ends before the table's offset. */
function shrunkenPartitions(snapshot: Snapshot, { topic, partitions }: TopicDescription): number[] {
  return partitions
    .filter((partition) => {
      const committedOffset = committedOffsetOf(snapshot, topic, partition.kafkaPartition);
      return committedOffset !== undefined && committedOffset > partition.highWatermark;
    })
    .map(numberOf);
}

/**
 * Continues with a topic as it is now. A recreated one: all of its partitions, from their beginning or end,
 * and those it does not have are withdrawn. A shrunken one: only the partitions whose log ends before the
 * table's offset.
 *
 * @param read partitions of the topic that the pipeline reads; the table gets offsets of no others that are
 * new to it
 */
export function acceptTopic(
  snapshot: Snapshot,
  topic: TopicDescription,
  read: ReadonlySet<number>,
  from: 'earliest' | 'latest',
  isolation: ReadOptions['isolation'],
): Moves {
  const now = new Map(topic.partitions.map((partition) => [partition.kafkaPartition, partition]));
  const change = topicChange(snapshot, topic);
  const chosen =
    change === 'shrunken'
      ? shrunkenPartitions(snapshot, topic)
      : [...committedOf(snapshot, topic.topic).map(numberOf), ...read];
  const moves = ascending(chosen).map((kafkaPartition): OffsetMove => {
    const before = committedOffsetOf(snapshot, topic.topic, kafkaPartition);
    const partition = now.get(kafkaPartition);
    const after =
      partition && (from === 'earliest' ? partition.logStartOffset : logEnd(partition, isolation));
    return {
      topic: topic.topic,
      kafkaPartition,
      before,
      after,
      ...(change === 'recreated' && before !== undefined ? { predecessorUnread: true } : {}),
      ...(partition && after !== undefined && change === 'recreated' && after > partition.logStartOffset
        ? { skipped: after - partition.logStartOffset }
        : {}),
    };
  });
  return { moves, topics: [topicMove(snapshot, topic)], markers: [] };
}

/** Gives up a topic that Kafka no longer has. */
export function withdrawTopic(snapshot: Snapshot, topic: string): Moves {
  const moves = committedOf(snapshot, topic).map(
    ({ kafkaPartition, committedOffset: before }): OffsetMove => ({
      topic,
      kafkaPartition,
      before,
      after: undefined,
      predecessorUnread: true,
    }),
  );
  return { moves, topics: [{ topic, before: idOf(snapshot, topic), after: undefined }], markers: [] };
}

/** Partitions of one topic that lost offsets which were still to be read, with what is left of them. */
export function lostOffsets(
  snapshot: Snapshot,
  { topic, partitions }: TopicDescription,
): (PartitionDescription & { readonly committedOffset: bigint })[] {
  return partitions.flatMap((partition) => {
    const committedOffset = committedOffsetOf(snapshot, topic, partition.kafkaPartition);
    return committedOffset !== undefined && committedOffset < partition.logStartOffset
      ? [{ ...partition, committedOffset }]
      : [];
  });
}

/** Accepts as lost what Kafka no longer has: those partitions continue where their logs begin now. */
export function skipLost(snapshot: Snapshot, topics: readonly TopicDescription[]): Moves {
  const moves = topics.flatMap((topic) =>
    lostOffsets(snapshot, topic).map(
      ({ kafkaPartition, committedOffset: before, logStartOffset: after }): OffsetMove => ({
        topic: topic.topic,
        kafkaPartition,
        before,
        after,
        lost: after - before,
      }),
    ),
  );
  const named = new Set(moves.map(({ topic }) => topic));
  return {
    moves,
    // Unchanged, but compared: of another topic the same offsets would not be those that are lost.
    topics: topics
      .filter(({ topic }) => named.has(topic))
      .map(({ topic }) => ({ topic, before: idOf(snapshot, topic), after: undefined })),
    markers: [],
  };
}

/**
 * Lets offsets and topic ids follow rows that a RESTORE took back. `tidemark/vacuum` stays: what a vacuum may
 * have deleted is gone, whatever version the table shows.
 *
 * - A partition that had no offset then is withdrawn: it begins as it did then.
 * - An id that was not known then stays, since no `txn` can be taken back: if it is another topic's, the next
 *   drain says so.
 * - `tidemark/retried` goes back, or to "none": rows of later retries are gone, so their letters may be
 *   retried again. The epoch fences retries that were planned on the older value when it was new.
 * - `tidemark/dead_letters` becomes the repair's own version: the dead-letter table has to follow the
 *   restored version, so there is something to publish even if nothing was carried since.
 */
export function restoreOffsets(
  snapshot: Snapshot,
  restored: Snapshot,
): Moves & Required<Pick<Repair, 'restored'>> {
  const partitions = new Map(
    [...committedPartitions(snapshot), ...committedPartitions(restored)].map((place) => [
      `${place.topic}/${place.kafkaPartition}`,
      place,
    ]),
  );
  const moves = [...partitions.values()].flatMap(({ topic, kafkaPartition }): OffsetMove[] => {
    const before = committedOffsetOf(snapshot, topic, kafkaPartition);
    const after = committedOffsetOf(restored, topic, kafkaPartition);
    return before === after ? [] : [{ topic, kafkaPartition, before, after }];
  });
  const names = new Set([...partitions.values()].map(({ topic }) => topic));
  const topics = [...names].flatMap((topic): TopicMove[] => {
    const [before, after] = [idOf(snapshot, topic), idOf(restored, topic)];
    return after === undefined || after === before ? [] : [{ topic, before, after }];
  });
  return {
    moves,
    topics,
    markers: [...retriedMarker(snapshot, restored), ...deadLettersMarker(snapshot)],
    restored: {
      tableVersion: restored.tableVersion,
      previousDeadLetters: restored.txns.get(DEAD_LETTERS_APP_ID),
    },
  };
}

function retriedMarker({ txns }: Snapshot, restored: Snapshot): Marker[] {
  const before = txns.get(RETRIED_APP_ID);
  const after = restored.txns.get(RETRIED_APP_ID) ?? WITHDRAWN;
  return before === undefined || before === after ? [] : [{ appId: RETRIED_APP_ID, before, after }];
}

function deadLettersMarker({ txns }: Snapshot): Marker[] {
  const before = txns.get(DEAD_LETTERS_APP_ID);
  return before === undefined ? [] : [{ appId: DEAD_LETTERS_APP_ID, before, after: 'own version' }];
}

function topicMove(snapshot: Snapshot, { topic, identity }: TopicDescription): TopicMove {
  return { topic, before: idOf(snapshot, topic), after: identity && topicIdHash(identity) };
}

function idOf({ txns }: Snapshot, topic: string): bigint | undefined {
  return txns.get(topicIdAppId(topic));
}

function committedOf(snapshot: Snapshot, name: string) {
  return committedPartitions(snapshot).filter(({ topic }) => topic === name);
}

function numberOf({ kafkaPartition }: { readonly kafkaPartition: number }): number {
  return kafkaPartition;
}

function ascending(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}
