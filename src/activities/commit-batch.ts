import { BATCH, type Batch, type BatchPartition, type SupersededPartition } from '../commits/batch.ts';
import type { BatchRecord } from '../commits/batch-record.ts';
import { commit } from '../commits/commit.ts';
import type { Accounting, Reference, Run } from '../contract.ts';
import { assert, Failure } from '../errors.ts';
import { partitionKey } from '../kafka/offsets.ts';
import { keptSpans, type Span, spansFromText } from '../kafka/spans.ts';
import type { Specification } from '../pipeline/specification.ts';
import { type AccountingCounter, addAccounting, emptyAccounting } from '../records/accounting.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import { tableSchemas } from '../records/table-schema.ts';
import type { PlanDocument, RunLedgerDocument, TaskDocument } from '../runs/documents.ts';
import { loadReference, storeReference } from '../runs/references.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { WriteResult } from '../tasks/orders.ts';
import type { Dependencies } from './dependencies.ts';
import { describeExpired, warnLostRace } from './lost-race.ts';

export interface CommitBatchInput {
  readonly run: Run;
  readonly plan: Reference;
  /** One per write task, in their order. */
  readonly files: readonly WriteResult[];
  /** What this run has committed before. */
  readonly ledger?: Reference;
}

export type CommitBatchResult =
  | {
      readonly kind: 'committed';
      readonly tableVersion: number;
      readonly offsets: number;
      readonly accounting: Accounting;
      readonly truncatedTimestamps?: number;
      readonly files: number;
      readonly bytes: number;
      readonly ledger: Reference;
    }
  /** Another run has committed this many of the batch's offsets first: plan again. */
  | { readonly kind: 'superseded'; readonly committedByOthers: number }
  /** Files that can no longer be committed, the first of them with its problem: write them again. */
  | { readonly kind: 'expired'; readonly problem: string };

/**
 * Commits a batch as one table version: its data files and the next offset of every partition.
 *
 * Runs any number of times with the same effect: the second finds its `batchId` in the log and returns that
 * version.
 */
export async function commitBatch(
  dependencies: Dependencies,
  input: CommitBatchInput,
): Promise<CommitBatchResult> {
  const { run } = input;
  const store = dependencies.openStore(run.documents);
  const letterStore = dependencies.openStore(deadLettersLocation(run.table));
  const batch = await assembleBatch(dependencies, store, input);
  const outcome = await commit(dependencies.openLog(run.table), BATCH, batch, letterStore);
  warnLostRace(outcome, batch.batchId);
  if (outcome.kind === 'expired') return { kind: 'expired', problem: describeExpired(outcome) };
  if (outcome.kind === 'superseded') {
    return { kind: 'superseded', committedByOthers: overtaken(outcome.partitions, batch.partitions) };
  }
  const { tableVersion, totals, partitions } = outcome.record;
  const { offsets, files, bytes, truncatedTimestamps, ...accounting } = totals;
  const ledger = await extendLedger(store, input, partitions);
  return {
    ...{ kind: 'committed', tableVersion, offsets, accounting, files, bytes, ledger },
    ...(truncatedTimestamps !== undefined && { truncatedTimestamps }),
  };
}

async function assembleBatch(
  { build }: Dependencies,
  store: ObjectStore,
  { run, plan: planReference, files }: CommitBatchInput,
): Promise<Batch> {
  const specification = await loadReference<Specification>(store, run.specification);
  const plan = await loadReference<PlanDocument>(store, planReference);
  const tasks = await Promise.all(files.map(({ task }) => loadReference<TaskDocument>(store, task)));
  assert(
    tasks.length === plan.tasks.length && tasks.every(({ task }, index) => task === index),
    'every task once',
  );
  requireFewFiles(tasks, specification);
  const truncated = tasks.reduce((sum, { truncatedTimestamps = 0 }) => sum + truncatedTimestamps, 0);
  const { tableSchema, partitionColumns } = tableSchemas(
    specification.records,
    specification.table.partitionBy,
  );
  return {
    batchId: plan.batchId,
    pipeline: plan.pipeline,
    run: run.id,
    origin: { build, specification: plan.specificationHash },
    plannedOn: {
      tableId: plan.tableId ?? undefined,
      tableVersion: plan.tableVersion,
      epoch: BigInt(plan.epoch),
    },
    schema: tableSchema,
    partitionColumns,
    compression: specification.table.compression,
    topics: plan.topics.map(({ topic, identity }) => ({ topic, identity: identity ?? undefined })),
    partitions: accountFor(plan, tasks),
    ...(truncated > 0 && { truncatedTimestamps: truncated }),
    files: tasks.flatMap((task) => task.files),
    deadLetterFiles: tasks.flatMap((task) => task.deadLetterFiles),
  };
}

/** Each task holds its own files against the limit; together they may still be too many. */
function requireFewFiles(tasks: readonly TaskDocument[], { limits }: Specification): void {
  const count = tasks.reduce((sum, { files }) => sum + files.length, 0);
  if (count <= limits.maxFilesPerBatch) return;
  throw new Failure(
    'MAX_FILES_PER_BATCH',
    `A batch has ${count} data files in ${tasks.length} write tasks, more than ${limits.maxFilesPerBatch}.`,
    'It was not committed. Partition by a column with fewer values, lower table.coalesce, or raise limits.maxFilesPerBatch if you want so many files.',
  );
}

/** Each planned partition with what its tasks have counted; `decideCommit` refuses what does not add up. */
function accountFor(plan: PlanDocument, tasks: readonly TaskDocument[]): BatchPartition[] {
  const counted = new Map<string, AccountingCounter>();
  const lost = new Map<string, Span[]>();
  for (const { topic, kafkaPartition, accounting, lostOffsets } of tasks.flatMap(({ ranges }) => ranges)) {
    const key = partitionKey(topic, kafkaPartition);
    const counter = counted.get(key) ?? emptyAccounting();
    addAccounting(counter, accounting);
    counted.set(key, counter);
    if (lostOffsets !== undefined) lost.set(key, [...(lost.get(key) ?? []), ...spansFromText(lostOffsets)]);
  }
  return plan.partitions.map(({ topic, kafkaPartition, startingOffset, readFrom, endingOffset }) => {
    const key = partitionKey(topic, kafkaPartition);
    const accounting = counted.get(key) ?? emptyAccounting();
    const planned = { from: BigInt(startingOffset ?? readFrom), until: BigInt(readFrom) };
    accounting.lost += Number(planned.until - planned.from);
    const lostOffsets = keptSpans([planned, ...(lost.get(key) ?? [])]);
    return {
      topic,
      kafkaPartition,
      startingOffset: startingOffset === null ? undefined : BigInt(startingOffset),
      readFrom: BigInt(readFrom),
      endingOffset: BigInt(endingOffset),
      accounting,
      ...(lostOffsets === undefined ? {} : { lostOffsets }),
    };
  });
}

/** How far others have gone into this batch. */
function overtaken(superseded: readonly SupersededPartition[], planned: readonly BatchPartition[]): number {
  const byKey = new Map(
    planned.map((partition) => [partitionKey(partition.topic, partition.kafkaPartition), partition]),
  );
  return superseded.reduce((sum, { topic, kafkaPartition, committedOffset }) => {
    const partition = byKey.get(partitionKey(topic, kafkaPartition));
    if (partition === undefined || committedOffset === undefined) return sum;
    return sum + Math.max(0, Number(committedOffset - (partition.startingOffset ?? partition.readFrom)));
  }, 0);
}

/** This run's ledger with one batch more: content-addressed, so a repeated commit writes the same. */
async function extendLedger(
  store: ObjectStore,
  { run, ledger }: CommitBatchInput,
  partitions: BatchRecord['partitions'],
): Promise<Reference> {
  const before =
    ledger === undefined ? { partitions: [] } : await loadReference<RunLedgerDocument>(store, ledger);
  const sums = new Map(
    before.partitions.map((entry) => [
      partitionKey(entry.topic, entry.kafkaPartition),
      { ...entry, accounting: { ...entry.accounting } },
    ]),
  );
  for (const { topic, kafkaPartition, startingOffset, readFrom, endingOffset, ...counted } of partitions) {
    const key = partitionKey(topic, kafkaPartition);
    const entry = sums.get(key) ?? { topic, kafkaPartition, offsets: 0, accounting: emptyAccounting() };
    addAccounting(entry.accounting, counted.accounting);
    const spans = [entry.lostOffsets, counted.lostOffsets].flatMap((text) =>
      text ? spansFromText(text) : [],
    );
    const lostOffsets = keptSpans(spans);
    sums.set(key, {
      ...entry,
      offsets: entry.offsets + Number(endingOffset - (startingOffset ?? readFrom)),
      ...(lostOffsets === undefined ? {} : { lostOffsets }),
    });
  }
  return await storeReference(store, `runs/${run.id}/ledger`, {
    partitions: [...sums.values()],
  } satisfies RunLedgerDocument);
}
