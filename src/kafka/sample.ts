import { Failure } from '../errors.ts';
import { inLanes } from '../lanes.ts';
import { RangeWalk } from './record-batch.ts';
import type { KafkaSource, OffsetRange, TopicDescription } from './source.ts';

export interface SampledRecord {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly offset: number;
  readonly timestampMs: number;
  /** Null for a tombstone. */
  readonly value: Buffer | null;
}

export interface SampleBounds {
  /** Of all topics together. */
  readonly records: number;
  /** Of values that are kept; what is fetched may be more, as record batches come whole. */
  readonly bytes: number;
  /** Reading stops when it aborts, with what is there by then. */
  readonly signal: AbortSignal;
}

export interface Sample {
  readonly records: readonly SampledRecord[];
  /** What ended it before every partition was looked at, or undefined. */
  readonly cutBy: 'bytes' | 'time' | undefined;
}

/** Partitions that are read at a time: each has a fetch of some MiB in flight. */
const AT_ONCE = 4;
const RECORD_BATCH_BYTES_MAX = 256 * 1024 * 1024;

/**
 * The first and the last committed records of every partition, as many of each, by the reader that drains
 * have. What of a compacted or transactional log is not visible leaves fewer.
 */
export async function sampleTopics(
  source: KafkaSource,
  topics: readonly TopicDescription[],
  bounds: SampleBounds,
): Promise<Sample> {
  const ranges = sampleRanges(topics, bounds.records);
  const keeper = new SampleKeeper(bounds);
  await inLanes(ranges, AT_ONCE, async (range) => {
    if (keeper.cutBy === undefined) await readSample(source, range, keeper, bounds.signal);
  }).catch((error) => {
    if (!bounds.signal.aborted) throw error;
  });
  return { records: keeper.records, cutBy: bounds.signal.aborted ? 'time' : keeper.cutBy };
}

/** Of each partition its beginning and its end, in one range where they meet. All beginnings come first. */
export function sampleRanges(topics: readonly TopicDescription[], records: number): OffsetRange[] {
  const partitions = topics.flatMap(({ topic, partitions }) =>
    partitions
      .filter(({ logStartOffset, lastStableOffset }) => lastStableOffset > logStartOffset)
      .map((partition) => ({ topic, ...partition })),
  );
  const each = BigInt(Math.max(1, Math.floor(records / 2 / Math.max(1, partitions.length))));
  const heads: OffsetRange[] = [];
  const tails: OffsetRange[] = [];
  for (const { topic, kafkaPartition, logStartOffset: start, lastStableOffset: end } of partitions) {
    const range = (startingOffset: bigint, endingOffset: bigint) => ({
      topic,
      kafkaPartition,
      startingOffset,
      endingOffset,
    });
    if (end - start <= each * 2n) heads.push(range(start, end));
    else {
      heads.push(range(start, start + each));
      tails.push(range(end - each, end));
    }
  }
  return [...heads, ...tails];
}

async function readSample(
  source: KafkaSource,
  range: OffsetRange,
  keeper: SampleKeeper,
  signal: AbortSignal,
): Promise<void> {
  const { topic, kafkaPartition } = range;
  const walk = new RangeWalk(range, 'read_committed', RECORD_BATCH_BYTES_MAX);
  const visitor = {
    get isFull() {
      return keeper.cutBy !== undefined;
    },
    record: (offset: number, timestampMs: number, buffer: Buffer, start: number, end: number) =>
      keeper.keep({
        topic,
        kafkaPartition,
        offset,
        timestampMs,
        value: start < 0 ? null : buffer.subarray(start, end),
      }),
  };
  // Old records may expire while we read a sample: that is not a failure.
  const onLost = (_from: bigint, until: bigint) => walk.skipLost(until);
  for await (const fetched of source.readRange(range, { isolation: 'read_committed', signal, onLost })) {
    walk.begin(fetched);
    while (walk.next(visitor)) if (keeper.cutBy !== undefined) return;
  }
}

class SampleKeeper {
  readonly records: SampledRecord[] = [];
  private bytes = 0;
  private readonly bytesMax: number;

  constructor({ bytes }: SampleBounds) {
    this.bytesMax = bytes;
  }

  get cutBy(): 'bytes' | undefined {
    return this.bytes > this.bytesMax ? 'bytes' : undefined;
  }

  /** The buffer is only lent. */
  keep(record: SampledRecord): void {
    if (this.cutBy !== undefined) return;
    this.bytes += record.value?.length ?? 0;
    this.records.push({ ...record, value: record.value && Buffer.from(record.value) });
  }
}

/** Records that the topics hold, as far as offsets tell: compaction and transactions leave fewer. */
export function offsetsIn(topics: readonly TopicDescription[]): number {
  return topics
    .flatMap(({ partitions }) => partitions)
    .reduce(
      (sum, { logStartOffset, lastStableOffset }) => sum + Number(lastStableOffset - logStartOffset),
      0,
    );
}

export function nothingToSample(topics: readonly string[]): Failure {
  const several = topics.length > 1;
  return new Failure(
    'SCHEMA_NOT_INFERRED',
    `${topics.join(', ')} ${several ? 'have' : 'has'} no records, so there is nothing to infer a schema from.`,
    'Try again when there are some, or write the pipeline file by hand: docs/pipeline-file.md.',
  );
}
