/**
 * The few messages of the Kafka protocol that a range reader needs, encoded and decoded here. kafkajs's own
 * decoders parse records into objects, throw at the first partition with an error, and stop below topic ids
 * (Metadata v10).
 *
 * Every version below is served by brokers from Kafka 2.3 on, 4.x included; topic ids need 2.8.
 */
import { Reader, Writer } from './primitives.ts';
import type { FetchedBatches, ReadOptions } from './source.ts';

/** A request as the connection sends it: `body` follows the request header. */
export interface WireRequest<Response> {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  readonly body: Buffer;
  /**
   * Throws RangeError where the payload is shorter than it claims.
   *
   * @param payload what follows the correlation id
   * @param release to be called when nobody looks at the payload any more
   */
  decode(payload: Buffer, release: () => void): Response;
}

export const API = {
  fetch: 1,
  listOffsets: 2,
  metadata: 3,
  offsetCommit: 8,
  findCoordinator: 10,
  describeConfigs: 32,
} as const;

/** Error codes that this reader tells apart. Kafka protocol, "Error Codes". */
export const ERROR = {
  none: 0,
  offsetOutOfRange: 1,
  corruptMessage: 2,
  unknownTopicOrPartition: 3,
  invalidTopic: 17,
  topicAuthorizationFailed: 29,
  groupAuthorizationFailed: 30,
} as const;

/** Codes that pass: an election, a restart, metadata that has not arrived everywhere. */
const TRANSIENT_ERRORS: Readonly<Record<number, string>> = {
  3: 'UNKNOWN_TOPIC_OR_PARTITION',
  5: 'LEADER_NOT_AVAILABLE',
  6: 'NOT_LEADER_OR_FOLLOWER',
  7: 'REQUEST_TIMED_OUT',
  8: 'BROKER_NOT_AVAILABLE',
  9: 'REPLICA_NOT_AVAILABLE',
  13: 'NETWORK_EXCEPTION',
  14: 'COORDINATOR_LOAD_IN_PROGRESS',
  15: 'COORDINATOR_NOT_AVAILABLE',
  16: 'NOT_COORDINATOR',
  56: 'KAFKA_STORAGE_ERROR',
  74: 'FENCED_LEADER_EPOCH',
  75: 'UNKNOWN_LEADER_EPOCH',
  78: 'OFFSET_NOT_AVAILABLE',
};

/** The name of a code that passes by itself; undefined for all others. */
export const transientError = (code: number): string | undefined => TRANSIENT_ERRORS[code];

export interface FetchResponse extends FetchedBatches {
  readonly errorCode: number;
  /** Nobody looks at `records` any more. */
  readonly release?: () => void;
}

/** Fetch v11 of one partition, without a session and from its leader. */
export function fetchRequest(fetch: {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly position: bigint;
  readonly isolation: ReadOptions['isolation'];
  readonly maxBytes: number;
  readonly maxWaitMs: number;
}): WireRequest<FetchResponse> {
  const body = new Writer()
    .int32(-1) // replica id of a consumer
    .int32(fetch.maxWaitMs)
    .int32(1) // min bytes
    .int32(fetch.maxBytes)
    .int8(isolationLevel(fetch.isolation))
    .int32(0) // session id
    .int32(-1) // session epoch: no session
    .int32(1) // topics
    .string(fetch.topic)
    .int32(1) // partitions
    .int32(fetch.kafkaPartition)
    .int32(-1) // current leader epoch: unknown
    .int64(fetch.position)
    .int64(-1n) // log start offset: of followers only
    .int32(fetch.maxBytes)
    .int32(0) // forgotten topics
    .string(''); // rack: read from the leader
  return { apiKey: API.fetch, apiVersion: 11, apiName: 'Fetch', body: body.buffer(), decode: decodeFetch };
}

function decodeFetch(payload: Buffer, release: () => void): FetchResponse {
  const reader = new Reader(payload);
  reader.int32(); // throttle time: the broker holds the connection back by itself
  const errorCode = reader.int16();
  reader.int32(); // session id
  const partitions = reader
    .array(() => {
      reader.string();
      return reader.array(() => {
        reader.int32();
        const errorCode = reader.int16();
        reader.int64(); // high watermark
        reader.int64(); // last stable offset
        reader.int64(); // log start offset
        const abortedTransactions = reader.array(() => ({
          producerId: reader.int64(),
          firstOffset: reader.int64(),
        }));
        reader.int32(); // preferred read replica: asked for by rack only
        return { errorCode, abortedTransactions, records: reader.bytes() };
      });
    })
    .flat();
  return {
    ...(partitions[0] ?? { records: Buffer.alloc(0), abortedTransactions: [] }),
    errorCode: partitions[0]?.errorCode || errorCode,
    release,
  };
}

export interface ListedOffset {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly errorCode: number;
  /** -1 where no record is that young. */
  readonly offset: bigint;
}

/** `timestampMs` of ListOffsets that stand for the ends of the log. */
export const LOG_START = -2;
export const LOG_END = -1;

/**
 * ListOffsets v3: per partition the first offset at or after its timestamp, or an end of the log
 * (`LOG_START`, `LOG_END`) as `isolation` sees it.
 */
export function listOffsetsRequest(
  partitions: readonly {
    readonly topic: string;
    readonly kafkaPartition: number;
    readonly timestampMs: number;
  }[],
  isolation: ReadOptions['isolation'],
): WireRequest<ListedOffset[]> {
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
  const body = new Writer().int32(-1).int8(isolationLevel(isolation)).int32(byTopic.size);
  for (const [topic, ofTopic] of byTopic) {
    body.string(topic).int32(ofTopic.length);
    for (const { kafkaPartition, timestampMs } of ofTopic) {
      body.int32(kafkaPartition).int64(BigInt(timestampMs));
    }
  }
  return {
    apiKey: API.listOffsets,
    apiVersion: 3,
    apiName: 'ListOffsets',
    body: body.buffer(),
    decode(payload) {
      const reader = new Reader(payload);
      reader.int32(); // throttle time
      return reader
        .array(() => {
          const topic = reader.string() ?? '';
          return reader.array(() => {
            const kafkaPartition = reader.int32();
            const errorCode = reader.int16();
            reader.int64(); // timestamp of the record found
            return { topic, kafkaPartition, errorCode, offset: reader.int64() };
          });
        })
        .flat();
    },
  };
}

export interface Coordinator {
  readonly errorCode: number;
  /** `host:port` */
  readonly address: string;
}

/** FindCoordinator v2: the broker that keeps a group's offsets. */
export function findCoordinatorRequest(group: string): WireRequest<Coordinator> {
  return {
    apiKey: API.findCoordinator,
    apiVersion: 2,
    apiName: 'FindCoordinator',
    body: new Writer()
      .string(group)
      .int8(0) // key type: a group
      .buffer(),
    decode(payload) {
      const reader = new Reader(payload);
      reader.int32(); // throttle time
      const errorCode = reader.int16();
      reader.string(); // error message
      reader.int32(); // node id
      return { errorCode, address: formatAddress(reader.string() ?? '', reader.int32()) };
    },
  };
}

export interface GroupOffset {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** Next offset to read. */
  readonly offset: bigint;
}

/**
 * OffsetCommit v6 of a group that nobody joins: no generation, no member. The answer has an error code per
 * partition.
 */
export function offsetCommitRequest(
  group: string,
  offsets: readonly GroupOffset[],
): WireRequest<{ readonly topic: string; readonly kafkaPartition: number; readonly errorCode: number }[]> {
  const byTopic = Map.groupBy(offsets, ({ topic }) => topic);
  const body = new Writer()
    .string(group)
    .int32(-1) // generation
    .string('') // member id
    .int32(byTopic.size);
  for (const [topic, ofTopic] of byTopic) {
    body.string(topic).int32(ofTopic.length);
    for (const { kafkaPartition, offset } of ofTopic) {
      body
        .int32(kafkaPartition)
        .int64(offset)
        .int32(-1) // leader epoch of the last record: unknown
        .string(''); // metadata
    }
  }
  return {
    apiKey: API.offsetCommit,
    apiVersion: 6,
    apiName: 'OffsetCommit',
    body: body.buffer(),
    decode(payload) {
      const reader = new Reader(payload);
      reader.int32(); // throttle time
      return reader
        .array(() => {
          const topic = reader.string() ?? '';
          return reader.array(() => ({
            topic,
            kafkaPartition: reader.int32(),
            errorCode: reader.int16(),
          }));
        })
        .flat();
    },
  };
}

export interface ClusterMetadata {
  readonly clusterId: string | undefined;
  /** `host:port` by node id. */
  readonly brokers: ReadonlyMap<number, string>;
  readonly topics: readonly TopicMetadata[];
}

export interface TopicMetadata {
  readonly topic: string;
  readonly errorCode: number;
  /** 32 hexadecimal digits; undefined below Metadata v10. */
  readonly topicId: string | undefined;
  /** Kafka's own, such as `__consumer_offsets`. */
  readonly isInternal: boolean;
  /** `leader` is -1 while there is none. */
  readonly partitions: readonly { readonly kafkaPartition: number; readonly leader: number }[];
}

/**
 * Metadata of topics, or of all topics; never creates one.
 *
 * @param version 12 (topic ids, compact strings) or 6
 */
export function metadataRequest(
  topics: readonly string[] | 'all',
  version: 12 | 6,
): WireRequest<ClusterMetadata> {
  const flexible = version === 12;
  const body = new Writer(flexible);
  // kafkajs writes a version 1 header; version 2 is that and a tag section, which may as well begin the body.
  if (flexible) body.tags();
  body.arrayLength(topics === 'all' ? undefined : topics.length);
  for (const topic of topics === 'all' ? [] : topics) {
    if (flexible) body.uuid();
    body.string(topic).tags();
  }
  body.int8(0); // allow auto topic creation
  if (flexible) body.int8(0); // include authorized operations
  body.tags();
  const decode = (payload: Buffer) => decodeMetadata(payload, flexible);
  return { apiKey: API.metadata, apiVersion: version, apiName: 'Metadata', body: body.buffer(), decode };
}

function decodeMetadata(payload: Buffer, flexible: boolean): ClusterMetadata {
  const reader = new Reader(payload, flexible);
  reader.tags(); // of the response header
  reader.int32(); // throttle time
  const brokers = reader.array(() => {
    const nodeId = reader.int32();
    const address = formatAddress(reader.string() ?? '', reader.int32());
    reader.string(); // rack
    reader.tags();
    return [nodeId, address] as const;
  });
  const clusterId = reader.string();
  reader.int32(); // controller id
  const topics = reader.array(() => {
    const errorCode = reader.int16();
    const topic = reader.string() ?? '';
    const topicId = flexible ? reader.uuid() : undefined;
    const isInternal = reader.int8() !== 0;
    const partitions = reader.array(() => {
      reader.int16(); // error code: no leader, which the leader says as well, or an offline replica of others
      const kafkaPartition = reader.int32();
      const leader = reader.int32();
      if (flexible) reader.int32(); // leader epoch
      for (let lists = 0; lists < 3; lists++) reader.array(() => reader.int32()); // replicas, in sync, offline
      reader.tags();
      return { kafkaPartition, leader };
    });
    if (flexible) reader.int32(); // authorized operations
    reader.tags();
    return { topic, errorCode, topicId, isInternal, partitions };
  });
  return { clusterId, brokers: new Map(brokers), topics };
}

function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** DescribeConfigs v2: `cleanup.policy` by topic; a topic is absent where the broker would not say. */
export function cleanupPolicyRequest(topics: readonly string[]): WireRequest<Map<string, string>> {
  const body = new Writer().int32(topics.length);
  for (const topic of topics) body.int8(TOPIC_RESOURCE).string(topic).int32(1).string('cleanup.policy');
  body.int8(0); // include synonyms
  return {
    apiKey: API.describeConfigs,
    apiVersion: 2,
    apiName: 'DescribeConfigs',
    body: body.buffer(),
    decode(payload) {
      const reader = new Reader(payload);
      const policies = new Map<string, string>();
      reader.int32(); // throttle time
      reader.array(() => {
        reader.int16(); // error code: then there are no entries
        reader.string(); // error message
        reader.int8(); // resource type
        const topic = reader.string() ?? '';
        reader.array(() => {
          reader.string(); // name: we asked for one only
          const policy = reader.string();
          if (policy !== undefined) policies.set(topic, policy);
          reader.int8(); // read only
          reader.int8(); // source
          reader.int8(); // sensitive
          reader.array(() => {
            reader.string();
            reader.string();
            reader.int8();
          });
        });
      });
      return policies;
    },
  };
}

const TOPIC_RESOURCE = 2;

function isolationLevel(isolation: ReadOptions['isolation']): number {
  return isolation === 'read_committed' ? 1 : 0;
}
