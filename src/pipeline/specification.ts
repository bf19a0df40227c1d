/**
 * A pipeline as the worker runs it: defaults filled in, variables resolved, the location absolute, no secrets.
 * Plain JSON: it is frozen with every plan, and its hash tells two specifications apart.
 */
export interface Specification {
  readonly name: string;
  readonly source: SourceSpecification;
  readonly records: RecordsSpecification;
  readonly table: TableSpecification;
  readonly limits: LimitsSpecification;
  readonly schedule?: ScheduleSpecification;
  readonly compaction: CompactionSpecification;
  readonly vacuum: VacuumSpecification;
}

export interface SourceSpecification {
  readonly bootstrapServers: readonly string[];
  readonly topics:
    | { readonly kind: 'subscribe'; readonly topics: readonly string[] }
    /** Every topic whose whole name matches, internal ones left out; looked up anew by each run. */
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
  /** False: offsets that are gone are counted as lost and the drain goes on. */
  readonly failOnDataLoss: boolean;
  readonly isolation: 'read_committed' | 'read_uncommitted';
}

export const KAFKA_COLUMNS = ['topic', 'partition', 'offset', 'timestamp', 'key', 'headers'] as const;
export const DEFAULT_KAFKA_COLUMNS = ['topic', 'partition', 'offset', 'timestamp'] as const;
export type KafkaColumn = (typeof KAFKA_COLUMNS)[number];

/** `iso8601`, `epochSeconds`, `epochMillis`, `epochMicros`, or a pattern such as `dd/MM/yyyy HH:mm:ss`. */
export type TimestampFormat = string;

/**
 * - `deadLetter`: a record with any defect goes to the dead-letter table, as it came.
 * - `permissive`: what does not fit is null, and the record's text is in `_corrupt_record`.
 * - `dropMalformed`: a record with any defect is counted and left out.
 * - `failFast`: the first defect fails the run.
 */
export type RecordMode = 'deadLetter' | 'permissive' | 'dropMalformed' | 'failFast';

export interface RecordsSpecification {
  readonly format: 'json';
  readonly mode: RecordMode;
  /** Share (0 to 1) of a run's records beyond which it ends with exit code 5, committed all the same. */
  readonly maxDeadLetterShare: number;
  /** DDL, as the user wrote it. */
  readonly schema: string;
  /** By the column's path, `seller.since`; array elements and map values are meant by the path of their column. iso8601 where absent. */
  readonly timestamps: Readonly<Record<string, TimestampFormat>>;
  /** Each becomes a column named `_<name>`. */
  readonly kafkaColumns: readonly KafkaColumn[];
  /** Adds `_rest STRING`: the fields that the schema does not have, as a JSON object from path to value. */
  readonly rest: boolean;
  readonly clean?: CleanSpecification;
}

/** Row-local SQL (DuckDB) over the rows of a write task, before they are committed. */
export interface CleanSpecification {
  /** Rows for which it is not true are left out and counted as `filtered`. */
  readonly where?: string;
  /** Columns to add or to replace, in their order. */
  readonly columns: readonly CleanColumn[];
}

export interface CleanColumn {
  readonly name: string;
  readonly expression: string;
  /** DDL type, as the expression has it: found when the pipeline is loaded. */
  readonly type: string;
}

export interface LimitsSpecification {
  readonly maxOffsetsPerBatch: number;
  readonly maxFilesPerBatch: number;
  /** A longer record is a defect of the record. */
  readonly maxRecordBytes: number;
  /** Objects and lists within each other; deeper is a defect of the record. */
  readonly maxNesting: number;
  /** A Kafka record batch that decompresses to more fails the run: KAFKA_BATCH_TOO_LARGE. */
  readonly maxRecordBatchBytes: number;
}

/** One partition column of the table: a record column itself, or one truncated to a unit of time in a column of its own. */
export interface PartitionTerm {
  readonly kind: 'column' | TimeUnit;
  readonly source: string;
  readonly column: string;
}

export const TIME_UNITS = ['year', 'month', 'day', 'hour'] as const;
export type TimeUnit = (typeof TIME_UNITS)[number];

/** Rows whose table partition is older are dropped from the table. */
export interface RetentionSpecification {
  /** One of `partitionBy`. */
  readonly partition: PartitionTerm & { readonly kind: TimeUnit };
  readonly olderThanMs: number;
}

export type Compression = 'zstd' | 'snappy' | 'gzip' | 'none';

export interface TableSpecification {
  /** Absolute. */
  readonly location: string;
  readonly partitionBy: readonly PartitionTerm[];
  readonly targetFileBytes: number;
  readonly coalesce?: number;
  readonly compression: Compression;
  readonly retention?: RetentionSpecification;
}

export type ScheduleSpecification = { readonly everyMs: number } | { readonly cron: string };

export interface CompactionSpecification {
  readonly targetFileBytes: number;
  /** Data files per table partition; wins over `targetFileBytes`. */
  readonly targetFiles?: number;
  readonly minInputFiles: number;
  readonly olderThanMs: number;
  readonly schedule?: ScheduleSpecification;
}

export interface VacuumSpecification {
  /** Files that are younger stay, whatever the table's versions name. */
  readonly olderThanMs: number;
  /** Versions that are younger stay in the log. */
  readonly keepLogMs: number;
  readonly schedule?: ScheduleSpecification;
}
