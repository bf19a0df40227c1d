import { Context } from '@temporalio/activity';
import type { LettersJson } from '../delta/letters.ts';
import type { Reference, Run } from '../workflows/contract.ts';
import type { Dependencies, WriteProgress, WriteResult } from './dependencies.ts';
import type { WrittenFile } from './documents.ts';

export interface RetryLettersInput {
  readonly run: Run;
  readonly plan: Reference;
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

/**
 * Decodes the letters of one plan again and finishes the Parquet files of those that are rows now.
 *
 * Run twice, it writes other files under other names: only a commit makes them part of the table, and only one can.
 */
export async function retryLetters(
  dependencies: Dependencies,
  { run, plan }: RetryLettersInput,
): Promise<WriteResult> {
  const context = Context.current();
  const heartbeat = (progress: WriteProgress) => context.heartbeat(progress);
  return await dependencies.runRetryThread({ run, plan, task: 0 }, heartbeat, context.cancellationSignal);
}
