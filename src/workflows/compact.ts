import { CancellationScope, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { CompactInput, CompactionReceipt } from '../contract.ts';
import { commitCompaction, inParallel, planCompaction, rewriteFiles } from './activities.ts';
import { CompactionState } from './compaction-state.ts';

/**
 * Merges a table's small files into larger ones, one table version after the other, each without a change of
 * data.
 *
 * Drains continue meanwhile, and the files that they append are left alone. If somebody else removes a file
 * that was being read, the table's log refuses the commit, the new files stay orphans, and the compaction
 * plans again from the table as it is.
 */
export async function compact(input: CompactInput): Promise<CompactionReceipt> {
  const state = new CompactionState(input); // answers `progress`
  for (;;) {
    const { run, round } = state.plan(await planCompaction(state.request()));
    if (round === undefined || input.dryRun) return state.receipt();

    const rewritten = await inParallel(round.tasks, (task) =>
      state.countTask(
        rewriteFiles.executeWithOptions({ summary: task.summary }, [
          { run, plan: round.plan, task: task.index },
        ]),
      ),
    );

    const commit = { run, plan: round.plan, tasks: rewritten.map(({ task }) => task) };
    state.enter('committing');
    state.record(await CancellationScope.nonCancellable(() => commitCompaction(commit)));
    if (state.isDone()) return state.receipt();

    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof compact>(state.carryOn());
  }
}
