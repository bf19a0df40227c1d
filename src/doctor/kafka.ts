import type { Environment } from '../environment.ts';
import { formatCountOf } from '../format.ts';
import { connectSource } from '../kafka/connect-source.ts';
import { assignedPartitions } from '../kafka/offsets.ts';
import { PATIENCE } from '../kafka/range-reader.ts';
import type { KafkaSource, TopicDescription } from '../kafka/source.ts';
import type { SourceSpecification } from '../kafka/source-specification.ts';
import { selectTopics } from '../kafka/topic-names.ts';
import { type Check, CLOCKS_APART_MS, checked, ok, skip, warn } from './checks.ts';

const CONNECT_MS = 4_000;
const QUESTION_MS = 4_000;
/** Topics of which a record is fetched, to see whether this user may. */
const TOPICS_READ = 20;

/** Brokers; topics and partitions with their leaders; whether this user may read; records from the future. */
export async function checkKafka(
  source: SourceSpecification,
  environment: Environment,
  now: () => number,
): Promise<Check[]> {
  let kafka: KafkaSource | undefined;
  const patience = { ...PATIENCE, stallMs: QUESTION_MS, missingMs: QUESTION_MS, questionMs: QUESTION_MS };
  const reached = await checked('Kafka', async () => {
    kafka = await connectSource(source, { withinMs: CONNECT_MS, patience, environment });
    return ok('Kafka', source.bootstrapServers.join(', '));
  });
  const connected = kafka as KafkaSource | undefined;
  if (connected === undefined)
    return [
      ...reached,
      skip('topics', 'not known without Kafka'),
      skip('reading', 'not known without Kafka'),
    ];
  try {
    let topics: TopicDescription[] = [];
    const described = await checked('topics', async () => {
      topics = await connected.describeTopics(await selectTopics(source.topics, connected));
      return describe(source, topics);
    });
    if (topics.length === 0)
      return [...reached, ...described, skip('reading', 'not known without the topics')];
    const [reading, clock] = await Promise.all([
      checked('reading', async () => await checkReading(connected, topics)),
      checked('clock of records', async () => await checkFuture(connected, topics, now())),
    ]);
    return [...reached, ...described, ...reading, ...clock];
  } finally {
    await connected.close();
  }
}

/** Every partition has a leader, or it would have no offsets. */
function describe({ topics: selection }: SourceSpecification, topics: readonly TopicDescription[]): Check {
  const partitions = assignedPartitions(selection, topics).length;
  return ok(
    'topics',
    `${topics.map(({ topic }) => topic).join(', ')}: ${formatCountOf(partitions, 'partition')}, each with a leader`,
  );
}

/** One fetch of each topic: metadata needs DESCRIBE only. */
async function checkReading(kafka: KafkaSource, topics: readonly TopicDescription[]): Promise<Check> {
  const looked = topics.slice(0, TOPICS_READ).flatMap(({ topic, partitions }) => {
    const filled = partitions.find(
      ({ logStartOffset, lastStableOffset }) => lastStableOffset > logStartOffset,
    );
    return filled === undefined ? [] : [{ topic, ...filled }];
  });
  await Promise.all(
    looked.map(async ({ topic, kafkaPartition, lastStableOffset }) => {
      const range = {
        topic,
        kafkaPartition,
        startingOffset: lastStableOffset - 1n,
        endingOffset: lastStableOffset,
      };
      const options = {
        isolation: 'read_committed',
        signal: AbortSignal.timeout(QUESTION_MS * 2),
        onLost: () => {},
      } as const;
      for await (const _ of kafka.readRange(range, options)) break;
    }),
  );
  return ok(
    'reading',
    looked.length === 0
      ? 'the topics are empty'
      : `allowed: ${formatCountOf(looked.length, 'topic')} read from`,
  );
}

/** Kafka tells no time of its own. A record from the future shows that clocks are apart: whoever stamped it, or this one. */
async function checkFuture(
  kafka: KafkaSource,
  topics: readonly TopicDescription[],
  nowMs: number,
): Promise<Check> {
  const name = 'clock of records';
  const partitions = topics.flatMap(({ topic, partitions }) =>
    partitions.map(({ kafkaPartition }) => ({ topic, kafkaPartition, timestampMs: nowMs + CLOCKS_APART_MS })),
  );
  const future = await kafka.offsetsForTimestamps(partitions);
  const [first] = future;
  if (first === undefined) return ok(name, 'no record has a timestamp later than the clock of this machine');
  return warn(
    name,
    `${formatCountOf(future.size, 'partition')} have records from the future, such as offset ${first[1]} of ${first[0].replace(/\/(\d+)$/, '-$1')}.`,
    'The clock of producers, of brokers (LogAppendTime) or of this machine is wrong: compare them. Times in --until refer to these timestamps.',
  );
}
