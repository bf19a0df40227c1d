import { commit } from '../commits/commit.ts';
import { lettersFromJson } from '../commits/letters.ts';
import { RETRY, type Retry } from '../commits/retry.ts';
import type { Reference, RetryTotals, Run } from '../contract.ts';
import type { Specification } from '../pipeline/specification.ts';
import { specificationHash } from '../pipeline/specification-hash.ts';
import { tableSchemas } from '../records/table-schema.ts';
import type { RetryPlanDocument, RetryTaskDocument } from '../runs/documents.ts';
import { loadReference } from '../runs/references.ts';
import type { Dependencies } from './dependencies.ts';
import { describeExpired, warnLostRace } from './lost-race.ts';

export interface CommitRetryInput {
  readonly run: Run;
  readonly plan: Reference;
  readonly task: Reference;
}

export type CommitRetryResult =
  /** Without a table version where every letter stays defective, or was settled before. */
  | { readonly kind: 'done'; readonly totals: RetryTotals; readonly tableVersion?: number }
  /** Others have retried letters since the plan, perhaps these: plan the same letters again. */
  | { readonly kind: 'superseded' }
  /** Files that can no longer be committed, the first of them with its problem: write them again. */
  | { readonly kind: 'expired'; readonly problem: string };

/**
 * Commits the rows of a batch of letters as one table version that says which letters they are.
 *
 * Runs any number of times with the same effect: the second finds its `batchId` in the log and returns that
 * version.
 */
export async function commitRetry(
  dependencies: Dependencies,
  { run, plan: planReference, task: taskReference }: CommitRetryInput,
): Promise<CommitRetryResult> {
  const store = dependencies.openStore(run.documents);
  const specification = await loadReference<Specification>(store, run.specification);
  const plan = await loadReference<RetryPlanDocument>(store, planReference);
  const task = await loadReference<RetryTaskDocument>(store, taskReference);
  const { letters, stillDefective } = task;
  const nothing = { letters, stillDefective, rows: 0, filtered: 0, files: 0, bytes: 0, batches: 0 };
  if (task.retried.length === 0) return { kind: 'done', totals: nothing };

  const retry = assembleRetry(dependencies, run, specification, plan, task);
  const outcome = await commit(dependencies.openLog(run.table), RETRY, retry);
  warnLostRace(outcome, retry.batchId);
  if (outcome.kind === 'superseded') return { kind: 'superseded' };
  if (outcome.kind === 'expired') return { kind: 'expired', problem: describeExpired(outcome) };
  const { tableVersion, totals } = outcome.record;
  const { rows, filtered, files, bytes } = totals;
  return {
    kind: 'done',
    tableVersion,
    totals: { letters, stillDefective, rows, filtered, files, bytes, batches: 1 },
  };
}

function assembleRetry(
  { build }: Dependencies,
  run: Run,
  specification: Specification,
  plan: RetryPlanDocument,
  { files, retried, filtered }: RetryTaskDocument,
): Retry {
  const { records, table } = specification;
  const { batchId, pipeline, tableId, tableVersion, epoch, previousRetry } = plan;
  const { tableSchema, partitionColumns } = tableSchemas(records, table.partitionBy);
  return {
    batchId,
    pipeline,
    run: run.id,
    origin: { build, specification: specificationHash(specification) },
    plannedOn: { tableId, tableVersion, epoch: BigInt(epoch) },
    previousRetry: previousRetry === null ? undefined : BigInt(previousRetry),
    schema: tableSchema,
    partitionColumns,
    retried: lettersFromJson(retried),
    filtered,
    files,
  };
}
