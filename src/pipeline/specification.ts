import type { SourceSpecification } from '../kafka/source-specification.ts';
import type { Compression } from '../parquet/compression.ts';
import type { PartitionTerm, TimeUnit } from '../records/partition-term.ts';
import type { RecordsSpecification } from '../records/records-specification.ts';

/**
 * A pipeline as the worker runs it: defaults filled in, variables resolved, the location absolute, no
 * secrets. Plain JSON: it is frozen with every plan, and its hash tells two specifications apart.
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

/** Rows whose table partition is older are dropped from the table. */
export interface RetentionSpecification {
  /** One of `partitionBy`. */
  readonly partition: PartitionTerm & { readonly kind: TimeUnit };
  readonly olderThanMs: number;
}

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
