/**
 * Dates and timestamps as text: proleptic Gregorian, years 0001 to 9999. Read from bytes, since the decoder
 * reads one or two in every record (45 ns against 240 for `Date.parse`, which also accepts text that is not a
 * date).
 */

export const SECONDS_PER_DAY = 86_400;
/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, in seconds since 1970. */
export const MIN_SECONDS = -62_135_596_800;
export const MAX_SECONDS = 253_402_300_799;
/** No text of a date or timestamp. */
export const INVALID = Number.NaN;

/** Days since 1970-01-01 of `YYYY-MM-DD` in `[start, end)`, or `INVALID`. */
export function parseDate(bytes: Uint8Array, start: number, end: number): number {
  return end - start === 10 ? dateAt(bytes, start) : INVALID;
}

/** `YYYY-MM-DD` of days since 1970-01-01, within the years 0001 to 9999. */
export function formatDate(days: number): string {
  return new Date(days * SECONDS_PER_DAY * 1000).toISOString().slice(0, 10);
}

export type TimestampProblem = 'invalidTimestamp' | 'outOfRange' | 'tooPrecise' | undefined;

/**
 * Reads ISO 8601 into `seconds` and `microseconds`; one object is reused, so that nothing is allocated per
 * value.
 */
export class TimestampReader {
  /** Since 1970-01-01T00:00:00Z, floored. */
  seconds = 0;
  /** 0 to 999,999. */
  microseconds = 0;

  /**
   * `YYYY-MM-DD`, or `YYYY-MM-DD(T| )HH:MM[:SS[.f]][Z|±HH|±HH:MM|±HHMM]` with 1 to 9 digits in `f` and
   * offsets up to 18:00 as in java.time; UTC without a zone. Other digits than zeros after the sixth are
   * `tooPrecise`: then `seconds` and `microseconds` hold the time without them.
   */
  parse(bytes: Uint8Array, start: number, end: number): TimestampProblem {
    const days = end - start >= 10 ? dateAt(bytes, start) : INVALID;
    if (Number.isNaN(days)) return 'invalidTimestamp';
    this.microseconds = 0;
    this.seconds = days * SECONDS_PER_DAY;
    return end - start === 10 ? undefined : this.timeOfDay(bytes, start + 10, end);
  }

  private timeOfDay(bytes: Uint8Array, start: number, end: number): TimestampProblem {
    if (end - start < 6) return 'invalidTimestamp';
    const separator = bytes[start];
    if (separator !== 0x54 && separator !== 0x20) return 'invalidTimestamp';
    if (bytes[start + 3] !== COLON) return 'invalidTimestamp';
    const hour = twoDigits(bytes, start + 1);
    const minute = twoDigits(bytes, start + 4);
    if (!(hour < 24 && minute < 60)) return 'invalidTimestamp';
    this.seconds += hour * 3600 + minute * 60;
    const after = start + 6;
    return after < end && bytes[after] === COLON
      ? this.secondOfMinute(bytes, after + 1, end)
      : this.zone(bytes, after, end);
  }

  private secondOfMinute(bytes: Uint8Array, start: number, end: number): TimestampProblem {
    const second = end - start < 2 ? INVALID : twoDigits(bytes, start);
    if (!(second < 60)) return 'invalidTimestamp';
    this.seconds += second;
    const after = start + 2;
    return after < end && bytes[after] === DOT
      ? this.fraction(bytes, after + 1, end)
      : this.zone(bytes, after, end);
  }

  private fraction(bytes: Uint8Array, start: number, end: number): TimestampProblem {
    let at = start;
    let value = 0;
    let tooPrecise = false;
    for (; at < end; at++) {
      const digit = (bytes[at] as number) - ZERO;
      if (digit < 0 || digit > 9) break;
      if (at - start < 6) value = value * 10 + digit;
      else if (digit !== 0) tooPrecise = true;
    }
    const digits = at - start;
    if (digits === 0 || digits > 9) return 'invalidTimestamp';
    this.microseconds = value * (POWERS_OF_TEN[6 - Math.min(digits, 6)] as number);
    return this.zone(bytes, at, end) ?? (tooPrecise ? 'tooPrecise' : undefined);
  }

  private zone(bytes: Uint8Array, start: number, end: number): TimestampProblem {
    if (start === end) return undefined;
    const sign = bytes[start];
    if (sign === 0x5a) return start + 1 === end ? undefined : 'invalidTimestamp';
    if (sign !== 0x2b && sign !== 0x2d) return 'invalidTimestamp';
    const hours = start + 3 <= end ? twoDigits(bytes, start + 1) : INVALID;
    const offset =
      start + 3 === end ? offsetSeconds(hours, 0) : this.offsetWithMinutes(bytes, hours, start + 3, end);
    if (Number.isNaN(offset)) return 'invalidTimestamp';
    this.seconds += sign === 0x2b ? -offset : offset;
    return isInRange(this.seconds) ? undefined : 'outOfRange';
  }

  private offsetWithMinutes(bytes: Uint8Array, hours: number, start: number, end: number): number {
    const minutesAt = bytes[start] === COLON ? start + 1 : start;
    return minutesAt + 2 === end ? offsetSeconds(hours, twoDigits(bytes, minutesAt)) : INVALID;
  }
}

const ZERO = 0x30;
const DASH = 0x2d;
const COLON = 0x3a;
const DOT = 0x2e;
const POWERS_OF_TEN = [1, 10, 100, 1000, 10_000, 100_000];
const DAYS_IN_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

export function isInRange(seconds: number): boolean {
  return seconds >= MIN_SECONDS && seconds <= MAX_SECONDS;
}

/** Up to 18:00 as in java.time, or `INVALID`. */
export function offsetSeconds(hours: number, minutes: number): number {
  return hours <= 18 && minutes < 60 && hours * 60 + minutes <= 18 * 60
    ? hours * 3600 + minutes * 60
    : INVALID;
}

/** Ten bytes must be readable at `at`. */
function dateAt(bytes: Uint8Array, at: number): number {
  if (bytes[at + 4] !== DASH || bytes[at + 7] !== DASH) return INVALID;
  const year = twoDigits(bytes, at) * 100 + twoDigits(bytes, at + 2);
  const month = twoDigits(bytes, at + 5);
  const day = twoDigits(bytes, at + 8);
  return dateOf(year, month, day);
}

/** Days since 1970-01-01, or `INVALID` where there is no such day. */
export function dateOf(year: number, month: number, day: number): number {
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month)))
    return INVALID;
  return daysSinceEpoch(year, month, day);
}

/** 0 to 99, or `INVALID`. */
export function twoDigits(bytes: Uint8Array, at: number): number {
  const tens = (bytes[at] as number) - ZERO;
  const ones = (bytes[at + 1] as number) - ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : INVALID;
}

function daysInMonth(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 && leap ? 29 : (DAYS_IN_MONTH[month - 1] as number);
}

/**
 * Years begin in March here, so that the leap day is their last. 719,468 days lie between 0000-03-01 and
 * 1970-01-01.
 */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const marchYear = month > 2 ? year : year - 1;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  return marchYear * 365 + leapDays + dayOfYear - 719_468;
}
