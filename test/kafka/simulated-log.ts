/**
 * A partition's log as a naive model: one fate per offset. It is encoded into batches, and served as a broker
 * serves it: whole batches from the one that holds the position on, the last one perhaps cut off, with the
 * aborted transactions that overlap, in the order of their markers.
 */
import type { FetchedBatches } from '../../src/kafka/source.ts';
import { encodeBatch, encodeMarker } from './batches.ts';

/** `gap`: an offset that no record has any more. */
export type Fate = 'record' | 'marker' | 'aborted' | 'gap';

export interface LogBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly bytes: Buffer;
}

export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
  /** Of the marker. */
  readonly lastOffset: bigint;
}

/** An int32 key 0 looks like the key of an abort marker; only the batch's attributes tell. */
const KEY_ZERO = Buffer.from([0, 0, 0, 0]);

export class SimulatedLog {
  readonly fates: Fate[] = [];
  readonly batches: LogBatch[] = [];
  readonly #aborted: AbortedTransaction[] = [];
  readonly #open = new Map<number, { firstOffset: number; offsets: number[] }>();

  get end(): number {
    return this.fates.length;
  }

  hasOpenTransaction(producerId: number): boolean {
    return this.#open.has(producerId);
  }

  /**
   * @param kept which of the batch's records compaction has left; a batch without any stays as an empty one
   * @param producerId of a transaction; undefined for a plain batch
   */
  append(
    kept: readonly boolean[],
    producerId?: number,
    compression?: { codec: number; compress: (b: Buffer) => Buffer },
  ): void {
    const baseOffset = this.end;
    const records = kept.flatMap((isKept, offsetDelta) =>
      isKept ? [{ offsetDelta, value: `v${baseOffset + offsetDelta}`, key: KEY_ZERO }] : [],
    );
    const transactional = producerId !== undefined;
    const bytes = encodeBatch({
      baseOffset,
      records,
      lastOffsetDelta: kept.length - 1,
      transactional,
      ...(transactional && { producerId }),
      ...(records.length > 0 && compression),
    });
    this.#push(bytes, kept.length);
    this.fates.push(...kept.map((isKept): Fate => (isKept ? 'record' : 'gap')));
    if (!transactional) return;
    const open = this.#open.get(producerId) ?? { firstOffset: baseOffset, offsets: [] };
    open.offsets.push(...records.map(({ offsetDelta }) => baseOffset + offsetDelta));
    this.#open.set(producerId, open);
  }

  finish(producerId: number, type: 'abort' | 'commit'): void {
    const offset = this.end;
    this.#push(encodeMarker(offset, producerId, type), 1);
    this.fates.push('marker');
    const open = this.#open.get(producerId);
    this.#open.delete(producerId);
    if (open === undefined || type === 'commit') return;
    for (const aborted of open.offsets) this.fates[aborted] = 'aborted';
    this.#aborted.push({
      producerId: BigInt(producerId),
      firstOffset: BigInt(open.firstOffset),
      lastOffset: BigInt(offset),
    });
  }

  /** Offsets without any batch: what compaction leaves where it drops whole batches. */
  hole(offsets: number): void {
    for (let i = 0; i < offsets; i++) this.fates.push('gap');
  }

  /** At least the first batch is whole, as from Kafka 0.10.1 on. */
  fetch(position: number, maxBytes: number): FetchedBatches {
    const from = this.batches.filter(({ lastOffset }) => lastOffset >= position);
    const bytes = Buffer.concat(from.map(({ bytes }) => bytes));
    const records = bytes.subarray(0, Math.max(maxBytes, from[0]?.bytes.length ?? 0));
    let read = 0;
    const last = from.find(({ bytes }) => {
      read += bytes.length;
      return read >= records.length;
    });
    const upper = last?.lastOffset ?? position;
    const abortedTransactions = this.#aborted.filter(
      ({ firstOffset, lastOffset }) => lastOffset >= BigInt(position) && firstOffset <= BigInt(upper),
    );
    return { records, abortedTransactions };
  }

  #push(bytes: Buffer, offsets: number): void {
    this.batches.push({ baseOffset: this.end, lastOffset: this.end + offsets - 1, bytes });
  }
}
