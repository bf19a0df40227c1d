import type { LettersJson } from '../commits/letters.ts';
import type { Reference, Run } from '../contract.ts';

/** What a write thread is told to do. */
export interface WriteOrder {
  readonly run: Run;
  readonly plan: Reference;
  readonly task: number;
}

export interface RetryOrder {
  readonly run: Run;
  readonly plan: Reference;
  /** What the plan's newest retry and those before it have settled. */
  readonly retried: readonly LettersJson[];
}

export interface WriteProgress {
  readonly offsetsRead: number;
  readonly rows: number;
  readonly bytesWritten: number;
  /** At the task's end, one for each file that was finished, cleaned, published: long where they are many. */
  readonly fileSteps?: number;
}

/** A finished write task: totals for people, the files by reference. */
export interface WriteResult {
  readonly task: Reference;
  readonly offsets: number;
  readonly files: number;
  readonly bytes: number;
}
