import { firstEndingAfter, insertSpan, type Span, spansFromText, spansToText } from '../kafka/spans.ts';

/**
 * Dead letters by what identifies them for good: topic, Kafka partition, offset, and the epoch under which
 * they were read (after a topic that was created again is accepted, the same offset is another record).
 */
export interface LetterId {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly offset: bigint;
  readonly epoch: bigint;
}

/** Letters of one topic, Kafka partition and epoch. */
export interface LetterSpans {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly epoch: bigint;
  /** Ascending, apart from each other. */
  readonly spans: readonly Span[];
}

/** Any number of letters in the memory of their spans. */
export class LetterSet {
  private readonly byPartition = new Map<string, MutableSpans>();

  static of(letters: Iterable<LetterSpans>): LetterSet {
    const set = new LetterSet();
    set.addAll(letters);
    return set;
  }

  /** @returns false where the letter was there already */
  add(letter: LetterId): boolean {
    if (this.has(letter)) return false;
    insertSpan(this.spansOf(letter).spans, { from: letter.offset, until: letter.offset + 1n });
    return true;
  }

  addAll(letters: Iterable<LetterSpans>): void {
    for (const { spans, ...partition } of letters) {
      const into = this.spansOf(partition);
      for (const span of spans) insertSpan(into.spans, span);
    }
  }

  has(letter: LetterId): boolean {
    const spans = this.byPartition.get(keyOf(letter))?.spans ?? [];
    const span = spans[firstEndingAfter(spans, letter.offset)];
    return span !== undefined && span.from <= letter.offset;
  }

  get size(): number {
    return countLetters(this.byPartition.values());
  }

  /** By topic, Kafka partition and epoch, so that the same letters are the same list. */
  toSpans(): LetterSpans[] {
    return [...this.byPartition.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, s]) => s);
  }

  private spansOf(partition: Omit<LetterId, 'offset'>): MutableSpans {
    const key = keyOf(partition);
    const { topic, kafkaPartition, epoch } = partition;
    const known = this.byPartition.get(key) ?? { topic, kafkaPartition, epoch, spans: [] };
    this.byPartition.set(key, known);
    return known;
  }
}

interface MutableSpans extends LetterSpans {
  readonly spans: Span[];
}

/** "/" cannot occur in a topic name, so no two keys meet. */
function keyOf({ topic, kafkaPartition, epoch }: Omit<LetterId, 'offset'>): string {
  return `${topic}/${kafkaPartition}/${epoch}`;
}

export function countLetters(letters: Iterable<LetterSpans>): number {
  let count = 0n;
  for (const { spans } of letters) for (const { from, until } of spans) count += until - from;
  return Number(count);
}

/** As `commitInfo` and documents hold letters: offsets as text, `17,20-23`, the last of a span included. */
export interface LettersJson {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly epoch: string;
  readonly offsets: string;
}

export function lettersToJson(letters: readonly LetterSpans[]): LettersJson[] {
  return letters.map(({ topic, kafkaPartition, epoch, spans }) => ({
    topic,
    kafkaPartition,
    epoch: String(epoch),
    offsets: spansToText(spans),
  }));
}

export function lettersFromJson(letters: readonly LettersJson[]): LetterSpans[] {
  return letters.map(({ topic, kafkaPartition, epoch, offsets }) => ({
    topic,
    kafkaPartition,
    epoch: BigInt(epoch),
    spans: spansFromText(offsets),
  }));
}
