import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../errors.ts';
import { partitionKey } from './offsets.ts';
import { type Patience, type RangeLeader, readRange } from './range-reader.ts';
import type {
  FetchedBatches,
  KafkaSource,
  OffsetRange,
  PartitionDescription,
  PartitionTimestamp,
  ReadOptions,
  TopicDescription,
  TopicIdentity,
} from './source.ts';
import { similarTopics } from './topic-names.ts';
import {
  groupOffsetsRefused,
  notAuthorized,
  protocolFailure,
  Unavailable,
  UnknownPartition,
  unreachable,
} from './unavailable.ts';
import {
  API,
  type ClusterMetadata,
  cleanupPolicyRequest,
  ERROR,
  type FetchResponse,
  fetchRequest,
  findCoordinatorRequest,
  type GroupOffset,
  type ListedOffset,
  LOG_END,
  LOG_START,
  listOffsetsRequest,
  metadataRequest,
  offsetCommitRequest,
  type TopicMetadata,
  transientError,
  type WireRequest,
} from './wire.ts';

/**
 * Connections to brokers by `host:port`. All calls reject with `Unavailable` where a broker does not answer.
 */
export interface Connections {
  /** A broker that answers: an open connection first, then the known ones, then the bootstrap servers. */
  anyBroker(known: Iterable<string>): Promise<string>;
  /** Highest version of an API that the broker serves; -1 where it does not have it. */
  maxVersion(address: string, apiKey: number): Promise<number>;
  send<Response>(address: string, request: WireRequest<Response>): Promise<Response>;
  close(): Promise<void>;
}

interface Partition {
  readonly topic: string;
  readonly kafkaPartition: number;
}

/** A question about topics is asked for so long, through elections and restarts. */
const QUESTION_MS = 10_000;
const PAUSE_MS = 200;
/** Metadata of a new topic reaches all brokers within this time. */
const NEW_TOPIC_MS = 500;
/** A fetch waits so long at the broker where there is nothing. */
const MAX_WAIT_MS = 500;

/** A Kafka cluster, seen through connections and the messages of `wire.ts`. */
export class ClusterSource implements KafkaSource, RangeLeader {
  readonly #connections: Connections;
  readonly #patience: Patience;
  #brokers: ReadonlyMap<number, string> = new Map();
  /** Leader's address by `partitionKey`, as last heard. */
  readonly #leaders = new Map<string, string>();

  constructor(connections: Connections, patience: Patience) {
    this.#connections = connections;
    this.#patience = patience;
  }

  async describeTopics(topics: readonly string[]): Promise<TopicDescription[]> {
    return this.#patiently(async () => {
      const metadata = await this.#existingTopics(topics);
      const ends = await this.#logEnds(partitionsOf(metadata.topics));
      const policies = await this.#cleanupPolicies(topics);
      return metadata.topics.map(({ topic, topicId, partitions }) => ({
        topic,
        identity: identity(metadata.clusterId, topicId),
        compacted: policies.get(topic)?.split(',').includes('compact'),
        partitions: partitions
          .map(({ kafkaPartition }) => ends.get(partitionKey(topic, kafkaPartition)))
          .filter((description) => description !== undefined)
          .sort((a, b) => a.kafkaPartition - b.kafkaPartition),
      }));
    });
  }

  async listTopics(): Promise<string[]> {
    const { topics } = await this.#patiently(() => this.#metadata('all'));
    return topics
      .filter(({ isInternal }) => !isInternal)
      .map(({ topic }) => topic)
      .sort();
  }

  async commitGroupOffsets(
    group: string,
    offsets: Readonly<Record<string, Readonly<Record<string, string>>>>,
  ): Promise<void> {
    const commits = Object.entries(offsets).flatMap(([topic, byPartition]) =>
      Object.entries(byPartition).map(
        ([kafkaPartition, offset]): GroupOffset => ({
          topic,
          kafkaPartition: Number(kafkaPartition),
          offset: BigInt(offset),
        }),
      ),
    );
    await this.#patiently(async () => {
      const anyBroker = await this.#connections.anyBroker(this.#brokers.values());
      const { address, errorCode } = await this.#connections.send(anyBroker, findCoordinatorRequest(group));
      throwIfRefused('FindCoordinator', group, errorCode);
      const answers = await this.#connections.send(address, offsetCommitRequest(group, commits));
      for (const { errorCode } of answers) throwIfRefused('OffsetCommit', group, errorCode);
    });
  }

  async offsetsForTimestamps(partitions: readonly PartitionTimestamp[]): Promise<Map<string, bigint>> {
    return this.#patiently(async () => {
      await this.#existingTopics([...new Set(partitions.map(({ topic }) => topic))]);
      const listed = await this.#listOffsets(partitions, 'read_uncommitted');
      const found = listed.filter(({ offset }) => offset >= 0n);
      return new Map(
        found.map(({ topic, kafkaPartition, offset }) => [partitionKey(topic, kafkaPartition), offset]),
      );
    });
  }

  readRange(range: OffsetRange, options: ReadOptions): AsyncIterable<FetchedBatches> {
    return readRange(this, range, options, this.#patience);
  }

  async topicIds(topics: readonly string[]): Promise<Map<string, TopicIdentity>> {
    return this.#patiently(async () => {
      const known = await this.#existingTopics(topics);
      const leaders = new Set(await Promise.all(partitionsOf(known.topics).map((p) => this.#leaderOf(p))));
      const answers = await Promise.all([...leaders].map((leader) => this.#metadataOf(leader, topics)));
      const ids = new Map<string, TopicIdentity>();
      for (const { clusterId, topics } of answers) {
        for (const { topic, topicId } of topics) {
          const id = identity(clusterId, topicId);
          if (id === undefined) continue;
          if ((ids.get(topic)?.topicId ?? id.topicId) !== id.topicId) {
            throw new Unavailable(`brokers disagree on the id of topic ${topic}`);
          }
          ids.set(topic, id);
        }
      }
      return ids;
    });
  }

  async close(): Promise<void> {
    await this.#connections.close();
  }

  async fetch(
    range: OffsetRange,
    position: bigint,
    maxBytes: number,
    isolation: ReadOptions['isolation'],
  ): Promise<FetchResponse> {
    const { topic, kafkaPartition } = range;
    const request = fetchRequest({
      topic,
      kafkaPartition,
      position,
      isolation,
      maxBytes,
      maxWaitMs: MAX_WAIT_MS,
    });
    return this.#connections.send(await this.#leaderOf(range), request);
  }

  async refreshEnds(range: OffsetRange): Promise<PartitionDescription> {
    const { topic, kafkaPartition } = range;
    await this.#refresh([topic]);
    const ends = await this.#logEnds([{ topic, kafkaPartition }]);
    const description = ends.get(partitionKey(topic, kafkaPartition));
    if (description === undefined) throw new UnknownPartition(`${topic}-${kafkaPartition} does not exist`);
    return description;
  }

  /** Tries again on fresh metadata while nobody answers, for a while. */
  async #patiently<T>(ask: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + (this.#patience.questionMs ?? QUESTION_MS);
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        if (Date.now() >= deadline) throw unreachable(error);
        await sleep(PAUSE_MS);
      }
    }
  }

  async #existingTopics(topics: readonly string[]): Promise<ClusterMetadata> {
    let metadata = await this.#refresh(topics);
    if (missingTopics(metadata).length > 0) {
      await sleep(NEW_TOPIC_MS);
      metadata = await this.#refresh(topics);
    }
    const missing = missingTopics(metadata);
    if (missing.length > 0) throw await this.#topicsNotFound(missing);
    const forbidden = metadata.topics.filter((t) => t.errorCode === ERROR.topicAuthorizationFailed);
    if (forbidden.length > 0) throw notAuthorized(forbidden.map(({ topic }) => topic));
    for (const { topic, errorCode } of metadata.topics) throwIfFailed('Metadata', topic, errorCode);
    return metadata;
  }

  async #topicsNotFound(missing: readonly string[]): Promise<Failure> {
    const { topics } = await this.#metadata('all');
    const existing = topics.map(({ topic }) => topic);
    const lines = missing.map((name) => {
      const similar = similarTopics(name, existing);
      return similar.length > 0 ? `${name} (there is ${similar.join(', ')})` : name;
    });
    return new Failure(
      'TOPIC_NOT_FOUND',
      `The Kafka cluster does not have ${missing.length === 1 ? 'the topic' : 'the topics'} ${lines.join('; ')}.`,
      'Correct source.subscribe or source.assign in the pipeline file, or create the topic: Tidemark never does. If the table has offsets of a topic that was deleted, run `tidemark repair PIPELINE`.',
    );
  }

  async #logEnds(partitions: readonly Partition[]): Promise<Map<string, PartitionDescription>> {
    // In this order logStartOffset <= lastStableOffset <= highWatermark holds while records arrive.
    const at = (timestampMs: number) => partitions.map((partition) => ({ ...partition, timestampMs }));
    const starts = await this.#listOffsets(at(LOG_START), 'read_uncommitted');
    const stable = byPartition(await this.#listOffsets(at(LOG_END), 'read_committed'));
    const high = byPartition(await this.#listOffsets(at(LOG_END), 'read_uncommitted'));
    return new Map(
      starts.map(({ topic, kafkaPartition, offset }) => {
        const key = partitionKey(topic, kafkaPartition);
        const lastStableOffset = stable.get(key) ?? offset;
        const highWatermark = high.get(key) ?? lastStableOffset;
        return [key, { kafkaPartition, logStartOffset: offset, lastStableOffset, highWatermark }];
      }),
    );
  }

  async #listOffsets(
    partitions: readonly PartitionTimestamp[],
    isolation: ReadOptions['isolation'],
  ): Promise<ListedOffset[]> {
    const leaders = await Promise.all(partitions.map((partition) => this.#leaderOf(partition)));
    const byLeader = Map.groupBy(partitions, (_, index) => leaders[index] ?? '');
    const answers = await Promise.all(
      [...byLeader].map(([leader, ofLeader]) =>
        this.#connections.send(leader, listOffsetsRequest(ofLeader, isolation)),
      ),
    );
    for (const { topic, kafkaPartition, errorCode } of answers.flat()) {
      throwIfFailed('ListOffsets', `${topic}-${kafkaPartition}`, errorCode);
    }
    return answers.flat();
  }

  async #cleanupPolicies(topics: readonly string[]): Promise<Map<string, string>> {
    const broker = await this.#connections.anyBroker(this.#brokers.values());
    return this.#connections.send(broker, cleanupPolicyRequest(topics));
  }

  async #leaderOf({ topic, kafkaPartition }: Partition): Promise<string> {
    const key = partitionKey(topic, kafkaPartition);
    if (!this.#leaders.has(key)) await this.#refresh([topic]);
    const leader = this.#leaders.get(key);
    if (leader === undefined) throw new UnknownPartition(`${topic}-${kafkaPartition} does not exist`);
    if (leader === NO_LEADER) throw new Unavailable(`${topic}-${kafkaPartition} has no leader`);
    return leader;
  }

  /** Fresh metadata of these topics; the known leaders of them are replaced. */
  async #refresh(topics: readonly string[]): Promise<ClusterMetadata> {
    const metadata = await this.#metadata(topics);
    this.#brokers = metadata.brokers;
    for (const { topic, partitions } of metadata.topics) {
      for (const key of this.#leaders.keys()) if (key.startsWith(`${topic}/`)) this.#leaders.delete(key);
      for (const { kafkaPartition, leader } of partitions) {
        this.#leaders.set(partitionKey(topic, kafkaPartition), metadata.brokers.get(leader) ?? NO_LEADER);
      }
    }
    return metadata;
  }

  async #metadata(topics: readonly string[] | 'all'): Promise<ClusterMetadata> {
    return this.#metadataOf(await this.#connections.anyBroker(this.#brokers.values()), topics);
  }

  async #metadataOf(address: string, topics: readonly string[] | 'all'): Promise<ClusterMetadata> {
    const version = (await this.#connections.maxVersion(address, API.metadata)) >= 12 ? 12 : 6;
    const names = topics === 'all' ? topics : [...new Set(topics)];
    return this.#connections.send(address, metadataRequest(names, version));
  }
}

const NO_LEADER = '';

function missingTopics({ topics }: ClusterMetadata): string[] {
  const missing: readonly number[] = [ERROR.unknownTopicOrPartition, ERROR.invalidTopic];
  return topics.filter(({ errorCode }) => missing.includes(errorCode)).map(({ topic }) => topic);
}

function partitionsOf(topics: readonly TopicMetadata[]): Partition[] {
  return topics.flatMap(({ topic, partitions }) =>
    partitions.map(({ kafkaPartition }) => ({ topic, kafkaPartition })),
  );
}

function byPartition(listed: readonly ListedOffset[]): Map<string, bigint> {
  return new Map(
    listed.map(({ topic, kafkaPartition, offset }) => [partitionKey(topic, kafkaPartition), offset]),
  );
}

function identity(clusterId: string | undefined, topicId: string | undefined): TopicIdentity | undefined {
  return clusterId === undefined || topicId === undefined ? undefined : { clusterId, topicId };
}

function throwIfRefused(apiName: string, group: string, errorCode: number): void {
  if (errorCode === ERROR.none) return;
  const name = transientError(errorCode);
  if (name !== undefined) throw new Unavailable(`group ${group}: ${name}`);
  throw groupOffsetsRefused(apiName, group, errorCode);
}

function throwIfFailed(apiName: string, object: string, errorCode: number): void {
  if (errorCode === ERROR.none) return;
  if (errorCode === ERROR.topicAuthorizationFailed) throw notAuthorized([object]);
  const name = transientError(errorCode);
  if (name !== undefined) throw new Unavailable(`${object}: ${name}`);
  throw protocolFailure(apiName, object, errorCode);
}
