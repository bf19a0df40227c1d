/**
 * Goal: no bytes that a broker may send make the walk hang, crash or see other records than are there.
 * Method: logs of all codecs, transactions, markers and holes, mutated byte by byte; either the walk refuses
 * by name, or it sees what an independent slow parser sees. Checksums are made right again after most
 * mutations, so that the parser behind them is reached. `FUZZ_MUTANTS=1000000` for full size, `SEED` to
 * repeat.
 */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { compressFrameSync } from 'lz4-napi';
import { compressSync } from 'snappy';
import { expect, it } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { RangeWalk, RecordHeaders, type RecordVisitor } from '../../src/kafka/record-batch.ts';
import type { FetchedBatches } from '../../src/kafka/source.ts';
import { expected, type Visible } from './batch-model.ts';
import { encodeBatch, encodeMarker, rangeOf, seal, walkAll } from './batches.ts';

const MUTANTS = Number(process.env.FUZZ_MUTANTS ?? 20_000);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
/** A walk over a few hundred bytes: far more than it may ever take, far less than a hang. */
const SLOW_MS = 2_000;
const MAX_BATCH_BYTES = 1024 * 1024;

const CODECS: readonly { codec: number; compress: (plain: Buffer) => Buffer }[] = [
  { codec: 0, compress: (plain) => plain },
  { codec: 1, compress: (plain) => gzipSync(plain) },
  { codec: 2, compress: (plain) => compressSync(plain) },
  { codec: 3, compress: (plain) => compressFrameSync(plain) },
  { codec: 4, compress: (plain) => zstdCompressSync(plain) },
];
const END = 14;

/** Offsets 0 to 13: plain, two transactions of which one is aborted, markers, a hole, an emptied batch. */
function batchesOf(compression: { codec: number; compress: (plain: Buffer) => Buffer }): Buffer[] {
  const value = `{"id":${'1234567890'.repeat(8)}}`;
  const headers = [
    ['name', 'value'],
    ['empty', ''],
    ['null', null],
  ] as const;
  const [a, b] = [7, 9];
  const key = Buffer.from([0, 0, 0, 0]);
  return [
    encodeBatch({
      baseOffset: 0,
      baseTimestamp: 1_700_000_000_000,
      records: [
        { offsetDelta: 0, value, key, headers },
        { offsetDelta: 1, value: null, timestampDelta: -5 },
        { offsetDelta: 3, value: '', key: Buffer.alloc(0), timestampDelta: 100_000 },
      ],
      ...compression,
    }),
    encodeBatch({
      baseOffset: 4,
      records: [{ offsetDelta: 0, value, key }],
      producerId: a,
      transactional: true,
      ...compression,
    }),
    encodeBatch({
      baseOffset: 5,
      records: [{ offsetDelta: 1, value }],
      lastOffsetDelta: 2,
      producerId: b,
      transactional: true,
      ...compression,
    }),
    encodeMarker(8, a, 'abort'),
    encodeMarker(9, b, 'commit'),
    encodeBatch({ baseOffset: 10, records: [], lastOffsetDelta: 1 }),
    encodeBatch({
      baseOffset: 12,
      records: [0, 1].map((offsetDelta) => ({ offsetDelta, value, key })),
      logAppendTime: true,
      maxTimestamp: 5,
      ...compression,
    }),
  ];
}
const LOGS = CODECS.map(batchesOf);
/** The same batches, uncompressed. */
const PLAIN = LOGS[0] ?? [];
const ABORTED: FetchedBatches['abortedTransactions'] = [{ producerId: 7n, firstOffset: 4n }];

it(`${MUTANTS} mutants, seed ${SEED}`, { timeout: 3_600_000 }, () => {
  const random = mulberry(SEED);
  const outcomes = new Map<string, number>();
  let slowestMs = 0;
  for (let i = 0; i < MUTANTS; i++) {
    const bytes = mutant(random);
    const [from, to] = random() < 0.7 ? [0, END] : [below(random, END), END - below(random, 3)];
    const fetched = { records: bytes, abortedTransactions: ABORTED };
    const begun = performance.now();
    const outcome = from <= to ? compare(fetched, from, to) : 'skipped';
    slowestMs = Math.max(slowestMs, performance.now() - begun);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (outcome.startsWith('DIFFERENT')) {
      throw new Error(`seed ${SEED}, mutant ${i}, [${from}, ${to}): ${outcome}\n${bytes.toString('hex')}`);
    }
  }
  const counts = [...outcomes].sort(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${count}`);
  console.log(`${MUTANTS} mutants, seed ${SEED}: ${counts.join(', ')}; slowest ${slowestMs.toFixed(1)} ms`);
  expect(slowestMs).toBeLessThan(SLOW_MS);
  expect(outcomes.get('same') ?? 0).toBeGreaterThan(MUTANTS / 20);
});

it('the logs themselves are read, as the model says', () => {
  for (const log of LOGS) {
    const fetched = { records: Buffer.concat(log), abortedTransactions: ABORTED };
    expect(compare(fetched, 0, END)).toBe('same');
    expect(expected(fetched, 0, END)).toMatchObject({ markers: 2, aborted: 1, position: END });
    expect(expected(fetched, 0, END).records.map(({ offset }) => offset)).toEqual([0, 1, 3, 6, 12, 13]);
  }
});

/** `same`, the code of a refusal, or what is different. Everything else that is thrown is a crash. */
function compare(fetched: FetchedBatches, from: number, to: number): string {
  const walk = new RangeWalk(rangeOf(from, to), 'read_committed', MAX_BATCH_BYTES);
  const seen: Visible[] = [];
  const headers = new RecordHeaders();
  const record: RecordVisitor['record'] = (offset, timestampMs, buffer, v, vEnd, k, kEnd, h) => {
    const text = (start: number, end: number) => {
      if (start < 0) return null;
      if (end < start || end > buffer.length) throw new Error('a position outside of the buffer');
      return buffer.toString('latin1', start, end);
    };
    const pairs: [string, string | null][] = [];
    headers.begin(buffer, h);
    while (headers.next()) {
      pairs.push([text(headers.keyStart, headers.keyEnd) ?? '', text(headers.valueStart, headers.valueEnd)]);
    }
    const timestamp = BigInt(timestampMs);
    seen.push({ offset, timestamp, key: text(k, kEnd), value: text(v, vEnd), headers: pairs });
  };
  try {
    walkAll(walk, fetched, { record, isFull: true });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error.code;
  }
  const model = expected(fetched, from, to);
  const gaps = model.position - from - model.records.length - model.markers - model.aborted;
  const counts = [walk.position, walk.records, walk.markers, walk.aborted, walk.gaps].join();
  const wanted = [model.position, model.records.length, model.markers, model.aborted, gaps].join();
  if (counts !== wanted) return `DIFFERENT counts: ${counts} instead of ${wanted}`;
  const one = seen.map(describeRecord).join('\n');
  const other = model.records.map(describeRecord).join('\n');
  return one === other ? 'same' : `DIFFERENT records:\n${one}\ninstead of\n${other}`;
}

/** Timestamps are exact up to 2^53, which is all that any clock says. */
function describeRecord({ timestamp, ...rest }: Visible): string {
  const limit = 2n ** 53n;
  return JSON.stringify({
    ...rest,
    timestamp: timestamp < limit && timestamp > -limit ? String(timestamp) : 'far',
  });
}

/**
 * One log with one batch of it mutated: its header, its records before they are compressed, or all its bytes.
 */
function mutant(random: () => number): Buffer {
  const codec = random() < 0.5 ? 0 : below(random, CODECS.length);
  const log = [...(LOGS[codec] as Buffer[])];
  const index = below(random, log.length);
  const batch = log[index] as Buffer;
  const kind = random();
  if (kind < 0.15) log[index] = mutate(batch, random);
  else if (kind < 0.45) log[index] = resealed(mutate(batch, random), random);
  else if (kind < 0.6)
    log[index] = resealed(
      Buffer.concat([mutate(batch.subarray(0, 61), random, true), batch.subarray(61)]),
      random,
    );
  else {
    const { compress } = CODECS[codec] as (typeof CODECS)[number];
    const isCompressed = (batch.readInt16BE(21) & 7) !== 0;
    const body = mutate((PLAIN[index] as Buffer).subarray(61), random);
    const mutated = Buffer.concat([batch.subarray(0, 61), isCompressed ? compress(body) : body]);
    log[index] = resealed(mutated, random);
  }
  return Buffer.concat(log);
}

/** With a checksum, and mostly a length, that fit. */
function resealed(batch: Buffer, random: () => number): Buffer {
  if (batch.length < 61) return batch;
  const copy = Buffer.from(batch);
  if (random() < 0.9) copy.writeInt32BE(copy.length - 12, 8);
  return seal(copy);
}

const NUMBERS = [0, 1, -1, 2, 127, 128, 255, 2 ** 31 - 1, -(2 ** 31), 65_536];

function mutate(bytes: Buffer, random: () => number, keepLength = false): Buffer {
  let copy = Buffer.from(bytes);
  for (let times = 1 + below(random, 3); times > 0 && copy.length > 4; times--) {
    const at = below(random, copy.length);
    const kind = below(random, keepLength ? 3 : 6);
    if (kind === 0) copy.writeUInt8(below(random, 256), at);
    else if (kind === 1) copy.writeUInt8(copy.readUInt8(at) ^ (1 << below(random, 8)), at);
    else if (kind === 2)
      copy.writeInt32BE(NUMBERS[below(random, NUMBERS.length)] ?? 0, Math.min(at, copy.length - 4));
    else if (kind === 3)
      copy = Buffer.concat([copy.subarray(0, at), Buffer.of(below(random, 256)), copy.subarray(at)]);
    else if (kind === 4)
      copy = Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1 + below(random, 8))]);
    else copy = Buffer.concat([copy.subarray(0, at), copy.subarray(below(random, at + 1))]);
  }
  return copy;
}

const below = (random: () => number, end: number) => Math.floor(random() * end);

/** Uniform in [0, 1), the same for the same seed. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
