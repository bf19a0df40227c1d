import { CancellationScope } from '@temporalio/workflow';
import type { VacuumInput, VacuumReceipt } from '../contract.ts';
import {
  cleanUp,
  commitVacuum,
  deleteGarbage,
  dropOldPartitions,
  findGarbage,
  planVacuum,
} from './activities.ts';
import { VacuumState } from './vacuum-state.ts';

/**
 * Deletes files that no version of a table needs any more, of its dead-letter table too, and versions from
 * both logs that nobody needs there; their content stays in the ledger. First it drops the table partitions
 * that `table.retention` calls old; their files are for a later vacuum, so that readers of the version before
 * find them.
 *
 * Drains, retries and compactions continue meanwhile: the cut-off is a version of the table before any file
 * is chosen, and no commit takes a file that is as old. The next run finishes what a run leaves half done.
 */
export async function vacuum(input: VacuumInput): Promise<VacuumReceipt> {
  const state = new VacuumState(input); // answers `progress`
  const step = state.begin(await planVacuum(state.request()));

  if (step.plan.retention !== undefined)
    state.dropped(await CancellationScope.nonCancellable(() => dropOldPartitions(step)));

  if (!step.dryRun) state.committed(await CancellationScope.nonCancellable(() => commitVacuum(step)));

  const { lists } = state.found(await findGarbage(step));
  for (const list of step.dryRun ? [] : lists) {
    await deleteGarbage.executeWithOptions({ summary: list.summary }, [{ run: step.run, list }]);
    state.deleted(list);
  }

  return state.receipt(await cleanUp(step));
}
