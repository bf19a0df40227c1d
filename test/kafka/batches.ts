/** Record batches and fetch responses made by hand, after the Kafka protocol's "Record Batch". */
import { crc32c } from '../../src/kafka/crc32c.ts';
import type { RangeWalk, RecordVisitor } from '../../src/kafka/record-batch.ts';
import type { FetchedBatches, OffsetRange } from '../../src/kafka/source.ts';

export interface TestRecord {
  readonly offsetDelta: number;
  readonly value: string | null;
  readonly key?: Buffer | null;
  readonly timestampDelta?: number;
  readonly headers?: readonly (readonly [string, string | null])[];
}

export interface TestBatch {
  readonly baseOffset: number;
  readonly records: readonly TestRecord[];
  /** Default: of the last record. */
  readonly lastOffsetDelta?: number;
  readonly codec?: number;
  readonly compress?: (records: Buffer) => Buffer;
  readonly producerId?: number;
  readonly transactional?: boolean;
  readonly control?: boolean;
  readonly logAppendTime?: boolean;
  readonly baseTimestamp?: number;
  readonly maxTimestamp?: number;
}

export function encodeBatch(batch: TestBatch): Buffer {
  const plain = Buffer.concat(batch.records.map(encodeRecord));
  const body = batch.compress ? batch.compress(plain) : plain;
  const header = Buffer.alloc(61);
  const attributes =
    (batch.codec ?? 0) |
    (batch.logAppendTime ? 0x08 : 0) |
    (batch.transactional ? 0x10 : 0) |
    (batch.control ? 0x20 : 0);
  header.writeBigInt64BE(BigInt(batch.baseOffset), 0);
  header.writeInt32BE(49 + body.length, 8);
  header.writeInt8(2, 16);
  header.writeInt16BE(attributes, 21);
  header.writeInt32BE(batch.lastOffsetDelta ?? batch.records.at(-1)?.offsetDelta ?? 0, 23);
  header.writeBigInt64BE(BigInt(batch.baseTimestamp ?? 0), 27);
  header.writeBigInt64BE(BigInt(batch.maxTimestamp ?? batch.baseTimestamp ?? 0), 35);
  header.writeBigInt64BE(BigInt(batch.producerId ?? -1), 43);
  header.writeInt32BE(batch.records.length, 57);
  return seal(Buffer.concat([header, body]));
}

/** Puts the right checksum into a batch. */
export function seal(batch: Buffer): Buffer {
  batch.writeInt32BE(crc32c(batch, 21, batch.length), 17);
  return batch;
}

/**
 * A control batch of one marker: key is version 0 and type, value is version 0 and the coordinator's epoch.
 */
export function encodeMarker(baseOffset: number, producerId: number, type: 'abort' | 'commit'): Buffer {
  const key = Buffer.from([0, 0, 0, type === 'abort' ? 0 : 1]);
  const record = { offsetDelta: 0, key, value: '\0\0\0\0\0\0' };
  return encodeBatch({ baseOffset, records: [record], producerId, transactional: true, control: true });
}

function encodeRecord({
  offsetDelta,
  value,
  key = null,
  timestampDelta = 0,
  headers = [],
}: TestRecord): Buffer {
  const body = Buffer.concat([
    Buffer.of(0),
    varint(timestampDelta),
    varint(offsetDelta),
    bytes(key),
    bytes(value === null ? null : Buffer.from(value)),
    varint(headers.length),
    ...headers.flatMap(([key, value]) => [
      bytes(Buffer.from(key)),
      bytes(value === null ? null : Buffer.from(value)),
    ]),
  ]);
  return Buffer.concat([varint(body.length), body]);
}

function bytes(value: Buffer | null): Buffer {
  return value === null ? varint(-1) : Buffer.concat([varint(value.length), value]);
}

/** Zigzag, int64. */
export function varint(value: number): Buffer {
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  const out: number[] = [];
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.of(...out, Number(rest));
}

export function fetched(
  records: Buffer,
  abortedTransactions: FetchedBatches['abortedTransactions'] = [],
): FetchedBatches {
  return { records, abortedTransactions };
}

export function rangeOf(startingOffset: number, endingOffset: number): OffsetRange {
  return {
    topic: 't',
    kafkaPartition: 3,
    startingOffset: BigInt(startingOffset),
    endingOffset: BigInt(endingOffset),
  };
}

export interface Seen {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** Keeps all it sees. Throws where a position lies outside of the buffer. */
export class Recorder implements RecordVisitor {
  readonly seen: Seen[] = [];

  record(
    offset: number,
    timestampMs: number,
    buffer: Buffer,
    valueStart: number,
    valueEnd: number,
    keyStart: number,
    keyEnd: number,
  ): void {
    const text = (start: number, end: number) => {
      if (start === -1 && end === -1) return null;
      if (start < 0 || end < start || end > buffer.length) throw new Error(`outside: ${start} ${end}`);
      return buffer.toString('latin1', start, end);
    };
    this.seen.push({ offset, timestampMs, key: text(keyStart, keyEnd), value: text(valueStart, valueEnd) });
  }

  get offsets(): number[] {
    return this.seen.map(({ offset }) => offset);
  }
}

/** What the walk has counted; the sum is `position - startingOffset`. */
export function counted({ records, markers, aborted, gaps, lost }: RangeWalk): number {
  return records + markers + aborted + gaps + lost;
}

/** The default of `limits.maxRecordBatchBytes`. */
export const BATCH_BYTES = 256 * 1024 * 1024;

/** Walks a fetch to its end, pausing wherever the visitor wants to. */
export function walkAll(walk: RangeWalk, fetched: FetchedBatches, visitor: RecordVisitor): void {
  walk.begin(fetched);
  while (walk.next(visitor)) {}
}
