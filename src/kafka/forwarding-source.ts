import type {
  FetchedBatches,
  KafkaSource,
  OffsetRange,
  PartitionTimestamp,
  ReadOptions,
  TopicDescription,
  TopicIdentity,
} from './source.ts';

/** A question to a cluster; `fetch` is each step of `readRange`. */
export interface SourceCall {
  readonly method: Exclude<keyof KafkaSource, 'readRange'> | 'fetch';
  /** Of `fetch`. */
  readonly kafkaPartition?: number;
}

/**
 * Another source as it is: the base of everything that stands in front of one. Every call goes through
 * `call`, so a wrapper overrides that, or the methods that it changes, and forgets none that the interface
 * gets later.
 */
export class ForwardingSource implements KafkaSource {
  protected readonly source: KafkaSource;

  constructor(source: KafkaSource) {
    this.source = source;
  }

  describeTopics(topics: readonly string[]): Promise<TopicDescription[]> {
    return this.call({ method: 'describeTopics' }, () => this.source.describeTopics(topics));
  }

  listTopics(): Promise<string[]> {
    return this.call({ method: 'listTopics' }, () => this.source.listTopics());
  }

  commitGroupOffsets(...group: Parameters<KafkaSource['commitGroupOffsets']>): Promise<void> {
    return this.call({ method: 'commitGroupOffsets' }, () => this.source.commitGroupOffsets(...group));
  }

  offsetsForTimestamps(partitions: readonly PartitionTimestamp[]): Promise<Map<string, bigint>> {
    return this.call({ method: 'offsetsForTimestamps' }, () => this.source.offsetsForTimestamps(partitions));
  }

  async *readRange(range: OffsetRange, options: ReadOptions): AsyncGenerator<FetchedBatches> {
    const fetches = this.source.readRange(range, options)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.fetch(fetches, range);
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await fetches.return?.();
    }
  }

  topicIds(topics: readonly string[]): Promise<Map<string, TopicIdentity>> {
    return this.call({ method: 'topicIds' }, () => this.source.topicIds(topics));
  }

  close(): Promise<void> {
    return this.call({ method: 'close' }, () => this.source.close());
  }

  protected fetch(
    fetches: AsyncIterator<FetchedBatches>,
    { kafkaPartition }: OffsetRange,
  ): Promise<IteratorResult<FetchedBatches>> {
    return this.call({ method: 'fetch', kafkaPartition }, () => fetches.next());
  }

  /** @param _call for those who override it */
  protected call<T>(_call: SourceCall, work: () => Promise<T>): Promise<T> {
    return work();
  }
}
