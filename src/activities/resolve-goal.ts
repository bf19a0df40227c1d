import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Goal, Offsets, Reference, Run, Until } from '../contract.ts';
import { Failure } from '../errors.ts';
import {
  type AssignedPartition,
  assignedPartitions,
  partitionKey,
  requireReadable,
  resolveStartingOffsets,
  resolveUntil,
  startingTimestamps,
  untilTimestampMs,
} from '../kafka/offsets.ts';
import { larger } from '../kafka/ranges.ts';
import type { KafkaSource, TopicDescription } from '../kafka/source.ts';
import type { SourceSpecification } from '../kafka/source-specification.ts';
import { noTopicMatches, selectTopics } from '../kafka/topic-names.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { GoalDocument, GoalPartition, PlanDocument } from '../runs/documents.ts';
import { fixRun } from '../runs/fix-run.ts';
import { loadReference, storeReference } from '../runs/references.ts';
import { readTable, type TableState } from '../runs/table-state.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { PlanningDependencies } from './dependencies.ts';

export interface ResolveGoalInput {
  readonly pipeline: string;
  readonly runId: string;
  readonly until: Until;
  /**
   * The goal that a running drain already has; `plan` of the batch in the making, below whose ends it cannot
   * go.
   */
  readonly amended?: {
    readonly run: Run;
    readonly reference: Reference;
    readonly raiseOnly: boolean;
    readonly plan?: Reference;
  };
}

export interface ResolveGoalResult {
  readonly run: Run;
  readonly goal: Goal;
}

/**
 * Fixes where a run ends, once, from the table's offsets and Kafka's log ends; the first time also the
 * specification.
 *
 * Fails by name, before anything is read, where table and topics no longer belong together: a recreated
 * topic, deleted partitions, a log that begins after or ends before the table's offset, a schema that does
 * not fit. Run twice it may find other log ends; the workflow's history keeps the one that counts.
 */
export async function resolveGoal(
  dependencies: PlanningDependencies,
  input: ResolveGoalInput,
  signal: AbortSignal = Context.current().cancellationSignal,
): Promise<ResolveGoalResult> {
  const { specification, run } = await fixRun(dependencies, { ...input, run: input.amended?.run });
  const store = dependencies.openStore(run.documents);
  const table = await readTable(dependencies.openLog(run.table), specification);
  const kafka = await dependencies.connectKafka(specification.source);
  try {
    const { topics, partitions } = await describeSettled(kafka, specification, table, signal);
    const running = input.amended && (await loadReference<GoalDocument>(store, input.amended.reference));
    if (running !== undefined) requireGoalsTopics(running, topics);
    const fresh = await resolveEnds(kafka, specification, table, topics, partitions, input.until, running);
    const document =
      input.amended && running ? await amend(store, input.amended, running, fresh, input.until) : fresh;
    const reference = await storeReference(store, `runs/${run.id}/goal`, document);
    return {
      run,
      goal: { reference, endingOffsets: endsOf(document), offsetsToDrain: offsetsToDrain(document) },
    };
  } finally {
    await kafka.close();
  }
}

/**
 * A broker that has just become leader may tell an older log end for a moment; a log that stays shorter is a
 * loss.
 */
const SETTLE_MS = 60_000;
const SETTLE_EVERY_MS = 2_000;

async function describeSettled(
  kafka: KafkaSource,
  specification: Specification,
  table: TableState,
  signal: AbortSignal,
): Promise<{ topics: TopicDescription[]; partitions: AssignedPartition[] }> {
  const { topics: selection } = specification.source;
  for (const deadlineMs = Date.now() + SETTLE_MS; ; ) {
    const topics = await kafka.describeTopics(await selectTopics(selection, kafka));
    table.requireSameTopics(topics);
    const partitions = assignedPartitions(selection, topics);
    table.requirePartitions(specification.source, partitions);
    if (topics.length === 0 && selection.kind === 'subscribePattern') throw noTopicMatches(selection.pattern);
    const shrunken = partitions.find(
      (p) => (table.committedOffset(p.topic, p.kafkaPartition) ?? 0n) > p.highWatermark,
    );
    if (shrunken === undefined) return { topics, partitions };
    if (Date.now() > deadlineMs) throw table.logShrunk(shrunken);
    await sleep(SETTLE_EVERY_MS, undefined, { signal });
  }
}

/** Of a topic that the table does not know yet, the goal is the only one to remember which it was. */
function requireGoalsTopics(running: GoalDocument, topics: readonly TopicDescription[]): void {
  const before = new Map(running.topics.map(({ topic, identity }) => [topic, identity]));
  for (const { topic, identity } of topics) {
    const known = before.get(topic);
    if (!known || identity === undefined || known.topicId === identity.topicId) continue;
    throw new Failure(
      'TOPIC_RECREATED',
      `${topic} was deleted and created again since this run began (id ${known.topicId}, now ${identity.topicId}).`,
      `The end of the run stays as it was. Offsets of the new topic are other records: once this run has ended, \`tidemark repair ${running.pipeline}\` shows how to continue with it.`,
    );
  }
}

async function resolveEnds(
  kafka: KafkaSource,
  { name, source }: Specification,
  table: TableState,
  topics: readonly TopicDescription[],
  partitions: readonly AssignedPartition[],
  until: Until,
  running: GoalDocument | undefined,
): Promise<GoalDocument> {
  const committed = (p: AssignedPartition) => table.committedOffset(p.topic, p.kafkaPartition);
  for (const p of source.failOnDataLoss ? partitions : []) {
    requireReadable({ ...p, startingOffset: committed(p) ?? p.logStartOffset }, p.logStartOffset);
  }
  // What appears after a pipeline has begun was never skipped on purpose: it starts at earliest, as in Spark.
  const hasBegun = table.hasProgress || running !== undefined;
  const starts = hasBegun ? new Map<string, bigint>() : await resolveStarts(kafka, source, partitions);
  for (const { topic, kafkaPartition, initialOffset } of running?.partitions ?? []) {
    starts.set(partitionKey(topic, kafkaPartition), BigInt(initialOffset));
  }
  // Nothing is committed there yet: where loss is accepted, it begins with what the log still has.
  const initial = (p: AssignedPartition) => {
    const start = starts.get(partitionKey(p.topic, p.kafkaPartition)) ?? p.logStartOffset;
    return source.failOnDataLoss ? start : larger(start, p.logStartOffset);
  };
  const positions = new Map(
    partitions.map((p) => [partitionKey(p.topic, p.kafkaPartition), committed(p) ?? initial(p)]),
  );
  const timestampMs = untilTimestampMs(until);
  const byTimestamp =
    timestampMs === undefined
      ? undefined
      : await kafka.offsetsForTimestamps(
          partitions.map(({ topic, kafkaPartition }) => ({ topic, kafkaPartition, timestampMs })),
        );
  const ends = resolveUntil(until, partitions, positions, source.isolation, byTimestamp);
  return {
    pipeline: name,
    tableId: table.tableId,
    epoch: String(table.epoch),
    topics: topics.map(({ topic, identity, compacted }) => ({
      topic,
      identity: identity ?? null,
      compacted: compacted ?? null,
    })),
    partitions: partitions.map((p, index) => ({
      topic: p.topic,
      kafkaPartition: p.kafkaPartition,
      committedOffset: committed(p)?.toString() ?? null,
      initialOffset: String(initial(p)),
      endingOffset: String(ends[index]?.endingOffset),
      requestedOffset: String(ends[index]?.requestedOffset),
      highWatermark: String(p.highWatermark),
      logStartOffset: String(p.logStartOffset),
    })),
  };
}

async function resolveStarts(
  kafka: KafkaSource,
  source: SourceSpecification,
  partitions: readonly AssignedPartition[],
): Promise<Map<string, bigint>> {
  const timestamps = startingTimestamps(source, partitions);
  const found = timestamps && (await kafka.offsetsForTimestamps(timestamps));
  return resolveStartingOffsets(source, partitions, timestamps, found);
}

/**
 * The running goal with its ends moved. A partition that `until.offsets` does not name keeps its end; none
 * goes below what is committed or what the batch in the making will commit.
 */
async function amend(
  store: ObjectStore,
  { raiseOnly, plan }: NonNullable<ResolveGoalInput['amended']>,
  running: GoalDocument,
  fresh: GoalDocument,
  until: Until,
): Promise<GoalDocument> {
  const batch = plan === undefined ? undefined : await loadReference<PlanDocument>(store, plan);
  const byKey = <T extends { topic: string; kafkaPartition: number }>(items: readonly T[]) =>
    new Map(items.map((item) => [partitionKey(item.topic, item.kafkaPartition), item]));
  const before = byKey(running.partitions);
  const floor = byKey(batch?.partitions ?? []);

  const moved = fresh.partitions.map((partition): GoalPartition => {
    const key = partitionKey(partition.topic, partition.kafkaPartition);
    const old = before.get(key);
    if (old === undefined) return partition;
    const isNamed =
      typeof until !== 'object' ||
      !('offsets' in until) ||
      until.offsets[partition.topic]?.[partition.kafkaPartition] !== undefined;
    const keep = (field: 'endingOffset' | 'requestedOffset') => {
      const next = isNamed ? BigInt(partition[field]) : BigInt(old[field]);
      const least = [BigInt(floor.get(key)?.endingOffset ?? '0'), raiseOnly ? BigInt(old[field]) : 0n];
      return String(least.reduce((highest, offset) => (offset > highest ? offset : highest), next));
    };
    return {
      ...partition,
      committedOffset: old.committedOffset,
      endingOffset: keep('endingOffset'),
      requestedOffset: keep('requestedOffset'),
    };
  });
  return { ...fresh, tableId: running.tableId, epoch: running.epoch, partitions: moved };
}

function endsOf(document: GoalDocument): Offsets {
  const offsets: Record<string, Record<string, string>> = {};
  for (const { topic, kafkaPartition, endingOffset } of document.partitions) {
    offsets[topic] ??= {};
    offsets[topic][kafkaPartition] = endingOffset;
  }
  return offsets;
}

function offsetsToDrain(document: GoalDocument): number {
  return document.partitions.reduce((sum, { committedOffset, initialOffset, endingOffset }) => {
    return sum + Math.max(0, Number(BigInt(endingOffset) - BigInt(committedOffset ?? initialOffset)));
  }, 0);
}
