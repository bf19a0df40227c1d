import { createHash } from 'node:crypto';
import type { Snapshot } from '../delta/snapshot.ts';
import type { TopicIdentity } from '../kafka/source.ts';

/**
 * A pipeline's state in its table's own log: `txn`s by their names, what they say, and the property that
 * names the owner.
 */

export const PIPELINE_PROPERTY = 'tidemark.pipeline';

/**
 * The newest version that carries dead letters: whether any wait to be published is seen without reading the
 * log.
 */
export const DEAD_LETTERS_APP_ID = 'tidemark/dead_letters';
export const EPOCH_APP_ID = 'tidemark/epoch';
/** Cut-off of the latest vacuum, in ms since 1970: files that are not newer cannot be committed any more. */
export const VACUUM_APP_ID = 'tidemark/vacuum';
/**
 * The newest version that retried letters, from which the earlier ones are found. Compared and set by every
 * retry.
 */
export const RETRIED_APP_ID = 'tidemark/retried';

/**
 * In the dead-letter table: the newest main version whose letters it has. A main table that was created again
 * has another id.
 */
export function publishedAppId(mainTableId: string): string {
  return `tidemark/dead_letters/${mainTableId}`;
}

/** The `txn` that holds a partition's next offset. "/" cannot occur in a topic name, so no two names meet. */
export function offsetAppId(topic: string, kafkaPartition: number): string {
  return `tidemark/${topic}/${kafkaPartition}`;
}

export function topicIdAppId(topic: string): string {
  return `tidemark/${topic}/id`;
}

/**
 * First 8 bytes of SHA-256(`clusterId/topicId`), big-endian, top bit cleared: `txn.version` is a signed
 * 64-bit integer.
 */
export function topicIdHash({ clusterId, topicId }: TopicIdentity): bigint {
  const digest = createHash('sha256').update(`${clusterId}/${topicId}`).digest();
  return digest.readBigUInt64BE(0) & 0x7fffffffffffffffn;
}

type Txns = Pick<Snapshot, 'txns'>;

/**
 * A partition of a topic's predecessor that the accepted topic does not have: a `txn` cannot be taken back.
 */
export const WITHDRAWN = -1n;

/** Next offset to read; undefined where the table has none. */
export function committedOffsetOf(
  snapshot: Txns | undefined,
  topic: string,
  kafkaPartition: number,
): bigint | undefined {
  const offset = snapshot?.txns.get(offsetAppId(topic, kafkaPartition));
  return offset === WITHDRAWN ? undefined : offset;
}

/** Every partition that has an offset in the table; withdrawn ones have none. */
export function committedPartitions(
  snapshot: Txns,
): { topic: string; kafkaPartition: number; committedOffset: bigint }[] {
  return [...snapshot.txns.keys()].flatMap((appId) => {
    const [owner, topic, partition] = appId.split('/');
    if (owner !== 'tidemark' || topic === undefined || !/^\d+$/.test(partition ?? '')) return [];
    const kafkaPartition = Number(partition);
    const committedOffset = committedOffsetOf(snapshot, topic, kafkaPartition);
    return committedOffset === undefined ? [] : [{ topic, kafkaPartition, committedOffset }];
  });
}

/** The topics of which this pipeline has committed anything, ever. */
export function committedTopics(snapshot: Txns | undefined): ReadonlySet<string> {
  const names = [...(snapshot?.txns.keys() ?? [])].map((appId) => appId.split('/'));
  return new Set(
    names.flatMap(([owner, topic, partition]) => (owner === 'tidemark' && partition && topic ? [topic] : [])),
  );
}

/** Only a proven mismatch counts: a broker without topic ids, or a table that has none, cannot tell. */
export function isAnotherTopic(
  snapshot: Txns | undefined,
  { topic, identity }: { readonly topic: string; readonly identity: TopicIdentity | undefined },
): boolean {
  const committed = snapshot?.txns.get(topicIdAppId(topic));
  return identity !== undefined && committed !== undefined && committed !== topicIdHash(identity);
}

/** Raised by every accept, repair or reset; 0 before the first. */
export function epochOf(snapshot: Txns | undefined): bigint {
  return snapshot?.txns.get(EPOCH_APP_ID) ?? 0n;
}

/**
 * The newest version that retried letters; undefined where there is none, also where a repair has withdrawn
 * it.
 */
export function newestRetryOf({ txns }: Txns): bigint | undefined {
  const tableVersion = txns.get(RETRIED_APP_ID);
  return tableVersion === undefined || tableVersion < 0n ? undefined : tableVersion;
}

/** The vacuum's cut-off in force, in ms since 1970; undefined before the first vacuum. */
export function cutOffOf({ txns }: Txns): number | undefined {
  const version = txns.get(VACUUM_APP_ID);
  return version === undefined ? undefined : Number(version);
}
