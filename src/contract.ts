/**
 * The wire: what goes into a workflow and comes out of it, as plain JSON, so that the Temporal CLI, the UI
 * and other services need nothing else. Offsets are decimal strings. Fields are only ever added.
 */

/** Workflows and light activities: planning and committing. What `temporal workflow start` names. */
export const TASK_QUEUE = 'tidemark';
/** Heavy activities: reading, encoding, rewriting. Its workers bound memory by how many they take at once. */
export const HEAVY_TASK_QUEUE = 'tidemark-heavy';
export const drainId = (pipeline: string): string => `drain-${pipeline}`;
export const retryDeadLettersId = (pipeline: string): string => `retry-dead-letters-${pipeline}`;
/** A dry run has an id of its own, so that nobody who wants a compaction is attached to it. */
export const compactId = (pipeline: string, dryRun = false): string =>
  `compact-${pipeline}${dryRun ? '-dry-run' : ''}`;

export const vacuumId = (pipeline: string, dryRun = false): string =>
  `vacuum-${pipeline}${dryRun ? '-dry-run' : ''}`;

/** No activity runs longer: what it has written is committed by then, or written again. */
export const LONGEST_ACTIVITY_MS = 4 * 60 * 60 * 1000;
/**
 * A file waits for its batch's other write tasks, each of which may take that long: a vacuum leaves it alone
 * meanwhile.
 */
export const SHORTEST_VACUUM_MS = 2 * LONGEST_ACTIVITY_MS;

/** What the type of an `ApplicationFailure` from one of our activities or workflows is one of. */
export type { FailureCode } from './errors.ts';

/** What `details[0]` of an activity's `ApplicationFailure` holds. */
export interface FailureDetails {
  readonly code: string;
  /** What the reader can do. */
  readonly fix: string;
  readonly exitCode: number;
}

/** The workflow types, for a typed `client.workflow.start<DrainWorkflow>('drain', …)`. */
export type DrainWorkflow = (input: DrainInput) => Promise<Receipt>;
export type CompactWorkflow = (input: CompactInput) => Promise<CompactionReceipt>;
export type VacuumWorkflow = (input: VacuumInput) => Promise<VacuumReceipt>;
export type RetryDeadLettersWorkflow = (input: RetryDeadLettersInput) => Promise<RetryReceipt>;

/** Topic, then Kafka partition, then offset: `{"crawl":{"0":"1000"}}`. */
export type Offsets = Readonly<Record<string, Readonly<Record<string, string>>>>;

/**
 * Where a drain ends, exclusive. `latest`: the log ends at planning time. Of `offsets`, -1 is the log end;
 * partitions that are not named stay where they are. A timestamp means the first record at or after it.
 */
export type Until =
  | 'latest'
  | { readonly offsets: Readonly<Record<string, Readonly<Record<string, number | string>>>> }
  | { readonly timestamp: string };

/**
 * A file under the `_tidemark/` of a run's `documents`, named by its path there and proven by its content's
 * hash.
 */
export interface Reference {
  readonly path: string;
  readonly sha256: string;
}

/**
 * Input of the workflow `drain`. Users give `pipeline` and perhaps `until`; the rest is carried on by
 * continue-as-new.
 */
export interface DrainInput {
  readonly pipeline: string;
  readonly until?: Until;
  readonly carried?: CarriedDrain;
}

/** What a continued drain takes over from its predecessor. */
export interface CarriedDrain {
  readonly run: Run;
  readonly goal: Goal;
  readonly totals: DrainTotals;
  /** Every partition's share of what this run has committed. */
  readonly ledger?: Reference;
  readonly endsLowered?: boolean;
  readonly paused: boolean;
  readonly startedAtMs: number;
}

/** Where a run ends, frozen: the offsets with their topic ids and epoch lie behind the reference. */
export interface Goal {
  readonly reference: Reference;
  /** Exclusive; not beyond what Kafka had when the goal was fixed. */
  readonly endingOffsets: Offsets;
  /** Offsets between the table's state at that time and `endingOffsets`. */
  readonly offsetsToDrain: number;
}

/** What one drain or compaction has fixed once for all its activities. */
export interface Run {
  readonly pipeline: string;
  /** Names the run's folder `_tidemark/runs/<id>/`: workflow id and first run id. */
  readonly id: string;
  /** Absolute location under whose `_tidemark/` the run's documents lie: all that it names by reference. */
  readonly documents: string;
  /** Absolute location of the table: its log and its data files. */
  readonly table: string;
  /** The resolved specification, without secrets. */
  readonly specification: Reference;
}

/** One name for the fate of every offset: their sum is `endingOffset - startingOffset`. */
export interface Accounting {
  readonly rows: number;
  readonly deadLetters: number;
  readonly dropped: number;
  readonly filtered: number;
  readonly tombstones: number;
  readonly markers: number;
  readonly aborted: number;
  readonly gaps: number;
  readonly lost: number;
}

export interface DrainTotals extends Accounting {
  /** Sum of `endingOffset - startingOffset` over all committed batches of this run. */
  readonly offsets: number;
  readonly files: number;
  readonly bytes: number;
  readonly batches: number;
  /** First and last table version that this run committed. */
  readonly firstTableVersion?: number;
  readonly lastTableVersion?: number;
  /** Offsets of batches that another run had committed first. */
  readonly committedByOthers: number;
  /**
   * Times that lost what is finer than a microsecond (`records.truncateTimestamps`); absent where none did.
   */
  readonly truncatedTimestamps?: number;
}

export interface ReceiptPartition extends Accounting {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** Offsets of `[startingOffset, endingOffset)` that other runs committed meanwhile. */
  readonly committedByOthers: number;
  /** Inclusive: where this run found the table. */
  readonly startingOffset: string;
  /** Exclusive: the table's next offset to read at the end of the run. */
  readonly endingOffset: string;
  /** Where this run was asked to end. */
  readonly requestedOffset: string;
  /**
   * Where its `lost` offsets lie, the first 100 spans: `17,20-23`, the last of a span included; absent where
   * none is.
   */
  readonly lostOffsets?: string;
  /** High watermark minus `endingOffset`, at the time the end was fixed. */
  readonly offsetsBehindHighWatermark: string;
}

/** Result of the workflow `drain`. */
export interface Receipt {
  readonly pipeline: string;
  readonly outcome: 'complete' | 'partial';
  /** Why it is `partial`; absent otherwise. */
  readonly reason?: string;
  readonly location: string;
  readonly tableVersion: number;
  readonly totals: DrainTotals;
  /** The first 100; all of them are in `allPartitions`. */
  readonly partitions: readonly ReceiptPartition[];
  readonly partitionCount: number;
  readonly allPartitions: Reference;
  /** A `retarget` took an end back that the run had promised somebody; absent otherwise. */
  readonly endsLowered?: boolean;
  readonly offsetsBehindHighWatermark: string;
  readonly deadLetters: DeadLetterSummary;
  readonly durationMs: number;
}

/** How many of a run's records became dead letters, against what its pipeline tolerates. */
export interface DeadLetterSummary {
  /** The dead-letter table. */
  readonly location: string;
  /** 0 to 1: of rows, dead letters, dropped and filtered records together. */
  readonly share: number;
  /** `records.maxDeadLetters`. */
  readonly maxShare: number;
  /** The run is still committed; the CLI ends with exit code 5. */
  readonly exceeded: boolean;
}

/** Input of the workflow `retryDeadLetters`. */
export interface RetryDeadLettersInput {
  readonly pipeline: string;
  /** Carried on by continue-as-new. */
  readonly carried?: CarriedRetry;
}

export interface CarriedRetry {
  readonly run: Run;
  readonly table: RetryTable;
  /** The letters that the run passes over, once. */
  readonly pass: RetryPass;
  /** Index of the batch to plan next. */
  readonly nextBatch: number;
  readonly totals: RetryTotals;
  readonly startedAtMs: number;
}

/** The table as a run of `retryDeadLetters` began with it: under another epoch its letters may be others. */
export interface RetryTable {
  readonly tableId: string;
  readonly epoch: string;
}

/** The dead-letter table's files as a run found them, cut into batches behind the reference. */
export interface RetryPass {
  readonly reference: Reference;
  readonly batches: number;
  /** Of the whole table, settled ones too. */
  readonly letters: number;
}

/** Answer of the query `progress` of a retry. */
export interface RetryProgress {
  readonly phase: 'planning' | 'writing' | 'committing' | 'done';
  readonly totals: RetryTotals;
  /** Undefined until the run knows the dead-letter table. */
  readonly pass?: { readonly batches: number; readonly batchesDone: number; readonly letters: number };
}

export interface RetryTotals {
  /** Letters decoded again. */
  readonly letters: number;
  /** Of them, now rows of the table. */
  readonly rows: number;
  /** Of them, left out by `clean.where`: settled, too. */
  readonly filtered: number;
  /** Of them, still defective: they stay open. */
  readonly stillDefective: number;
  readonly files: number;
  readonly bytes: number;
  /** Table versions. */
  readonly batches: number;
}

/** Result of the workflow `retryDeadLetters`. */
export interface RetryReceipt {
  readonly pipeline: string;
  readonly location: string;
  readonly tableVersion: number;
  readonly totals: RetryTotals;
  readonly durationMs: number;
}

/** Answer of the query `progress`. */
export interface DrainProgress {
  readonly phase: 'planning' | 'writing' | 'committing' | 'paused' | 'done';
  readonly totals: DrainTotals;
  /** Offsets between the table's state at the start and the end asked for. Undefined while planning. */
  readonly offsetsToDrain?: number;
  readonly offsetsDrained: number;
  readonly batch?: {
    readonly batchId: string;
    readonly tasks: number;
    readonly tasksDone: number;
    readonly offsets: number;
    /** Of finished tasks: written, not yet committed. */
    readonly offsetsWritten: number;
  };
  readonly paused: boolean;
}

/** Argument of the update `retarget`. */
export interface RetargetInput {
  readonly until: Until;
  /** Only ever raises ends (element-wise maximum): what attaching to a running drain uses. */
  readonly raiseOnly?: boolean;
}

/** Answer of `retarget`: where the run now ends, each partition, exclusive. */
export interface RetargetResult {
  readonly endingOffsets: Offsets;
}

/** Input of the workflow `compact`. `targetFiles`: data files per table partition. */
export interface CompactInput {
  readonly pipeline: string;
  readonly targetFiles?: number;
  /** Bytes, or with a unit: `128MiB`. */
  readonly targetFileSize?: number | string;
  readonly dryRun?: boolean;
  /** Carried on by continue-as-new. */
  readonly carried?: CarriedCompaction;
}

/** What a continued compaction takes over from its predecessor. */
export interface CarriedCompaction {
  readonly run: Run;
  readonly totals: CompactionProgress['totals'];
  readonly startedAtMs: number;
}

/** Answer of the query `progress` of a compaction. */
export interface CompactionProgress {
  readonly phase: 'planning' | 'rewriting' | 'committing' | 'done';
  /** What its table versions have replaced so far. */
  readonly totals: {
    readonly filesBefore: number;
    readonly filesRemoved: number;
    readonly filesAdded: number;
    readonly bytesRemoved: number;
    readonly bytesAdded: number;
    readonly rows: number;
    readonly tablePartitions: number;
  };
  /** The table version in the making. */
  readonly round?: {
    readonly tasks: number;
    readonly tasksDone: number;
    readonly filesToRemove: number;
    readonly filesToAdd: number;
    readonly bytesToRewrite: number;
  };
}

/** Result of the workflow `compact`. */
export interface CompactionReceipt {
  readonly pipeline: string;
  readonly outcome: 'compacted' | 'nothingToDo' | 'planned';
  readonly location: string;
  readonly tableVersion: number;
  readonly filesBefore: number;
  readonly filesAfter: number;
  readonly filesRemoved: number;
  readonly filesAdded: number;
  readonly bytesRemoved: number;
  readonly bytesAdded: number;
  readonly rows: number;
  /** Summed over the table versions that the run committed, or would commit. */
  readonly tablePartitions: number;
  /**
   * Table partitions left alone: written to later than `olderThan` ago, or with fewer files than
   * `targetFiles`.
   */
  readonly partitionsLeft: { readonly fresh: number; readonly belowTarget: number };
  readonly durationMs: number;
}

/** Input of the workflow `vacuum`. */
export interface VacuumInput {
  readonly pipeline: string;
  /** Files that are younger stay: a duration such as `7d`. By default the pipeline's. */
  readonly olderThan?: string | number;
  readonly dryRun?: boolean;
  /**
   * Takes an `olderThan` that is shorter than what running work may need: that work has to write its files
   * again.
   */
  readonly force?: boolean;
}

/** Answer of the query `progress` of a vacuum. */
export interface VacuumProgress {
  readonly phase: 'planning' | 'dropping' | 'committing' | 'searching' | 'deleting' | 'cleaningUp' | 'done';
  /** Known once the files have been searched. */
  readonly files?: {
    readonly toDelete: number;
    readonly deleted: number;
    readonly bytesToDelete: number;
    readonly bytesDeleted: number;
  };
}

/** What a vacuum has done to one table, or would do. */
export interface VacuumedTable {
  readonly location: string;
  readonly filesDeleted: number;
  readonly bytesDeleted: number;
  readonly kept: {
    /** Of the newest version. */
    readonly live: number;
    /** Of no version, but younger than the cut-off. */
    readonly fresh: number;
    /** Removed after the cut-off: readers may hold the version before. */
    readonly removed: number;
    /** Dead letters that wait to be published. */
    readonly carried: number;
    /** No Parquet files, or of a table in this one's folder. */
    readonly foreign: number;
  };
  readonly log: CleanedLog;
}

export interface CleanedLog {
  /** Versions that the ledger has taken in. */
  readonly versionsFolded: number;
  readonly versionsDeleted: number;
  readonly logCheckpointsDeleted: number;
  readonly bytesDeleted: number;
  /** The log is whole from this version on. */
  readonly firstVersion: number;
  /** What kept the clean-up from going further. */
  readonly heldBy: 'young' | 'deadLetters' | 'restore' | 'newest';
}

/** What others than readers of tables had left. */
export interface Leftovers {
  /** Documents of runs that are over: plans, lists of files, receipts. */
  readonly documents: number;
  readonly documentBytes: number;
  /** Of writers that were killed. */
  readonly temporaryFiles: number;
  readonly temporaryBytes: number;
}

/** Whole table partitions that `table.retention` has dropped from the table, or would drop. */
export interface DroppedPartitions {
  /** The table's partition column that says how old rows are. */
  readonly column: string;
  /** Its first value that stays. */
  readonly before: string;
  /** Its first and last value that went; null where none was old. */
  readonly oldest: string | null;
  readonly newest: string | null;
  readonly partitions: number;
  /**
   * Still there for readers of older versions: a vacuum deletes them when they have been out for
   * `vacuum.olderThan`.
   */
  readonly files: number;
  /** Null where a file does not tell. */
  readonly rows: number | null;
  readonly bytes: number;
  /** The version that dropped them; absent where none did. */
  readonly tableVersion?: number;
}

/** Result of the workflow `vacuum`. */
export interface VacuumReceipt {
  readonly pipeline: string;
  readonly outcome: 'vacuumed' | 'nothingToDo' | 'planned';
  readonly location: string;
  readonly tableVersion: number;
  /** ISO 8601: files that were last written before it could go. */
  readonly cutOff: string;
  readonly table: VacuumedTable;
  /** Absent where there is no dead-letter table. */
  readonly deadLetters?: VacuumedTable;
  readonly leftovers: Leftovers;
  /** Absent where the pipeline says nothing of `table.retention`. */
  readonly retention?: DroppedPartitions;
  /** The deleted files by name, below the table's folder; the next vacuum but one deletes these lists. */
  readonly lists: readonly Reference[];
  readonly durationMs: number;
}
