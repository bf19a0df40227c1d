import type { Action, Add, CommitInfo, PartitionValues } from '../delta/actions.ts';
import { parseStats } from '../delta/actions.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { assert } from '../errors.ts';
import {
  addOf,
  bytesOf,
  type CommitFacts,
  type CommitOrigin,
  type DataFile,
  ENGINE_INFO,
  type Expired,
  fileProblems,
  findExpired,
  partitionKey,
  type Refused,
  refuseMaintenance,
  removeOf,
  rowsOf,
  type ToCommit,
} from './batch.ts';
import { type CommitKind, type CommittedVersion, findRecord } from './batch-record.ts';

/** What one table version shall replace: files by others that hold the same rows. */
export interface Compaction {
  /** Unique to the plan, the same for all its attempts. */
  readonly batchId: string;
  readonly pipeline: string;
  readonly run: string;
  readonly origin: CommitOrigin;
  readonly tableId: string;
  /** The version that the plan was made on. */
  readonly tableVersion: number;
  readonly inputs: readonly CompactionInput[];
  readonly outputs: readonly DataFile[];
}

export interface CompactionInput {
  /** In the store, as the snapshot's `files` name it. */
  readonly path: string;
  /** As the rewrite has read them. */
  readonly rowCount: number;
}

/** A committed compaction, as its table version tells it. */
export interface CompactionRecord {
  readonly tableVersion: number;
  readonly batchId: string;
  readonly totals: CompactionTotals;
}

export interface CompactionTotals {
  readonly rows: number;
  readonly filesRemoved: number;
  readonly filesAdded: number;
  readonly bytesRemoved: number;
  readonly bytesAdded: number;
}

export type CompactionDecision =
  | ToCommit
  | { readonly kind: 'alreadyCommitted'; readonly compaction: CompactionRecord }
  | Replan
  | Expired
  | Refused
  | { readonly kind: 'rowsDiffer'; readonly differences: readonly string[] };

/** Others removed files that this compaction has read: what it wrote would bring their rows back. */
export interface Replan {
  readonly kind: 'replan';
  readonly inputsGone: readonly string[];
}

/** Whether and how the compaction becomes the table's next version. Pure. */
export function decideCompaction(
  snapshot: Snapshot | undefined,
  compaction: Compaction,
  facts: CommitFacts,
): CompactionDecision {
  const refused = refuseMaintenance(snapshot, compaction);
  if (refused !== undefined) return refused;
  assert(snapshot !== undefined, 'a table that is gone is refused');
  const inputs = compaction.inputs.flatMap(({ path }) => snapshot.files.get(path) ?? []);
  return (
    findCommittedCompaction(compaction, facts) ??
    findInputsGone(snapshot, compaction) ??
    findExpired(snapshot, compaction.outputs, facts) ??
    refuseOtherRows(snapshot, compaction) ??
    compactionActions(snapshot, compaction, inputs, facts)
  );
}

function findCommittedCompaction(
  { batchId }: Compaction,
  { versionsSincePlan }: CommitFacts,
): CompactionDecision | undefined {
  const compaction = findRecord(versionsSincePlan, batchId, readCompactionRecord);
  return compaction && { kind: 'alreadyCommitted', compaction };
}

/** The compaction that a version committed; undefined where the version is none of ours. */
export function readCompactionRecord({
  tableVersion,
  commitInfo,
}: CommittedVersion): CompactionRecord | undefined {
  if (commitInfo?.tidemark !== 'compact' || typeof commitInfo.batchId !== 'string') return undefined;
  return { tableVersion, batchId: commitInfo.batchId, totals: commitInfo.totals as CompactionTotals };
}

function findInputsGone(snapshot: Snapshot, { inputs }: Compaction): Replan | undefined {
  const inputsGone = inputs.map(({ path }) => path).filter((path) => !snapshot.files.has(path));
  return inputsGone.length === 0 ? undefined : { kind: 'replan', inputsGone };
}

/** Rows in are rows out, in every table partition; and what a reader counts from statistics stays the same. */
function refuseOtherRows(
  snapshot: Snapshot,
  { inputs, outputs }: Compaction,
): CompactionDecision | undefined {
  const live = inputs.flatMap(({ path, rowCount }) => {
    const add = snapshot.files.get(path);
    return add === undefined ? [] : [{ path, rowCount, add }];
  });
  const before = rowsByPartition(
    live.map(({ rowCount, add }) => ({ rowCount, partitionValues: add.partitionValues })),
  );
  const after = rowsByPartition(outputs);
  const differences = [
    ...live.flatMap(miscounted),
    ...[...new Set([...before.keys(), ...after.keys()])]
      .filter((key) => (before.get(key) ?? 0) !== (after.get(key) ?? 0))
      .map(
        (key) => `table partition ${key}: ${before.get(key) ?? 0} rows before, ${after.get(key) ?? 0} after`,
      ),
    ...fileProblems(snapshot, outputs),
  ];
  return differences.length === 0 ? undefined : { kind: 'rowsDiffer', differences };
}

function miscounted({ path, rowCount, add }: CompactionInput & { readonly add: Add }): string[] {
  const numRecords = parseStats(add.stats)?.numRecords ?? rowCount;
  return numRecords === rowCount ? [] : [`${path}: ${numRecords} rows by its statistics, ${rowCount} read`];
}

function rowsByPartition(
  files: readonly { rowCount: number; partitionValues: PartitionValues }[],
): Map<string, number> {
  const rows = new Map<string, number>();
  for (const { rowCount, partitionValues } of files) {
    const key = partitionKey(partitionValues);
    rows.set(key, (rows.get(key) ?? 0) + rowCount);
  }
  return rows;
}

function compactionActions(
  snapshot: Snapshot,
  compaction: Compaction,
  inputs: readonly Add[],
  facts: CommitFacts,
): CompactionDecision {
  const actions: Action[] = [
    { commitInfo: compactionCommitInfo(compaction, inputs, facts) },
    ...inputs.map((add) => ({ remove: removeOf(add, facts, false) })),
    ...compaction.outputs.map((file) => ({ add: addOf(file, facts, false) })),
  ];
  return { kind: 'commit', tableVersion: snapshot.tableVersion + 1, actions };
}

function compactionCommitInfo(
  compaction: Compaction,
  inputs: readonly Add[],
  { nowMs, txnId }: CommitFacts,
): CommitInfo {
  const { batchId, pipeline, run, origin, outputs } = compaction;
  const totals: CompactionTotals = {
    rows: rowsOf(outputs),
    filesRemoved: inputs.length,
    filesAdded: outputs.length,
    bytesRemoved: inputs.reduce((sum, { size }) => sum + size, 0),
    bytesAdded: bytesOf(outputs),
  };
  const kind: CommitKind = 'compact';
  return {
    timestamp: nowMs,
    operation: 'OPTIMIZE',
    operationParameters: { predicate: '[]', pipeline, batchId },
    operationMetrics: {
      numRemovedFiles: String(totals.filesRemoved),
      numAddedFiles: String(totals.filesAdded),
      numRemovedBytes: String(totals.bytesRemoved),
      numAddedBytes: String(totals.bytesAdded),
    },
    isBlindAppend: false,
    engineInfo: ENGINE_INFO,
    txnId,
    tidemark: kind,
    pipeline,
    batchId,
    run,
    ...origin,
    totals,
  };
}
