import type { Snapshot } from '../delta/snapshot.ts';
import type { CommittedVersion } from '../delta/version.ts';
import type { DataFile } from './data-files.ts';
import type { CommitFacts } from './facts.ts';
import { epochOf, PIPELINE_PROPERTY, VACUUM_APP_ID } from './pipeline-state.ts';
import type { Refused } from './refusal.ts';
import { fitSchema } from './schema-fit.ts';
import type { TableColumns } from './table-actions.ts';

/** The rules that several kinds of versions share, numbered as in `docs/commit-protocol.md`. Pure. */

/** The table as the plan saw it. Without a table: no id, version -1, epoch 0. */
export interface PlannedOn {
  readonly tableId: string | undefined;
  readonly tableVersion: number;
  readonly epoch: bigint;
}

/** The version was put before, and its answer lost, or another attempt has put it. */
export interface AlreadyCommitted<Recorded> {
  readonly kind: 'alreadyCommitted';
  readonly record: Recorded;
}

/** These files can no longer be committed: write them again. */
export interface Expired {
  readonly kind: 'expired';
  readonly files: readonly { readonly path: string; readonly problem: string }[];
}

/**
 * Rule 1, before rule 2: after a topic was recreated and accepted, an old batch could match its offsets
 * again.
 */
export function refuseOtherTable(
  snapshot: Snapshot | undefined,
  { plannedOn, pipeline }: { readonly plannedOn: PlannedOn; readonly pipeline: string },
  facts: Pick<CommitFacts, 'versionsSincePlan'>,
): Refused | undefined {
  return (
    refuseFence(snapshot, plannedOn) ?? refuseOwner(snapshot, pipeline) ?? refuseRestored(snapshot, facts)
  );
}

function refuseFence(snapshot: Snapshot | undefined, { tableId, epoch }: PlannedOn): Refused | undefined {
  if (tableId === undefined) return undefined;
  const replaced = refuseReplaced(snapshot, tableId);
  const now = epochOf(snapshot);
  if (replaced !== undefined || now === epoch) return replaced;
  return { kind: 'fenced', problem: `the table's epoch is ${now}, the plan's was ${epoch}` };
}

function refuseReplaced(snapshot: Snapshot | undefined, tableId: string): Refused | undefined {
  if (snapshot === undefined) return { kind: 'fenced', problem: `the table ${tableId} of the plan is gone` };
  const { id } = snapshot.metaData;
  if (id === tableId) return undefined;
  return { kind: 'fenced', problem: `the plan's table (${tableId}) was replaced by another one (${id})` };
}

/**
 * Rule 1 for what moves no offset, whatever the epoch. Not with an unrepaired RESTORE: which files belong to
 * the table is for the repair to say.
 */
export function refuseMaintenance(
  snapshot: Snapshot | undefined,
  { tableId, pipeline }: { readonly tableId: string; readonly pipeline: string },
): Refused | undefined {
  return (
    refuseReplaced(snapshot, tableId) ??
    refuseOwner(snapshot, pipeline) ??
    refuseRestored(snapshot, { versionsSincePlan: [] })
  );
}

/** One table belongs to one pipeline: a renamed pipeline file would ingest the topic a second time. */
export function refuseOwner(snapshot: Snapshot | undefined, pipeline: string): Refused | undefined {
  if (snapshot === undefined) return undefined;
  const owner = snapshot.metaData.configuration[PIPELINE_PROPERTY];
  return owner === pipeline ? undefined : { kind: 'notOurs', owner };
}

/** RESTORE takes rows back and keeps `txn`s: what it took back would never be read again. */
export function refuseRestored(
  snapshot: Snapshot | undefined,
  { versionsSincePlan }: Pick<CommitFacts, 'versionsSincePlan'>,
): Refused | undefined {
  const since = versionsSincePlan.find(({ commitInfo }) => commitInfo?.operation === 'RESTORE');
  const tableVersion = snapshot?.unrepairedRestore ?? since?.tableVersion;
  return tableVersion === undefined ? undefined : { kind: 'restored', tableVersion };
}

/**
 * Rule 2. That all offsets stand at the batch's end is no identity: others may have got there in other steps.
 */
export function findCommitted<Recorded extends { readonly batchId: string }>(
  { batchId }: { readonly batchId: string },
  { versionsSincePlan }: Pick<CommitFacts, 'versionsSincePlan'>,
  read: (version: CommittedVersion) => Recorded | undefined,
): AlreadyCommitted<Recorded> | undefined {
  for (const version of versionsSincePlan) {
    const record = read(version);
    if (record?.batchId === batchId) return { kind: 'alreadyCommitted', record };
  }
  return undefined;
}

/**
 * Nothing deletes uncommitted files younger than 7 days; the day between is for a commit that freezes
 * half-way.
 */
const COMMITTABLE_AGE_MS = 6 * 24 * 60 * 60 * 1000;

/**
 * Rule 4, for compaction's outputs too: a worker slept for days and a vacuum took its files, or is about to.
 */
export function findExpired(
  snapshot: Snapshot | undefined,
  files: readonly DataFile[],
  { fileStats, nowMs }: Pick<CommitFacts, 'fileStats' | 'nowMs'>,
): Expired | undefined {
  const vacuumedMs = Number(snapshot?.txns.get(VACUUM_APP_ID) ?? Number.NEGATIVE_INFINITY);
  const problemOf = ({ path, sizeBytes }: DataFile): string | undefined => {
    const stat = fileStats.get(path);
    if (stat === undefined) return 'it does not exist';
    if (stat.sizeBytes !== sizeBytes) return `it has ${stat.sizeBytes} bytes instead of ${sizeBytes}`;
    if (stat.modifiedMs <= vacuumedMs) return 'it is older than the latest vacuum';
    if (nowMs - stat.modifiedMs >= COMMITTABLE_AGE_MS) return 'it is older than 6 days';
    return undefined;
  };
  const expired = files.flatMap((file) => {
    const problem = problemOf(file);
    return problem === undefined ? [] : [{ path: file.path, problem }];
  });
  return expired.length === 0 ? undefined : { kind: 'expired', files: expired };
}

/** Rule 5: what the table cannot take in. Unrelated metaData changes don't disturb. */
export function refuseSchema(
  snapshot: Snapshot | undefined,
  { schema, partitionColumns }: TableColumns,
): Refused | undefined {
  if (snapshot === undefined) return undefined;
  const fit = fitSchema(snapshot.metaData, schema, partitionColumns);
  return fit.kind === 'refused' ? { kind: 'schemaMismatch', differences: fit.differences } : undefined;
}
