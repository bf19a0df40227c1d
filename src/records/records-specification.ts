import type { KafkaColumn } from './kafka-columns.ts';
import type { TimestampFormat } from './timestamp-format.ts';

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
  /** Share (0 to 1) of a run's records beyond which it ends with exit code 5, though it is committed. */
  readonly maxDeadLetterShare: number;
  /** DDL, as the user wrote it. */
  readonly schema: string;
  /**
   * By the column's path, `seller.since`; array elements and map values are meant by the path of their
   * column. iso8601 where absent.
   */
  readonly timestamps: Readonly<Record<string, TimestampFormat>>;
  /** A record without a value becomes a row of nulls with its Kafka columns; else it is only counted. */
  readonly tombstones?: 'row';
  /** Columns that take another field than that of their name, by its path; null where they take none. */
  readonly from?: Readonly<Record<string, string | null>>;
  /**
   * TIMESTAMPs, by path or all, of which what is finer than a microsecond is cut off; else it is a defect.
   */
  readonly truncateTimestamps?: true | readonly string[];
  /** Numbers may stand in quotes. */
  readonly quotedNumbers?: true;
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
