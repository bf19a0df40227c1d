/**
 * The walk over raw record batches (Kafka protocol, "Record Batch", magic 2): the hot path of the source.
 *
 * No object per record: visitors get positions in a buffer. Crawler records of 640 bytes, checksum included,
 * in records per CPU second: 1,700,000 uncompressed, 1,100,000 lz4 and snappy, 800,000 zstd, 450,000 gzip;
 * kafkajs's parsed fetch takes 180,000 to 250,000 uncompressed ones.
 */
import { assert, Failure } from '../errors.ts';
import { decompress } from './codecs.ts';
import { crc32c } from './crc32c.ts';
import type { FetchedBatches, OffsetRange, ReadOptions } from './source.ts';
import { SPANS_KEPT } from './spans.ts';

/**
 * Takes each visible record of a range, in order.
 *
 * `buffer` is only lent: it holds until `record` returns. Copy what you keep (a later walk may reuse the
 * memory, and a slice would keep megabytes alive).
 */
export interface RecordVisitor {
  /**
   * @param offset of the record
   * @param timestampMs of the record, or of its append where the topic says LogAppendTime; exact up to 2^53
   * @param valueStart -1 for a null value (a tombstone), else where the value begins in `buffer`
   * @param valueEnd exclusive
   * @param keyStart -1 for a null key
   * @param keyEnd exclusive
   * @param headersStart where the headers lie: their count as a varint, then each key and value;
   *   `RecordHeaders` reads them
   * @param headersEnd exclusive
   */
  record(
    offset: number,
    timestampMs: number,
    buffer: Buffer,
    valueStart: number,
    valueEnd: number,
    keyStart: number,
    keyEnd: number,
    headersStart: number,
    headersEnd: number,
  ): void;

  /**
   * Whether the visitor wants a pause to make room; absent: never. Asked between batches and at least once in
   * `CHECK_BYTES` of records, so it has to be cheap, and to take that much more.
   */
  readonly isFull?: boolean;
}

/**
 * Walks one range through as many fetches as it takes: `begin` a fetch, then `next` until it says that no
 * more is to come.
 *
 * At any time `position - startingOffset` is `records + markers + aborted + gaps + lost`: every offset is
 * counted once, where it is met, those before and after the range never. `complete` says that the whole range
 * is behind us, whatever lies at its end.
 *
 * Beside the fetch it holds one decompressed batch, in memory that all walks of a thread share: one may pause
 * while others do not walk.
 *
 * `next` throws KAFKA_CORRUPT_BATCH (checksum, lengths, order), KAFKA_UNSUPPORTED_RECORD_FORMAT (magic 0 and
 * 1, unknown codec) and KAFKA_BATCH_TOO_LARGE; after a throw, also of the visitor, the walk is useless. The
 * checksum does not cover a batch's base offset; a wrong one is refused where it goes back, and a gap where
 * it goes forward.
 */
export class RangeWalk {
  /** Visible records, tombstones included. */
  records = 0;
  /** Transaction markers. */
  markers = 0;
  /** Records of aborted transactions; none under `read_uncommitted`. */
  aborted = 0;
  /** Offsets that no record has any more: compacted ones, and what an empty batch or its edges stand for. */
  gaps = 0;
  /** Offsets that were passed to `skipLost`. */
  lost = 0;
  /** Where gaps and lost offsets lie: the first `SPANS_KEPT` of each. */
  readonly gapSpans: WalkedSpan[] = [];
  readonly lostSpans: WalkedSpan[] = [];

  readonly #range: OffsetRange;
  readonly #endingOffset: number;
  readonly #committedOnly: boolean;
  readonly #maxBatchBytes: number;
  #position: number;

  /** The fetch being walked, and where its next batch begins. */
  #fetched = NOTHING_FETCHED;
  #aborts = new AbortedProducers([]);
  #start = 0;
  /** The batch in which the walk stands. */
  #batch: OpenBatch | undefined;

  /** @param maxBatchBytes bound of one decompressed batch */
  constructor(range: OffsetRange, isolation: ReadOptions['isolation'], maxBatchBytes: number) {
    this.#range = range;
    this.#position = safeNumber(range.startingOffset);
    this.#endingOffset = safeNumber(range.endingOffset);
    assert(this.#position <= this.#endingOffset, `${range.topic} ends before it begins`);
    this.#committedOnly = isolation === 'read_committed';
    this.#maxBatchBytes = maxBatchBytes;
  }

  /** Next offset to be met, at most the range's end. */
  get position(): number {
    return this.#position;
  }

  get complete(): boolean {
    return this.#position === this.#endingOffset;
  }

  /** Takes the next fetch; the one before must be walked to its end. */
  begin(fetched: FetchedBatches): void {
    assert(this.#batch === undefined, 'a fetch is walked to its end before the next one');
    this.#fetched = fetched;
    this.#start = 0;
    // Each response lists the aborted transactions of its own range whole, so nothing is carried over from
    // the last.
    this.#aborts = new AbortedProducers(this.#committedOnly ? fetched.abortedTransactions : []);
  }

  /**
   * Walks on through the complete batches of the fetch, until the visitor is full. A batch that is cut off at
   * the end is left for the next fetch.
   *
   * @returns whether more may come: call it again when there is room. Each call gets on by a record at least.
   */
  next(visitor: RecordVisitor): boolean {
    for (;;) {
      const batch = this.#batch ?? this.#openBatch();
      this.#batch = batch;
      if (batch === undefined) return false;
      if (!this.#walkRecords(batch, visitor)) return true;
      this.#skipTo(batch.nextOffset);
      this.#batch = undefined;
      if (visitor.isFull) return true;
    }
  }

  /** The offsets from the position to `until` are gone from the log, and that is accepted. */
  skipLost(until: bigint): void {
    const target = Math.min(safeNumber(until), this.#endingOffset);
    assert(this.#batch === undefined && target >= this.#position, 'offsets are lost before they are met');
    keepSpan(this.lostSpans, this.#position, target);
    this.lost += target - this.#position;
    this.#position = target;
  }

  /** The next batch that has records to walk; what needs no look at records is counted on the way. */
  #openBatch(): OpenBatch | undefined {
    const { records: buffer } = this.#fetched;
    while (!this.complete) {
      const start = this.#start;
      const end = batchEnd(buffer, start, this.#range);
      if (end === undefined || end > buffer.length) break;
      this.#start = end;
      const batch = this.#readHeader(buffer, start, end);
      if (batch !== undefined) return batch;
    }
    this.#fetched = NOTHING_FETCHED;
    this.#start = 0;
    return undefined;
  }

  #readHeader(buffer: Buffer, start: number, end: number): OpenBatch | undefined {
    if (crc32c(buffer, start + ATTRIBUTES, end) !== buffer.readInt32BE(start + CRC)) {
      throw corruptBatch(this.#range, buffer, start, 'does not match its checksum');
    }
    const baseOffset = Number(buffer.readBigInt64BE(start + BASE_OFFSET));
    const lastOffsetDelta = buffer.readInt32BE(start + LAST_OFFSET_DELTA);
    const offsets = lastOffsetDelta + 1;
    const count = buffer.readInt32BE(start + COUNT);
    const nextOffset = baseOffset + offsets;
    if (baseOffset < 0 || !Number.isSafeInteger(nextOffset) || count < 0 || count > offsets) {
      throw corruptBatch(this.#range, buffer, start, `claims ${count} records in ${offsets} offsets`);
    }
    if (nextOffset <= this.#position) {
      throw corruptBatch(this.#range, buffer, start, 'goes back to offsets already read');
    }
    const attributes = buffer.readInt16BE(start + ATTRIBUTES);
    const aborted = this.#aborts.include(buffer, start, attributes, nextOffset - 1);
    this.#skipTo(baseOffset);
    if (aborted && baseOffset === this.#position && nextOffset <= this.#endingOffset) {
      this.aborted += count;
      this.gaps += offsets - count;
      this.#position = nextOffset;
      return undefined;
    }
    if (count === 0) {
      this.#skipTo(nextOffset);
      return undefined;
    }
    const [body, bodyStart, bodyEnd] = this.#body(buffer, start, end, attributes);
    const isControl = (attributes & IS_CONTROL) !== 0;
    if (isControl && isAbortMarker(body, bodyStart)) this.#aborts.end(buffer, start);
    const isAppendTime = (attributes & IS_LOG_APPEND_TIME) !== 0;
    return {
      start,
      body,
      bodyEnd,
      baseOffset,
      nextOffset,
      lastOffsetDelta,
      count,
      isAppendTime,
      baseTimestamp: Number(buffer.readBigInt64BE(start + (isAppendTime ? MAX_TIMESTAMP : BASE_TIMESTAMP))),
      fate: isControl ? MARKER : aborted ? ABORTED : VISIBLE,
      index: 0,
      recordEnd: bodyStart,
      lastDelta: -1,
    };
  }

  #body(buffer: Buffer, start: number, end: number, attributes: number): [Buffer, number, number] {
    const codec = attributes & CODEC_MASK;
    if (codec === 0) return [buffer, start + HEADER_BYTES, end];
    try {
      const body = decompress(codec, buffer.subarray(start + HEADER_BYTES, end), this.#maxBatchBytes);
      return [body, 0, body.length];
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const message = `${batchName(this.#range, buffer, start)}: ${error.message}`;
      throw new Failure(error.code, message, error.fix, { cause: error });
    }
  }

  /** @returns whether the batch is walked to its end; else the visitor is full */
  #walkRecords(batch: OpenBatch, visitor: RecordVisitor): boolean {
    const { body, bodyEnd, baseOffset, lastOffsetDelta, count, isAppendTime, baseTimestamp, fate } = batch;
    let { lastDelta, recordEnd } = batch;
    let checkAt = recordEnd + CHECK_BYTES;
    for (let i = batch.index; i < count; i++) {
      if (recordEnd > checkAt) {
        checkAt = recordEnd + CHECK_BYTES;
        if (visitor.isFull) {
          batch.index = i;
          batch.lastDelta = lastDelta;
          batch.recordEnd = recordEnd;
          return false;
        }
      }
      cursor = recordEnd;
      const length = varint(body);
      const recordStart = cursor;
      recordEnd = recordStart + length;
      cursor++; // attributes, unused by the protocol
      const timestampDelta = varlong(body);
      const offsetDelta = varint(body);
      const keyLength = varint(body);
      const keyStart = keyLength < 0 ? -1 : cursor;
      if (keyLength > 0) cursor += keyLength;
      const keyEnd = keyLength < 0 ? -1 : cursor;
      const valueLength = varint(body);
      const valueStart = valueLength < 0 ? -1 : cursor;
      if (valueLength > 0) cursor += valueLength;
      const valueEnd = valueLength < 0 ? -1 : cursor;
      // One check for all: every step above only ever moves the cursor forward, malformed numbers beyond any
      // end.
      if (length < 0 || recordEnd > bodyEnd || cursor > recordEnd || keyLength < -1 || valueLength < -1) {
        throw this.#corrupt(batch, `has a malformed record, number ${i}`);
      }
      const headersStart = cursor;
      // Nearly all records have none: one byte, 0.
      const hasNoHeaders = headersStart + 1 === recordEnd && body[headersStart] === 0;
      if (!hasNoHeaders && !areHeaders(body, headersStart, recordEnd)) {
        throw this.#corrupt(batch, `has malformed headers in record number ${i}`);
      }
      if (offsetDelta <= lastDelta || offsetDelta > lastOffsetDelta) {
        throw this.#corrupt(batch, `has records out of order, number ${i}`);
      }
      lastDelta = offsetDelta;

      const offset = baseOffset + offsetDelta;
      // Beyond the range, too, the batch must be well-formed: records out of order could hide some of the
      // range.
      if (offset < this.#position || offset >= this.#endingOffset) continue;
      if (offset !== this.#position) this.#skipTo(offset);
      this.#position = offset + 1;
      if (fate === MARKER) this.markers++;
      else if (fate === ABORTED) this.aborted++;
      else {
        this.records++;
        const timestampMs = isAppendTime ? baseTimestamp : baseTimestamp + timestampDelta;
        visitor.record(
          offset,
          timestampMs,
          body,
          valueStart,
          valueEnd,
          keyStart,
          keyEnd,
          headersStart,
          recordEnd,
        );
      }
    }
    if (recordEnd !== bodyEnd) throw this.#corrupt(batch, 'has bytes after its last record');
    return true;
  }

  /** Counts what lies before `offset` and has not been met: within the range those offsets are gone. */
  #skipTo(offset: number): void {
    const target = Math.min(offset, this.#endingOffset);
    if (target <= this.#position) return;
    keepSpan(this.gapSpans, this.#position, target);
    this.gaps += target - this.#position;
    this.#position = target;
  }

  #corrupt({ start }: OpenBatch, what: string): Failure {
    return corruptBatch(this.#range, this.#fetched.records, start, what);
  }
}

/** Offsets [from, until) of a walk. */
export interface WalkedSpan {
  readonly from: number;
  until: number;
}

function keepSpan(spans: WalkedSpan[], from: number, until: number): void {
  const last = spans.at(-1);
  if (last?.until === from) last.until = until;
  else if (spans.length < SPANS_KEPT && from < until) spans.push({ from, until });
}

const NOTHING_FETCHED: FetchedBatches = { records: Buffer.alloc(0), abortedTransactions: [] };

/** A batch in the middle of being walked. */
interface OpenBatch {
  /** Of its header in the fetch. */
  readonly start: number;
  readonly body: Buffer;
  readonly bodyEnd: number;
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly lastOffsetDelta: number;
  readonly count: number;
  readonly isAppendTime: boolean;
  /** Of all its records under append time, else what their deltas count from. */
  readonly baseTimestamp: number;
  readonly fate: typeof VISIBLE | typeof MARKER | typeof ABORTED;
  /** Of the next record, which begins at `recordEnd`. */
  index: number;
  recordEnd: number;
  lastDelta: number;
}

/**
 * The headers of one record, from first to last: `begin`, then `next` while it says true. Positions lie in
 * the buffer that was begun with and hold as long as it does; the walk has made sure that they are
 * well-formed.
 */
export class RecordHeaders {
  count = 0;
  keyStart = 0;
  /** Exclusive. */
  keyEnd = 0;
  /** -1 for a null value. */
  valueStart = 0;
  /** Exclusive. */
  valueEnd = 0;

  #buffer: Buffer = NOTHING_FETCHED.records;
  #at = 0;
  #left = 0;

  /** Of `RecordVisitor.record`'s arguments; `headersEnd` is not needed. */
  begin(buffer: Buffer, headersStart: number): void {
    this.#buffer = buffer;
    cursor = headersStart;
    this.count = varint(buffer);
    this.#left = this.count;
    this.#at = cursor;
  }

  next(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    cursor = this.#at;
    const keyLength = varint(this.#buffer);
    this.keyStart = cursor;
    cursor += keyLength;
    this.keyEnd = cursor;
    const valueLength = varint(this.#buffer);
    this.valueStart = valueLength < 0 ? -1 : cursor;
    if (valueLength > 0) cursor += valueLength;
    this.valueEnd = valueLength < 0 ? -1 : cursor;
    this.#at = cursor;
    return true;
  }
}

/** Whether a count and as many keys and values fill the bytes exactly. Only values may be null. */
function areHeaders(buffer: Buffer, start: number, end: number): boolean {
  cursor = start;
  const count = varint(buffer);
  if (count < 0) return false;
  for (let i = 0; i < count && cursor < end; i++) {
    const keyLength = varint(buffer);
    if (keyLength < 0) return false;
    cursor += keyLength;
    const valueLength = varint(buffer);
    if (valueLength < -1) return false;
    if (valueLength > 0) cursor += valueLength;
    if (i === count - 1) return cursor === end;
  }
  return count === 0 && cursor === end;
}

/**
 * What the complete batches of a fetch reach, by their headers alone.
 *
 * @returns nextOffset: after the last complete batch; undefined where none is complete. neededBytes: what the
 *   first
 * batch takes that is not complete, as far as its length is there to be read; else 0.
 * Throws as `RangeWalk.next` does for another record format and for impossible lengths.
 */
export function scanBatches(
  records: Buffer,
  range: OffsetRange,
): { nextOffset: bigint | undefined; neededBytes: number } {
  let nextOffset: bigint | undefined;
  let start = 0;
  for (;;) {
    const end = batchEnd(records, start, range);
    if (end === undefined || end > records.length) return { nextOffset, neededBytes: (end ?? start) - start };
    const lastOffsetDelta = records.readInt32BE(start + LAST_OFFSET_DELTA);
    nextOffset = records.readBigInt64BE(start + BASE_OFFSET) + BigInt(lastOffsetDelta) + 1n;
    start = end;
  }
}

/** The producers whose aborted transaction is open at the batch being walked. */
class AbortedProducers {
  /** Sorted by first offset: brokers send them in the order in which they were aborted. */
  readonly #upcoming: readonly { readonly producerId: bigint; readonly firstOffset: bigint }[];
  readonly #active = new Set<bigint>();
  #next = 0;

  constructor(abortedTransactions: FetchedBatches['abortedTransactions']) {
    this.#upcoming = abortedTransactions.toSorted((a, b) =>
      a.firstOffset < b.firstOffset ? -1 : a.firstOffset > b.firstOffset ? 1 : 0,
    );
  }

  /** Whether the records of this batch were aborted. Call it for every batch, in order. */
  include(buffer: Buffer, start: number, attributes: number, lastOffset: number): boolean {
    // All that begin by the batch's last offset: transactions overlap, and several may begin before the first
    // fetch.
    for (let next = this.#upcoming[this.#next]; next; next = this.#upcoming[++this.#next]) {
      if (next.firstOffset > lastOffset) break;
      this.#active.add(next.producerId);
    }
    if (this.#active.size === 0 || !(attributes & IS_TRANSACTIONAL) || attributes & IS_CONTROL) return false;
    return this.#active.has(buffer.readBigInt64BE(start + PRODUCER_ID));
  }

  /** The abort marker of a producer has been met: what it writes from here on is another transaction. */
  end(buffer: Buffer, start: number): void {
    this.#active.delete(buffer.readBigInt64BE(start + PRODUCER_ID));
  }
}

/**
 * A marker's key is a version and a type (0 abort, 1 commit), both int16. Kafka protocol, "Control Batches".
 */
function isAbortMarker(body: Buffer, bodyStart: number): boolean {
  cursor = bodyStart;
  varint(body);
  cursor++;
  varlong(body);
  varint(body);
  const keyLength = varint(body);
  return keyLength >= 4 && cursor + 4 <= body.length && body.readInt16BE(cursor + 2) === 0;
}

/**
 * Where the batch at `start` ends, perhaps beyond the buffer; undefined where not even its length and format
 * are there.
 */
function batchEnd(buffer: Buffer, start: number, range: OffsetRange): number | undefined {
  if (start + CRC > buffer.length) return undefined;
  const magic = buffer.readInt8(start + MAGIC);
  if (magic !== 2) {
    throw new Failure(
      'KAFKA_UNSUPPORTED_RECORD_FORMAT',
      `${batchName(range, buffer, start)} has record format ${magic}; only format 2 is read (Kafka 0.11 and later).`,
      'Let a current producer or MirrorMaker copy the topic into a new one, and read that.',
    );
  }
  const end = start + LENGTH_END + buffer.readInt32BE(start + LENGTH);
  if (end < start + HEADER_BYTES) throw corruptBatch(range, buffer, start, 'is shorter than its header');
  return end;
}

function corruptBatch(range: OffsetRange, buffer: Buffer, start: number, what: string): Failure {
  return new Failure(
    'KAFKA_CORRUPT_BATCH',
    `${batchName(range, buffer, start)} ${what}.`,
    'It was not committed. Try again, in case it was damaged on the way. If it is damaged on the broker, elect another replica as leader.',
  );
}

function batchName({ topic, kafkaPartition }: OffsetRange, buffer: Buffer, start: number): string {
  return `The record batch at offset ${buffer.readBigInt64BE(start + BASE_OFFSET)} of ${topic}-${kafkaPartition}`;
}

function safeNumber(offset: bigint): number {
  assert(offset >= 0n && offset <= MAX_SAFE_OFFSET, `an offset beyond 2^53: ${offset}`);
  return Number(offset);
}

const MAX_SAFE_OFFSET = BigInt(Number.MAX_SAFE_INTEGER);

/** Byte offsets in a batch header. */
const BASE_OFFSET = 0;
const LENGTH = 8;
const LENGTH_END = 12;
const MAGIC = 16;
const CRC = 17;
const ATTRIBUTES = 21;
const LAST_OFFSET_DELTA = 23;
const BASE_TIMESTAMP = 27;
const MAX_TIMESTAMP = 35;
const PRODUCER_ID = 43;
const COUNT = 57;
const HEADER_BYTES = 61;

/** A visitor is asked whether it is full after so many bytes of records at the latest. */
const CHECK_BYTES = 64 * 1024;

const CODEC_MASK = 0x07;
const IS_LOG_APPEND_TIME = 0x08;
const IS_TRANSACTIONAL = 0x10;
const IS_CONTROL = 0x20;

const VISIBLE = 0;
const MARKER = 1;
const ABORTED = 2;

/**
 * Read position of the two functions below: a module's variable, since a result object per number would cost.
 */
let cursor = 0;

/**
 * Where the cursor goes after a malformed number: beyond the end of any buffer, so that the record's check
 * fails.
 */
const BEYOND = 2 ** 40;

/** A zigzag int32. Bytes beyond the buffer read as undefined, which ends as malformed. */
function varint(buffer: Buffer): number {
  let byte = buffer[cursor++] as number;
  if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
  let value = byte & 0x7f;
  for (let shift = 7; shift < 35; shift += 7) {
    byte = buffer[cursor++] as number;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
  }
  cursor = BEYOND;
  return 0;
}

/** A zigzag int64 as a number, exact up to 2^53. */
function varlong(buffer: Buffer): number {
  let byte = buffer[cursor++] as number;
  if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
  const negative = byte & 1;
  let value = byte & 0x7f;
  for (let scale = 2 ** 7; scale < 2 ** 70; scale *= 2 ** 7) {
    byte = buffer[cursor++] as number;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return negative ? -(value + 1) / 2 : value / 2;
  }
  cursor = BEYOND;
  return 0;
}
