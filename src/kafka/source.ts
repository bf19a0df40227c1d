/**
 * What Tidemark needs of a Kafka cluster. Offsets are `bigint`; ranges are [startingOffset, endingOffset).
 */
export interface KafkaSource {
  /**
   * The partitions of the named topics on fresh metadata, with their log ends.
   * Throws TOPIC_NOT_FOUND naming every missing topic, KAFKA_UNREACHABLE where no broker answers in time.
   */
  describeTopics(topics: readonly string[]): Promise<TopicDescription[]>;

  /** Names of all topics that this user may see, internal ones (`__consumer_offsets`) left out; sorted. */
  listTopics(): Promise<string[]>;

  /**
   * Writes a group's offsets for lag tools, without joining the group (generation -1). Keys are topic, then
   * partition. Best effort for the caller: rejects where the group has members, is not authorized, or no
   * coordinator answers.
   */
  commitGroupOffsets(
    group: string,
    offsets: Readonly<Record<string, Readonly<Record<string, string>>>>,
  ): Promise<void>;

  /**
   * Per partition the first offset whose record has its timestamp or a later one; absent where there is none.
   * Keys are `topic/partition`.
   */
  offsetsForTimestamps(partitions: readonly PartitionTimestamp[]): Promise<Map<string, bigint>>;

  /**
   * Fetches one range from its leader, in order, as raw record batches with the next fetch in flight.
   * Ends when the position has reached `range.endingOffset`, whatever lies there (a marker, an aborted
   * record, a compacted hole). Leader changes and lost connections are retried on fresh metadata within
   * bounds. Throws KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE where the range is no longer there.
   */
  readRange(range: OffsetRange, options: ReadOptions): AsyncIterable<FetchedBatches>;

  /**
   * Topic ids as the leaders' brokers report them now, by topic name; absent where the broker has none.
   * Throws TOPIC_NOT_FOUND for a topic that is gone.
   */
  topicIds(topics: readonly string[]): Promise<Map<string, TopicIdentity>>;

  close(): Promise<void>;
}

export interface TopicIdentity {
  readonly clusterId: string;
  /** UUID in hexadecimal, 32 digits. */
  readonly topicId: string;
}

export interface TopicDescription {
  readonly topic: string;
  /** Undefined on brokers without topic ids (before Kafka 2.8). */
  readonly identity: TopicIdentity | undefined;
  /** Whether `cleanup.policy` includes `compact`; undefined where the broker would not say. */
  readonly compacted: boolean | undefined;
  readonly partitions: readonly PartitionDescription[];
}

export interface PartitionDescription {
  readonly kafkaPartition: number;
  readonly logStartOffset: bigint;
  /** Upper bound of what `read_committed` may see. */
  readonly lastStableOffset: bigint;
  readonly highWatermark: bigint;
}

export interface PartitionTimestamp {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly timestampMs: number;
}

export interface OffsetRange {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** Inclusive. */
  readonly startingOffset: bigint;
  /** Exclusive. */
  readonly endingOffset: bigint;
}

export interface ReadOptions {
  readonly isolation: 'read_committed' | 'read_uncommitted';
  /**
   * Called with offsets [from, until) of the range that are gone, instead of failing with
   * KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE: reading continues at `until`, which is at most the range's
   * end.
   */
  readonly onLost?: (from: bigint, until: bigint) => void;
  /** Aborts the fetch in flight and ends the iteration by throwing the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** One fetch response of one partition: the record set as it came, to be walked by `RangeWalk`. */
export interface FetchedBatches {
  /** Only lent: their memory may serve another response once the next one is asked for. */
  readonly records: Buffer;
  readonly abortedTransactions: readonly { readonly producerId: bigint; readonly firstOffset: bigint }[];
}
