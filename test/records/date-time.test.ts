/**
 * Goal: dates and timestamps mean what `Date` says, within the years 0001 to 9999, and nothing else is one.
 *
 * Method: every day of a whole cycle of leap years at both ends and in the middle; every text that differs
 * from a good one in one byte.
 */
import { expect, test } from 'vitest';
import { formatDate, parseDate, TimestampReader } from '../../src/records/date-time.ts';

const FIRST_DAY = -719_162;
const LAST_DAY = 2_932_896;

test('every day of three cycles of 400 years there and back', () => {
  const cycle = 146_097;
  for (const first of [FIRST_DAY, -cycle / 2 + 0.5, LAST_DAY - cycle]) {
    for (let day = first; day <= first + cycle; day++) {
      const text = formatDate(day);
      if (parseDate(Buffer.from(text), 0, 10) !== day) expect.fail(text);
    }
  }
  expect(formatDate(FIRST_DAY)).toBe('0001-01-01');
  expect(formatDate(LAST_DAY)).toBe('9999-12-31');
});

test('days that do not exist, for every month of a leap year, a common one, 1900 and 2000', () => {
  for (const year of [2024, 2023, 1900, 2000]) {
    for (let month = 0; month < 20; month++) {
      for (let day = 0; day < 40; day++) {
        const text = `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
        const millis = Date.UTC(year, month - 1, day);
        const exists = new Date(millis).toISOString().startsWith(text);
        expect(parseDate(Buffer.from(text), 0, 10), text).toBe(exists ? millis / 86_400_000 : Number.NaN);
      }
    }
  }
});

test('one byte changed in a timestamp gives another valid one or none', () => {
  const text = '2024-02-28T23:59:58.123456+01:30';
  const valid = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d$/;
  const reader = new TimestampReader();
  for (let at = 0; at < text.length; at++) {
    for (let byte = 0; byte < 128; byte++) {
      const changed = text.slice(0, at) + String.fromCharCode(byte) + text.slice(at + 1);
      const problem = reader.parse(Buffer.from(changed), 0, changed.length);
      const millis = valid.test(changed) ? Date.parse(changed.replace(' ', 'T')) : Number.NaN;
      if (problem === undefined) {
        // Zero months and such: `Date` refuses them as we do; it reads milliseconds only.
        expect(Number.isNaN(millis), JSON.stringify(changed)).toBe(false);
        expect(reader.seconds * 1000 + Math.floor(reader.microseconds / 1000), changed).toBe(millis);
        expect(reader.microseconds, changed).toBe(Number(changed.slice(20, 26)));
      } else expect(acceptedBySpecification(changed, millis), JSON.stringify(changed)).toBe(false);
    }
  }
});

/** `Date` accepts February 30, 24:00:00 and offsets up to 23:59. */
function acceptedBySpecification(text: string, millis: number): boolean {
  const offset = Number(text.slice(27, 29)) * 60 + Number(text.slice(30, 32));
  const day = Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)) - 1, Number(text.slice(8, 10)));
  const isDay = Number.isFinite(day) && new Date(day).toISOString().startsWith(text.slice(0, 10));
  return !Number.isNaN(millis) && isDay && Number(text.slice(11, 13)) < 24 && offset <= 18 * 60;
}
