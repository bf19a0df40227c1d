/**
 * Where to begin and where to end, with Spark's rules for `startingOffsets` and `endingOffsets`.
 * Pure: log ends and timestamps' offsets are handed in.
 */

import type { Until } from '../contract.ts';
import { Failure } from '../errors.ts';
import { parseMoment } from '../units.ts';
import { larger, smaller } from './ranges.ts';
import type { PartitionDescription, PartitionTimestamp, ReadOptions, TopicDescription } from './source.ts';
import type { SourceSpecification } from './source-specification.ts';

type Isolation = ReadOptions['isolation'];

/** A partition that a pipeline reads, with its log ends. */
export interface AssignedPartition extends PartitionDescription {
  readonly topic: string;
}

/**
 * Where one partition ends, exclusive: what was asked for and, bounded by the log's end, what will be
 * reached.
 */
export interface PartitionEnd {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** Greater than `endingOffset` where the run can only end `partial`. */
  readonly requestedOffset: bigint;
  readonly endingOffset: bigint;
}

/** Key of maps over partitions, as in `KafkaSource.offsetsForTimestamps`. */
export const partitionKey = (topic: string, kafkaPartition: number): string => `${topic}/${kafkaPartition}`;

/**
 * The partitions that the source option names: all of the described topics', or the assigned ones, in the
 * order of topic and number. Throws TOPIC_NOT_FOUND for an assigned partition that its topic does not have.
 */
export function assignedPartitions(
  topics: SourceSpecification['topics'],
  descriptions: readonly TopicDescription[],
): AssignedPartition[] {
  const partitions = descriptions
    .flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, ...partition })))
    .sort((a, b) => (a.topic === b.topic ? a.kafkaPartition - b.kafkaPartition : a.topic < b.topic ? -1 : 1));
  if (topics.kind !== 'assign') return partitions;

  const wanted = Object.entries(topics.partitions).flatMap(([topic, ids]) =>
    ids.map((id) => partitionKey(topic, id)),
  );
  const byKey = new Map(partitions.map((p) => [partitionKey(p.topic, p.kafkaPartition), p]));
  const missing = wanted.filter((key) => !byKey.has(key));
  if (missing.length > 0) {
    throw new Failure(
      'TOPIC_NOT_FOUND',
      `Option 'assign' names partitions that do not exist: ${missing.join(', ')}.`,
      'Correct source.assign in the pipeline file.',
    );
  }
  const assigned = new Set(wanted);
  return partitions.filter((p) => assigned.has(partitionKey(p.topic, p.kafkaPartition)));
}

/**
 * What a reader may see of a partition: the last stable offset, or the high watermark under
 * `read_uncommitted`.
 */
export function logEnd(partition: PartitionDescription, isolation: Isolation): bigint {
  return isolation === 'read_committed' ? partition.lastStableOffset : partition.highWatermark;
}

/**
 * The time at which each partition of a new pipeline begins; undefined where its offsets decide.
 *
 * Times by partition must name exactly the assigned ones: KAFKA_TIMESTAMP_OFFSET_DOES_NOT_MATCH_ASSIGNED
 * otherwise.
 */
export function startingTimestamps(
  { startingTimestamps }: Pick<SourceSpecification, 'startingTimestamps'>,
  partitions: readonly AssignedPartition[],
): PartitionTimestamp[] | undefined {
  if (startingTimestamps === undefined) return undefined;
  if (typeof startingTimestamps === 'object') {
    requireAllPartitions(startingTimestamps, partitions, (specified, assigned) => {
      return new Failure(
        'KAFKA_TIMESTAMP_OFFSET_DOES_NOT_MATCH_ASSIGNED',
        'If startingOffsetsByTimestamp contains specific offsets, you must specify all TopicPartitions.\n' +
          `Specified: ${specified} Assigned: ${assigned}`,
        'Complete source.startingOffsetsByTimestamp in the pipeline file, or use source.startingTimestamp.',
      );
    });
  }
  return partitions.map(({ topic, kafkaPartition }) => ({
    topic,
    kafkaPartition,
    timestampMs:
      typeof startingTimestamps === 'number'
        ? startingTimestamps
        : (startingTimestamps[topic]?.[kafkaPartition] ?? 0),
  }));
}

/**
 * Where a pipeline begins that has committed nothing yet, by `partitionKey`. As in Spark, times win over
 * offsets.
 *
 * Specific offsets must name exactly the assigned partitions, as Spark demands:
 * KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED otherwise. An offset that the log no longer has is
 * KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE, or the log's start where loss is accepted; one beyond the
 * log's end, or no offset at all, OFFSETS_INVALID. A time after a partition's last record is
 * KAFKA_DATA_LOSS.INITIAL_OFFSET_NOT_FOUND_FOR_PARTITIONS, or the log's end under the strategy `latest`.
 *
 * @param timestamps answer of `startingTimestamps`
 * @param timestampOffsets answer of `offsetsForTimestamps` to them
 */
export function resolveStartingOffsets(
  source: StartOptions,
  partitions: readonly AssignedPartition[],
  timestamps: readonly PartitionTimestamp[] = [],
  timestampOffsets: ReadonlyMap<string, bigint> = new Map(),
): Map<string, bigint> {
  const { startingOffsets, isolation, startingTimestampStrategy } = source;
  const timestampsByKey = new Map(timestamps.map((t) => [partitionKey(t.topic, t.kafkaPartition), t]));
  if (timestamps.length === 0 && typeof startingOffsets === 'object') {
    requireAllPartitions(startingOffsets, partitions, offsetsMismatch);
  }
  return new Map(
    partitions.map((partition) => {
      const { topic, kafkaPartition } = partition;
      const key = partitionKey(topic, kafkaPartition);
      const timestamp = timestampsByKey.get(key);
      if (timestamp !== undefined) {
        const found = timestampOffsets.get(key);
        if (found === undefined && startingTimestampStrategy === 'error') throw noOffsetMatched(timestamp);
        return [key, found ?? logEnd(partition, isolation)];
      }
      const specific =
        typeof startingOffsets === 'object' ? startingOffsets[topic]?.[kafkaPartition] : startingOffsets;
      return [key, resolveStart(specific ?? '', partition, source)];
    }),
  );
}

type StartOptions = Pick<
  SourceSpecification,
  'startingOffsets' | 'startingTimestampStrategy' | 'failOnDataLoss' | 'isolation'
>;

function requireAllPartitions(
  given: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  partitions: readonly AssignedPartition[],
  mismatch: (specified: string, assigned: string) => Failure,
): void {
  const specified = new Set(namedPartitions(given));
  const assigned = partitions.map((p) => partitionKey(p.topic, p.kafkaPartition));
  if (specified.size === assigned.length && assigned.every((key) => specified.has(key))) return;
  throw mismatch([...specified].join(', '), assigned.join(', '));
}

function offsetsMismatch(specified: string, assigned: string): Failure {
  return new Failure(
    'KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED',
    'If startingOffsets contains specific offsets, you must specify all TopicPartitions.\n' +
      "Use -1 for latest, -2 for earliest, if you don't care.\n" +
      `Specified: ${specified} Assigned: ${assigned}`,
    'Complete source.startingOffsets in the pipeline file.',
  );
}

function noOffsetMatched({ topic, kafkaPartition, timestampMs }: PartitionTimestamp): Failure {
  return new Failure(
    'KAFKA_DATA_LOSS.INITIAL_OFFSET_NOT_FOUND_FOR_PARTITIONS',
    `No offset matched from request of topic-partition ${topic}-${kafkaPartition} and timestamp ${timestampMs}${asDate(timestampMs)}.`,
    'Give an earlier time, or set source.startingOffsetsByTimestampStrategy: latest to begin at the end of such partitions.',
  );
}

/** Spark's text has the number alone, which nobody reads. */
function asDate(timestampMs: number): string {
  const date = new Date(timestampMs);
  return Number.isNaN(date.getTime()) ? '' : ` (${date.toISOString()})`;
}

function resolveStart(
  specific: string,
  partition: AssignedPartition,
  { isolation, failOnDataLoss }: StartOptions,
): bigint {
  const name = `${partition.topic}-${partition.kafkaPartition}`;
  const end = logEnd(partition, isolation);
  if (specific === 'earliest') return partition.logStartOffset;
  if (specific === 'latest') return end;
  const offset = parseOffset(specific, name);
  if (offset === EARLIEST) return partition.logStartOffset;
  if (offset === LATEST) return end;
  if (offset > end) {
    throw new Failure(
      'OFFSETS_INVALID',
      `startingOffsets for ${name} is ${offset}, but its log ends at ${end}.`,
      'Correct source.startingOffsets in the pipeline file; -1 is the end of the log.',
    );
  }
  if (failOnDataLoss) requireReadable({ ...partition, startingOffset: offset }, partition.logStartOffset);
  return larger(offset, partition.logStartOffset);
}

/**
 * Throws KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE where retention or DeleteRecords took offsets that were
 * still to be read.
 */
export function requireReadable(
  from: { readonly topic: string; readonly kafkaPartition: number; readonly startingOffset: bigint },
  logStartOffset: bigint,
): void {
  if (from.startingOffset >= logStartOffset) return;
  throw offsetsGone(from.topic, from.kafkaPartition, from.startingOffset, logStartOffset);
}

/** The failure for offsets [from, until) that the log no longer has. */
export function offsetsGone(topic: string, kafkaPartition: number, from: bigint, until: bigint): Failure {
  return new Failure(
    'KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE',
    `Offsets [${from}, ${until}) of ${topic}-${kafkaPartition} are gone: its log now begins at ${until}.\n` +
      'Some data may have been lost because they are not available in Kafka any more; either the data was aged out ' +
      'by Kafka or the topic may have been deleted before all the data in the topic was processed.',
    `Nothing was committed. To continue without them: \`tidemark repair PIPELINE skip-lost\` once, or ` +
      'source.failOnDataLoss: false for all runs. To prevent it, raise retention.ms of the topic or drain it more often.',
  );
}

/**
 * Where a run ends. Partitions that `until.offsets` does not name stay at their position, as does one that is
 * already beyond what is asked for.
 *
 * @param positions next offset to read, by `partitionKey`, for every partition
 * @param timestampOffsets answer of `offsetsForTimestamps`, for `until.timestamp` only; none there means the
 *   log's end
 *
 * Throws OFFSETS_INVALID for -2, a partition that is not assigned, or no offset at all.
 */
export function resolveUntil(
  until: Until,
  partitions: readonly AssignedPartition[],
  positions: ReadonlyMap<string, bigint>,
  isolation: Isolation,
  timestampOffsets: ReadonlyMap<string, bigint> = new Map(),
): PartitionEnd[] {
  if (typeof until === 'object' && 'offsets' in until) requireKnownPartitions(until.offsets, partitions);
  return partitions.map((partition) => {
    const { topic, kafkaPartition } = partition;
    const key = partitionKey(topic, kafkaPartition);
    const position = positions.get(key) ?? partition.logStartOffset;
    const end = logEnd(partition, isolation);
    const requestedOffset = requestedEnd(until, partition, position, end, timestampOffsets.get(key));
    const reachable = smaller(requestedOffset, end);
    return {
      topic,
      kafkaPartition,
      requestedOffset,
      endingOffset: larger(reachable, position),
    };
  });
}

/**
 * The moment of `until.timestamp` in epoch milliseconds, without a zone UTC; undefined for the other two
 * forms.
 */
export function untilTimestampMs(until: Until): number | undefined {
  if (typeof until !== 'object' || !('timestamp' in until)) return undefined;
  const timestampMs = parseMoment(until.timestamp);
  if (timestampMs === undefined) {
    throw new Failure(
      'OFFSETS_INVALID',
      `Expected e.g. 2026-11-22T00:00:00Z, got ${until.timestamp}`,
      'Give the time in ISO 8601; without a zone it is UTC.',
    );
  }
  return timestampMs;
}

function requestedEnd(
  until: Until,
  { topic, kafkaPartition }: AssignedPartition,
  position: bigint,
  end: bigint,
  timestampOffset: bigint | undefined,
): bigint {
  if (until === 'latest') return end;
  if ('timestamp' in until) return timestampOffset ?? end;
  const requested = until.offsets[topic]?.[kafkaPartition];
  if (requested === undefined) return position;
  const offset = parseOffset(requested, `${topic}-${kafkaPartition}`);
  if (offset === LATEST) return end;
  if (offset === EARLIEST) {
    throw new Failure(
      'OFFSETS_INVALID',
      `ending offset for ${topic}-${kafkaPartition} can't be earliest`,
      'Use -1 for the end of the log, or an offset (exclusive).',
    );
  }
  return offset;
}

function requireKnownPartitions(
  offsets: Readonly<Record<string, Readonly<Record<string, number | string>>>>,
  partitions: readonly AssignedPartition[],
): void {
  const known = new Set(partitions.map((p) => partitionKey(p.topic, p.kafkaPartition)));
  const unknown = namedPartitions(offsets).filter((key) => !known.has(key));
  if (unknown.length === 0) return;
  throw new Failure(
    'OFFSETS_INVALID',
    `The ending offsets name partitions that the pipeline does not read: ${unknown.join(', ')}.`,
    `It reads ${[...known].join(', ')}.`,
  );
}

function namedPartitions(offsets: Readonly<Record<string, Readonly<Record<string, unknown>>>>): string[] {
  return Object.entries(offsets).flatMap(([topic, byPartition]) =>
    Object.keys(byPartition).map((kafkaPartition) => `${topic}/${kafkaPartition}`),
  );
}

const LATEST = -1n;
const EARLIEST = -2n;

function parseOffset(value: number | string, name: string): bigint {
  const offset = /^-?\d{1,16}$/.test(String(value)) ? BigInt(value) : undefined;
  if (offset !== undefined && offset >= EARLIEST && offset <= BigInt(Number.MAX_SAFE_INTEGER)) return offset;
  throw new Failure(
    'OFFSETS_INVALID',
    `Expected e.g. {"topicA":{"0":23,"1":-1},"topicB":{"0":-2}}, got ${JSON.stringify(value)} for ${name}`,
    'Give whole numbers from 0 to 2^53 - 1, or -1 for the end of the log, -2 for its beginning.',
  );
}
