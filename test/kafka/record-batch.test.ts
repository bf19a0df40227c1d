/**
 * Goal: every offset of a range is counted exactly once under the right name, and damaged bytes never pass
 * for records. Method: all small logs, ranges and fetch sizes against a naive model; large ones by property;
 * every bit of a batch flipped; records mutated at random under a right checksum.
 */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { compressFrameSync } from 'lz4-napi';
import { compressSync } from 'snappy';
import { describe, expect, it } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { RangeWalk, RecordHeaders, type RecordVisitor, scanBatches } from '../../src/kafka/record-batch.ts';
import type { ReadOptions } from '../../src/kafka/source.ts';
import {
  BATCH_BYTES,
  counted,
  encodeBatch,
  encodeMarker,
  fetched,
  Recorder,
  rangeOf,
  seal,
  walkAll,
} from './batches.ts';
import { type Fate, SimulatedLog } from './simulated-log.ts';

const COMPRESSIONS = [
  undefined,
  { codec: 1, compress: gzipSync },
  { codec: 2, compress: (plain: Buffer) => compressSync(plain) },
  { codec: 3, compress: (plain: Buffer) => compressFrameSync(plain) },
  { codec: 4, compress: zstdCompressSync },
];

/** Reads [from, to) of the log as the range reader would, and compares with the model. */
function expectExact(
  log: SimulatedLog,
  from: number,
  to: number,
  maxBytes: number,
  isolation: ReadOptions['isolation'] = 'read_committed',
): void {
  const walk = new RangeWalk(rangeOf(from, to), isolation, BATCH_BYTES);
  // A pause wherever one is possible: what is carried over it must not be lost.
  const recorder = Object.assign(new Recorder(), { isFull: maxBytes % 2 === 1 });
  let position = from;
  while (position < to) {
    const response = log.fetch(position, maxBytes);
    walkAll(walk, response, recorder);
    const next = Number(scanBatches(response.records, rangeOf(from, to)).nextOffset);
    if (!(next > position)) throw new Error(`no way on from ${position}`);
    position = next;
  }
  const fates = log.fates
    .slice(from, to)
    .map((fate): Fate => (fate === 'aborted' && isolation === 'read_uncommitted' ? 'record' : fate));
  const count = (fate: Fate) => fates.filter((f) => f === fate).length;
  const seen = recorder.seen.map(({ offset, value }) => `${offset}=${value}`).join();
  const visible = fates.flatMap((fate, i) => (fate === 'record' ? [`${from + i}=v${from + i}`] : [])).join();
  // One comparison: `expect` is what most of the time would go into.
  expect([walk.complete, seen, walk.records, walk.markers, walk.aborted, walk.gaps].join(' ')).toBe(
    [true, visible, count('record'), count('marker'), count('aborted'), count('gap')].join(' '),
  );
}

/** Does not apply where it would end a transaction that is not open: then it says false. */
type Step = (log: SimulatedLog) => boolean;
const A = 7;
const B = 9;
const finish = (producerId: number, type: 'abort' | 'commit') => (log: SimulatedLog) => {
  if (!log.hasOpenTransaction(producerId)) return false;
  log.finish(producerId, type);
  return true;
};
const append = (kept: boolean[], producerId?: number) => (log: SimulatedLog) => {
  log.append(kept, producerId);
  return true;
};
const hole = (offsets: number) => (log: SimulatedLog) => {
  log.hole(offsets);
  return true;
};
const STEPS: readonly Step[] = [
  append([true]),
  append([true], A),
  append([true], B),
  append([false, true, false], A),
  append([false]),
  finish(A, 'abort'),
  finish(A, 'commit'),
  finish(B, 'abort'),
  hole(1),
];

/**
 * All logs of exactly `length` steps that a broker could hold; the offset after them belongs to a plain
 * record.
 */
function* logsOf(length: number): Generator<SimulatedLog> {
  for (let code = 0; code < STEPS.length ** length; code++) {
    const log = new SimulatedLog();
    let rest = code;
    let possible = true;
    for (let i = 0; i < length && possible; i++) {
      possible = (STEPS[rest % STEPS.length] as Step)(log);
      rest = Math.floor(rest / STEPS.length);
    }
    if (!possible) continue;
    for (const producer of [A, B]) finish(producer, 'commit')(log);
    log.append([true]);
    yield log;
  }
}

describe('every offset is counted once', () => {
  it('all logs of up to four steps, all ranges, all batches at once and one by one', {
    timeout: 60_000,
  }, () => {
    let reads = 0;
    for (const length of [0, 1, 2, 3, 4]) {
      for (const log of logsOf(length)) {
        for (let from = 0; from < log.end; from++) {
          for (const to of length < 4 ? range(from, log.end) : [log.end - 1, log.end]) {
            for (const maxBytes of [1, 1e6, 1e6 + 1]) expectExact(log, Math.min(from, to), to, maxBytes);
            reads++;
          }
        }
      }
    }
    expect(reads).toBeGreaterThan(20_000);
  });

  it('large logs with compaction, codecs, overlapping transactions and cut tails', () => {
    const batch = fc.record({
      kept: fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }),
      producer: fc.constantFrom(undefined, undefined, A, B, 11),
      compression: fc.constantFrom(...COMPRESSIONS),
    });
    const end = fc.record({ producer: fc.constantFrom(A, B, 11), type: fc.constantFrom('abort', 'commit') });
    const gone = fc.integer({ min: 1, max: 20 });
    const steps = fc.array(fc.oneof({ weight: 3, arbitrary: batch }, end, gone), { maxLength: 40 });
    const property = fc.property(
      steps,
      fc.nat(),
      fc.nat(),
      fc.integer({ min: 1, max: 4000 }),
      fc.constantFrom('read_committed', 'read_uncommitted'),
      (steps, a, b, maxBytes, isolation) => {
        const log = new SimulatedLog();
        for (const step of steps) {
          if (typeof step === 'number') log.hole(step);
          else if ('kept' in step) log.append(step.kept, step.producer, step.compression);
          else if (log.hasOpenTransaction(step.producer)) log.finish(step.producer, step.type as 'abort');
        }
        for (const producer of [A, B, 11]) finish(producer, 'abort')(log);
        log.append([true]);
        const [from = 0, to = 0] = [a % (log.end + 1), b % (log.end + 1)].sort((x, y) => x - y);
        expectExact(log, from, to, maxBytes, isolation as ReadOptions['isolation']);
      },
    );
    fc.assert(property, { numRuns: 500 });
  });

  it('two overlapping transactions that began before the fetch, listed in the order of their markers', () => {
    const log = new SimulatedLog();
    append([true], A)(log);
    append([true], B)(log);
    append([true], A)(log);
    finish(B, 'abort')(log);
    append([true], A)(log);
    finish(A, 'abort')(log);
    append([true], A)(log);
    finish(A, 'commit')(log);
    append([true])(log);
    expect(log.fates.join()).toBe('aborted,aborted,aborted,marker,aborted,marker,record,marker,record');
    for (const from of range(0, log.end - 1)) expectExact(log, from, log.end, 1e6);
  });

  it('a batch of 200,000 records', () => {
    const records = Array.from({ length: 200_000 }, (_, offsetDelta) => ({ offsetDelta, value: '{}' }));
    const walk = new RangeWalk(rangeOf(0, 200_000), 'read_committed', BATCH_BYTES);
    let visited = 0;
    walkAll(walk, fetched(encodeBatch({ baseOffset: 0, records })), { record: () => visited++ });
    expect([visited, walk.complete]).toEqual([200_000, true]);
  });
});

describe('a visitor that is full', () => {
  const RECORD_BYTES = 1000;
  const records = Array.from({ length: 20_000 }, (_, offsetDelta) => ({
    offsetDelta,
    value: `${offsetDelta} `.padEnd(RECORD_BYTES, 'x'),
  }));

  it.each(COMPRESSIONS)(
    'never gets much more than it has room for, and every record once (%o)',
    (compression) => {
      const batch = encodeBatch({ baseOffset: 0, records, ...compression });
      const roomBytes = 300_000;
      let held = 0;
      let most = 0;
      const numbers: number[] = [];
      const visitor = {
        get isFull() {
          return held >= roomBytes;
        },
        record(_offset: number, _timestampMs: number, buffer: Buffer, start: number, end: number) {
          numbers.push(Number.parseInt(buffer.toString('latin1', start, start + 6), 10));
          held += end - start;
          most = Math.max(most, held);
        },
      };
      const walk = new RangeWalk(rangeOf(0, records.length), 'read_committed', BATCH_BYTES);
      walk.begin(fetched(batch));
      let pauses = 0;
      while (walk.next(visitor)) {
        pauses++;
        held = 0;
      }
      expect([walk.complete, walk.records]).toEqual([true, records.length]);
      expect(numbers).toEqual(records.map((_, i) => i));
      expect(pauses).toBeGreaterThan(50);
      expect(most).toBeLessThan(roomBytes + 70_000);
    },
  );

  it('gets on by a record each time, even if it never has room', () => {
    const walk = new RangeWalk(rangeOf(0, records.length), 'read_committed', BATCH_BYTES);
    walk.begin(fetched(encodeBatch({ baseOffset: 0, records })));
    for (let before = -1; walk.next({ isFull: true, record: () => {} }); before = walk.position) {
      expect(walk.position).toBeGreaterThan(before);
    }
    expect(walk.complete).toBe(true);
  });
});

it('offsets that are lost are skipped and counted, within the range', () => {
  const walk = new RangeWalk(rangeOf(2, 8), 'read_committed', BATCH_BYTES);
  walk.skipLost(5n);
  walkAll(
    walk,
    fetched(encodeBatch({ baseOffset: 4, records: [1, 2].map((d) => ({ offsetDelta: d, value: 'v' })) })),
    new Recorder(),
  );
  walk.skipLost(100n);
  expect([walk.lost, walk.records, walk.gaps, walk.complete]).toEqual([4, 2, 0, true]);
  expect(walk.lostSpans).toEqual([
    { from: 2, until: 5 },
    { from: 7, until: 8 },
  ]);
});

describe('headers', () => {
  const headersOf = (batch: Buffer): (readonly [string, string | null])[][] => {
    const headers = new RecordHeaders();
    const all: (readonly [string, string | null])[][] = [];
    const record = (...[, , buffer, , , , , start]: Parameters<RecordVisitor['record']>) => {
      headers.begin(buffer, start);
      const list: (readonly [string, string | null])[] = [];
      while (headers.next()) {
        const { keyStart, keyEnd, valueStart, valueEnd } = headers;
        const value = valueStart < 0 ? null : buffer.toString('utf8', valueStart, valueEnd);
        list.push([buffer.toString('utf8', keyStart, keyEnd), value]);
      }
      expect(list.length).toBe(headers.count);
      all.push(list);
    };
    walkAll(new RangeWalk(rangeOf(0, 100), 'read_committed', BATCH_BYTES), fetched(batch), { record });
    return all;
  };

  it('none, many, empty and null ones, in their order', () => {
    const pair = fc.tuple(fc.string(), fc.option(fc.string({ maxLength: 200 })));
    const property = fc.property(
      fc.array(fc.array(pair, { maxLength: 5 }), { minLength: 1, maxLength: 5 }),
      (lists) => {
        const records = lists.map((headers, offsetDelta) => ({ offsetDelta, value: 'v', headers }));
        expect(headersOf(encodeBatch({ baseOffset: 0, records }))).toEqual(lists);
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  it.each([
    ['a count without headers', [2]],
    ['a negative count', [1]],
    ['bytes after the last', [0, 0]],
    ['a null key', [2, 1, 0]],
    ['a value that ends outside', [2, 2, 0x61, 20]],
  ])('%s is refused by name', (_name, bytes) => {
    const plain = encodeBatch({ baseOffset: 0, records: [{ offsetDelta: 0, value: 'v' }] });
    const tail = Buffer.from(bytes);
    const batch = Buffer.concat([plain.subarray(0, -1), tail]);
    batch.writeInt32BE(batch.length - 12, 8);
    batch.writeUInt8(plain.readUInt8(61) + 2 * (tail.length - 1), 61);
    expect(() => headersOf(seal(batch))).toThrow(
      expect.objectContaining({ code: 'KAFKA_CORRUPT_BATCH', message: expect.stringContaining('headers') }),
    );
  });
});

describe('what a visitor gets', () => {
  const walkOne = (batch: Buffer, to = 10) => {
    const recorder = new Recorder();
    walkAll(new RangeWalk(rangeOf(0, to), 'read_committed', BATCH_BYTES), fetched(batch), recorder);
    return recorder.seen;
  };

  it('null and empty keys and values differ', () => {
    const records = [
      { offsetDelta: 0, key: null, value: null },
      { offsetDelta: 1, key: Buffer.alloc(0), value: '' },
      { offsetDelta: 2, key: Buffer.from('k'), value: 'v' },
    ];
    const seen = walkOne(encodeBatch({ baseOffset: 0, records }));
    expect(seen.map(({ key, value }) => [key, value])).toEqual([
      [null, null],
      ['', ''],
      ['k', 'v'],
    ]);
  });

  it.each([0, 1, -1, 63, 64, -64, -65, 2 ** 31, -(2 ** 31), 86_400_000_000, -1_700_000_000_000, 2 ** 50])(
    'a timestamp %d from the first',
    (timestampDelta) => {
      const records = [
        { offsetDelta: 0, value: 'a' },
        { offsetDelta: 1, value: 'b', timestampDelta },
      ];
      const seen = walkOne(encodeBatch({ baseOffset: 0, records, baseTimestamp: 1_700_000_000_000 }));
      expect(seen[1]?.timestampMs).toBe(1_700_000_000_000 + timestampDelta);
    },
  );

  it('the append time where the topic says so', () => {
    const records = [{ offsetDelta: 0, value: 'a', timestampDelta: 5 }];
    const batch = { baseOffset: 0, records, baseTimestamp: 100, maxTimestamp: 900, logAppendTime: true };
    expect(walkOne(encodeBatch(batch))[0]?.timestampMs).toBe(900);
  });
});

describe('damaged bytes', () => {
  const set = Buffer.concat([
    encodeBatch({
      baseOffset: 0,
      records: [0, 1, 2].map((offsetDelta) => ({ offsetDelta, value: `v${offsetDelta}` })),
    }),
    encodeMarker(3, A, 'commit'),
    encodeBatch({ baseOffset: 4, records: [{ offsetDelta: 0, value: 'v4' }] }),
  ]);
  const second = 12 + set.readInt32BE(8);

  it('any single bit that is flipped is refused, cut off, of no importance, or shows as a gap', () => {
    const outcomes = new Map<string, number>();
    for (let bit = 0; bit < set.length * 8; bit++) {
      const damaged = Buffer.from(set);
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      const outcome = tryWalk(damaged, 5);
      outcomes.set(outcome.kind, (outcomes.get(outcome.kind) ?? 0) + 1);
      if (outcome.kind === 'complete' && outcome.gaps === 0) expect(outcome.values).toBe('v0,v1,v2,v4');
      if (outcome.kind === 'incomplete') expect('v0,v1,v2,v4').toContain(outcome.values);
    }
    expect(outcomes.get('refused')).toBeGreaterThan(set.length * 6);
  });

  it('records mutated under a right checksum are refused by name or read within their bounds', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...COMPRESSIONS.map((_, i) => i)),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }),
        (codec, mutations) => {
          const records = range(0, 19).map((offsetDelta) => ({
            offsetDelta,
            value: `v${offsetDelta}`.repeat(9),
          }));
          const batch = encodeBatch({ baseOffset: 0, records, ...COMPRESSIONS[codec] });
          for (const [at, byte] of mutations) batch[21 + (at % (batch.length - 21))] = byte;
          const outcome = tryWalk(seal(batch), 20);
          if (outcome.kind !== 'refused') expect(outcome.counted).toBe(outcome.position);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('a tail cut anywhere is left for the next fetch', () => {
    for (let length = 0; length < set.length; length++) {
      const outcome = tryWalk(set.subarray(0, length), 5);
      expect(outcome).toMatchObject({
        kind: 'incomplete',
        position: length < second ? 0 : expect.any(Number),
      });
    }
  });

  it.each([0, 1, 3])('record format %d is refused by name', (magic) => {
    const batch = encodeBatch({ baseOffset: 0, records: [{ offsetDelta: 0, value: 'v' }] });
    batch.writeInt8(magic, 16);
    expect(tryWalk(batch, 1)).toMatchObject({ code: 'KAFKA_UNSUPPORTED_RECORD_FORMAT' });
    expect(() => scanBatches(batch.subarray(0, 34), rangeOf(0, 1))).toThrow('t-3 has record format');
  });

  it('a codec that Kafka does not define is refused by name', () => {
    const batch = encodeBatch({ baseOffset: 0, records: [{ offsetDelta: 0, value: 'v' }], codec: 5 });
    expect(tryWalk(batch, 1)).toMatchObject({ code: 'KAFKA_UNSUPPORTED_RECORD_FORMAT' });
  });

  it('offsets that go back are refused', () => {
    const twice = Buffer.concat([set.subarray(0, second), set.subarray(0, second)]);
    expect(tryWalk(twice, 5)).toMatchObject({ code: 'KAFKA_CORRUPT_BATCH' });
  });

  it('a batch that says where it is from, in the message', () => {
    const batch = encodeBatch({ baseOffset: 41, records: [{ offsetDelta: 0, value: 'v' }] });
    batch.writeUInt8(batch.readUInt8(66) ^ 1, 66);
    const walk = new RangeWalk(rangeOf(41, 42), 'read_committed', BATCH_BYTES);
    expect(() => walkAll(walk, fetched(batch), new Recorder())).toThrow(
      'offset 41 of t-3 does not match its checksum',
    );
  });
});

type Outcome =
  | { kind: 'refused'; code: string }
  | { kind: 'complete' | 'incomplete'; values: string; gaps: number; position: number; counted: number };

function tryWalk(records: Buffer, to: number): Outcome {
  const walk = new RangeWalk(rangeOf(0, to), 'read_committed', BATCH_BYTES);
  const recorder = new Recorder();
  try {
    walkAll(walk, fetched(records), recorder);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { kind: 'refused', code: error.code };
  }
  const values = recorder.seen.map(({ value }) => value).join();
  return {
    kind: walk.complete ? 'complete' : 'incomplete',
    values,
    gaps: walk.gaps,
    position: walk.position,
    counted: counted(walk),
  };
}

/** From and to, both inclusive. */
function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}
