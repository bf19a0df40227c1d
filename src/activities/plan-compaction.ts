import { randomUUID } from 'node:crypto';
import {
  type Bin,
  type BinFile,
  type BinGoal,
  packTasks,
  planBins,
  tablePartitionKey,
  takeRound,
  totalBytes,
} from '../commits/bins.ts';
import { refusal } from '../commits/refusal.ts';
import { refuseOwner, refuseRestored } from '../commits/rules.ts';
import type { CompactInput, Reference, Run } from '../contract.ts';
import { parseStats } from '../delta/actions.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';
import type { CompactionSpecification, Specification } from '../pipeline/specification.ts';
import { fixRun } from '../runs/fix-run.ts';
import { storeReference } from '../runs/references.ts';
import { parseBytes } from '../units.ts';
import type { Dependencies } from './dependencies.ts';

export interface PlanCompactionInput
  extends Pick<CompactInput, 'pipeline' | 'targetFiles' | 'targetFileSize'> {
  readonly runId: string;
  /** What an earlier round of the same compaction has fixed. */
  readonly run?: Run;
}

export interface PlanCompactionResult {
  readonly run: Run;
  /** The table as the plan found it. */
  readonly table: { readonly tableVersion: number; readonly files: number };
  /** Why table partitions were left alone. */
  readonly left: { readonly fresh: number; readonly belowTarget: number };
  /** Absent where nothing is to be done. */
  readonly round?: CompactionRound;
}

/** What one table version will replace. */
export interface CompactionRound {
  readonly plan: Reference;
  readonly tasks: readonly { readonly index: number; readonly summary: string }[];
  readonly filesToRemove: number;
  readonly filesToAdd: number;
  readonly bytesToRewrite: number;
  /** By the log's statistics; files without them count nothing. */
  readonly rows: number;
  readonly tablePartitions: number;
  /** Whether nothing will be left to do after it. */
  readonly isLast: boolean;
}

/** Behind `CompactionRound.plan`. */
export interface CompactionPlanDocument {
  readonly batchId: string;
  readonly pipeline: string;
  readonly tableId: string;
  readonly tableVersion: number;
  readonly schemaString: string;
  readonly partitionColumns: readonly string[];
  readonly tasks: readonly (readonly PlannedBin[])[];
}

export interface PlannedBin {
  readonly partitionValues: Readonly<Record<string, string | null>>;
  /** Paths in the store. */
  readonly inputs: readonly string[];
}

/**
 * One table version commits at most this much, so that little is lost to a conflict and a history stays
 * short.
 */
const ROUND_BYTES_MAX = 32 * 1024 ** 3;
const TASK_BYTES_MAX = 512 * 1024 ** 2;
const TASK_BINS_MAX = 50;

/**
 * Chooses the files that the next table version of a compaction replaces, from the newest snapshot.
 *
 * Changes nothing but its own file, so it may run any number of times; the workflow's history keeps the one
 * that counts.
 */
export async function planCompaction(
  dependencies: Dependencies,
  input: PlanCompactionInput,
): Promise<PlanCompactionResult> {
  const { specification, run } = await fixRun(dependencies, input);
  const goal = binGoal(specification.compaction, input);
  const snapshot = await ownSnapshot(dependencies, specification);
  const { olderThanMs } = specification.compaction;
  const plan = planBins(liveFiles(snapshot), goal, { olderThanMs, nowMs: Date.now() });
  const result = {
    run,
    table: { tableVersion: snapshot.tableVersion, files: snapshot.files.size },
    left: { fresh: plan.freshPartitions, belowTarget: plan.partitionsBelowTarget },
  };
  const { bins, complete } = takeRound(plan.units, ROUND_BYTES_MAX);
  if (bins.length === 0) return result;

  const tasks = packTasks(bins, { maxBytes: TASK_BYTES_MAX, maxBins: TASK_BINS_MAX });
  const document = planDocument(specification.name, snapshot, tasks);
  const store = dependencies.openStore(run.documents);
  const reference = await storeReference(store, `runs/${run.id}/compaction-${document.batchId}`, document);
  return { ...result, round: { plan: reference, ...totalsOf(bins, tasks), isLast: complete } };
}

/** What the caller asks for goes before what the pipeline says, a number of files before their size. */
function binGoal(
  compaction: CompactionSpecification,
  { targetFiles, targetFileSize }: PlanCompactionInput,
): BinGoal {
  const { minInputFiles } = compaction;
  if (targetFiles !== undefined && targetFileSize !== undefined) {
    throw usage('targetFiles and targetFileSize were both given.');
  }
  if (targetFiles !== undefined) {
    if (!Number.isInteger(targetFiles) || targetFiles < 1) throw usage(`targetFiles is ${targetFiles}.`);
    return { kind: 'targetFiles', targetFiles };
  }
  if (targetFileSize !== undefined) {
    const targetFileBytes = parseBytes(targetFileSize) ?? 0;
    if (targetFileBytes < 1024) throw usage(`targetFileSize is ${targetFileSize}.`);
    return { kind: 'targetFileBytes', targetFileBytes, minInputFiles };
  }
  if (compaction.targetFiles !== undefined)
    return { kind: 'targetFiles', targetFiles: compaction.targetFiles };
  return { kind: 'targetFileBytes', targetFileBytes: compaction.targetFileBytes, minInputFiles };
}

function usage(problem: string): Failure {
  return new Failure(
    'USAGE',
    problem,
    'Give targetFiles, a whole number of files per table partition, or targetFileSize, such as 128MiB; not both.',
  );
}

async function ownSnapshot(dependencies: Dependencies, { name, table }: Specification): Promise<Snapshot> {
  const snapshot = await dependencies.openLog(table.location).snapshot();
  if (snapshot === undefined) {
    throw new Failure(
      'TABLE_NOT_FOUND',
      `There is no table at ${table.location} yet.`,
      `Drain first: tidemark drain ${name}.`,
    );
  }
  const refused = refuseOwner(snapshot, name) ?? refuseRestored(snapshot, { versionsSincePlan: [] });
  if (refused !== undefined) throw refusal(refused, table.location, name);
  return snapshot;
}

interface LiveFile extends BinFile {
  readonly rows: number;
}

function liveFiles({ files }: Snapshot): LiveFile[] {
  return [...files].map(([path, { size, modificationTime, partitionValues, stats }]) => ({
    path,
    sizeBytes: size,
    modifiedMs: modificationTime,
    partitionValues,
    rows: parseStats(stats)?.numRecords ?? 0,
  }));
}

function planDocument(
  pipeline: string,
  { metaData, tableVersion }: Snapshot,
  tasks: readonly (readonly Bin<LiveFile>[])[],
): CompactionPlanDocument {
  return {
    batchId: randomUUID(),
    pipeline,
    tableId: metaData.id,
    tableVersion,
    schemaString: metaData.schemaString,
    partitionColumns: metaData.partitionColumns,
    tasks: tasks.map((bins) =>
      bins.map((bin) => ({
        partitionValues: bin[0]?.partitionValues ?? {},
        inputs: bin.map(({ path }) => path),
      })),
    ),
  };
}

function totalsOf(bins: readonly Bin<LiveFile>[], tasks: readonly (readonly Bin<LiveFile>[])[]) {
  const files = bins.flat();
  return {
    tasks: tasks.map((task, index) => ({ index, summary: summarize(task) })),
    filesToRemove: files.length,
    filesToAdd: bins.length,
    bytesToRewrite: totalBytes(files),
    rows: files.reduce((sum, { rows }) => sum + rows, 0),
    tablePartitions: new Set(files.map(({ partitionValues }) => tablePartitionKey(partitionValues))).size,
  };
}

/** What the Temporal UI shows beside the task: `40 files (12.3 MiB) into 2, day=2026-11-22`. */
function summarize(bins: readonly Bin<LiveFile>[]): string {
  const files = bins.flat();
  const megabytes = (totalBytes(files) / 1024 ** 2).toFixed(1);
  const partitions = new Set(files.map(({ partitionValues }) => nameOf(partitionValues)));
  const [first = ''] = partitions;
  const where = partitions.size > 1 ? `, ${partitions.size} table partitions` : first && `, ${first}`;
  return `${files.length} files (${megabytes} MiB) into ${bins.length}${where}`.slice(0, 200);
}

function nameOf(partitionValues: BinFile['partitionValues']): string {
  return Object.entries(partitionValues)
    .map(([column, value]) => `${column}=${value ?? 'null'}`)
    .join(', ');
}
