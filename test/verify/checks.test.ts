/**
 * Goal: the pure checks say what a naive reading of the same facts says. Method: small cases by hand, random
 * ones by the hundred.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LedgerVersion } from '../../src/delta/ledger.ts';
import { emptyAccounting } from '../../src/records/accounting.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { Coverage } from '../../src/verify/coverage.ts';
import { Disagreements } from '../../src/verify/disagreements.ts';
import { type CommittedRange, OffsetWalk } from '../../src/verify/offset-walk.ts';
import { statisticsLeaves, statisticsProblems } from '../../src/verify/statistics-check.ts';
import { Timeline } from '../../src/verify/timeline.ts';

describe('Timeline', () => {
  const restore = (version: number) => ({
    operation: 'RESTORE',
    operationParameters: { version: String(version) },
  });

  test('a RESTORE takes out what came after the restored version, and brings back what an earlier one took out', () => {
    const timeline = new Timeline();
    timeline.take(4, restore(1));
    timeline.take(5, { tidemark: 'repair', restore: 4, restoredVersion: 1 });
    expect(counting(timeline, 7)).toEqual([0, 1, 4, 5, 6, 7]);
    timeline.take(8, restore(3));
    timeline.take(9, { tidemark: 'repair', restore: 8, restoredVersion: 3 });
    expect(counting(timeline, 10)).toEqual([0, 1, 2, 3, 8, 9, 10]);
  });

  test('the repair says which version it was where the RESTORE does not, or says another', () => {
    const byTime = new Timeline();
    byTime.take(4, { operation: 'RESTORE', operationParameters: { timestamp: 'then' } });
    expect(counting(byTime, 5)).toEqual([0, 1, 2, 3, 4, 5]);
    byTime.take(5, { tidemark: 'repair', restore: 4, restoredVersion: 2 });
    expect(counting(byTime, 5)).toEqual([0, 1, 2, 4, 5]);
  });

  function counting(timeline: Timeline, newest: number): number[] {
    return Array.from({ length: newest + 1 }, (_, version) => version).filter((version) =>
      timeline.counts(version),
    );
  }
});

describe('Coverage', () => {
  test('finds, strays and repeats are those that a list of offsets gives', () => {
    const ranges = fc.array(fc.record({ start: fc.nat(300), length: fc.nat(150) }), { maxLength: 5 });
    const offsets = fc.array(fc.nat(500), { maxLength: 400 });
    fc.assert(
      fc.property(ranges, offsets, (spans, rows) => {
        const committed = spans.map(({ start, length }, tableVersion) =>
          range(start, start + length, length, tableVersion),
        );
        const coverage = new Coverage(committed, []);
        for (const word of wordsOf(rows)) coverage.take({ topic: 't', kafkaPartition: 0, ...word });
        const repeated = lookCloser(coverage, rows);
        const timesOf = (offset: number) =>
          spans.filter(({ start, length }) => start <= offset && offset < start + length).length;
        expect(coverage.strays).toBe(rows.filter((offset) => timesOf(offset) === 0).length);
        expect(coverage.groups.reduce((sum, { found }) => sum + found, 0)).toBe(
          rows.filter((offset) => timesOf(offset) > 0).length,
        );
        const counts = Map.groupBy(rows, (offset) => offset);
        const tooOften = [...counts].filter(
          ([offset, same]) => timesOf(offset) > 0 && same.length > timesOf(offset),
        );
        expect(repeated.sort((a, b) => a - b)).toEqual(
          tooOften.map(([offset]) => offset).sort((a, b) => a - b),
        );
      }),
      { numRuns: 500 },
    );
  });

  test('a retried letter is a row of its range; where some were filtered, perhaps', () => {
    const retry = (filtered: number) => ({
      ...{ tableVersion: 5, rows: 2, filtered },
      letters: [{ topic: 't', kafkaPartition: 0, epoch: 0n, spans: [{ from: 8n, until: 12n }] }],
    });
    const groups = (filtered: number) =>
      new Coverage([range(0, 10, 7, 0), range(10, 20, 9, 1)], [retry(filtered)]).groups;
    expect(groups(0)).toMatchObject([
      { rowsMin: 9, rowsMax: 9 },
      { rowsMin: 11, rowsMax: 11 },
    ]);
    expect(groups(2)).toMatchObject([
      { rowsMin: 7, rowsMax: 9 },
      { rowsMin: 9, rowsMax: 11 },
    ]);
  });

  function range(start: number, end: number, rows: number, tableVersion: number): CommittedRange {
    const place = { topic: 't', kafkaPartition: 0, epoch: 0n, tableVersion };
    return {
      ...place,
      startingOffset: BigInt(start),
      endingOffset: BigInt(end),
      rows,
      deadLetters: 0,
      accounting: { ...emptyAccounting(), rows },
    };
  }

  function wordsOf(offsets: readonly number[]) {
    const words = Map.groupBy(offsets, (offset) => Math.floor(offset / 64));
    return [...words]
      .sort(([a], [b]) => a - b)
      .map(([word, inWord]) => ({
        word: BigInt(word),
        bits: inWord.reduce((bits, offset) => bits | (1n << BigInt(offset % 64)), 0n),
        count: inWord.length,
      }));
  }

  function lookCloser(coverage: Coverage, rows: readonly number[]): number[] {
    return coverage.suspicions.flatMap((suspicion) => {
      const inside = rows.filter((offset) => suspicion.from <= offset && offset < suspicion.until);
      return [...Map.groupBy(inside, (offset) => offset)]
        .filter(([, same]) => same.length > suspicion.moreThan)
        .filter(([offset, same]) => coverage.takeRepeated(suspicion, BigInt(offset), same.length))
        .map(([offset]) => offset);
    });
  }
});

describe('OffsetWalk', () => {
  const entry = (startingOffset: string | null, endingOffset: string, more: object = {}) => ({
    ...{ topic: 't', kafkaPartition: 0, startingOffset, readFrom: startingOffset ?? '0', endingOffset },
    rows: Number(endingOffset) - Number(startingOffset ?? 0),
    ...more,
  });
  const drain = (tableVersion: number, ledger: object[], txn: string): LedgerVersion => ({
    ...{ tableVersion, adds: [], removes: [] },
    commitInfo: { tidemark: 'drain', ledger },
    txns: { 'tidemark/t/0': txn },
  });
  const answer = (tableVersion: number, ledger: object[], txns: Record<string, string>): LedgerVersion => ({
    ...drain(tableVersion, ledger, ''),
    commitInfo: { tidemark: 'accept', ledger },
    txns,
  });
  const walk = (versions: readonly LedgerVersion[], isWhole = true, end?: bigint) => {
    const found = new Disagreements();
    const offsets = new OffsetWalk(found, isWhole);
    for (const version of versions) offsets.take(version);
    offsets.end({ tableVersion: 9, txns: new Map(end === undefined ? [] : [['tidemark/t/0', end]]) });
    return found.byCheck;
  };

  test('ranges that tile, jumps of a repair, a withdrawn partition and a log that begins in the middle are well', () => {
    const jump = { ...entry('10', '0'), rows: 0, jump: true };
    const withdrawn = { ...entry('10', '-1'), rows: 0, jump: true };
    expect(walk([drain(0, [entry(null, '4')], '4'), drain(1, [entry('4', '10')], '10')], true, 10n)).toEqual(
      {},
    );
    expect(
      walk(
        [
          drain(0, [entry(null, '10')], '10'),
          answer(1, [jump], { 'tidemark/t/0': '0', 'tidemark/epoch': '1' }),
          drain(2, [entry('0', '3')], '3'),
        ],
        true,
        3n,
      ),
    ).toEqual({});
    expect(
      walk(
        [
          drain(0, [entry(null, '10')], '10'),
          answer(1, [withdrawn], { 'tidemark/t/0': '-1' }),
          drain(2, [entry(null, '3')], '3'),
        ],
        true,
        3n,
      ),
    ).toEqual({});
    expect(walk([drain(7, [entry('70', '80')], '80')], false, 80n)).toEqual({});
    const lost = { ...entry('10', '15'), rows: 0, readFrom: '15', lost: 5 };
    expect(
      walk([drain(0, [entry(null, '10')], '10'), answer(1, [lost], { 'tidemark/t/0': '15' })], true, 15n),
    ).toEqual({});
  });

  test.each([
    ['a gap', [drain(0, [entry(null, '4')], '4'), drain(1, [entry('5', '10')], '10')], 10n, { ledgerGap: 1 }],
    [
      'an overlap',
      [drain(0, [entry(null, '4')], '4'), drain(1, [entry('3', '10')], '10')],
      10n,
      { ledgerOverlap: 1 },
    ],
    [
      'a partition that begins twice',
      [drain(0, [entry(null, '4')], '4'), drain(1, [entry(null, '10')], '10')],
      10n,
      { ledgerGap: 1 },
    ],
    ['a sum that is short', [drain(0, [entry(null, '4', { rows: 3 })], '4')], 4n, { accounting: 1 }],
    ['a negative term', [drain(0, [entry(null, '4', { rows: 5, gaps: -1 })], '4')], 4n, { accounting: 1 }],
    ['a txn beside the ledger', [drain(0, [entry(null, '4')], '5')], 5n, { txn: 2 }],
    ['a txn without a range', [drain(0, [], '5')], 5n, { txn: 2 }],
    ['a table that stands elsewhere', [drain(0, [entry(null, '4')], '4')], 3n, { txn: 1 }],
    [
      'a txn that falls',
      [drain(0, [entry(null, '4')], '4'), { ...drain(1, [], '2'), commitInfo: { operation: 'WRITE' } }],
      4n,
      { txnSetBack: 1 },
    ],
  ])('%s', (_, versions, end, expected) => {
    expect(walk(versions, true, end)).toEqual(expected);
  });
});

describe('statistics', () => {
  const { fields } = parseDdl(
    's STRING, n BIGINT, d DECIMAL(20,2), f FLOAT, x DOUBLE, at TIMESTAMP, day DATE, b BOOLEAN, raw BINARY, in STRUCT<t: STRING>, day2 DATE',
  );
  const leaves = statisticsLeaves(fields, ['day2']);
  const problems = (
    stats: object | string,
    column: string,
    min: string | null,
    max: string | null,
    nonNull = 10,
  ) =>
    statisticsProblems(
      typeof stats === 'string' ? stats : JSON.stringify(stats),
      leaves.filter(({ path }) => path.join('.') === column),
      10,
      () => ({ nonNull, min, max }),
    ).length;
  const bounds = (column: string, min: unknown, max: unknown) => ({
    minValues: { [column]: min },
    maxValues: { [column]: max },
  });

  test('every leaf but partition columns', () => {
    expect(leaves.map(({ path }) => path.join('.'))).toEqual([
      's',
      'n',
      'd',
      'f',
      'x',
      'at',
      'day',
      'b',
      'raw',
      'in.t',
    ]);
  });

  test.each([
    ['a cut text', bounds('s', 'ab', 'ac'), 's', 'abc', 'abz'],
    ['texts compare by code point', bounds('s', 'a', '\u{10ffff}'), 's', 'a', '\uffee'],
    [
      'integers beyond 2^53',
      '{"minValues":{"n":9007199254740993},"maxValues":{"n":9007199254740993}}',
      'n',
      '9007199254740993',
      '9007199254740993',
    ],
    [
      'times in milliseconds, cut',
      bounds('at', '2026-01-01T00:00:00.123Z', '2026-01-01T00:00:00.123Z'),
      'at',
      '2026-01-01 00:00:00.123+00',
      '2026-01-01 00:00:00.123999+00',
    ],
    [
      'times of another zone',
      bounds('at', '2026-01-01T01:00:00.000+01:00', '2026-01-01T01:00:00.000+01:00'),
      'at',
      '2026-01-01 00:00:00+00',
      '2026-01-01 00:00:00+00',
    ],
    [
      'decimals with all digits',
      '{"minValues":{"d":123456789012345678.10},"maxValues":{"d":123456789012345678.10}}',
      'd',
      '123456789012345678.10',
      '123456789012345678.10',
    ],
    ["a float's shortest text", bounds('f', 0.1, 0.1), 'f', '0.1', '0.1'],
    ['infinities are not judged', bounds('x', 1, 2), 'x', 'inf', 'inf'],
    ['dates', bounds('day', '2026-01-01', '2026-01-02'), 'day', '2026-01-01', '2026-01-02'],
    ['booleans', bounds('b', false, true), 'b', 'false', 'true'],
    ['nothing told', {}, 's', 'a', 'b'],
    ['no JSON', 'no', 's', 'a', 'b'],
  ])('hold: %s', (_, stats, column, min, max) => {
    expect(problems(stats, column, min, max)).toBe(0);
  });

  test.each([
    ['a text below the minimum', bounds('s', 'abd', 'z'), 's', 'abc', 'abz'],
    ['a text above the maximum', bounds('s', 'a', 'ab'), 's', 'a', 'abc'],
    [
      'integers beyond 2^53',
      '{"minValues":{"n":9007199254740993},"maxValues":{"n":9007199254740993}}',
      'n',
      '9007199254740992',
      '9007199254740993',
    ],
    [
      'a time a millisecond later',
      bounds('at', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.123Z'),
      'at',
      '2026-01-01 00:00:00+00',
      '2026-01-01 00:00:00.124+00',
    ],
    [
      'decimals in their last digit',
      '{"minValues":{"d":123456789012345678.11},"maxValues":{"d":923456789012345678.10}}',
      'd',
      '123456789012345678.10',
      '123456789012345678.10',
    ],
    ['a nested text', { minValues: { in: { t: 'b' } } }, 'in.t', 'a', 'c'],
    ['dates', bounds('day', '2026-01-02', '2026-01-02'), 'day', '2026-01-01', '2026-01-02'],
    ['a boolean', bounds('b', true, true), 'b', 'false', 'true'],
  ])('do not hold: %s', (_, stats, column, min, max) => {
    expect(problems(stats, column, min, max)).toBe(1);
  });

  test('null counts are exact', () => {
    expect(problems({ nullCount: { n: 3 } }, 'n', '1', '1', 7)).toBe(0);
    expect(problems({ nullCount: { n: 2 } }, 'n', '1', '1', 7)).toBe(1);
    expect(problems({ nullCount: { n: 10 } }, 'n', null, null, 0)).toBe(0);
  });
});
