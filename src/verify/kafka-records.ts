import { RangeWalk } from '../kafka/record-batch.ts';
import type { KafkaSource, OffsetRange, PartitionDescription, TopicDescription } from '../kafka/source.ts';
import { type Accounting, addAccounting, emptyAccounting } from '../records/accounting.ts';
import type { Finder } from './disagreements.ts';
import type { CommittedRange } from './offset-walk.ts';

export interface KafkaRecordChecks {
  readonly source: KafkaSource;
  /** Those that are still what the ledger speaks of. */
  readonly topics: readonly TopicDescription[];
  /** By topic, the version that has taken up the topic of today; absent: the first. */
  readonly topicSince: ReadonlyMap<string, number>;
  readonly found: Finder;
  readonly onProgress: (text: string) => void;
}

/** Offsets of committed ranges, and those of them whose range Kafka still has from its beginning. */
export interface KafkaRecordsReport {
  readonly committedOffsets: number;
  readonly comparedOffsets: number;
}

const BATCH_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Reads again from Kafka what it still has of committed ranges, by the reader that drains have, and compares
 * what is there with what the ledger counts. Compaction may have taken records away since; nothing may have
 * come.
 */
export async function checkKafkaRecords(
  ranges: readonly CommittedRange[],
  checks: KafkaRecordChecks,
): Promise<KafkaRecordsReport> {
  const report = { committedOffsets: 0, comparedOffsets: 0 };
  const byPartition = Map.groupBy(ranges, ({ topic, kafkaPartition }) => `${topic}/${kafkaPartition}`);
  for (const topic of checks.topics) {
    const since = checks.topicSince.get(topic.topic) ?? 0;
    for (const partition of topic.partitions) {
      const committed = (byPartition.get(`${topic.topic}/${partition.kafkaPartition}`) ?? []).filter(
        ({ tableVersion }) => tableVersion >= since,
      );
      report.committedOffsets += offsetsOf(committed);
      const there = committed.filter((range) => isThere(range, partition));
      report.comparedOffsets += offsetsOf(there);
      for (const stretch of stretches(there)) await compareStretch(stretch, topic, checks);
    }
  }
  return report;
}

function isThere(range: CommittedRange, { logStartOffset, highWatermark }: PartitionDescription): boolean {
  return range.startingOffset >= logStartOffset && range.endingOffset <= highWatermark;
}

/** Ranges each of which begins where the one before has ended, so that one read takes them all. */
function stretches(ranges: readonly CommittedRange[]): CommittedRange[][] {
  const all: CommittedRange[][] = [];
  for (const range of ranges) {
    const last = all.at(-1);
    if (last?.at(-1)?.endingOffset === range.startingOffset) last.push(range);
    else all.push([range]);
  }
  return all;
}

/** Where a stretch does not agree, its ranges are looked at one by one. */
async function compareStretch(
  stretch: readonly CommittedRange[],
  topic: TopicDescription,
  checks: KafkaRecordChecks,
): Promise<void> {
  const [first, last] = [stretch.at(0), stretch.at(-1)];
  if (first === undefined || last === undefined) return;
  const { kafkaPartition, startingOffset } = first;
  const range = { topic: topic.topic, kafkaPartition, startingOffset, endingOffset: last.endingOffset };
  const told = emptyAccounting();
  for (const { accounting } of stretch) addAccounting(told, accounting);
  const there = await readAgain(range, checks);
  const mayShrink = topic.compacted !== false;
  const readings = [there, tombstonesAsRows(there), readUncommitted(there)];
  if (readings.some((reading) => fits(told, reading, mayShrink))) return;
  if (first !== last) for (const one of stretch) await compareStretch([one], topic, checks);
  else
    checks.found.add(
      'kafkaRecords',
      {
        ...{ topic: topic.topic, kafkaPartition, tableVersion: first.tableVersion },
        ...{ startingOffset: String(startingOffset), endingOffset: String(range.endingOffset) },
      },
      `the version counts ${describe(fatesOf(told))}; Kafka has ${describe(there)}`,
    );
}

/** What offsets are without being decoded. */
interface Fates {
  /** Visible ones with a value. */
  readonly records: number;
  /** Undefined where they are among the records. */
  readonly tombstones: number | undefined;
  readonly markers: number;
  readonly aborted: number;
}

async function readAgain(range: OffsetRange, { source, onProgress }: KafkaRecordChecks): Promise<Fates> {
  const { topic, kafkaPartition, endingOffset } = range;
  const walk = new RangeWalk(range, 'read_committed', BATCH_BYTES_MAX);
  let tombstones = 0;
  const visitor = {
    record(_offset: number, _timestampMs: number, _buffer: Buffer, valueStart: number) {
      if (valueStart < 0) tombstones++;
    },
  };
  const options = {
    isolation: 'read_committed' as const,
    signal: new AbortController().signal,
    onLost: (_from: bigint, until: bigint) => walk.skipLost(until),
  };
  for await (const fetched of source.readRange(range, options)) {
    walk.begin(fetched);
    while (walk.next(visitor)) {}
    onProgress(`Kafka: ${topic}/${kafkaPartition} at offset ${walk.position} of ${endingOffset}`);
  }
  const { records, markers, aborted } = walk;
  return { records: records - tombstones, tombstones, markers, aborted };
}

/** As a pipeline counts that makes rows of tombstones. */
function tombstonesAsRows({ records, tombstones = 0, ...others }: Fates): Fates {
  return { ...others, records: records + tombstones, tombstones: undefined };
}

/** As a drain under `read_uncommitted` counts: a pipeline may have been one. */
function readUncommitted({ records, tombstones = 0, markers, aborted }: Fates): Fates {
  return { records: records + tombstones + aborted, tombstones: undefined, markers, aborted: 0 };
}

function fatesOf(told: Accounting): Fates & { readonly tombstones: number } {
  const { rows, deadLetters, dropped, filtered, tombstones, markers, aborted } = told;
  return { records: rows + deadLetters + dropped + filtered, tombstones, markers, aborted };
}

/** @param mayShrink whether the topic is compacted, or may be: of each kind some may be gone since */
function fits(accounting: Accounting, there: Fates, mayShrink: boolean): boolean {
  const told = fatesOf(accounting);
  const toldRecords = there.tombstones === undefined ? told.records + told.tombstones : told.records;
  const pairs = [
    [there.records, toldRecords],
    [there.tombstones ?? 0, there.tombstones === undefined ? 0 : told.tombstones],
    [there.markers, told.markers],
    [there.aborted, told.aborted],
  ] as const;
  return pairs.every(([now, then]) => (mayShrink ? now <= then : now === then));
}

function describe({ records, tombstones, markers, aborted }: Fates): string {
  return `${records} records with a value, ${tombstones} tombstones, ${markers} markers, ${aborted} records of aborted transactions`;
}

function offsetsOf(ranges: readonly CommittedRange[]): number {
  return ranges.reduce(
    (sum, { startingOffset, endingOffset }) => sum + Number(endingOffset - startingOffset),
    0,
  );
}
