import type { RetryTable, Run } from '../contract.ts';
import { Failure } from '../errors.ts';
import { fixRun } from '../runs/fix-run.ts';
import { readTable } from '../runs/table-state.ts';
import type { Dependencies } from './dependencies.ts';

export interface BeginRetryInput {
  readonly pipeline: string;
  readonly runId: string;
}

export interface BeginRetryResult {
  readonly run: Run;
  readonly table: RetryTable;
}

/**
 * Fixes by which specification letters are decoded, and for which table under which epoch: before the run
 * looks which letters there are, so that one that a repair withdraws meanwhile is never taken for a letter of
 * the new epoch.
 */
export async function beginRetry(
  dependencies: Dependencies,
  input: BeginRetryInput,
): Promise<BeginRetryResult> {
  const { run, specification } = await fixRun(dependencies, input);
  const { tableId, epoch } = await readTable(dependencies.openLog(run.table), specification);
  if (tableId !== null) return { run, table: { tableId, epoch: String(epoch) } };
  throw new Failure(
    'TABLE_NOT_FOUND',
    `There is no table at ${run.table} yet.`,
    `Drain first: tidemark drain ${run.pipeline}.`,
  );
}
