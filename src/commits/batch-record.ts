import { commitInfoAs } from '../delta/kinds.ts';
import type { CommittedVersion } from '../delta/version.ts';
import { ACCOUNTING_TERMS, type Accounting, emptyAccounting } from '../records/accounting.ts';

/**
 * What our own `commitInfo`s hold: the ledger. Every committed range is in one of them, ranges without a row
 * too. Offsets are decimal strings, since most JSON readers round beyond 2^53; terms of the accounting that
 * are 0 are left out.
 */

/** One partition's share of a committed batch. */
export interface LedgerEntry {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** Inclusive; undefined where the partition had none before. */
  readonly startingOffset: bigint | undefined;
  /** First offset that was read: differs from `startingOffset` only after accepted loss. */
  readonly readFrom: bigint;
  /** Exclusive: the next offset to read. */
  readonly endingOffset: bigint;
  readonly accounting: Accounting;
  /**
   * Where the `lost` ones lie, as `spansToText` tells it; the first 100 spans, and none in tables of earlier
   * versions.
   */
  readonly lostOffsets?: string;
}

/** A committed batch, as its table version tells it. */
export interface BatchRecord {
  readonly tableVersion: number;
  readonly batchId: string;
  readonly run: string;
  readonly timestampMs: number;
  readonly partitions: readonly LedgerEntry[];
  readonly totals: BatchTotals;
}

export interface BatchTotals extends Accounting {
  /** Sum of `endingOffset - startingOffset`. */
  readonly offsets: number;
  readonly files: number;
  readonly bytes: number;
  /** Times that lost what is finer than a microsecond; absent where none did. */
  readonly truncatedTimestamps?: number;
}

export function ledgerToJson(partitions: readonly LedgerEntry[]): unknown[] {
  return partitions.map(({ topic, kafkaPartition, startingOffset, readFrom, endingOffset, ...counted }) => ({
    topic,
    kafkaPartition,
    startingOffset: startingOffset?.toString() ?? null,
    readFrom: readFrom.toString(),
    endingOffset: endingOffset.toString(),
    ...Object.fromEntries(
      ACCOUNTING_TERMS.filter((term) => counted.accounting[term] !== 0).map((term) => [
        term,
        counted.accounting[term],
      ]),
    ),
    ...(counted.lostOffsets === undefined ? {} : { lostOffsets: counted.lostOffsets }),
  }));
}

/** The batch that a version committed; undefined where the version is not a drain of ours. */
export function readBatchRecord(version: CommittedVersion): BatchRecord | undefined {
  const info = commitInfoAs('drain', version);
  return (
    info && {
      tableVersion: version.tableVersion,
      batchId: info.batchId,
      run: String(info.run),
      timestampMs: Number(info.timestamp),
      partitions: (info.ledger as LedgerJson[]).map(readLedgerEntry),
      totals: info.totals as BatchTotals,
    }
  );
}

/** An entry of a `ledger` in `commitInfo`. */
export type LedgerJson = {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly startingOffset: string | null;
  readonly readFrom: string;
  readonly endingOffset: string;
  readonly lostOffsets?: string;
  /** Of a repair: no range of offsets, nothing to add up. */
  readonly jump?: boolean;
} & Partial<Accounting>;

function readLedgerEntry(entry: LedgerJson): LedgerEntry {
  const accounting = emptyAccounting();
  for (const term of ACCOUNTING_TERMS) accounting[term] = entry[term] ?? 0;
  return {
    topic: entry.topic,
    kafkaPartition: entry.kafkaPartition,
    startingOffset: entry.startingOffset === null ? undefined : BigInt(entry.startingOffset),
    readFrom: BigInt(entry.readFrom),
    endingOffset: BigInt(entry.endingOffset),
    accounting,
    ...(entry.lostOffsets === undefined ? {} : { lostOffsets: entry.lostOffsets }),
  };
}
