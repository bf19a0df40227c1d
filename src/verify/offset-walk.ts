import type { LedgerJson } from '../commits/batch-record.ts';
import { type LetterSpans, type LettersJson, lettersFromJson } from '../commits/letters.ts';
import { RETRIED_APP_ID } from '../commits/pipeline-state.ts';
import { movesOffsets, traitsOf } from '../delta/kinds.ts';
import type { LedgerVersion } from '../delta/ledger.ts';
import {
  ACCOUNTING_TERMS,
  type Accounting,
  accountedOffsets,
  emptyAccounting,
} from '../records/accounting.ts';
import type { Finder } from './disagreements.ts';

/** A range as its version has committed it. */
export interface CommittedRange {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly epoch: bigint;
  /** Inclusive; from here on every offset is accounted for. */
  readonly startingOffset: bigint;
  /** Exclusive. */
  readonly endingOffset: bigint;
  /** Of `accounting`, or those of them that a check is about. */
  readonly rows: number;
  readonly deadLetters: number;
  readonly accounting: Accounting;
  readonly tableVersion: number;
}

/** Letters that a version has made rows of, all but the filtered ones. */
export interface CommittedRetry {
  readonly tableVersion: number;
  readonly letters: readonly LetterSpans[];
  readonly rows: number;
  readonly filtered: number;
}

const OFFSET_APP_ID = /^tidemark\/([^/]+)\/(\d+)$/;
const TOPIC_ID_APP_ID = /^tidemark\/([^/]+)\/id$/;

/**
 * Walks the ledger from its first version on: each range begins where the last one of its partition ended,
 * adds up, and is what the version's `txn`s say; `txn`s fall by a person's answer alone.
 */
export class OffsetWalk {
  readonly ranges: CommittedRange[] = [];
  readonly retries: CommittedRetry[] = [];
  /** By topic, the version that has taken up its present identity. */
  readonly topicSince = new Map<string, number>();
  /** Per `topic/partition` the next offset, null where there is none; absent before its first entry. */
  private readonly positions = new Map<string, bigint | null>();
  private readonly txns = new Map<string, bigint>();
  private readonly found: Finder;
  private readonly isWhole: boolean;
  private epoch = 0n;

  /**
   * @param isWhole whether the walk begins at version 0: else a partition's first range may begin anywhere
   */
  constructor(found: Finder, isWhole: boolean) {
    this.found = found;
    this.isWhole = isWhole;
  }

  take(version: LedgerVersion): void {
    const { tableVersion, commitInfo, txns } = version;
    const entries = movesOffsets(commitInfo) ? ((commitInfo?.ledger ?? []) as LedgerJson[]) : [];
    const traits = traitsOf(commitInfo?.tidemark);
    const ends = new Map<string, bigint>();
    this.epoch = BigInt(txns['tidemark/epoch'] ?? this.epoch);
    for (const entry of entries) {
      ends.set(`${entry.topic}/${entry.kafkaPartition}`, BigInt(entry.endingOffset));
      this.takeEntry(tableVersion, entry);
    }
    this.takeTxns(version, ends, traits?.offsets === 'answered');
    if (traits?.letters === 'retried') this.takeRetry(version);
  }

  /** Compares what the ledger has led to with the table's own `txn`s. */
  end({
    tableVersion,
    txns,
  }: {
    readonly tableVersion: number;
    readonly txns: ReadonlyMap<string, bigint>;
  }): void {
    for (const [key, position] of this.positions) {
      const txn = txns.get(`tidemark/${key}`);
      if (txn === (position ?? -1n) || (txn === undefined && position === null)) continue;
      this.found.add(
        'txn',
        { ...placeOf(key), tableVersion },
        `the table's next offset is ${txn ?? 'gone'}, the ledger's last range ends at ${position ?? 'none'}`,
      );
    }
    for (const [appId, txn] of txns) {
      const [, topic, partition] = OFFSET_APP_ID.exec(appId) ?? [];
      const isUnknown = topic !== undefined && !this.positions.has(`${topic}/${partition}`);
      if (isUnknown && this.isWhole && txn >= 0n)
        this.found.add(
          'txn',
          { ...placeOf(`${topic}/${partition}`), tableVersion },
          `the table's next offset is ${txn}, but the ledger has no range of this Kafka partition`,
        );
    }
  }

  private takeEntry(tableVersion: number, entry: LedgerJson): void {
    const { topic, kafkaPartition, jump } = entry;
    const key = `${topic}/${kafkaPartition}`;
    const start = entry.startingOffset === null ? null : BigInt(entry.startingOffset);
    const [readFrom, end] = [BigInt(entry.readFrom), BigInt(entry.endingOffset)];
    const place = {
      tableVersion,
      topic,
      kafkaPartition,
      startingOffset: String(start ?? readFrom),
      endingOffset: String(end),
    };
    const position = this.positions.has(key) ? this.positions.get(key) : this.isWhole ? null : undefined;
    if (position !== undefined && position !== start) this.found.add(...untiled(place, start, position));
    this.positions.set(key, end < 0n ? null : end);
    if (jump === true) return;

    const accounting = emptyAccounting();
    for (const term of ACCOUNTING_TERMS) accounting[term] = entry[term] ?? 0;
    const accounted = accountedOffsets(accounting);
    const offsets = end - (start ?? readFrom);
    const isCount = (term: number) => Number.isSafeInteger(term) && term >= 0;
    if (!Object.values(accounting).every(isCount) || BigInt(accounted) !== offsets) {
      this.found.add(
        'accounting',
        place,
        `${offsets} offsets, ${accounted} accounted for (${describe(entry)})`,
      );
    }
    this.ranges.push({
      ...{ topic, kafkaPartition, tableVersion, epoch: this.epoch },
      ...{ startingOffset: start ?? readFrom, endingOffset: end },
      ...{ accounting, rows: accounting.rows, deadLetters: accounting.deadLetters },
    });
  }

  private takeTxns(
    { tableVersion, txns }: LedgerVersion,
    ends: Map<string, bigint>,
    isAnswer: boolean,
  ): void {
    for (const [appId, text] of Object.entries(txns)) {
      if (!appId.startsWith('tidemark/')) continue;
      const version = BigInt(text);
      const before = this.txns.get(appId);
      this.txns.set(appId, version);
      const [, identified] = TOPIC_ID_APP_ID.exec(appId) ?? [];
      if (identified !== undefined && before !== version) this.topicSince.set(identified, tableVersion);
      const [, topic, partition] = OFFSET_APP_ID.exec(appId) ?? [];
      const place = { tableVersion, ...(topic === undefined ? {} : placeOf(`${topic}/${partition}`)) };
      if (before !== undefined && version < before && !isAnswer && identified === undefined)
        this.found.add(
          'txnSetBack',
          place,
          `txn ${appId} falls from ${before} to ${version} without a repair`,
        );
      else if (topic !== undefined && ends.get(`${topic}/${partition}`) !== version) {
        const told = ends.get(`${topic}/${partition}`);
        this.found.add(
          'txn',
          place,
          `txn ${appId} is set to ${version}, the version's ledger ${told === undefined ? 'has no range of it' : `ends at ${told}`}`,
        );
      }
    }
    for (const [key, end] of ends) {
      if (txns[`tidemark/${key}`] === undefined)
        this.found.add(
          'txn',
          { tableVersion, ...placeOf(key) },
          `the ledger ends at ${end}, but no txn is set to it`,
        );
    }
  }

  private takeRetry({ tableVersion, commitInfo, txns }: LedgerVersion): void {
    const letters = lettersFromJson((commitInfo?.retried ?? []) as LettersJson[]);
    const { rows = 0, filtered = 0 } = (commitInfo?.totals ?? {}) as { rows?: number; filtered?: number };
    this.retries.push({ tableVersion, letters, rows, filtered });
    if (txns[RETRIED_APP_ID] !== String(tableVersion))
      this.found.add(
        'txn',
        { tableVersion },
        `a retry of dead letters has set ${RETRIED_APP_ID} to ${txns[RETRIED_APP_ID] ?? 'nothing'}`,
      );
  }
}

type Place = { readonly tableVersion: number; readonly topic: string; readonly kafkaPartition: number };

function untiled(place: Place, start: bigint | null, position: bigint | null): Parameters<Finder['add']> {
  if (start !== null && position !== null) {
    const [check, what] =
      start > position
        ? (['ledgerGap', 'left out'] as const)
        : (['ledgerOverlap', 'committed twice'] as const);
    const [from, until] = start > position ? [position, start] : [start, position];
    return [
      check,
      { ...place, startingOffset: String(from), endingOffset: String(until) },
      `the range of version ${place.tableVersion} begins at ${start}, the one before ended at ${position}: ${until - from} offsets are ${what}`,
    ];
  }
  const [now, before] = [start, position].map((offset) =>
    offset === null ? 'as if nothing had been read' : `at ${offset}`,
  );
  return [
    'ledgerGap',
    place,
    `the range of version ${place.tableVersion} begins ${now}, the ledger stood ${before}`,
  ];
}

function placeOf(key: string): { topic: string; kafkaPartition: number } {
  const [topic = '', partition] = key.split('/');
  return { topic, kafkaPartition: Number(partition) };
}

function describe(terms: Partial<Accounting>): string {
  const named = ACCOUNTING_TERMS.filter((term) => (terms[term] ?? 0) !== 0).map(
    (term) => `${term} ${terms[term]}`,
  );
  return named.join(', ') || 'nothing';
}
