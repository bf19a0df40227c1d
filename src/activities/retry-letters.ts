import { Context } from '@temporalio/activity';
import { type LettersJson, lettersToJson } from '../commits/letters.ts';
import { lettersRetried } from '../commits/retried-letters.ts';
import type { Reference, Run } from '../contract.ts';
import type { RetryPlanDocument } from '../runs/documents.ts';
import { loadReference } from '../runs/references.ts';
import type { WriteProgress, WriteResult } from '../tasks/orders.ts';
import type { Dependencies } from './dependencies.ts';
import { withHeartbeats } from './failure-mapping.ts';

export interface RetryLettersInput {
  readonly run: Run;
  readonly plan: Reference;
}

/**
 * Decodes the letters of one plan again and finishes the Parquet files of those that are rows now.
 *
 * Run twice, it writes other files under other names: only a commit makes them part of the table, and only
 * one can.
 */
export async function retryLetters(
  dependencies: Dependencies,
  { run, plan }: RetryLettersInput,
): Promise<WriteResult> {
  const context = Context.current();
  const heartbeat = (progress: WriteProgress) => context.heartbeat(progress);
  // Before the thread, and kept by the worker's log: each batch would else read one version per earlier
  // retry.
  const retried = await withHeartbeats(() => settledBefore(dependencies, { run, plan }))(undefined);
  return await dependencies.runRetryThread({ run, plan, retried }, heartbeat, context.cancellationSignal);
}

async function settledBefore(
  dependencies: Dependencies,
  { run, plan }: RetryLettersInput,
): Promise<LettersJson[]> {
  const store = dependencies.openStore(run.documents);
  const { previousRetry } = await loadReference<RetryPlanDocument>(store, plan);
  const newest = previousRetry === null ? undefined : BigInt(previousRetry);
  return lettersToJson((await lettersRetried(dependencies.openLog(run.table), newest)).toSpans());
}
