import {
  type Action,
  type Add,
  type CommitInfo,
  type PartitionValues,
  parseStats,
} from '../delta/actions.ts';
import { commitInfoAs } from '../delta/kinds.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { CommittedVersion, ToCommit } from '../delta/version.ts';
import { assert } from '../errors.ts';
import type { CommitRules, Outcome } from './commit.ts';
import { type RunChange, runCommitInfo } from './commit-info.ts';
import {
  addOf,
  bytesOf,
  type DataFile,
  fileProblems,
  removeOf,
  rowsOf,
  tablePartitionKey,
} from './data-files.ts';
import { type CommitFacts, gatherFacts } from './facts.ts';
import type { Refused } from './refusal.ts';
import {
  type AlreadyCommitted,
  type Expired,
  findCommitted,
  findExpired,
  refuseMaintenance,
} from './rules.ts';

/** The content of one table version: files replaced by others that hold the same rows. */
export interface Compaction extends RunChange {
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

export type CompactionDecision = ToCommit | AlreadyCommitted<CompactionRecord> | Replan | Expired | Refused;
export type CompactionOutcome = Outcome<CompactionDecision, CompactionRecord>;

/** Others removed files that this compaction has read: what it wrote would bring their rows back. */
export interface Replan {
  readonly kind: 'replan';
  readonly inputsGone: readonly string[];
}

/**
 * Commits a compaction as one table version, `remove` and `add` without a change of data. Runs any number of
 * times with the same effect.
 *
 * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED, COMPACTION_ROWS_DIFFER: the compaction is not in
 * the table. COMMIT_CONTENDED, STORAGE_*: unknown; try again, delete nothing.
 */
export const COMPACTION: CommitRules<Compaction, CommitFacts, CompactionDecision, CompactionRecord> = {
  gather: (log, snapshot, { tableVersion, outputs }) => gatherFacts(log, snapshot, tableVersion, outputs),
  decide: decideCompaction,
  read: readCompactionRecord,
};

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
    findCommitted(compaction, facts, readCompactionRecord) ??
    findInputsGone(snapshot, compaction) ??
    findExpired(snapshot, compaction.outputs, facts) ??
    refuseOtherRows(snapshot, compaction) ??
    compactionActions(snapshot, compaction, inputs, facts)
  );
}

/** The compaction that a version committed; undefined where the version is none of ours. */
export function readCompactionRecord(version: CommittedVersion): CompactionRecord | undefined {
  const info = commitInfoAs('compact', version);
  return (
    info && {
      tableVersion: version.tableVersion,
      batchId: info.batchId,
      totals: info.totals as CompactionTotals,
    }
  );
}

function findInputsGone(snapshot: Snapshot, { inputs }: Compaction): Replan | undefined {
  const inputsGone = inputs.map(({ path }) => path).filter((path) => !snapshot.files.has(path));
  return inputsGone.length === 0 ? undefined : { kind: 'replan', inputsGone };
}

/**
 * Rows in are rows out, in every table partition; and what a reader counts from statistics stays the same.
 */
function refuseOtherRows(snapshot: Snapshot, { inputs, outputs }: Compaction): Refused | undefined {
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
    const key = tablePartitionKey(partitionValues);
    rows.set(key, (rows.get(key) ?? 0) + rowCount);
  }
  return rows;
}

function compactionActions(
  snapshot: Snapshot,
  compaction: Compaction,
  inputs: readonly Add[],
  facts: CommitFacts,
): ToCommit {
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
  facts: CommitFacts,
): CommitInfo {
  const { batchId, pipeline, outputs } = compaction;
  const totals: CompactionTotals = {
    rows: rowsOf(outputs),
    filesRemoved: inputs.length,
    filesAdded: outputs.length,
    bytesRemoved: inputs.reduce((sum, { size }) => sum + size, 0),
    bytesAdded: bytesOf(outputs),
  };
  const operation = {
    operation: 'OPTIMIZE',
    operationParameters: { predicate: '[]', pipeline, batchId },
    operationMetrics: {
      numRemovedFiles: String(totals.filesRemoved),
      numAddedFiles: String(totals.filesAdded),
      numRemovedBytes: String(totals.bytesRemoved),
      numAddedBytes: String(totals.bytesAdded),
    },
    isBlindAppend: false,
  };
  return { ...runCommitInfo('compact', compaction, operation, facts), totals };
}
