import type { LedgerJson } from '../commits/batch-record.ts';
import { LetterSet, type LettersJson, lettersFromJson } from '../commits/letters.ts';
import { movesOffsets, traitsOf } from '../delta/kinds.ts';
import type { LedgerVersion } from '../delta/ledger.ts';
import { type Span, spansFromText } from '../kafka/spans.ts';
import { ACCOUNTING_TERMS, type AccountingTerm } from '../records/accounting.ts';
import { Timeline } from '../verify/timeline.ts';
import { type Origin, originOf } from './origin.ts';

export interface TracedOffset {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly offset: bigint;
}

/** One reading of the offset: under every epoch it may have been another record. */
export interface Reading {
  readonly origin: Origin;
  readonly epoch: bigint;
  readonly range: LedgerJson;
  /** Whether it is part of the table as it is: no RESTORE took it back. */
  readonly isCurrent: boolean;
  /** What it may have become, by the range's accounting: one, or those among which the ledger cannot tell. */
  readonly possible: readonly AccountingTerm[];
  /** Files that may hold its row, as they are now or were last; by path. */
  readonly files: ReadonlySet<string>;
  /** Versions that have replaced such a file since, oldest first. */
  readonly steps: readonly Step[];
  readonly retried: Origin | undefined;
}

export interface Step extends Origin {
  /**
   * Whether the row must have been in what was replaced, or may have been in another file of the same
   * version.
   */
  readonly isCertain: boolean;
  /** Whether rows could be lost by it: an update, a delete, a RESTORE. */
  readonly dataChange: boolean;
}

/** A move by a person's answer that passed over the offset, or took it back. */
export interface Skipped {
  readonly origin: Origin;
  readonly answer: string;
}

/**
 * Follows one offset through all versions: which ranges cover it, what was made of their files since, which
 * retry took it up. Holds what concerns this offset alone.
 */
export class OffsetTrace {
  committedOffset: bigint | undefined;
  readonly skipped: Skipped[] = [];
  private readonly traced: TracedOffset;
  private readonly timeline = new Timeline();
  private readonly readings: MutableReading[] = [];
  private epoch = 0n;

  constructor(traced: TracedOffset) {
    this.traced = traced;
  }

  take(version: LedgerVersion): void {
    const { tableVersion, commitInfo, txns } = version;
    this.timeline.take(tableVersion, commitInfo);
    this.epoch = BigInt(txns['tidemark/epoch'] ?? this.epoch);
    for (const reading of this.readings) follow(reading, version);
    const entries = movesOffsets(commitInfo) ? ((commitInfo?.ledger ?? []) as LedgerJson[]) : [];
    for (const entry of entries) if (this.isAbout(entry)) this.takeEntry(version, entry);
    if (traitsOf(commitInfo?.tidemark)?.letters === 'retried') this.takeRetry(version);
  }

  end(): readonly Reading[] {
    return this.readings.map((reading) => ({
      ...reading,
      isCurrent: this.timeline.counts(reading.origin.tableVersion),
    }));
  }

  private isAbout({ topic, kafkaPartition }: LedgerJson): boolean {
    return topic === this.traced.topic && kafkaPartition === this.traced.kafkaPartition;
  }

  private takeEntry(version: LedgerVersion, entry: LedgerJson): void {
    const { offset } = this.traced;
    const [start, end] = [BigInt(entry.startingOffset ?? entry.readFrom), BigInt(entry.endingOffset)];
    this.committedOffset = end < 0n ? undefined : end;
    if (entry.jump === true) {
      const isPassedOver = end > start ? start <= offset && offset < end : false;
      if (isPassedOver)
        this.skipped.push({ origin: originOf(version), answer: String(version.commitInfo?.answer) });
      return;
    }
    if (offset < start || offset >= end) return;
    this.readings.push({
      origin: originOf(version),
      epoch: this.epoch,
      range: entry,
      possible: possibleTerms(entry, offset),
      files: new Set(version.adds.map(({ path }) => path)),
      steps: [],
      retried: undefined,
    });
  }

  private takeRetry(version: LedgerVersion): void {
    const letters = LetterSet.of(lettersFromJson((version.commitInfo?.retried ?? []) as LettersJson[]));
    for (const reading of this.readings) {
      if (!letters.has({ ...this.traced, epoch: reading.epoch })) continue;
      reading.retried = originOf(version);
      for (const { path } of version.adds) reading.files.add(path);
    }
  }
}

interface MutableReading extends Omit<Reading, 'isCurrent' | 'files' | 'steps' | 'retried'> {
  readonly files: Set<string>;
  readonly steps: Step[];
  retried: Origin | undefined;
}

/**
 * The ledger names lost offsets one by one, as far as it keeps them; of everything else it has only counts.
 */
function possibleTerms(entry: LedgerJson, offset: bigint): AccountingTerm[] {
  const lost = entry.lostOffsets === undefined ? [] : spansFromText(entry.lostOffsets);
  if (offset < BigInt(entry.readFrom) || lost.some((span) => span.from <= offset && offset < span.until))
    return ['lost'];
  const isLostTold = entry.lostOffsets !== undefined && sumOf(lost) === (entry.lost ?? 0);
  const lostBefore = Number(BigInt(entry.readFrom) - BigInt(entry.startingOffset ?? entry.readFrom));
  return ACCOUNTING_TERMS.filter((term) => {
    if (term === 'lost') return !isLostTold && (entry.lost ?? 0) > lostBefore;
    return (entry[term] ?? 0) > 0;
  });
}

function sumOf(spans: readonly Span[]): number {
  return spans.reduce((sum, { from, until }) => sum + Number(until - from), 0);
}

/** Rows stay in their table partition, so outputs of another one cannot hold it. */
function follow(reading: MutableReading, version: LedgerVersion): void {
  const touched = version.removes.filter(({ path }) => reading.files.has(path));
  if (touched.length === 0) return;
  const isCertain = touched.length === reading.files.size;
  const dataChange = touched.some((remove) => remove.dataChange);
  for (const { path } of touched) reading.files.delete(path);
  for (const { path } of version.adds) reading.files.add(path);
  reading.steps.push({ ...originOf(version), isCertain, dataChange });
}
