/**
 * Goal: beginning and end of a drain as Spark's users expect them. Method: its rules and its texts, case by
 * case.
 */

import { describe, expect, it } from 'vitest';
import type { Until } from '../../src/contract.ts';
import {
  type AssignedPartition,
  assignedPartitions,
  partitionKey,
  resolveStartingOffsets,
  resolveUntil,
  startingTimestamps,
  untilTimestampMs,
} from '../../src/kafka/offsets.ts';
import type { SourceSpecification } from '../../src/kafka/source-specification.ts';

const partition = (topic: string, kafkaPartition: number): AssignedPartition => ({
  topic,
  kafkaPartition,
  logStartOffset: 10n,
  lastStableOffset: 100n,
  highWatermark: 120n,
});
const SOURCE = {
  startingOffsets: 'earliest',
  startingTimestampStrategy: 'error',
  failOnDataLoss: true,
  isolation: 'read_committed',
} as const;
const PARTITIONS = [partition('a', 0), partition('a', 1), partition('b', 0)];
const failure = (code: string, text = '') =>
  expect.objectContaining({ code, message: expect.stringContaining(text) });

describe('assigned partitions', () => {
  const descriptions = ['b', 'a'].map((topic) => ({
    topic,
    identity: undefined,
    compacted: false,
    partitions: [partition(topic, 1), partition(topic, 0)],
  }));
  const keys = (partitions: readonly AssignedPartition[]) =>
    partitions.map((p) => partitionKey(p.topic, p.kafkaPartition)).join();

  it('subscribe takes all of its topics, assign the named ones, both in order', () => {
    const subscribed = assignedPartitions({ kind: 'subscribe', topics: ['a', 'b'] }, descriptions);
    expect(keys(subscribed)).toBe('a/0,a/1,b/0,b/1');
    expect(keys(assignedPartitions({ kind: 'assign', partitions: { b: [1], a: [0] } }, descriptions))).toBe(
      'a/0,b/1',
    );
  });

  it('a partition that does not exist is named', () => {
    const assign = { kind: 'assign', partitions: { a: [0, 7] } } as const;
    expect(() => assignedPartitions(assign, descriptions)).toThrow(failure('TOPIC_NOT_FOUND', 'a/7'));
  });
});

describe('starting offsets', () => {
  const resolve = (startingOffsets: SourceSpecification['startingOffsets'], failOnDataLoss = true) =>
    Object.fromEntries(resolveStartingOffsets({ ...SOURCE, startingOffsets, failOnDataLoss }, PARTITIONS));

  it('earliest is the log start, latest what a reader may see', () => {
    expect(resolve('earliest')).toEqual({ 'a/0': 10n, 'a/1': 10n, 'b/0': 10n });
    expect(resolve('latest')).toEqual({ 'a/0': 100n, 'a/1': 100n, 'b/0': 100n });
    const uncommitted = resolveStartingOffsets(
      { ...SOURCE, startingOffsets: 'latest', isolation: 'read_uncommitted' },
      PARTITIONS,
    );
    expect(uncommitted.get('a/0')).toBe(120n);
  });

  it('specific ones, -2 earliest, -1 latest', () => {
    expect(resolve({ a: { 0: '23', 1: '-2' }, b: { 0: '-1' } })).toEqual({
      'a/0': 23n,
      'a/1': 10n,
      'b/0': 100n,
    });
  });

  it.each([
    ['one is missing', { a: { 0: '23' }, b: { 0: '-1' } }],
    ['one is too many', { a: { 0: '23', 1: '-2', 2: '-2' }, b: { 0: '-1' } }],
    ['another one', { a: { 0: '23', 2: '-2' }, b: { 0: '-1' } }],
  ])("%s: Spark's text", (_name, offsets) => {
    const text =
      'If startingOffsets contains specific offsets, you must specify all TopicPartitions.\nUse -1 for latest';
    expect(() => resolve(offsets)).toThrow(failure('KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED', text));
  });

  it('an offset that is gone is data loss, one beyond the end a mistake', () => {
    const from = (offset: string) => () => resolve({ a: { 0: offset, 1: '-2' }, b: { 0: '-1' } });
    expect(from('9')).toThrow(failure('KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE', '[9, 10) of a-0'));
    expect(from('101')).toThrow(failure('OFFSETS_INVALID', 'ends at 100'));
    expect(from('100')()).toMatchObject({ 'a/0': 100n });
    for (const wrong of ['-3', '1.5', 'x', '', '9007199254740992']) {
      expect(from(wrong)).toThrow(failure('OFFSETS_INVALID', 'Expected e.g. {"topicA"'));
    }
  });
});

describe('starting timestamps', () => {
  const times = (ms: number) => ({ a: { 0: ms, 1: ms }, b: { 0: ms } });
  const found = new Map([
    ['a/0', 23n],
    ['b/0', 42n],
  ]);
  const resolve = (extra: Partial<SourceSpecification>, offsets = found) => {
    const source = { ...SOURCE, ...extra };
    const timestamps = startingTimestamps(source, PARTITIONS);
    return Object.fromEntries(resolveStartingOffsets(source, PARTITIONS, timestamps, offsets));
  };

  it('one for all or one for each, asked for by partition', () => {
    const asked = [
      { topic: 'a', kafkaPartition: 0, timestampMs: 5 },
      { topic: 'a', kafkaPartition: 1, timestampMs: 5 },
      { topic: 'b', kafkaPartition: 0, timestampMs: 5 },
    ];
    expect(startingTimestamps({ startingTimestamps: 5 }, PARTITIONS)).toEqual(asked);
    expect(startingTimestamps({ startingTimestamps: times(5) }, PARTITIONS)).toEqual(asked);
    expect(startingTimestamps({}, PARTITIONS)).toBe(undefined);
  });

  it('win over offsets, even over ones that do not fit', () => {
    const startingOffsets = { a: { 0: '11' } };
    const all = new Map([...found, ['a/1', 30n]]);
    expect(resolve({ startingTimestamps: 5, startingOffsets }, all)).toEqual({
      'a/0': 23n,
      'a/1': 30n,
      'b/0': 42n,
    });
  });

  it('a partition without a record that young fails by name, or begins at its end', () => {
    expect(() => resolve({ startingTimestamps: 5 })).toThrow(
      failure(
        'KAFKA_DATA_LOSS.INITIAL_OFFSET_NOT_FOUND_FOR_PARTITIONS',
        'No offset matched from request of topic-partition a-1 and timestamp 5 (1970-01-01T00:00:00.005Z).',
      ),
    );
    expect(resolve({ startingTimestamps: times(5), startingTimestampStrategy: 'latest' })).toMatchObject({
      'a/1': 100n,
    });
  });

  it.each([
    [{ a: { 0: 1, 1: 1 } }],
    [{ a: { 0: 1, 1: 1, 2: 1 }, b: { 0: 1 } }],
    [{ a: { 0: 1, 2: 1 }, b: { 0: 1 } }],
  ])('by partition they must name all of them: %j', (given) => {
    expect(() => resolve({ startingTimestamps: given })).toThrow(
      failure('KAFKA_TIMESTAMP_OFFSET_DOES_NOT_MATCH_ASSIGNED', 'Assigned: a/0, a/1, b/0'),
    );
  });
});

describe('until', () => {
  const positions = new Map([
    ['a/0', 40n],
    ['a/1', 100n],
    ['b/0', 10n],
  ]);
  const resolve = (until: Until, timestamps?: ReadonlyMap<string, bigint>) =>
    resolveUntil(until, PARTITIONS, positions, 'read_committed', timestamps).map(
      ({ requestedOffset, endingOffset }) => `${requestedOffset}→${endingOffset}`,
    );

  it('latest is the last stable offset', () => {
    expect(resolve('latest')).toEqual(['100→100', '100→100', '100→100']);
    const uncommitted = resolveUntil('latest', PARTITIONS, positions, 'read_uncommitted');
    expect(uncommitted.map(({ endingOffset }) => endingOffset)).toEqual([120n, 120n, 120n]);
  });

  it('offsets: exclusive, bounded by the last stable offset, the request kept', () => {
    expect(resolve({ offsets: { a: { 0: 50, 1: '500' }, b: { 0: -1 } } })).toEqual([
      '50→50',
      '500→100',
      '100→100',
    ]);
  });

  it('what is not named, or already passed, stays where it is', () => {
    expect(resolve({ offsets: { a: { 0: 30 } } })).toEqual(['30→40', '100→100', '10→10']);
  });

  it('-2, unknown partitions and no numbers are refused', () => {
    expect(() => resolve({ offsets: { a: { 0: -2 } } })).toThrow(
      failure('OFFSETS_INVALID', "ending offset for a-0 can't be earliest"),
    );
    expect(() => resolve({ offsets: { a: { 9: 1 }, c: { 0: 1 } } })).toThrow(
      failure('OFFSETS_INVALID', 'a/9, c/0'),
    );
    expect(() => resolve({ offsets: { a: { 0: 1.5 } } })).toThrow(
      failure('OFFSETS_INVALID', 'got 1.5 for a-0'),
    );
  });

  it('a timestamp: the first offset at or after it, else the end', () => {
    const found = new Map([
      ['a/0', 60n],
      ['a/1', 110n],
    ]);
    expect(resolve({ timestamp: '2026-11-22' }, found)).toEqual(['60→60', '110→100', '100→100']);
  });

  it.each([
    ['2026-11-22T00:00:00Z', Date.UTC(2026, 10, 22)],
    ['2026-11-22T00:00:00', Date.UTC(2026, 10, 22)],
    ['2026-11-22 01:30', Date.UTC(2026, 10, 22, 1, 30)],
    ['2026-11-22', Date.UTC(2026, 10, 22)],
    ['2026-11-22T02:00:00.250+02:00', Date.UTC(2026, 10, 22, 0, 0, 0, 250)],
  ])('reads %s', (timestamp, expected) => {
    expect(untilTimestampMs({ timestamp })).toBe(expected);
  });

  it.each(['yesterday', '2026-13-01', '22.11.2026', ''])('refuses %j', (timestamp) => {
    expect(() => untilTimestampMs({ timestamp })).toThrow(failure('OFFSETS_INVALID'));
  });

  it('has no timestamp in its other forms', () => {
    expect([untilTimestampMs('latest'), untilTimestampMs({ offsets: {} })]).toEqual([undefined, undefined]);
  });
});
