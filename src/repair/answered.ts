import { committedPartitions, PIPELINE_PROPERTY } from '../commits/pipeline-state.ts';
import { refusal } from '../commits/refusal.ts';
import type { Repair } from '../commits/repair.ts';
import { readRestored } from '../commits/restored-version.ts';
import { refuseOwner, refuseRestored } from '../commits/rules.ts';
import type { DeltaLog } from '../delta/log.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';
import type { KafkaSource, TopicDescription } from '../kafka/source.ts';
import type { Specification } from '../pipeline/specification.ts';
import { tableSchemas } from '../records/table-schema.ts';
import { acceptTopic, restoreOffsets, skipLost, topicChange, withdrawTopic } from './answers.ts';
import { adoptEffect, existingTopics, readPartitions, whoseTable } from './diagnosis.ts';

/** The answer that is a commit of the dead-letter table: the main table stays as it is. */
export const FORGET_LETTERS = 'forget-letters';

export interface AcceptOptions {
  readonly from?: 'earliest' | 'latest';
  readonly topicId?: string;
  readonly deleted?: boolean;
}

/** What an answer would commit, to be shown before it does. */
export type Answered = { readonly kind: 'nothingToDo'; readonly why: string } | AnsweredChange;

export interface AnsweredChange {
  readonly kind: 'change';
  readonly effect: string;
  readonly repair: Pick<Repair, 'moves' | 'topics' | 'markers' | 'owns' | 'restored'>;
  /** Throws REPAIR_REFUSED where Kafka is no longer what was shown: asked right before the commit. */
  readonly stillSo?: () => Promise<void>;
}

/** A partition's next offset before and after an answer. Numbers are decimal strings. */
export interface MoveJson {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** Null where the table had none. */
  readonly before: string | null;
  /** Null where the partition is withdrawn. */
  readonly after: string | null;
  /** Offsets that Kafka no longer has; absent where none are given up. */
  readonly lost?: string;
  /** Offsets of a new topic that are never read; absent where there are none. */
  readonly skipped?: string;
}

/** For JSON. */
export function movesJson(answered: Answered): readonly MoveJson[] {
  const moves = answered.kind === 'nothingToDo' ? [] : answered.repair.moves;
  return moves.map(({ topic, kafkaPartition, before, after, lost, skipped }) => ({
    topic,
    kafkaPartition,
    before: before?.toString() ?? null,
    after: after?.toString() ?? null,
    ...(lost === undefined ? {} : { lost: String(lost) }),
    ...(skipped === undefined ? {} : { skipped: String(skipped) }),
  }));
}

/** A topic as it is now: recreated, shrunken, or gone. */
export async function answerAccept(
  kafka: KafkaSource,
  snapshot: Snapshot,
  specification: Specification,
  name: string,
  { from, topicId, deleted }: AcceptOptions,
): Promise<Answered> {
  requireOwn(snapshot, specification);
  if (deleted) return await answerDeleted(kafka, snapshot, specification.name, name);
  const topic = (await existingTopics(kafka, specification.source)).find(({ topic }) => topic === name);
  if (topic === undefined) {
    throw new Failure(
      'TOPIC_NOT_FOUND',
      `The pipeline reads no topic ${name}, or Kafka does not have it.`,
      `See what is wrong, and the commands for it: tidemark repair ${specification.name}`,
    );
  }
  if (topicId !== undefined && topicId !== topic.identity?.topicId) {
    throw refused(
      `${name} is not the topic that you named: its id is ${topic.identity?.topicId ?? 'not known'}, not ${topicId}.`,
      specification.name,
    );
  }
  const change = topicChange(snapshot, topic);
  if (change === 'same') {
    return { kind: 'nothingToDo', why: `Nothing to do: ${name} is the topic that the table knows.` };
  }
  const read = readPartitions(specification.source, [topic]).map(({ kafkaPartition }) => kafkaPartition);
  const { isolation } = specification.source;
  return {
    kind: 'change',
    effect:
      change === 'recreated'
        ? `${name} was created again (id ${topic.identity?.topicId ?? 'not known'}): continue with it from ${from}.`
        : `Logs of ${name} end before the table's offsets: continue with them from ${from}.`,
    repair: acceptTopic(snapshot, topic, new Set(read), from ?? 'earliest', isolation),
    stillSo: () => requireSameTopics(kafka, [topic], specification.name),
  };
}

async function answerDeleted(
  kafka: KafkaSource,
  snapshot: Snapshot,
  pipeline: string,
  name: string,
): Promise<Answered> {
  const requireGone = async () => {
    const isThere = (await kafka.listTopics()).includes(name);
    if (isThere) throw refused(`Kafka has a topic ${name}.`, pipeline);
  };
  await requireGone();
  const repair = withdrawTopic(snapshot, name);
  if (repair.moves.length === 0) {
    return { kind: 'nothingToDo', why: `Nothing to do: the table has no offsets of ${name}.` };
  }
  return {
    kind: 'change',
    effect: `${name} is gone: give it up. If it comes back, it is another topic.\nRemove it from source.subscribe or source.assign too, if it is there: a drain of a topic that is gone fails.`,
    repair,
    stillSo: requireGone,
  };
}

/** @param target TOPIC or TOPIC/PARTITION; undefined: all */
export async function answerSkip(
  kafka: KafkaSource,
  snapshot: Snapshot,
  specification: Specification,
  target: string | undefined,
): Promise<Answered> {
  requireOwn(snapshot, specification);
  const { topic: name, partition } = parseTarget(target);
  const read = await existingTopics(kafka, specification.source);
  const topics = read
    .filter(({ topic }) => name === undefined || topic === name)
    .map((topic) => ({
      ...topic,
      partitions: topic.partitions.filter((p) => partition === undefined || p.kafkaPartition === partition),
    }));
  if (target !== undefined && topics.every(({ partitions }) => partitions.length === 0)) {
    throw new Failure(
      'TOPIC_NOT_FOUND',
      `The pipeline reads nothing that is called ${target}, or Kafka does not have it.`,
      'Give TOPIC or TOPIC/PARTITION.',
    );
  }
  const other = read.find(
    (topic) => topics.some((t) => t.topic === topic.topic) && topicChange(snapshot, topic) === 'recreated',
  );
  if (other !== undefined) {
    throw refused(
      `${other.topic} was created again, so the offsets that it lost are not those that the table waits for.`,
      specification.name,
    );
  }
  const repair = skipLost(snapshot, topics);
  if (repair.moves.length === 0) {
    return { kind: 'nothingToDo', why: 'Nothing to do: Kafka still has all that is to be read.' };
  }
  return {
    kind: 'change',
    effect: 'Kafka no longer has these offsets: record them as lost, and continue after them.',
    repair,
    stillSo: () =>
      requireSameTopics(
        kafka,
        topics.filter(({ topic }) => repair.moves.some((move) => move.topic === topic)),
        specification.name,
      ),
  };
}

function parseTarget(target: string | undefined): { topic?: string; partition?: number } {
  if (target === undefined) return {};
  const [, topic = target, partition] = /^([^/]*)\/(\d+)$/.exec(target) ?? [];
  return { topic, ...(partition === undefined ? {} : { partition: Number(partition) }) };
}

export function adopt(snapshot: Snapshot, { name, records, table }: Specification): Answered {
  if (refuseOwner(snapshot, name) === undefined) {
    return { kind: 'nothingToDo', why: `Nothing to do: the table belongs to ${name}.` };
  }
  const { unrepairedRestore, metaData } = snapshot;
  const owner = metaData.configuration[PIPELINE_PROPERTY];
  // A table that never was a pipeline's may have been restored as often as its writers liked.
  if (unrepairedRestore !== undefined && committedPartitions(snapshot).length > 0) {
    throw refused(
      `Version ${unrepairedRestore} is a RESTORE that nobody has repaired: its rows and its offsets do not belong together.`,
      name,
      `Repair it under the name that the pipeline had: tidemark repair ${owner ?? 'PIPELINE'} restore`,
    );
  }
  const { tableSchema: schema, partitionColumns } = tableSchemas(records, table.partitionBy);
  return {
    kind: 'change',
    effect: `${whoseTable(snapshot)} Adopted, ${adoptEffect(snapshot)}.`,
    repair: { moves: [], topics: [], markers: [], owns: { schema, partitionColumns } },
  };
}

export async function answerRestore(
  log: DeltaLog,
  snapshot: Snapshot,
  { name, table }: Specification,
): Promise<Answered> {
  const { unrepairedRestore } = snapshot;
  const isOwn = refuseOwner(snapshot, name) === undefined;
  if (unrepairedRestore === undefined) {
    requireOwn(snapshot, { name, table });
    return { kind: 'nothingToDo', why: 'Nothing to do: there is no unrepaired RESTORE.' };
  }
  // A RESTORE takes properties back as well, to before the pipeline had the table.
  const before = isOwn ? undefined : await log.snapshotAt(unrepairedRestore - 1);
  if (!isOwn && (before === undefined || refuseOwner(before, name) !== undefined))
    requireOwn(snapshot, { name, table });
  const restored = await readRestored(log, unrepairedRestore);
  return {
    kind: 'change',
    effect:
      `Version ${unrepairedRestore} restored the rows of version ${restored.tableVersion}: continue at the offsets of version ${restored.tableVersion}. ` +
      'Records whose rows it took back are read again.',
    repair: {
      ...restoreOffsets(snapshot, restored),
      ...(isOwn ? {} : { owns: 'again' }),
    },
  };
}

/** The same rules by which a drain is refused; what they say names the answer that comes first. */
export function requireOwn(snapshot: Snapshot, { name, table }: Pick<Specification, 'name' | 'table'>): void {
  const refusedBy = refuseOwner(snapshot, name) ?? refuseRestored(snapshot, { versionsSincePlan: [] });
  if (refusedBy !== undefined) throw refusal(refusedBy, table.location, name);
}

async function requireSameTopics(
  kafka: KafkaSource,
  shown: readonly TopicDescription[],
  pipeline: string,
): Promise<void> {
  const now = await kafka.topicIds(shown.map(({ topic }) => topic));
  const other = shown.find(({ topic, identity }) => now.get(topic)?.topicId !== identity?.topicId);
  if (other !== undefined) throw refused(`${other.topic} was created again after this was shown.`, pipeline);
}

function refused(
  problem: string,
  pipeline: string,
  fix = `Look again: tidemark repair ${pipeline}`,
): Failure {
  return new Failure('REPAIR_REFUSED', `${problem} Nothing was changed.`, fix);
}
