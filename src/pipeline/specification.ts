/**
 * A pipeline as the worker runs it: defaults filled in, variables resolved, the location absolute, no secrets.
 * Plain JSON: it is frozen with every plan, and its hash tells two specifications apart.
 */
export interface Specification {
  readonly name: string;
  readonly source: SourceSpecification;
  readonly records: RecordsSpecification;
  readonly table: TableSpecification;
  readonly limits: { readonly maxOffsetsPerBatch: number; readonly maxFilesPerBatch: number };
  readonly schedule?: ScheduleSpecification;
  readonly compaction: CompactionSpecification;
}

export interface SourceSpecification {
  readonly bootstrapServers: readonly string[];
  readonly topics:
    | { readonly kind: 'subscribe'; readonly topics: readonly string[] }
    | { readonly kind: 'assign'; readonly partitions: Readonly<Record<string, readonly number[]>> };
  /** Used only for a pipeline that has committed nothing yet. Decimal strings; -2 earliest, -1 latest. */
  readonly startingOffsets:
    | 'earliest'
    | 'latest'
    | Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly failOnDataLoss: true;
  readonly isolation: 'read_committed' | 'read_uncommitted';
}

export const KAFKA_COLUMNS = ['topic', 'partition', 'offset', 'timestamp'] as const;
export type KafkaColumn = (typeof KAFKA_COLUMNS)[number];
export type TimestampFormat = 'iso8601' | 'epochMillis';

export interface RecordsSpecification {
  readonly format: 'json';
  readonly mode: 'failFast' | 'permissive';
  /** DDL, as the user wrote it. */
  readonly schema: string;
  /** Per top-level TIMESTAMP column; iso8601 where absent. */
  readonly timestamps: Readonly<Record<string, TimestampFormat>>;
  /** Each becomes a column named `_<name>`. */
  readonly kafkaColumns: readonly KafkaColumn[];
}

/** One partition column of the table: a record column itself, or the day of one in a column of its own. */
export type PartitionTerm =
  | { readonly kind: 'column'; readonly source: string; readonly column: string }
  | { readonly kind: 'day'; readonly source: string; readonly column: string };

export type Compression = 'zstd' | 'snappy' | 'gzip' | 'none';

export interface TableSpecification {
  /** Absolute. */
  readonly location: string;
  readonly partitionBy: readonly PartitionTerm[];
  readonly targetFileBytes: number;
  readonly coalesce?: number;
  readonly compression: Compression;
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
