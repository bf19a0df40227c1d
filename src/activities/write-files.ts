import { Context } from '@temporalio/activity';
import type { Reference, Run } from '../contract.ts';
import type { WriteProgress, WriteResult } from '../tasks/orders.ts';
import type { Dependencies } from './dependencies.ts';

export interface WriteFilesInput {
  readonly run: Run;
  readonly plan: Reference;
  /** Index into the plan's tasks. */
  readonly task: number;
}

/**
 * Reads one write task's ranges and finishes their Parquet files.
 *
 * Run twice, it writes other files under other names: only a commit makes them part of the table, and only
 * one can. Heartbeats continue while the thread is within its limits: one record may take longer than a dead
 * worker may stay unnoticed.
 */
export async function writeFiles(dependencies: Dependencies, input: WriteFilesInput): Promise<WriteResult> {
  const context = Context.current();
  const heartbeat = (progress: WriteProgress) => context.heartbeat(progress);
  return await dependencies.runWriteThread(input, heartbeat, context.cancellationSignal);
}
