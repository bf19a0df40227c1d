import { commit } from '../commits/commit.ts';
import { findOldPartitions, RETENTION } from '../commits/retention.ts';
import type { DroppedPartitions } from '../contract.ts';
import { assert } from '../errors.ts';
import type { VacuumStepInput } from './commit-vacuum.ts';
import type { Dependencies } from './dependencies.ts';

export interface DropOldPartitionsInput extends VacuumStepInput {
  /** Only tells what would be dropped. */
  readonly dryRun: boolean;
}

export type DropOldPartitionsResult = DroppedPartitions;

/**
 * Takes old table partitions out of the table as one version, which names their files: none is written or
 * deleted.
 *
 * Runs any number of times with the same effect: the second finds its `batchId` in the log and returns that
 * version.
 */
export async function dropOldPartitions(
  dependencies: Dependencies,
  { run, plan, dryRun }: DropOldPartitionsInput,
): Promise<DropOldPartitionsResult> {
  const { batchId, tableId, tableVersion, specificationHash, retention: rule } = plan;
  assert(rule !== undefined, 'the pipeline says which rows to drop');
  const log = dependencies.openLog(run.table);
  if (dryRun) return findOldPartitions((await log.snapshot()) ?? { files: new Map() }, rule).dropped;
  const origin = { build: dependencies.build, specification: specificationHash };
  const retention = { batchId, pipeline: run.pipeline, run: run.id, origin, tableId, tableVersion, rule };
  const outcome = await commit(log, RETENTION, retention);
  if (outcome.kind === 'nothingOld') return outcome.dropped;
  return { ...outcome.record.dropped, tableVersion: outcome.record.tableVersion };
}
