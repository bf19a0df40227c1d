import { randomUUID } from 'node:crypto';
import type { Reference, Run } from '../contract.ts';
import { assignWriteTasks, larger, rateLimit, smaller } from '../kafka/ranges.ts';
import type { Specification } from '../pipeline/specification.ts';
import { specificationHash } from '../pipeline/specification-hash.ts';
import type { GoalDocument, PlanDocument, PlannedPartition } from '../runs/documents.ts';
import { loadReference, storeReference } from '../runs/references.ts';
import { readTable, type TableState } from '../runs/table-state.ts';
import type { PlanningDependencies } from './dependencies.ts';

export interface PlanDrainInput {
  readonly run: Run;
  readonly goal: Reference;
}

export type PlanDrainResult = { readonly kind: 'reached' } | PlannedBatch;

export interface PlannedBatch {
  readonly kind: 'batch';
  readonly plan: Reference;
  readonly batchId: string;
  readonly offsets: number;
  readonly tasks: readonly { readonly index: number; readonly summary: string }[];
}

/**
 * Freezes the next batch: from the table's offsets towards the goal, within `maxOffsetsPerBatch`, cut into
 * write tasks. Changes nothing but its own file, so it may run any number of times; the workflow's history
 * keeps the one that counts.
 */
export async function planDrain(
  dependencies: PlanningDependencies,
  { run, goal }: PlanDrainInput,
): Promise<PlanDrainResult> {
  const store = dependencies.openStore(run.documents);
  const specification = await loadReference<Specification>(store, run.specification);
  const document = await loadReference<GoalDocument>(store, goal);
  const table = await readTable(dependencies.openLog(run.table), specification);
  const plan = planBatch(specification, document, table);
  if (plan === undefined) return { kind: 'reached' };

  const reference = await storeReference(store, `runs/${run.id}/plan-${plan.batchId}`, plan);
  const tasks = plan.tasks.map((ranges, index) => ({ index, summary: summarize(ranges) }));
  return {
    kind: 'batch',
    plan: reference,
    batchId: plan.batchId,
    offsets: offsetsOf(plan.partitions),
    tasks,
  };
}

/**
 * The next batch towards the goal, or undefined where the table has reached it. A partition without an offset
 * in the table is part of the first batch even if it is empty: otherwise what it gets meanwhile would be
 * skipped when `latest` is resolved again. Where loss is accepted, reading begins at the log's start as the
 * goal saw it.
 */
export function planBatch(
  specification: Specification,
  goal: GoalDocument,
  table: TableState,
): PlanDocument | undefined {
  table.requireSameTable(goal);
  table.requireSameTopics(goal.topics);
  const open = goal.partitions.map((partition) => {
    const committed = table.committedOffset(partition.topic, partition.kafkaPartition);
    const position = committed ?? BigInt(partition.initialOffset);
    const endingOffset = larger(BigInt(partition.endingOffset), position);
    const logStart = specification.source.failOnDataLoss ? position : BigInt(partition.logStartOffset);
    // Ranges are what is read: they begin where the log does.
    return {
      ...partition,
      committed,
      startingOffset: smaller(larger(position, logStart), endingOffset),
      endingOffset,
    };
  });
  const moving = rateLimit(open, specification.limits.maxOffsetsPerBatch).filter(
    ({ committed, endingOffset }) => committed === undefined || endingOffset > committed,
  );
  if (moving.length === 0) return undefined;

  const tasks = assignWriteTasks(moving, { coalesce: specification.table.coalesce });
  const topics = new Set(moving.map(({ topic }) => topic));
  return {
    batchId: randomUUID(),
    pipeline: specification.name,
    tableId: table.tableId,
    epoch: goal.epoch,
    tableVersion: table.tableVersion,
    specificationHash: specificationHash(specification),
    topics: goal.topics.filter(({ topic }) => topics.has(topic)),
    partitions: moving.map(
      ({ topic, kafkaPartition, committed, startingOffset, endingOffset }): PlannedPartition => ({
        topic,
        kafkaPartition,
        startingOffset: committed?.toString() ?? null,
        readFrom: String(startingOffset),
        endingOffset: String(endingOffset),
      }),
    ),
    tasks: tasks.map((ranges) =>
      ranges.map(({ topic, kafkaPartition, startingOffset, endingOffset }) => ({
        topic,
        kafkaPartition,
        startingOffset: String(startingOffset),
        endingOffset: String(endingOffset),
      })),
    ),
  };
}

function offsetsOf(partitions: readonly PlannedPartition[]): number {
  return partitions.reduce(
    (sum, { readFrom, endingOffset }) => sum + Number(BigInt(endingOffset) - BigInt(readFrom)),
    0,
  );
}

/** What the Temporal UI shows beside the task: `crawl[0] 1200..2400`. */
function summarize(
  ranges: readonly { topic: string; kafkaPartition: number; startingOffset: string; endingOffset: string }[],
): string {
  const [first, ...others] = ranges;
  if (first === undefined) return 'nothing';
  const text = `${first.topic}[${first.kafkaPartition}] ${first.startingOffset}..${first.endingOffset}`;
  return others.length === 0 ? text : `${text} and ${others.length} more ranges`;
}
