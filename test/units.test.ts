/**
 * Goal: sizes and durations mean what people mean, and nothing else passes. Method: examples of each form.
 */
import { describe, expect, it } from 'vitest';
import { parseBytes, parseDuration } from '../src/units.ts';

describe('parseBytes', () => {
  it.each([
    ['128MiB', 134_217_728],
    ['128 MB', 128_000_000],
    ['1.5KiB', 1536],
    ['7', 7],
    [7, 7],
    ['1TiB', 1_099_511_627_776],
  ])('%s is %d bytes', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  it.each(['', 'MiB', '-1MiB', '1.3B', '12 parsecs', '1e3', '0x10', 'NaN', 1.5, -1, '9007199254740993'])(
    '%s is no size',
    (text) => expect(parseBytes(text)).toBeUndefined(),
  );
});

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['10m', 600_000],
    ['1h30m', 5_400_000],
    ['1h 30m', 5_400_000],
    ['2d', 172_800_000],
    ['0.5h', 1_800_000],
    ['0', 0],
    [0, 0],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '10', 10, '10 minutes', '-1m', 'm', '1h30', '1.5ms'])('%s is no duration', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );
});
