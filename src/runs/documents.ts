import type { LettersJson } from '../commits/letters.ts';
import type { Accounting } from '../records/accounting.ts';

/**
 * What lies behind the references of a drain: plain JSON under `_tidemark/runs/<run>/`, written once. Offsets
 * are decimal strings, as everywhere outside of a process.
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
  /** Times that lost what is finer than a microsecond; absent where none did. */
  readonly truncatedTimestamps?: number;
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

/** Behind `RetryPass.reference`: each run passes over the dead-letter table once, so it is cut once. */
export interface RetryPassDocument {
  readonly batches: readonly (readonly LetterRange[])[];
}

/** Rows [startRow, endRow) of a file of the dead-letter table. */
export interface LetterRange {
  /** In the dead-letter table's store. */
  readonly path: string;
  readonly startRow: number;
  readonly endRow: number;
}

/** One batch, frozen before a letter is read. */
export interface RetryPlanDocument {
  readonly batchId: string;
  readonly pipeline: string;
  readonly tableId: string;
  readonly epoch: string;
  /** The version that the plan was made on. */
  readonly tableVersion: number;
  /** The table's newest retry: what it and those before have settled is left out. Null before the first. */
  readonly previousRetry: string | null;
  readonly ranges: readonly LetterRange[];
}

/** Behind the result's `task`: what has become of the plan's letters. */
export interface RetryTaskDocument {
  /** Decoded again; settled ones of the plan's ranges are left out. */
  readonly letters: number;
  readonly stillDefective: number;
  /** Rows and filtered ones together. */
  readonly retried: readonly LettersJson[];
  readonly filtered: number;
  readonly files: readonly WrittenFile[];
}
