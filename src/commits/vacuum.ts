import type { Action, CommitInfo } from '../delta/actions.ts';
import { commitInfoAs } from '../delta/kinds.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { CommittedVersion, ToCommit } from '../delta/version.ts';
import { assert } from '../errors.ts';
import type { CommitRules, Outcome } from './commit.ts';
import { type RunChange, runCommitInfo } from './commit-info.ts';
import { type CommitFacts, gatherFacts } from './facts.ts';
import { cutOffOf, VACUUM_APP_ID } from './pipeline-state.ts';
import type { Refused } from './refusal.ts';
import { type AlreadyCommitted, findCommitted, refuseMaintenance } from './rules.ts';
import { txn } from './table-actions.ts';

/**
 * A vacuum says what it may delete before it deletes: the cut-off is a version of the main table, for both
 * tables. From then on no commit takes a file that is as old, so what no version names then, none ever will.
 */
export interface Vacuum extends RunChange {
  readonly tableId: string;
  /** The version that the plan was made on. */
  readonly tableVersion: number;
  /** Files that are older, by the store's clock, may go. Milliseconds since 1970. */
  readonly cutOffMs: number;
}

/** A committed cut-off, as its table version tells it. */
export interface VacuumRecord {
  readonly tableVersion: number;
  readonly batchId: string;
  readonly cutOffMs: number;
}

export type VacuumDecision = ToCommit | AlreadyCommitted<VacuumRecord> | Covered | Refused;
export type VacuumOutcome = Outcome<VacuumDecision, VacuumRecord>;

/** A later cut-off is in force. */
export interface Covered {
  readonly kind: 'covered';
  readonly cutOffMs: number;
}

/**
 * Commits the cut-off of a vacuum. Runs any number of times with the same effect.
 *
 * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED: nothing may be deleted. COMMIT_CONTENDED,
 * STORAGE_*: try again.
 */
export const VACUUM: CommitRules<Vacuum, CommitFacts, VacuumDecision, VacuumRecord> = {
  gather: (log, snapshot, { tableVersion }) => gatherFacts(log, snapshot, tableVersion, []),
  decide: decideVacuum,
  read: readVacuumRecord,
};

/** Whether and how the cut-off becomes the table's next version. It is never lowered. Pure. */
export function decideVacuum(
  snapshot: Snapshot | undefined,
  vacuum: Vacuum,
  facts: Pick<CommitFacts, 'nowMs' | 'txnId' | 'versionsSincePlan'>,
): VacuumDecision {
  const refused = refuseMaintenance(snapshot, vacuum);
  if (refused !== undefined) return refused;
  assert(snapshot !== undefined, 'a table that is gone is refused');
  const committed = findCommitted(vacuum, facts, readVacuumRecord);
  if (committed !== undefined) return committed;
  const inForce = cutOffOf(snapshot);
  if (inForce !== undefined && inForce >= vacuum.cutOffMs) return { kind: 'covered', cutOffMs: inForce };
  const actions: Action[] = [
    { commitInfo: vacuumCommitInfo(vacuum, facts) },
    txn(VACUUM_APP_ID, BigInt(vacuum.cutOffMs)),
  ];
  return { kind: 'commit', tableVersion: snapshot.tableVersion + 1, actions };
}

/** The cut-off that a version committed; undefined where the version is none of ours. */
export function readVacuumRecord(version: CommittedVersion): VacuumRecord | undefined {
  const info = commitInfoAs('vacuum', version);
  return (
    info && {
      tableVersion: version.tableVersion,
      batchId: info.batchId,
      cutOffMs: Number(info.cutOff),
    }
  );
}

function vacuumCommitInfo(vacuum: Vacuum, facts: Pick<CommitFacts, 'nowMs' | 'txnId'>): CommitInfo {
  const { batchId, pipeline, cutOffMs } = vacuum;
  const specifiedRetentionMillis = String(facts.nowMs - cutOffMs);
  const operation = {
    operation: 'VACUUM START',
    operationParameters: { pipeline, batchId, specifiedRetentionMillis },
    isBlindAppend: false,
  };
  return { ...runCommitInfo('vacuum', vacuum, operation, facts), cutOff: String(cutOffMs) };
}
