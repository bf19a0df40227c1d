/**
 * Every failure a user can meet, under a stable code. Where Spark has a name for it, ours is the same.
 *
 * `retryable`: whether the same call may succeed later without anybody changing anything.
 * `exitCode`: what the CLI ends with (1 run failed, 2 usage or configuration, 3 cannot reach a dependency,
 * 4 data loss or conflict: a person must decide).
 */
export const FAILURES = {
  CANCELLED: { retryable: false, exitCode: 1 },
  USAGE: { retryable: false, exitCode: 2 },
  CONFIGURATION_INVALID: { retryable: false, exitCode: 2 },
  PIPELINE_NOT_FOUND: { retryable: false, exitCode: 2 },
  OFFSETS_INVALID: { retryable: false, exitCode: 2 },
  SCHEMA_INVALID: { retryable: false, exitCode: 2 },
  SCHEMA_NOT_INFERRED: { retryable: false, exitCode: 2 },
  KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED: { retryable: false, exitCode: 2 },
  TOPIC_NOT_FOUND: { retryable: false, exitCode: 2 },
  KAFKA_UNREACHABLE: { retryable: true, exitCode: 3 },
  KAFKA_PROTOCOL: { retryable: true, exitCode: 1 },
  KAFKA_UNSUPPORTED_RECORD_FORMAT: { retryable: false, exitCode: 1 },
  KAFKA_NOT_AUTHORIZED: { retryable: false, exitCode: 3 },
  WRITE_THREAD_OUT_OF_MEMORY: { retryable: false, exitCode: 1 },
  WRITE_THREAD_STALLED: { retryable: true, exitCode: 3 },
  KAFKA_BATCH_TOO_LARGE: { retryable: false, exitCode: 1 },
  KAFKA_CORRUPT_BATCH: { retryable: true, exitCode: 4 },
  'KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE': { retryable: false, exitCode: 4 },
  'KAFKA_DATA_LOSS.PARTITIONS_DELETED': { retryable: false, exitCode: 4 },
  'KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED': { retryable: false, exitCode: 4 },
  'KAFKA_DATA_LOSS.OFFSETS_MISSING_IN_RANGE': { retryable: false, exitCode: 4 },
  'KAFKA_DATA_LOSS.INITIAL_OFFSET_NOT_FOUND_FOR_PARTITIONS': { retryable: false, exitCode: 2 },
  KAFKA_TIMESTAMP_OFFSET_DOES_NOT_MATCH_ASSIGNED: { retryable: false, exitCode: 2 },
  TOPIC_RECREATED: { retryable: false, exitCode: 4 },
  CLEAN_INVALID: { retryable: false, exitCode: 2 },
  CLEAN_FAILED: { retryable: false, exitCode: 1 },
  DEAD_LETTERS_LOST: { retryable: false, exitCode: 4 },
  REPAIR_REFUSED: { retryable: false, exitCode: 4 },
  RECORD_MALFORMED: { retryable: false, exitCode: 1 },
  TEMPORAL_UNREACHABLE: { retryable: true, exitCode: 3 },
  PREREQUISITE_MISSING: { retryable: false, exitCode: 3 },
  SERVER_START_FAILED: { retryable: true, exitCode: 3 },
  RUN_NOT_FOUND: { retryable: false, exitCode: 2 },
  RUN_TIMED_OUT: { retryable: false, exitCode: 1 },
  WORKER_NOT_RUNNING: { retryable: true, exitCode: 3 },
  LOCATION_NOT_WRITABLE: { retryable: false, exitCode: 3 },
  STORAGE_FULL: { retryable: true, exitCode: 3 },
  STORAGE_FAILED: { retryable: true, exitCode: 3 },
  VERIFY_FAILED: { retryable: true, exitCode: 1 },
  TABLE_NOT_FOUND: { retryable: false, exitCode: 2 },
  TABLE_NOT_OURS: { retryable: false, exitCode: 4 },
  TABLE_UNSUPPORTED: { retryable: false, exitCode: 4 },
  TABLE_CORRUPT: { retryable: false, exitCode: 4 },
  TABLE_RESTORED: { retryable: false, exitCode: 4 },
  TABLE_SCHEMA_MISMATCH: { retryable: false, exitCode: 4 },
  FENCED: { retryable: false, exitCode: 4 },
  MAX_FILES_PER_BATCH: { retryable: false, exitCode: 1 },
  FILES_EXPIRED: { retryable: false, exitCode: 1 },
  COMMIT_CONTENDED: { retryable: true, exitCode: 1 },
  REFERENCE_CORRUPT: { retryable: false, exitCode: 4 },
  ACCOUNTING_MISMATCH: { retryable: false, exitCode: 4 },
  COMPACTION_ROWS_DIFFER: { retryable: false, exitCode: 4 },
  REWRITE_FAILED: { retryable: true, exitCode: 1 },
} as const satisfies Record<string, { retryable: boolean; exitCode: 1 | 2 | 3 | 4 }>;

export type FailureCode = keyof typeof FAILURES;

/**
 * An outside failure: what happened, to which object, why, and what to do about it.
 *
 * @param code stable, never reused
 * @param message what happened, naming the object; may span lines
 * @param fix what the reader can do, one sentence or a short list
 */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly code: FailureCode;
  readonly fix: string;

  constructor(code: FailureCode, message: string, fix: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.fix = fix;
  }

  get retryable(): boolean {
    return FAILURES[this.code].retryable;
  }

  get exitCode(): 1 | 2 | 3 | 4 {
    return FAILURES[this.code].exitCode;
  }
}

/** A bug in Tidemark, never a user's mistake: stops before anything wrong is written. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** What an error says, without the full stop at its end. */
export function firstLine(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return (message.split('\n')[0] ?? message).replace(/\.$/, '');
}
