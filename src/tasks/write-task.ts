import { setImmediate as nextTurn } from 'node:timers/promises';
import { assert, Failure } from '../errors.ts';
import { RangeWalk, type WalkedSpan } from '../kafka/record-batch.ts';
import type { KafkaSource, OffsetRange } from '../kafka/source.ts';
import { keptSpans, type Span } from '../kafka/spans.ts';
import type { Specification } from '../pipeline/specification.ts';
import { tableSchemas } from '../records/table-schema.ts';
import type { CountedRange, PlanDocument, PlannedRange, TaskDocument } from '../runs/documents.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { Cleaning, type CleanWorkplace } from './cleaning.ts';
import { LetterFiles } from './letter-files.ts';
import type { WriteProgress } from './orders.ts';
import { RecordSink } from './record-sink.ts';
import { TableFiles } from './table-files.ts';

export interface WriteTaskWork {
  readonly source: KafkaSource;
  readonly store: ObjectStore;
  /** Of the dead-letter table. */
  readonly letterStore: ObjectStore;
  /** The run's id. */
  readonly run: string;
  readonly specification: Specification;
  /** Where the specification has `clean`. */
  readonly cleanWorkplace?: CleanWorkplace | undefined;
  readonly plan: PlanDocument;
  /** Index into the plan's tasks. */
  readonly task: number;
  readonly onProgress: (progress: WriteProgress) => void;
}

/**
 * One write task, from offsets to finished files: every offset of its ranges is a row or counted under
 * another name. What it holds in memory is bounded by `TableFiles`, whatever the size of the ranges.
 */
export async function writeTask(work: WriteTaskWork): Promise<TaskDocument> {
  const { plan, task, specification } = work;
  const planned = plan.tasks[task] ?? [];
  const schemas = tableSchemas(specification.records, specification.table.partitionBy);
  const cleaning =
    work.cleanWorkplace && new Cleaning(work.cleanWorkplace, specification, schemas, planned.length);
  const files = new TableFiles({
    store: work.store,
    ...(cleaning && { cleaning }),
    rowSchema: schemas.rowSchema,
    fileSchema: schemas.fileSchema,
    table: specification.table,
    maxFiles: specification.limits.maxFilesPerBatch,
    keyValueMetadata: { 'tidemark.batch': plan.batchId, 'tidemark.ranges': JSON.stringify(planned) },
    task,
  });
  const origin = { epoch: BigInt(plan.epoch), run: work.run, batch: plan.batchId };
  const letters = new LetterFiles({ store: work.letterStore, origin, task });
  try {
    const sink = new RecordSink(specification, schemas, files, letters);
    const ranges: TaskDocument['ranges'][number][] = [];
    let offsetsBefore = 0;
    for (const [index, range] of planned.entries()) {
      files.beginRange(index);
      const report = (offsetsRead: number) =>
        work.onProgress({
          offsetsRead: offsetsBefore + offsetsRead,
          rows: sink.totalRows,
          bytesWritten: files.bytesWritten,
        });
      ranges.push({
        ...range,
        ...(await writeRange(work, toOffsetRange(range), sink, [files, letters], report)),
      });
      offsetsBefore += Number(BigInt(range.endingOffset) - BigInt(range.startingOffset));
    }
    await requireSameTopics(work);
    let fileSteps = 0;
    const written = await files.finish(() =>
      work.onProgress({
        offsetsRead: offsetsBefore,
        rows: sink.totalRows,
        bytesWritten: files.bytesWritten,
        fileSteps: ++fileSteps,
      }),
    );
    const deadLetterFiles = await letters.finish();
    return {
      task,
      files: written,
      deadLetterFiles,
      ranges: cleaning ? cleanedRanges(ranges, cleaning) : ranges,
      ...(sink.totalTruncated > 0 && { truncatedTimestamps: sink.totalTruncated }),
    };
  } catch (error) {
    for (const written of [files, letters]) await written.abort().catch(() => {});
    throw error;
  }
}

/** What became rows is now rows and filtered ones, as cleaning has counted each. */
function cleanedRanges(ranges: TaskDocument['ranges'], { counts }: Cleaning): TaskDocument['ranges'] {
  return ranges.map((range, index) => {
    const { kept = 0, filtered = 0 } = counts[index] ?? {};
    const { rows } = range.accounting;
    assert(
      kept + filtered === rows,
      `${rows} rows of a range are ${kept} kept and ${filtered} filtered ones`,
    );
    return { ...range, accounting: { ...range.accounting, rows: kept, filtered } };
  });
}

async function writeRange(
  { source, specification, plan }: WriteTaskWork,
  range: OffsetRange,
  sink: RecordSink,
  files: readonly { writeOut(): Promise<void> }[],
  report: (offsetsRead: number) => void,
): Promise<Pick<CountedRange, 'accounting' | 'lostOffsets'>> {
  const { isolation, failOnDataLoss } = specification.source;
  const walk = new RangeWalk(range, isolation, specification.limits.maxRecordBatchBytes);
  const onLost = (_from: bigint, until: bigint) => walk.skipLost(until);
  const options = { isolation, ...(failOnDataLoss ? {} : { onLost }) };
  sink.begin(range.topic, range.kafkaPartition);
  for await (const fetched of source.readRange(range, options)) {
    walk.begin(fetched);
    let more: boolean;
    do {
      more = walk.next(sink);
      for (const written of files) await written.writeOut();
      // Timers must have their turn too: one of them sends this thread's sign of life.
      await nextTurn();
      report(walk.position - Number(range.startingOffset));
    } while (more);
  }
  if (!walk.complete)
    throw new Error(`the read of ${range.topic}[${range.kafkaPartition}] ended at ${walk.position}`);
  const { rows, deadLetters, dropped, tombstones } = sink;
  const { markers, aborted } = walk;
  // Only compaction takes single offsets out of a topic; where it is off, a hole is a loss.
  const isCompacted = plan.topics.find(({ topic }) => topic === range.topic)?.compacted;
  const holes = isCompacted === false ? walk.gaps : 0;
  if (holes > 0 && failOnDataLoss) throw offsetsMissing(range, holes);
  const gaps = walk.gaps - holes;
  const lost = walk.lost + holes;
  const lostOffsets = keptSpans([...walk.lostSpans, ...(holes > 0 ? walk.gapSpans : [])].map(toSpan));
  return {
    accounting: { rows, deadLetters, dropped, filtered: 0, tombstones, markers, aborted, gaps, lost },
    ...(lostOffsets === undefined ? {} : { lostOffsets }),
  };
}

function offsetsMissing(
  { topic, kafkaPartition, startingOffset, endingOffset }: OffsetRange,
  gaps: number,
): Failure {
  return new Failure(
    'KAFKA_DATA_LOSS.OFFSETS_MISSING_IN_RANGE',
    `${gaps} offsets in [${startingOffset}, ${endingOffset}) of ${topic}-${kafkaPartition} hold no record, although the topic is not compacted.`,
    "Nothing was committed. If the topic was ever compacted, set its cleanup.policy to 'compact,delete'. Otherwise look for lost segments on the broker. With source.failOnDataLoss: false, drains continue and count such offsets as lost.",
  );
}

/**
 * The last look at what was read: a topic that was deleted and created again meanwhile has other records at
 * these offsets.
 */
async function requireSameTopics({ source, plan, task }: WriteTaskWork): Promise<void> {
  const names = [...new Set((plan.tasks[task] ?? []).map(({ topic }) => topic))];
  const seen = await source.topicIds(names);
  for (const { topic, identity } of plan.topics) {
    const now = seen.get(topic);
    if (identity === null || now === undefined || !names.includes(topic)) continue;
    if (now.topicId === identity.topicId && now.clusterId === identity.clusterId) continue;
    throw new Failure(
      'TOPIC_RECREATED',
      `${topic} was deleted and created again while it was read (id ${identity.topicId}, now ${now.topicId}).`,
      `Nothing was committed; the files of this task stay out of the table. \`tidemark repair ${plan.pipeline}\` shows how to continue with the new topic.`,
    );
  }
}

function toSpan({ from, until }: WalkedSpan): Span {
  return { from: BigInt(from), until: BigInt(until) };
}

function toOffsetRange({ topic, kafkaPartition, startingOffset, endingOffset }: PlannedRange): OffsetRange {
  return {
    topic,
    kafkaPartition,
    startingOffset: BigInt(startingOffset),
    endingOffset: BigInt(endingOffset),
  };
}
