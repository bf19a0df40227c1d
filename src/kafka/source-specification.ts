/** How to reach a source's cluster. */
export interface SourceConnection {
  /** `host` or `host:port`, port 9092 where absent. */
  readonly bootstrapServers: readonly string[];
}

/** The `source` of a pipeline. Plain JSON. */
export interface SourceSpecification extends SourceConnection {
  readonly topics:
    | { readonly kind: 'subscribe'; readonly topics: readonly string[] }
    /** Every topic whose whole name matches, internal ones left out; each run looks them up again. */
    | { readonly kind: 'subscribePattern'; readonly pattern: string }
    | { readonly kind: 'assign'; readonly partitions: Readonly<Record<string, readonly number[]>> };
  /** Used only for a pipeline that has committed nothing yet. Decimal strings; -2 earliest, -1 latest. */
  readonly startingOffsets:
    | 'earliest'
    | 'latest'
    | Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Wins over `startingOffsets`: epoch milliseconds for all partitions, or by topic and partition. */
  readonly startingTimestamps?: number | Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** What a partition without a record at or after its timestamp does: fail the run, or begin at its end. */
  readonly startingTimestampStrategy: 'error' | 'latest';
  /** False: offsets that are gone are counted as lost, and the drain continues. */
  readonly failOnDataLoss: boolean;
  readonly isolation: 'read_committed' | 'read_uncommitted';
}
