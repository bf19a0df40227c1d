import { larger, smaller } from '../kafka/ranges.ts';
import { firstEndingAfter, type Span } from '../kafka/spans.ts';
import type { CommittedRange, CommittedRetry } from './offset-walk.ts';

/**
 * Ranges that overlap, so that their rows cannot be distinguished: a single range, unless a topic that was
 * created again was accepted.
 */
export interface RangeGroup {
  readonly ranges: readonly CommittedRange[];
  /** At least and at most: some retried letters may have been filtered, and the ledger does not say which. */
  readonly rowsMin: number;
  readonly rowsMax: number;
  found: number;
  /** Whether an offset of it is there more often than it may be. */
  isRepeated: boolean;
}

/** Offsets of one Kafka partition that the same ranges cover. */
interface Segment extends Span {
  /** How often an offset of it may be there: once per range that covers it, each of another epoch. */
  readonly times: number;
  readonly group: RangeGroup;
}

interface KafkaPlace {
  readonly topic: string;
  readonly kafkaPartition: number;
}

/** 64 neighbouring offsets, from `64 * word` on. */
export interface Word extends KafkaPlace {
  readonly word: bigint;
  /** Which of them are there, the lowest bit first. */
  readonly bits: bigint;
  /** How many rows have one of them. */
  readonly count: number;
}

/** Offsets some of which are there more often than their bits tell: they are to be looked at one by one. */
export interface Suspicion extends KafkaPlace, Span {
  /** Those that are there more often than this are of interest. */
  readonly moreThan: number;
  /** Whether every row of them was counted. */
  readonly isCounted: boolean;
}

const WORD = 64n;

/**
 * Compares the offsets that rows have with the ranges that stand for them. Takes the rows as bits, by
 * ascending words; holds the ranges alone.
 */
export class Coverage {
  /** Rows with offsets that no range covers. */
  strays = 0;
  readonly groups: readonly RangeGroup[];
  readonly suspicions: Suspicion[] = [];
  private readonly byPartition: ReadonlyMap<string, readonly Segment[]>;

  constructor(ranges: readonly CommittedRange[], retries: readonly CommittedRetry[]) {
    const retried = retriedSpans(retries);
    const grouped = [...Map.groupBy(ranges, keyOf)].map(
      ([key, ofPartition]) =>
        [key, overlapping(ofPartition).map((group) => rangeGroup(group, retried))] as const,
    );
    this.groups = grouped.flatMap(([, groups]) => groups);
    this.byPartition = new Map(grouped.map(([key, groups]) => [key, groups.flatMap(segmentsOf)]));
  }

  take(word: Word): void {
    const { bits, count } = word;
    const from = word.word * WORD;
    const until = from + WORD;
    const segments = this.byPartition.get(keyOf(word)) ?? [];
    const first = firstEndingAfter(segments, from);
    const segment = segments[first];
    const isWithin = segment !== undefined && segment.from <= from && until <= segment.until;
    const distinct = bitCount(bits);
    if (isWithin) segment.group.found += count;
    else this.takePieces(bits, from, segments.slice(first, firstEndingAfter(segments, until) + 1));
    if (count > distinct) this.suspect(word, from, isWithin ? segment.times : undefined);
  }

  /**
   * What the look at a suspicion has found: an offset and how many rows have it.
   *
   * @returns whether it is there more often than it may be
   */
  takeRepeated({ isCounted, ...place }: Suspicion, offset: bigint, count: number): boolean {
    const segments = this.byPartition.get(keyOf(place)) ?? [];
    const at = segments[firstEndingAfter(segments, offset)];
    const segment = at !== undefined && at.from <= offset ? at : undefined;
    if (!isCounted && segment !== undefined) segment.group.found += count - 1;
    if (!isCounted && segment === undefined) this.strays += count - 1;
    if (segment === undefined || count <= segment.times) return false;
    segment.group.isRepeated = true;
    return true;
  }

  private takePieces(bits: bigint, from: bigint, segments: readonly Segment[]): void {
    let rest = bitCount(bits);
    for (const segment of segments) {
      const inside = bitCount(bits & maskOf(segment, from));
      segment.group.found += inside;
      rest -= inside;
    }
    this.strays += rest;
  }

  private suspect({ topic, kafkaPartition }: Word, from: bigint, times: number | undefined): void {
    const suspicion = {
      ...{ topic, kafkaPartition, from, until: from + WORD },
      ...{ moreThan: times ?? 1, isCounted: times !== undefined },
    };
    const last = this.suspicions.at(-1);
    const continues =
      last?.until === from &&
      keyOf(last) === keyOf(suspicion) &&
      last.isCounted === suspicion.isCounted &&
      last.moreThan === suspicion.moreThan;
    if (continues) this.suspicions[this.suspicions.length - 1] = { ...last, until: suspicion.until };
    else this.suspicions.push(suspicion);
  }
}

/** "/" cannot occur in a topic name, so no two keys meet. */
function keyOf({ topic, kafkaPartition }: KafkaPlace): string {
  return `${topic}/${kafkaPartition}`;
}

/** Ascending groups of ranges that overlap each other. */
function overlapping(ranges: readonly CommittedRange[]): CommittedRange[][] {
  const groups: CommittedRange[][] = [];
  let end = -1n;
  for (const range of [...ranges].sort((a, b) => compare(a.startingOffset, b.startingOffset))) {
    if (range.startingOffset === range.endingOffset) continue;
    if (range.startingOffset < end) groups.at(-1)?.push(range);
    else groups.push([range]);
    end = larger(end, range.endingOffset);
  }
  return groups;
}

function rangeGroup(ranges: readonly CommittedRange[], retried: RetriedSpans): RangeGroup {
  let [rowsMin, rowsMax] = [0, 0];
  for (const range of ranges) {
    const { certain, possible } = lettersIn(range, retried);
    rowsMin += range.rows + certain;
    rowsMax += range.rows + possible;
  }
  return { ranges, rowsMin, rowsMax, found: 0, isRepeated: false };
}

function lettersIn(range: CommittedRange, retried: RetriedSpans): { certain: number; possible: number } {
  const spans = retried.get(`${keyOf(range)}/${range.epoch}`) ?? [];
  let [certain, possible] = [0n, 0n];
  for (let at = firstEndingAfter(spans, range.startingOffset); at < spans.length; at++) {
    const span = spans[at] as RetriedSpan;
    if (span.from >= range.endingOffset) break;
    const letters = smaller(span.until, range.endingOffset) - larger(span.from, range.startingOffset);
    possible += letters;
    if (span.isCertain) certain += letters;
  }
  return { certain: Number(certain), possible: Number(possible) };
}

/** Cut where a range of the group begins or ends. */
function segmentsOf(group: RangeGroup): Segment[] {
  const [only, ...others] = group.ranges;
  if (only !== undefined && others.length === 0)
    return [{ from: only.startingOffset, until: only.endingOffset, times: 1, group }];
  const cuts = [...new Set(group.ranges.flatMap((range) => [range.startingOffset, range.endingOffset]))].sort(
    compare,
  );
  return cuts.slice(0, -1).map((from, index) => {
    const times = group.ranges.filter(
      (range) => range.startingOffset <= from && from < range.endingOffset,
    ).length;
    return { from, until: cuts[index + 1] ?? from, times, group };
  });
}

interface RetriedSpan extends Span {
  /** Whether each of its letters is a row: none of that retry was filtered. */
  readonly isCertain: boolean;
}

/** By topic, Kafka partition and epoch; ascending, since no letter is retried twice. */
type RetriedSpans = ReadonlyMap<string, readonly RetriedSpan[]>;

function retriedSpans(retries: readonly CommittedRetry[]): RetriedSpans {
  const byPartition = new Map<string, RetriedSpan[]>();
  for (const { letters, filtered } of retries) {
    for (const { spans, epoch, ...place } of letters) {
      const key = `${keyOf(place)}/${epoch}`;
      const known = byPartition.get(key) ?? [];
      known.push(...spans.map((span) => ({ ...span, isCertain: filtered === 0 })));
      byPartition.set(key, known);
    }
  }
  for (const spans of byPartition.values()) spans.sort((a, b) => compare(a.from, b.from));
  return byPartition;
}

/** The bits of the word from `from` on that lie in `span`. */
function maskOf(span: Span, from: bigint): bigint {
  const [start, end] = [larger(span.from - from, 0n), smaller(span.until - from, WORD)];
  return end <= start ? 0n : ((1n << (end - start)) - 1n) << start;
}

function bitCount(bits: bigint): number {
  return bitCount32(Number(bits & 0xffffffffn)) + bitCount32(Number(bits >> 32n));
}

function bitCount32(bits: number): number {
  const pairs = bits - ((bits >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
