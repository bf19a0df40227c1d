import { commit } from '../commits/commit.ts';
import { COMPACTION, type CompactionOutcome, type CompactionTotals } from '../commits/compaction.ts';
import type { Reference, Run } from '../contract.ts';
import type { Specification } from '../pipeline/specification.ts';
import { specificationHash } from '../pipeline/specification-hash.ts';
import { loadReference } from '../runs/references.ts';
import type { Dependencies } from './dependencies.ts';
import { warnLostRace } from './lost-race.ts';
import type { CompactionPlanDocument } from './plan-compaction.ts';
import type { RewriteDocument } from './rewrite-files.ts';

export interface CommitCompactionInput {
  readonly run: Run;
  readonly plan: Reference;
  /** One per task of the plan. */
  readonly tasks: readonly Reference[];
}

/** `replan`: others removed files that were read. `expired`: what was written is too old to be committed. */
export type CommitCompactionResult =
  | {
      readonly kind: 'committed';
      readonly tableVersion: number;
      readonly totals: CompactionTotals;
      /** Live files of the table after it. */
      readonly files: number;
    }
  | { readonly kind: 'replan' | 'expired'; readonly files: number };

/**
 * Replaces the files that were read by the files that were written, as one table version without a change of
 * data.
 *
 * Runs any number of times with the same effect: the second finds its `batchId` in the log and returns that
 * version.
 */
export async function commitCompaction(
  dependencies: Dependencies,
  input: CommitCompactionInput,
): Promise<CommitCompactionResult> {
  const outcome = await commitTasks(dependencies, input);
  const files = (await dependencies.openLog(input.run.table).snapshot())?.files.size ?? 0;
  if (outcome.kind === 'replan' || outcome.kind === 'expired') return { kind: outcome.kind, files };
  const { tableVersion, totals } = outcome.record;
  return { kind: 'committed', tableVersion, totals, files };
}

async function commitTasks(
  dependencies: Dependencies,
  { run, plan, tasks }: CommitCompactionInput,
): Promise<CompactionOutcome> {
  const store = dependencies.openStore(run.documents);
  const specification = await loadReference<Specification>(store, run.specification);
  const { batchId, pipeline, tableId, tableVersion } = await loadReference<CompactionPlanDocument>(
    store,
    plan,
  );
  const documents: RewriteDocument[] = [];
  for (const task of tasks) documents.push(await loadReference<RewriteDocument>(store, task));
  const outcome = await commit(dependencies.openLog(run.table), COMPACTION, {
    batchId,
    pipeline,
    run: run.id,
    origin: { build: dependencies.build, specification: specificationHash(specification) },
    tableId,
    tableVersion,
    inputs: documents.flatMap(({ inputs }) => inputs),
    outputs: documents.flatMap(({ outputs }) => outputs),
  });
  warnLostRace(outcome, batchId);
  return outcome;
}
