/**
 * Goal: a range is read to its very end through any fault that passes, and every fault that does not pass has
 * its name. Method: a leader made of a simulated log, with faults planted through the reader's own interface;
 * short patience.
 */
import { describe, expect, it } from 'vitest';
import { type Patience, type RangeLeader, readRange } from '../../src/kafka/range-reader.ts';
import { RangeWalk } from '../../src/kafka/record-batch.ts';
import type { OffsetRange, PartitionDescription } from '../../src/kafka/source.ts';
import { Unavailable, UnknownPartition } from '../../src/kafka/unavailable.ts';
import type { FetchResponse } from '../../src/kafka/wire.ts';
import { BATCH_BYTES, Recorder, rangeOf, walkAll } from './batches.ts';
import { SimulatedLog } from './simulated-log.ts';

const PATIENCE: Patience = { stallMs: 150, missingMs: 50, pauseMs: 2 };
const NEVER = new AbortController().signal;
const EMPTY: FetchResponse = { errorCode: 0, records: Buffer.alloc(0), abortedTransactions: [] };
const failed = (errorCode: number): FetchResponse => ({ ...EMPTY, errorCode });

class TestLeader implements RangeLeader {
  readonly log = new SimulatedLog();
  readonly positions: number[] = [];
  refreshes = 0;
  logStart = 0;
  /** Taken one per fetch, before the log answers. */
  faults: (FetchResponse | Error)[] = [];
  /** Answers every fetch once the faults are used up. */
  always: FetchResponse | Error | undefined;
  /** What the metadata says instead of the log's ends. */
  ends: Partial<PartitionDescription> | Error = {};
  maxBytes = 1;

  constructor(batches: number) {
    for (let i = 0; i < batches; i++) this.log.append([true, true]);
  }

  async fetch(_range: OffsetRange, position: bigint): Promise<FetchResponse> {
    this.positions.push(Number(position));
    const fault = this.faults.shift() ?? this.always;
    if (fault instanceof Error) throw fault;
    return fault ?? { ...this.log.fetch(Number(position), this.maxBytes), errorCode: 0 };
  }

  async refreshEnds(): Promise<PartitionDescription> {
    this.refreshes++;
    if (this.ends instanceof Error) throw this.ends;
    const end = BigInt(this.log.end);
    const logStartOffset = BigInt(this.logStart);
    return { kafkaPartition: 3, logStartOffset, lastStableOffset: end, highWatermark: end, ...this.ends };
  }
}

async function readAll(
  leader: TestLeader,
  range: OffsetRange,
  signal = NEVER,
  patience = PATIENCE,
): Promise<number[]> {
  const walk = new RangeWalk(range, 'read_committed', BATCH_BYTES);
  const recorder = new Recorder();
  const options = { isolation: 'read_committed', signal } as const;
  for await (const fetched of readRange(leader, range, options, patience)) walkAll(walk, fetched, recorder);
  expect(walk.complete).toBe(true);
  return recorder.offsets;
}

const offsets = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe('what passes', () => {
  it('every range of a log, one batch per fetch', async () => {
    for (let from = 0; from <= 8; from++) {
      for (let to = from; to <= 8; to++) {
        const leader = new TestLeader(4);
        expect(await readAll(leader, rangeOf(from, to))).toEqual(offsets(from, to));
        if (from === to) expect(leader.positions).toEqual([]);
      }
    }
  });

  it.each([
    ['an empty fetch, twice', [EMPTY, EMPTY]],
    ['a lost connection', [new Unavailable('gone')]],
    ['NOT_LEADER_OR_FOLLOWER, then no leader', [failed(6), failed(5)]],
    ['UNKNOWN_TOPIC_OR_PARTITION of a broker that has not heard yet', [failed(3)]],
    ['an offset out of range on a leader that lags', [failed(1)]],
  ])('%s, at any fetch', async (_name, faults) => {
    for (let before = 0; before < 4; before++) {
      const leader = new TestLeader(4);
      const answers = offsets(0, before).map((i) => ({ ...leader.log.fetch(2 * i, 1), errorCode: 0 }));
      leader.faults = [...answers, ...faults];
      expect(await readAll(leader, rangeOf(0, 8))).toEqual(offsets(0, 8));
      expect(leader.refreshes).toBe(faults.length);
    }
  });

  it('a first batch that the broker cuts off: the fetch grows', async () => {
    const leader = new TestLeader(2);
    const whole = leader.log.fetch(0, 1).records;
    const asked: number[] = [];
    const fetch = leader.fetch.bind(leader);
    const growing: RangeLeader = {
      refreshEnds: () => leader.refreshEnds(),
      fetch(range, position, maxBytes) {
        asked.push(maxBytes);
        const header = Buffer.from(whole.subarray(0, 30));
        header.writeInt32BE(64 << 20, 8);
        return asked.length === 1 ? Promise.resolve({ ...EMPTY, records: header }) : fetch(range, position);
      },
    };
    const walk = new RangeWalk(rangeOf(0, 4), 'read_committed', BATCH_BYTES);
    for await (const fetched of readRange(
      growing,
      rangeOf(0, 4),
      { isolation: 'read_committed', signal: NEVER },
      PATIENCE,
    )) {
      walkAll(walk, fetched, new Recorder());
    }
    expect(walk.records).toBe(4);
    expect(asked.slice(0, 3)).toEqual([4 << 20, (64 << 20) + 12, 4 << 20]);
  });

  it('the next fetch is in flight while the consumer works; none beyond the end', async () => {
    const leader = new TestLeader(4);
    const options = { isolation: 'read_committed', signal: NEVER } as const;
    const seen: number[] = [];
    for await (const _ of readRange(leader, rangeOf(0, 5), options, PATIENCE))
      seen.push(leader.positions.length);
    expect(seen).toEqual([2, 3, 3]);
    expect(leader.positions).toEqual([0, 2, 4]);
  });
});

describe('what does not pass', () => {
  const expectFailure = async (leader: TestLeader, code: string, text: string) => {
    await expect(readAll(leader, rangeOf(2, 8))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(text),
    });
  };

  it('a range below the log start is named at once', async () => {
    const leader = new TestLeader(4);
    leader.logStart = 6;
    leader.always = failed(1);
    await expectFailure(leader, 'KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE', '[2, 6) of t-3');
    expect(leader.positions.length).toBe(1);
  });

  it.each([failed(1), EMPTY])('a log that ends before the range, for the whole patience', async (answer) => {
    const leader = new TestLeader(4);
    leader.always = answer;
    leader.ends = { lastStableOffset: 5n, highWatermark: 5n };
    await expectFailure(leader, 'KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED', 'has ended at 5');
    expect(leader.refreshes).toBeGreaterThan(2);
  });

  it('a log whose end is low twice, each time for less than the patience, is no loss', async () => {
    const leader = new TestLeader(4);
    const low = { lastStableOffset: 5n };
    leader.always = EMPTY;
    leader.ends = low;
    setTimeout(() => (leader.ends = {}), 100);
    setTimeout(() => (leader.ends = low), 400);
    setTimeout(() => (leader.always = undefined), 800);
    expect(await readAll(leader, rangeOf(2, 8), NEVER, { ...PATIENCE, stallMs: 600 })).toEqual(offsets(2, 8));
  });

  it('a deleted partition', async () => {
    const leader = new TestLeader(4);
    leader.always = failed(3);
    leader.ends = new UnknownPartition('t-3 does not exist');
    await expectFailure(leader, 'KAFKA_DATA_LOSS.PARTITIONS_DELETED', 'offsets [2, 8)');
  });

  it.each([
    [EMPTY, 'its leader sends nothing'],
    [new Unavailable('host:9092: ECONNREFUSED'), 'ECONNREFUSED'],
    [failed(6), 'NOT_LEADER_OR_FOLLOWER'],
  ])('no progress without end is unreachable, retryable', async (always, text) => {
    const leader = new TestLeader(4);
    leader.always = always;
    await expectFailure(leader, 'KAFKA_UNREACHABLE', text);
  });

  it.each([
    [29, 'KAFKA_NOT_AUTHORIZED'],
    [2, 'KAFKA_CORRUPT_BATCH'],
    [42, 'KAFKA_PROTOCOL'],
  ])('error code %d is %s at once', async (errorCode, code) => {
    const leader = new TestLeader(4);
    leader.always = failed(errorCode);
    await expectFailure(leader, code, 't');
    expect(leader.positions.length).toBe(1);
  });

  it('a batch that claims gigabytes', async () => {
    const leader = new TestLeader(4);
    const records = Buffer.from(leader.log.fetch(2, 1).records);
    records.writeInt32BE(2 ** 31 - 1, 8);
    leader.always = { ...EMPTY, records };
    await expectFailure(leader, 'KAFKA_CORRUPT_BATCH', 'claims 2147483659 bytes');
  });

  it('a bug is not retried', async () => {
    const leader = new TestLeader(4);
    leader.always = new TypeError('bug');
    await expect(readAll(leader, rangeOf(0, 8))).rejects.toThrow('bug');
    expect(leader.positions.length).toBe(1);
  });
});

describe('loss that is accepted', () => {
  const read = async (leader: TestLeader, from: number, to: number) => {
    const walk = new RangeWalk(rangeOf(from, to), 'read_committed', BATCH_BYTES);
    const recorder = new Recorder();
    const lost: string[] = [];
    const onLost = (from: bigint, until: bigint) => {
      lost.push(`${from}-${until}`);
      walk.skipLost(until);
    };
    const options = { isolation: 'read_committed', signal: NEVER, onLost } as const;
    for await (const fetched of readRange(leader, rangeOf(from, to), options, PATIENCE)) {
      walkAll(walk, fetched, recorder);
    }
    expect(walk.complete).toBe(true);
    return { lost, offsets: recorder.offsets, count: walk.lost };
  };
  /** Answers as a broker does whose log begins at `logStart`, from the given fetch on. */
  const retain = (leader: TestLeader, logStart: number, fromFetch = 0) => {
    const fetch = leader.fetch.bind(leader);
    let fetches = 0;
    leader.fetch = async (range, position) => {
      if (fetches++ < fromFetch) return fetch(range, position);
      leader.logStart = logStart;
      return position < BigInt(logStart) ? failed(1) : fetch(range, position);
    };
  };

  it('every place where the log may begin: what is before it is lost, the rest is read', async () => {
    for (let logStart = 1; logStart <= 8; logStart++) {
      const leader = new TestLeader(4);
      retain(leader, logStart);
      const { lost, offsets: seen, count } = await read(leader, 1, 7);
      const until = Math.min(logStart, 7);
      expect({ lost, seen, count }).toEqual({
        lost: until === 1 ? [] : [`1-${until}`],
        seen: offsets(until, 7),
        count: until - 1,
      });
    }
  });

  it('in the middle of a read', async () => {
    const leader = new TestLeader(4);
    retain(leader, 6, 1);
    expect(await read(leader, 0, 8)).toEqual({ lost: ['2-6'], offsets: [0, 1, 6, 7], count: 4 });
  });
});

describe('abort', () => {
  it.each(['while a fetch hangs', 'between two tries'])('%s', async (when) => {
    const leader = new TestLeader(4);
    const controller = new AbortController();
    if (when === 'while a fetch hangs') leader.fetch = () => new Promise(() => {});
    else leader.always = EMPTY;
    setTimeout(() => controller.abort(new Error('cancelled')), 20);
    await expect(readAll(leader, rangeOf(0, 8), controller.signal)).rejects.toThrow('cancelled');
  });

  it('a fetch ahead that fails after the consumer has left disturbs nobody', async () => {
    const leader = new TestLeader(4);
    leader.faults = [{ ...leader.log.fetch(0, 1), errorCode: 0 }, new Unavailable('too late')];
    const options = { isolation: 'read_committed', signal: NEVER } as const;
    for await (const _ of readRange(leader, rangeOf(0, 8), options, PATIENCE)) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(leader.positions).toEqual([0, 2]);
  });
});
