import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  workflowInfo,
} from '@temporalio/workflow';
import type { DrainInput, Receipt } from '../contract.ts';
import {
  commitBatch,
  inParallel,
  makeReceipt,
  planDrain,
  publishDeadLetters,
  publishGroupOffsets,
  resolveGoal,
  writeFiles,
} from './activities.ts';
import { DrainState } from './drain-state.ts';

/**
 * Drains a pipeline's topics into its table, up to an ending offset per partition that is fixed at the start.
 *
 * Each batch becomes one table version, which holds its rows and the next offsets together. The plan of a
 * batch is in this workflow's history before any record is read, so a retry reads the same ranges. If
 * anything else happens twice (an activity, a run, a whole worker), the table's log lets one of the two win;
 * the other finds its work done.
 */
export async function drain(input: DrainInput): Promise<Receipt> {
  const state = new DrainState(input); // answers `progress`; obeys `pause`, `resume` and `retarget`
  if (input.carried === undefined) state.begin(await resolveGoal(state.goalRequest()));

  for (;;) {
    await publishDeadLetters(state.publication()); // of committed batches, other runs' too
    const { run, goal, batch } = await state.plan(planDrain);

    if (batch.kind === 'reached') {
      const receipt = await makeReceipt({ run, goal: goal.reference, ...state.outcome() });
      if (state.hasCommitted) await publishGroupOffsets({ run, goal: goal.reference }).catch(() => {}); // for lag tools
      await condition(allHandlersFinished);
      if (state.goalIs(goal)) return receipt;
      continue; // the goal was raised while the receipt was made
    }

    const files = await inParallel(batch.tasks, (task) =>
      state.countTask(
        writeFiles.executeWithOptions({ summary: task.summary }, [
          { run, plan: batch.plan, task: task.index },
        ]),
      ),
    );

    const commit = { run, plan: batch.plan, files, ...state.ledger() };
    state.record(await CancellationScope.nonCancellable(() => state.commit(() => commitBatch(commit))));

    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof drain>(state.carryOn());
    }
  }
}
