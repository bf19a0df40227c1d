import { committedPartitions, PIPELINE_PROPERTY } from '../commits/pipeline-state.ts';
import { refuseOwner, refuseSchema } from '../commits/rules.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { FailureCode } from '../errors.ts';
import { formatCount } from '../format.ts';
import { assignedPartitions, partitionKey } from '../kafka/offsets.ts';
import type { KafkaSource, PartitionDescription, TopicDescription } from '../kafka/source.ts';
import type { SourceSpecification } from '../kafka/source-specification.ts';
import { partitionFilter, topicFilter } from '../kafka/topic-names.ts';
import type { Specification } from '../pipeline/specification.ts';
import { tableSchemas } from '../records/table-schema.ts';
import { deletedPartitions } from '../runs/table-state.ts';
import { lostOffsets, topicChange } from './answers.ts';

/** Something that a drain refuses to decide, and the commands that would. */
export interface Finding {
  /** The code that a drain fails with. */
  readonly problem: FailureCode;
  readonly text: string;
  readonly topic?: string;
  /** Kafka's present one; absent on brokers without topic ids. */
  readonly topicId?: string;
  /** Decimal strings; null where there is none. */
  readonly partitions: readonly FoundPartition[];
  /** Of dead letters; absent where the problem is another. */
  readonly files?: readonly FoundLetterFile[];
  readonly answers: readonly { readonly command: string; readonly effect: string }[];
}

export interface FoundLetterFile {
  /** In the dead-letter table's folder. */
  readonly path: string;
  /** Null where the table's log does not tell. */
  readonly letters: number | null;
}

export interface FoundPartition {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly committedOffset: string | null;
  readonly logStartOffset: string | null;
  readonly logEndOffset: string | null;
}

/** A problem of the table alone. While there is something, nothing else can be answered. */
export function diagnoseTable(snapshot: Snapshot, { name, records, table }: Specification): Finding[] {
  const { unrepairedRestore } = snapshot;
  const notOurs = refuseOwner(snapshot, name);
  // A table that never was a pipeline's may have been restored as often as its writers liked.
  const isRestored = notOurs === undefined || committedPartitions(snapshot).length > 0;
  if (unrepairedRestore !== undefined && isRestored) {
    return [
      {
        problem: 'TABLE_RESTORED',
        text: `Version ${unrepairedRestore} is a RESTORE: rows were taken back, the offsets that stand for them were not.`,
        partitions: [],
        answers: [
          {
            command: `tidemark repair ${name} restore`,
            effect:
              'the table continues at the offsets of the restored version; records whose rows the RESTORE took back are read again',
          },
        ],
      },
    ];
  }
  if (notOurs === undefined) return [];
  const { tableSchema: schema, partitionColumns } = tableSchemas(records, table.partitionBy);
  const refused = refuseSchema(snapshot, { schema, partitionColumns });
  const differences = refused?.kind === 'schemaMismatch' ? refused.differences : [];
  const whose = whoseTable(snapshot);
  return [
    {
      problem: 'TABLE_NOT_OURS',
      text: [
        differences.length === 0 ? whose : `${whose} Its columns do not fit those of ${name}:`,
        ...differences,
      ].join('\n  '),
      partitions: committedPartitions(snapshot).map((partition) => found(partition, undefined)),
      answers:
        differences.length > 0
          ? []
          : [{ command: `tidemark repair ${name} adopt`, effect: adoptEffect(snapshot) }],
    },
  ];
}

export function whoseTable({ metaData }: Snapshot): string {
  const owner = metaData.configuration[PIPELINE_PROPERTY];
  return `The table belongs to ${owner === undefined ? 'no pipeline' : `the pipeline ${owner}`}.`;
}

export function adoptEffect(snapshot: Snapshot): string {
  return committedPartitions(snapshot).length === 0
    ? 'it belongs to this pipeline; it has no offsets, so the next drain begins at source.startingOffsets and adds to its rows'
    : 'it belongs to this pipeline, which continues at the offsets that the table has';
}

/** Where the table and Kafka's topics disagree, topic by topic. */
export function diagnoseTopics(
  snapshot: Snapshot,
  { name, source }: Specification,
  topics: readonly TopicDescription[],
): Finding[] {
  const partitions = readPartitions(source, topics);
  const deleted = deletedPartitions(snapshot, source.topics, partitions).filter((p) => p.isTopicGone);
  const gone = [...new Set(deleted.map(({ topic }) => topic))];
  return [
    ...gone.map((topic) => deletedTopic(snapshot, name, topic, source.topics)),
    ...topics.flatMap((topic) => diagnoseTopic(snapshot, name, source, topic)),
  ];
}

/**
 * An assigned partition that a recreated topic lacks is for the repair to withdraw, not a mistake in the
 * file.
 */
export function readPartitions(source: SourceSpecification, topics: readonly TopicDescription[]) {
  if (source.topics.kind !== 'assign') return assignedPartitions(source.topics, topics);
  return topics
    .flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, ...partition })))
    .filter(partitionFilter(source.topics));
}

function diagnoseTopic(
  snapshot: Snapshot,
  name: string,
  { failOnDataLoss }: SourceSpecification,
  topic: TopicDescription,
): Finding[] {
  const change = topicChange(snapshot, topic);
  if (change !== 'same')
    return [change === 'recreated' ? recreated(snapshot, name, topic) : shrunken(snapshot, name, topic)];
  const lost = lostOffsets(snapshot, topic);
  if (lost.length === 0) return [];
  const offsets = lost.reduce((sum, p) => sum + p.logStartOffset - p.committedOffset, 0n);
  return [
    {
      problem: 'KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE',
      text:
        `${topic.topic}: ${formatCount(offsets)} offsets that were still to be read are gone from Kafka.` +
        (failOnDataLoss
          ? ''
          : ' (source.failOnDataLoss is false: the next drain counts them as lost by itself.)'),
      ...named(topic),
      partitions: lost.map((p) => found({ ...p, topic: topic.topic }, p)),
      answers: [
        {
          command: `tidemark repair ${name} skip-lost ${topic.topic}`,
          effect: `${formatCount(offsets)} offsets are recorded as lost; the next drain continues where the logs begin now`,
        },
      ],
    },
  ];
}

function recreated(snapshot: Snapshot, name: string, topic: TopicDescription): Finding {
  return {
    problem: 'TOPIC_RECREATED',
    text: `${topic.topic} was deleted and created again: the table's offsets belong to the old topic.\nRecords of the old topic that the table has not read are gone.`,
    ...named(topic),
    partitions: allPartitions(snapshot, topic),
    answers: acceptAnswers(name, topic, {
      earliest: 'all of the new topic is read; rows of the old one stay',
      latest: 'records that the new topic holds now are never read; rows of the old one stay',
    }),
  };
}

function shrunken(snapshot: Snapshot, name: string, topic: TopicDescription): Finding {
  return {
    problem: 'KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED',
    text: `${topic.topic}: a log ends before the offset that the table has reached.\nThe broker lost records that are in the table (an unclean leader election), and gives their offsets to new ones.`,
    ...named(topic),
    partitions: allPartitions(snapshot, topic),
    answers: acceptAnswers(name, topic, {
      latest:
        'those partitions continue at the end of their logs; records written since the loss are not read',
      earliest:
        'those partitions are read again from their beginning: records that are still there become rows a second time',
    }),
  };
}

function acceptAnswers(
  name: string,
  { topic, identity }: TopicDescription,
  effects: Readonly<Record<string, string>>,
): Finding['answers'] {
  const id = identity === undefined ? '' : ` --topic-id ${identity.topicId}`;
  return Object.entries(effects).map(([from, effect]) => ({
    command: `tidemark repair ${name} accept-topic ${topic} --from ${from}${id}`,
    effect,
  }));
}

function deletedTopic(
  snapshot: Snapshot,
  name: string,
  topic: string,
  selection: SourceSpecification['topics'],
): Finding {
  const partitions = committedPartitions(snapshot).filter((partition) => partition.topic === topic);
  return {
    problem: 'KAFKA_DATA_LOSS.PARTITIONS_DELETED',
    text: `${topic} is gone from Kafka. Records of it that the table has not read are lost.`,
    topic,
    partitions: partitions.map((partition) => found(partition, undefined)),
    answers: [
      {
        command: `tidemark repair ${name} accept-topic ${topic} --deleted`,
        effect: `its partitions are withdrawn, its rows stay${stillNamed(selection)}`,
      },
    ],
  };
}

/** A drain asks for what the file names, whatever was given up. */
function stillNamed({ kind }: SourceSpecification['topics']): string {
  return kind === 'subscribePattern' ? '' : `. Remove it from source.${kind} too, or drains keep failing`;
}

function named({ topic, identity }: TopicDescription): Pick<Finding, 'topic' | 'topicId'> {
  return { topic, ...(identity === undefined ? {} : { topicId: identity.topicId }) };
}

function allPartitions(snapshot: Snapshot, { topic, partitions }: TopicDescription): FoundPartition[] {
  const places = new Map<string, FoundPartition>();
  for (const partition of committedPartitions(snapshot).filter((p) => p.topic === topic)) {
    places.set(partitionKey(topic, partition.kafkaPartition), found(partition, undefined));
  }
  for (const partition of partitions) {
    const key = partitionKey(topic, partition.kafkaPartition);
    const committedOffset = places.get(key)?.committedOffset;
    places.set(key, found({ ...partition, topic, ...(committedOffset && { committedOffset }) }, partition));
  }
  return [...places.values()].sort((a, b) => a.kafkaPartition - b.kafkaPartition);
}

function found(
  place: { topic: string; kafkaPartition: number; committedOffset?: bigint | string },
  now: PartitionDescription | undefined,
): FoundPartition {
  const { topic, kafkaPartition, committedOffset } = place;
  return {
    topic,
    kafkaPartition,
    committedOffset: committedOffset?.toString() ?? null,
    logStartOffset: now?.logStartOffset.toString() ?? null,
    logEndOffset: now?.highWatermark.toString() ?? null,
  };
}

/** Those of the pipeline's topics that exist. */
export async function existingTopics(
  kafka: KafkaSource,
  { topics }: SourceSpecification,
): Promise<TopicDescription[]> {
  const existing = await kafka.listTopics();
  const names = existing.filter(topicFilter(topics));
  return names.length === 0 ? [] : await kafka.describeTopics(names);
}
