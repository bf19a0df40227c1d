import { CancellationScope, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { RetryDeadLettersInput, RetryReceipt } from '../contract.ts';
import { beginRetry, commitRetry, planRetry, publishDeadLetters, retryLetters } from './activities.ts';
import { RetryState } from './retry-state.ts';

/**
 * Decodes a pipeline's dead letters again with today's specification: what fits now becomes rows of the
 * table, each letter once, what does not stays a dead letter.
 *
 * A run passes over the dead-letter table once, as it was at the run's start, batch after batch; each batch
 * is one table version that holds its rows and names its letters. Two runs at once: the table's log lets one
 * of them win, the other leaves out what was settled meanwhile. No offset moves.
 */
export async function retryDeadLetters(input: RetryDeadLettersInput): Promise<RetryReceipt> {
  const state = new RetryState(input); // answers `progress`
  if (input.carried === undefined) {
    const { run } = state.begin(await beginRetry(state.request()));
    await publishDeadLetters({ run });
  }

  for (;;) {
    const { run, batch } = state.plan(await planRetry(state.position()));
    if (batch === undefined) return state.receipt();

    const { task } = await retryLetters.executeWithOptions({ summary: batch.summary }, [
      { run, plan: batch.plan },
    ]);

    state.enter('committing');
    const commit = { run, plan: batch.plan, task };
    state.record(await CancellationScope.nonCancellable(() => commitRetry(commit)));

    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof retryDeadLetters>(state.carryOn());
  }
}
