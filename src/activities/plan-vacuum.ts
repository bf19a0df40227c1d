import { randomUUID } from 'node:crypto';
import { refusal } from '../commits/refusal.ts';
import { type RetentionRule, refuseRule } from '../commits/retention.ts';
import { refuseOwner, refuseRestored } from '../commits/rules.ts';
import { type Run, SHORTEST_VACUUM_MS, type VacuumInput } from '../contract.ts';
import { Failure } from '../errors.ts';
import type { RetentionSpecification } from '../pipeline/specification.ts';
import { specificationHash } from '../pipeline/specification-hash.ts';
import { fixRun } from '../runs/fix-run.ts';
import { storeReference } from '../runs/references.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { parseDuration } from '../units.ts';
import type { Dependencies } from './dependencies.ts';

export interface PlanVacuumInput extends Pick<VacuumInput, 'pipeline' | 'olderThan' | 'force'> {
  readonly runId: string;
}

export interface PlanVacuumResult {
  readonly run: Run;
  readonly plan: VacuumPlan;
}

export interface VacuumPlan {
  readonly batchId: string;
  readonly tableId: string;
  readonly tableVersion: number;
  readonly specificationHash: string;
  /** Milliseconds since 1970 by the store's clock: older files may be deleted. */
  readonly cutOffMs: number;
  /** The same for versions of the logs. */
  readonly keepSinceMs: number;
  /** Which table partitions are old; absent where the pipeline keeps all. */
  readonly retention?: RetentionRule;
}

/**
 * Fixes the moments before which files and versions may go, so that a retry means the same ones.
 *
 * Changes nothing but its own file, so it may run any number of times; the workflow's history keeps the one
 * that counts.
 */
export async function planVacuum(
  dependencies: Dependencies,
  input: PlanVacuumInput,
): Promise<PlanVacuumResult> {
  const { specification, run } = await fixRun(dependencies, input);
  const olderThanMs = chosenAge(input, specification.vacuum.olderThanMs);
  const snapshot = await dependencies.openLog(run.table).snapshot();
  if (snapshot === undefined) {
    throw new Failure(
      'TABLE_NOT_FOUND',
      `There is no table at ${run.table} yet.`,
      `Drain first: tidemark drain ${run.pipeline}.`,
    );
  }
  const { retention } = specification.table;
  const refused =
    refuseOwner(snapshot, run.pipeline) ??
    refuseRestored(snapshot, { versionsSincePlan: [] }) ??
    (retention && refuseRule(snapshot, retention.partition));
  if (refused !== undefined) throw refusal(refused, run.table, run.pipeline);
  const batchId = randomUUID();
  const nowMs = await storeNow(dependencies.openStore(run.table), run, batchId);
  return {
    run,
    plan: {
      batchId,
      tableId: snapshot.metaData.id,
      tableVersion: snapshot.tableVersion,
      specificationHash: specificationHash(specification),
      cutOffMs: nowMs - olderThanMs,
      keepSinceMs: nowMs - specification.vacuum.keepLogMs,
      ...(retention && { retention: ruleOf(retention, nowMs) }),
    },
  };
}

function ruleOf({ partition, olderThanMs }: RetentionSpecification, nowMs: number): RetentionRule {
  return { column: partition.column, unit: partition.kind, cutOffMs: nowMs - olderThanMs };
}

/** What the caller asks for goes before what the pipeline says. */
function chosenAge({ olderThan, force }: PlanVacuumInput, ofPipeline: number): number {
  const age = olderThan === undefined ? ofPipeline : parseDuration(olderThan);
  if (age === undefined) {
    throw new Failure(
      'USAGE',
      `olderThan is ${JSON.stringify(olderThan)}.`,
      'Give a duration such as 7d or 12h.',
    );
  }
  if (age >= SHORTEST_VACUUM_MS || force === true) return age;
  throw new Failure(
    'USAGE',
    `olderThan is ${olderThan}, but running work may have written files up to ${SHORTEST_VACUUM_MS / 3_600_000} hours ago that it has not committed yet.`,
    'Give a longer duration. With force, the vacuum accepts it: running drains, retries and compactions may have to write files again, or fail with FILES_EXPIRED, and readers of an older version lose files. The table itself stays intact.',
  );
}

/** By the clock that gives files their times; by ours where that is behind, since less is deleted then. */
async function storeNow(store: ObjectStore, run: Run, batchId: string): Promise<number> {
  const { path } = await storeReference(store, `runs/${run.id}/vacuum`, { batchId });
  const stat = await store.stat(path);
  return Math.floor(Math.min(stat?.modifiedMs ?? 0, Date.now()));
}
