import type { Accounting } from '../records/accounting.ts';

/**
 * What lies behind the references of a drain: plain JSON under `_tidemark/runs/<run>/`, written once. Offsets are
 * decimal strings, as everywhere outside of a process.
 */

/** Where a run ends, with the identities under which that is meant. */
export interface GoalDocument {
  readonly pipeline: string;
  /** Null where the table did not exist yet. */
  readonly tableId: string | null;
  readonly epoch: string;
  readonly topics: readonly GoalTopic[];
  readonly partitions: readonly GoalPartition[];
}

export interface GoalTopic {
  readonly topic: string;
  /** Null on a broker without topic ids. */
  readonly identity: { readonly clusterId: string; readonly topicId: string } | null;
  /** Null where the broker would not say. */
  readonly compacted: boolean | null;
}

export interface GoalPartition {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** The table's next offset when the run began; null where it had none. */
  readonly committedOffset: string | null;
  /** Where reading begins if the table still has no offset when a batch is planned. */
  readonly initialOffset: string;
  /** Exclusive, what the run will reach. */
  readonly endingOffset: string;
  /** Exclusive, what was asked for: beyond `endingOffset` the run ends `partial`. */
  readonly requestedOffset: string;
  readonly highWatermark: string;
  /** First offset that Kafka still had when the goal was fixed. */
  readonly logStartOffset: string;
}

/** One batch, frozen before a record is read. */
export interface PlanDocument {
  readonly batchId: string;
  readonly pipeline: string;
  /** Null: this batch creates the table. */
  readonly tableId: string | null;
  readonly epoch: string;
  /** The version that the plan was made on; -1 where there was none. */
  readonly tableVersion: number;
  readonly specificationHash: string;
  readonly topics: readonly GoalTopic[];
  readonly partitions: readonly PlannedPartition[];
  readonly tasks: readonly (readonly PlannedRange[])[];
}

export interface PlannedPartition {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** The table's next offset; null where it has none. */
  readonly startingOffset: string | null;
  /** First offset to read: what lies between `startingOffset` and it is lost, and accepted as that. */
  readonly readFrom: string;
  /** Exclusive. */
  readonly endingOffset: string;
}

export interface PlannedRange {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly startingOffset: string;
  readonly endingOffset: string;
}

/** What one write task has finished. */
export interface TaskDocument {
  readonly task: number;
  readonly files: readonly WrittenFile[];
  /** Of the dead-letter table, with paths there. */
  readonly deadLetterFiles: readonly WrittenFile[];
  readonly ranges: readonly CountedRange[];
}

export interface CountedRange extends PlannedRange {
  readonly accounting: Accounting;
  /** Where its `lost` offsets lie, the first 100 spans: `17,20-23`. */
  readonly lostOffsets?: string;
}

export interface WrittenFile {
  /** Relative to the table. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** Read back from the finished footer. */
  readonly rowCount: number;
  readonly partitionValues: Readonly<Record<string, string | null>>;
  /** Delta statistics, a JSON text. */
  readonly stats: string;
  /** Of files that DuckDB has written: `CHECKSUM_TAG`. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** A run's share of the ledger: per partition what its own commits hold, summed over its batches. */
export interface RunLedgerDocument {
  readonly partitions: readonly {
    readonly topic: string;
    readonly kafkaPartition: number;
    readonly offsets: number;
    readonly accounting: Accounting;
    readonly lostOffsets?: string;
  }[];
}
