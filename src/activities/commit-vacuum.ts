import { commit } from '../commits/commit.ts';
import { VACUUM } from '../commits/vacuum.ts';
import type { Run } from '../contract.ts';
import type { Dependencies } from './dependencies.ts';
import type { VacuumPlan } from './plan-vacuum.ts';

export interface VacuumStepInput {
  readonly run: Run;
  readonly plan: VacuumPlan;
}

export interface CommitVacuumResult {
  /** Absent where a later cut-off was in force already. */
  readonly tableVersion?: number;
}

/**
 * Commits the cut-off as a table version: from then on no commit takes a file that is as old.
 *
 * Runs any number of times with the same effect: the second finds its `batchId` in the log and returns that
 * version.
 */
export async function commitVacuum(
  dependencies: Dependencies,
  { run, plan }: VacuumStepInput,
): Promise<CommitVacuumResult> {
  const { batchId, tableId, tableVersion, specificationHash, cutOffMs } = plan;
  const origin = { build: dependencies.build, specification: specificationHash };
  const vacuum = { batchId, pipeline: run.pipeline, run: run.id, origin, tableId, tableVersion, cutOffMs };
  const outcome = await commit(dependencies.openLog(run.table), VACUUM, vacuum);
  return outcome.kind === 'covered' ? {} : { tableVersion: outcome.record.tableVersion };
}
