/**
 * Goal: a pattern takes exactly the texts that it describes, and a pattern that is not understood is refused
 * by name.
 *
 * Method: for patterns with a regular expression written by hand, every text that differs from a good one in
 * one byte; examples of each letter and of each problem.
 */
import { describe, expect, test } from 'vitest';
import { parseDdl } from '../../src/records/ddl.ts';
import { timestampFormatProblem, timestampPaths } from '../../src/records/timestamp-format.ts';
import { patternProblem, TimestampPattern } from '../../src/records/timestamp-pattern.ts';
import { Misfit } from './json-model.ts';
import { readPattern } from './pattern-model.ts';

/** Microseconds, or what is wrong. */
function parse(pattern: string, text: string): bigint | string {
  const reader = new TimestampPattern(pattern);
  const bytes = Buffer.from(`7${text}7`);
  const problem = reader.parse(bytes, 1, bytes.length - 1);
  return problem ?? BigInt(reader.seconds) * 1_000_000n + BigInt(reader.microseconds);
}

function modelled(pattern: string, text: string): bigint | 'none' {
  try {
    const picoseconds = readPattern(pattern, text);
    return picoseconds % 1_000_000n === 0n ? picoseconds / 1_000_000n : 'none';
  } catch (thrown) {
    if (thrown instanceof Misfit) return 'none';
    throw thrown;
  }
}

test.each([
  ['yyyy-MM-dd HH:mm:ss', '2024-02-29 23:59:59'],
  ['yyyy-MM-dd HH:mm:ss[.SSSSSS]', '2024-02-29 23:59:59.123456'],
  ["yyyy-MM-dd'T'HH:mm[:ss[.SSSSSSSSS]][XXX]", '2024-02-29T23:59:59.123456789+05:30'],
  ["yyyy-MM-dd'T'HH:mm[:ss[.SSSSSSSSS]][XXX]", '2024-02-29T23:59Z'],
  ['dd/MM/yyyy HH:mm', '31/12/1999 00:00'],
  ['M/d/yy h:mm a', '2/28/24 12:05 pm'],
  ['M/d/yy h:mm a', '12/1/24 1:05 AM'],
  ['dd/MMM/yyyy:HH:mm:ss Z', '10/Oct/2000:13:55:36 -0700'],
  ['d MMMM uuuu[ H]X', '9 February 2024 7+01'],
  ['d MMMM uuuu[ H]X', '29 May 2024 17-0130'],
  ['yyyyMMddHHmmssSSS', '20240229235959001'],
  ["''yyyy'年'MM'月'dd", "'2024年02月29"],
])('%s: every text one character away from %s', (pattern, good) => {
  expect(parse(pattern, good)).not.toBe('invalidTimestamp');
  const variants = [...good].flatMap((_, at) =>
    [..."0123456789 :.,+-ZzTtaAmMpP'/é\0", ''].flatMap((character) => [
      good.slice(0, at) + character + good.slice(at + 1),
      good.slice(0, at) + character + good.slice(at),
    ]),
  );
  for (const text of [good, ...variants]) {
    const expected = modelled(pattern, text);
    const actual = parse(pattern, text);
    if (expected === 'none' ? typeof actual === 'bigint' : actual !== expected)
      expect.fail(`${JSON.stringify(text)}: ${actual}, expected ${expected}`);
  }
});

test.each([
  ['yyyy-MM-dd HH:mm:ss.SSSSSSSSS', '2024-01-01 00:00:00.123456700', 'tooPrecise'],
  ['yyyy-MM-dd HH:mm:ss.SSSSSSSSS', '1970-01-01 00:00:00.123456000', 123_456n],
  ['yyyy-MM-ddXXX', '0001-01-01+00:01', 'outOfRange'],
  ['yyyy-MM-dd HHXXX', '9999-12-31 23-18:00', 'outOfRange'],
  ['yyyy-MM-ddXXX', '2024-01-01+18:01', 'invalidTimestamp'],
  ['yyyy-MM-dd', '2023-02-29', 'invalidTimestamp'],
  ['yyyy-MM-dd', '0000-01-01', 'invalidTimestamp'],
  ['yyyy-MM-dd', '', 'invalidTimestamp'],
  ['[]yyyy-MM-dd', '', 'invalidTimestamp'],
  ['yy-MM-dd', '00-01-01', 946_684_800_000_000n],
  ['h a yyyy-MM-dd', '12 AM 1970-01-01', 0n],
  ['h a yyyy-MM-dd', '12 PM 1970-01-01', 43_200_000_000n],
  ['h a yyyy-MM-dd', '0 AM 1970-01-01', 'invalidTimestamp'],
  // A section that fits only in part leaves nothing behind.
  ["yyyy-MM-dd[ HH:mm]' 07 h'", '1970-01-01 07 h', 0n],
  ["yyyy-MM-dd[ HH:mm]' 07 h'", '1970-01-01 01:00 07 h', 3_600_000_000n],
])('%s reads %j as %s', (pattern, text, value) => {
  expect(parse(pattern, text)).toBe(value);
});

describe('refused by name', () => {
  test.each([
    ['', 'it has no year'],
    ['HH:mm', 'it has no year'],
    ['yyyy-MM', 'it has no day'],
    ['yyyy[-MM-dd]', 'the month is optional in it'],
    ['YYYY-MM-dd', 'YYYY is not supported'],
    ['yyyy-DDD', 'DDD is not supported'],
    ['y-MM-dd', 'y is not supported'],
    ['EEE, dd MMM yyyy', 'EEE is not supported'],
    ['yyyy-MM-dd z', 'z is not supported'],
    ['yyyy-MM-dd XXXX', 'XXXX is not supported'],
    ['yyyy-MMMMM-dd', 'MMMMM is not supported'],
    ['yyyy-MM-dd HH:mm:ss.SSSSSSSSSS', 'SSSSSSSSSS is not supported'],
    ['yyyy-MM-dd HH:mm:ss yyyy', 'it has the year twice'],
    ['[yyyy-MM-dd][dd.MM.yyyy]', 'it has the day twice'],
    ['yyyy-MM-dd mm', 'the minute can occur without the hour'],
    ['yyyy-MM-dd[ HH]:mm', 'the minute can occur without the hour'],
    ['yyyy-MM-dd HH:mm.SSS', 'the fraction of a second can occur without the second'],
    ['yyyy-MM-dd hh:mm', 'the hour can occur without the AM or PM'],
    ['yyyy-MM-dd hh[ a]', 'the hour can occur without the AM or PM'],
    ['yyyy-MM-dd HH a', 'AM or PM needs an hour from 1 to 12, hh'],
    ['yyyyMd', 'M directly before d leaves open where it ends'],
    ['yyyy-MM-d[HH]', 'd directly before HH leaves open where it ends'],
    ["yyyy-MM-d'1'", 'd directly before 1 leaves open where it ends'],
    ['yyyy-MM-dd[ HH', "'[' without ']'"],
    ['yyyy-MM-dd]', "']' without '['"],
    ["yyyy-MM-dd'T", 'a quote is not closed'],
    ['yyyy-MM-dd{', '{ is reserved'],
  ])('%s: %s', (pattern, problem) => {
    expect(patternProblem(pattern)).toBe(problem);
    expect(timestampFormatProblem(pattern)).toContain(problem);
  });

  test('a name that is mistyped', () => {
    expect(timestampFormatProblem('epochMilis')).toBe(
      "'epochMilis' is neither iso8601, epochSeconds, epochMillis, epochMicros, epochNanos nor a pattern: e is not supported",
    );
    for (const format of [
      'iso8601',
      'epochSeconds',
      'epochMillis',
      'epochMicros',
      'epochNanos',
      'yyyy-MM-dd',
    ])
      expect(timestampFormatProblem(format)).toBeUndefined();
  });
});

test('paths go through structs; elements and values have the path of their column', () => {
  const schema = parseDdl(
    'a TIMESTAMP, b INT, s STRUCT<c: TIMESTAMP, d: STRUCT<e: TIMESTAMP>>, t ARRAY<ARRAY<TIMESTAMP>>, ' +
      'u ARRAY<STRUCT<f: TIMESTAMP>>, m MAP<STRING, STRUCT<g: MAP<STRING, TIMESTAMP>>>, `x.y` TIMESTAMP, `爬` TIMESTAMP',
  );
  expect(timestampPaths(schema)).toEqual(['a', 's.c', 's.d.e', 't', 'u.f', 'm.g', '`x.y`', '爬']);
});
