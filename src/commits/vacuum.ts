import type { Action, CommitInfo } from '../delta/actions.ts';
import { LOG_FOLDER } from '../delta/log-files.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { assert } from '../errors.ts';
import type { ObjectEntry } from '../storage/object-store.ts';
import {
  type CommitFacts,
  type CommitOrigin,
  ENGINE_INFO,
  type Refused,
  refuseMaintenance,
  type ToCommit,
  txn,
  VACUUM_APP_ID,
} from './batch.ts';
import { type CommitKind, type CommittedVersion, findRecord } from './batch-record.ts';

/**
 * A vacuum says what it may delete before it deletes: the cut-off is a version of the main table, for both tables. From
 * then on no commit takes a file that is as old, so what no version names then, none ever will.
 */
export interface Vacuum {
  /** Unique to the plan, the same for all its attempts. */
  readonly batchId: string;
  readonly pipeline: string;
  readonly run: string;
  readonly origin: CommitOrigin;
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

export type VacuumDecision =
  | ToCommit
  | { readonly kind: 'alreadyCommitted'; readonly vacuum: VacuumRecord }
  /** A later cut-off is in force. */
  | { readonly kind: 'covered'; readonly cutOffMs: number }
  | Refused;

/** Whether and how the cut-off becomes the table's next version. It is never lowered. Pure. */
export function decideVacuum(
  snapshot: Snapshot | undefined,
  vacuum: Vacuum,
  facts: Pick<CommitFacts, 'nowMs' | 'txnId' | 'versionsSincePlan'>,
): VacuumDecision {
  const refused = refuseMaintenance(snapshot, vacuum);
  if (refused !== undefined) return refused;
  assert(snapshot !== undefined, 'a table that is gone is refused');
  const committed = findRecord(facts.versionsSincePlan, vacuum.batchId, readVacuumRecord);
  if (committed !== undefined) return { kind: 'alreadyCommitted', vacuum: committed };
  const inForce = cutOffOf(snapshot);
  if (inForce !== undefined && inForce >= vacuum.cutOffMs) return { kind: 'covered', cutOffMs: inForce };
  const actions: Action[] = [
    { commitInfo: vacuumCommitInfo(vacuum, facts) },
    txn(VACUUM_APP_ID, BigInt(vacuum.cutOffMs)),
  ];
  return { kind: 'commit', tableVersion: snapshot.tableVersion + 1, actions };
}

/** The cut-off in force; undefined before the first vacuum. */
export function cutOffOf({ txns }: Pick<Snapshot, 'txns'>): number | undefined {
  const version = txns.get(VACUUM_APP_ID);
  return version === undefined ? undefined : Number(version);
}

/** The cut-off that a version committed; undefined where the version is none of ours. */
export function readVacuumRecord({ tableVersion, commitInfo }: CommittedVersion): VacuumRecord | undefined {
  if (commitInfo?.tidemark !== 'vacuum' || typeof commitInfo.batchId !== 'string') return undefined;
  return { tableVersion, batchId: commitInfo.batchId, cutOffMs: Number(commitInfo.cutOff) };
}

function vacuumCommitInfo(
  { batchId, pipeline, run, origin, cutOffMs }: Vacuum,
  { nowMs, txnId }: Pick<CommitFacts, 'nowMs' | 'txnId'>,
): CommitInfo {
  const kind: CommitKind = 'vacuum';
  return {
    timestamp: nowMs,
    operation: 'VACUUM START',
    operationParameters: { pipeline, batchId, specifiedRetentionMillis: String(nowMs - cutOffMs) },
    isBlindAppend: false,
    engineInfo: ENGINE_INFO,
    txnId,
    tidemark: kind,
    pipeline,
    batchId,
    run,
    ...origin,
    cutOff: String(cutOffMs),
  };
}

/** What a table still needs, from its newest version and what goes on around it. */
export interface Needed {
  /** Of the newest version, read after the cut-off was committed. */
  readonly live: ReadonlyMap<string, unknown>;
  /** Removed after the cut-off: a reader may hold the version before. */
  readonly removed: ReadonlySet<string>;
  /** Dead letters that a main version carries and that are not published yet. */
  readonly carried: ReadonlySet<string>;
}

/** Objects of a table's folder by why they stay, or that they may go. */
export interface Garbage {
  readonly garbage: readonly ObjectEntry[];
  readonly kept: KeptFiles;
}

export interface KeptFiles {
  readonly live: number;
  /** In no version, and younger than the cut-off: a run may commit them. */
  readonly fresh: number;
  readonly removed: number;
  readonly carried: number;
  /** No Parquet files, or in the folder of another table: not ours to delete. */
  readonly foreign: number;
}

/**
 * Which data files may go. Pure. The order of the questions does not matter for the answer, only for what is said of why
 * a file stays.
 */
export function findGarbage(
  entries: readonly ObjectEntry[],
  { live, removed, carried }: Needed,
  cutOffMs: number,
): Garbage {
  const garbage: ObjectEntry[] = [];
  const kept = { live: 0, fresh: 0, removed: 0, carried: 0, foreign: 0 };
  const others = otherTables(entries);
  for (const entry of entries) {
    const { path, modifiedMs } = entry;
    if (isHidden(path)) continue;
    if (live.has(path)) kept.live++;
    else if (!path.endsWith('.parquet') || others.some((folder) => path.startsWith(folder))) kept.foreign++;
    else if (carried.has(path)) kept.carried++;
    else if (removed.has(path)) kept.removed++;
    else if (modifiedMs >= cutOffMs) kept.fresh++;
    else garbage.push(entry);
  }
  return { garbage, kept };
}

/** As every Delta engine has it: names with "_" are not data, but for folders of partition columns. */
function isHidden(path: string): boolean {
  return path.split('/').some((name) => name.startsWith('_') && !name.includes('='));
}

/** Folders of tables that lie in this table's. */
function otherTables(entries: readonly ObjectEntry[]): string[] {
  const inner = `/${LOG_FOLDER}`;
  const folders = entries.flatMap(({ path }) => {
    const at = path.indexOf(inner);
    return at < 0 ? [] : [path.slice(0, at + 1)];
  });
  return [...new Set(folders)];
}
