import { assert } from '../errors.ts';
import {
  dateOf,
  isInRange,
  offsetSeconds,
  SECONDS_PER_DAY,
  type TimestampProblem,
  twoDigits,
} from './date-time.ts';

/**
 * Timestamps in a pattern of Java's `DateTimeFormatter` letters, as in Spark's `timestampFormat`. The
 * letters:
 *
 * | letters | takes |
 * |---|---|
 * | `yyyy`, `uuuu` | four digits, 0001 to 9999 |
 * | `yy`, `uu` | two digits, 2000 to 2099 |
 * | `MM`, `dd`, `HH`, `hh` (1 to 12), `mm`, `ss` | two digits |
 * | `M`, `d`, `H`, `h`, `m`, `s` | one or two digits; not directly before a digit |
 * | `MMM`, `MMMM` | English month, `Jan` or `January`, in any case |
 * | `S` to `SSSSSSSSS` | up to as many digits of a fraction; those after the sixth must be zeros |
 * | `a` | `AM` or `PM`, in any case |
 * | `X`, `XX`, `XXX` | `Z`, or an offset `+01` or `+0130`, `+0130`, `+01:30` |
 * | `x`, `xx`, `xxx`, `Z` | the same without `Z`; `Z` is `xx` |
 * | `[`...`]` | may be absent as a whole |
 * | `'text'`, `''`, other characters than letters and `#{}` | themselves, exactly |
 *
 * Year, month and day are required, each letter's field occurs once, and a smaller unit of time needs the
 * larger one. Absent parts are 0, an absent zone is UTC.
 */
export class TimestampPattern {
  /** Since 1970-01-01T00:00:00Z, floored. */
  seconds = 0;
  /** 0 to 999,999. */
  microseconds = 0;

  private readonly steps: readonly Step[];
  private readonly fields = new Float64Array(FIELDS.length);

  /** @param pattern one in which `patternProblem` finds nothing */
  constructor(pattern: string) {
    const steps = compile(pattern);
    assert(typeof steps !== 'string', `${pattern}: ${steps}`);
    this.steps = steps;
  }

  /** Reads bytes `[start, end)` (`start` <= `end`, UTF-8) into `seconds` and `microseconds`. */
  parse(bytes: Uint8Array, start: number, end: number): TimestampProblem {
    const { fields } = this;
    fields.fill(0);
    if (take(this.steps, bytes, start, end, fields) !== end) return 'invalidTimestamp';
    const days = dateOf(fields[YEAR] as number, fields[MONTH] as number, fields[DAY] as number);
    if (Number.isNaN(days)) return 'invalidTimestamp';
    const nanoseconds = fields[FRACTION] as number;
    this.seconds =
      days * SECONDS_PER_DAY +
      ((fields[HOUR] as number) + (fields[HALF] as number)) * 3600 +
      (fields[MINUTE] as number) * 60 +
      (fields[SECOND] as number) -
      (fields[ZONE] as number);
    this.microseconds = Math.floor(nanoseconds / 1000);
    if (!isInRange(this.seconds)) return 'outOfRange';
    return nanoseconds % 1000 === 0 ? undefined : 'tooPrecise';
  }
}

/** The problem of a pattern, in words, or undefined. */
export function patternProblem(pattern: string): string | undefined {
  const steps = compile(pattern);
  return typeof steps === 'string' ? steps : undefined;
}

const FIELDS = [
  'year',
  'month',
  'day',
  'hour',
  'minute',
  'second',
  'fraction of a second',
  'AM or PM',
  'zone',
] as const;
const [YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, FRACTION, HALF, ZONE] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const;

/** Takes bytes from `at` on, writes its field, and returns where it ended, or -1. */
interface Step {
  readonly kind: 'digits' | 'fraction' | 'month' | 'half' | 'zone' | 'literal' | 'optional';
  readonly field: number;
  /** Digits, fewest and most. */
  readonly min: number;
  readonly max: number;
  readonly lowest: number;
  readonly highest: number;
  /** Added to the digits: the century of `yy`. */
  readonly base: number;
  /** Of hours from 1 to 12: 12 counts as 0. */
  readonly modulo: number;
  readonly literal: Uint8Array;
  readonly names: readonly string[];
  readonly allowsZ: boolean;
  readonly hasColon: boolean;
  readonly minutes: 'optional' | 'always';
  readonly steps: readonly Step[];
}

const NOTHING: Step = {
  kind: 'literal',
  field: -1,
  min: 0,
  max: 0,
  lowest: 0,
  highest: 0,
  base: 0,
  modulo: Number.POSITIVE_INFINITY,
  literal: new Uint8Array(0),
  names: [],
  allowsZ: false,
  hasColon: false,
  minutes: 'always',
  steps: [],
};

function take(
  steps: readonly Step[],
  bytes: Uint8Array,
  start: number,
  end: number,
  fields: Float64Array,
): number {
  let at = start;
  for (const step of steps) {
    at = takeStep(step, bytes, at, end, fields);
    if (at < 0) return -1;
  }
  return at;
}

function takeStep(step: Step, bytes: Uint8Array, at: number, end: number, fields: Float64Array): number {
  switch (step.kind) {
    case 'digits':
      return takeDigits(step, bytes, at, end, fields);
    case 'fraction':
      return takeFraction(step, bytes, at, end, fields);
    case 'month':
      return takeName(step, bytes, at, end, fields, 1, 1);
    case 'half':
      return takeName(step, bytes, at, end, fields, 0, 12);
    case 'zone':
      return takeZone(step, bytes, at, end, fields);
    case 'literal':
      return takeLiteral(step, bytes, at, end);
    case 'optional': {
      const after = take(step.steps, bytes, at, end, fields);
      if (after < 0) forget(step.steps, fields);
      return after < 0 ? at : after;
    }
  }
}

/** A section that does not fit as a whole leaves nothing of itself. */
function forget(steps: readonly Step[], fields: Float64Array): void {
  for (const step of steps) {
    if (step.field >= 0) fields[step.field] = 0;
    forget(step.steps, fields);
  }
}

function takeDigits(
  { field, min, max, lowest, highest, base, modulo }: Step,
  bytes: Uint8Array,
  start: number,
  end: number,
  fields: Float64Array,
): number {
  const after = endOfDigits(bytes, start, Math.min(end, start + max));
  let value = 0;
  for (let at = start; at < after; at++) value = value * 10 + (bytes[at] as number) - 0x30;
  if (after - start < min || value < lowest || value > highest) return -1;
  fields[field] = (value % modulo) + base;
  return after;
}

function takeFraction(
  { max }: Step,
  bytes: Uint8Array,
  start: number,
  end: number,
  fields: Float64Array,
): number {
  const after = endOfDigits(bytes, start, Math.min(end, start + max));
  if (after === start) return -1;
  let nanoseconds = 0;
  for (let i = 0; i < 9; i++)
    nanoseconds = nanoseconds * 10 + (start + i < after ? (bytes[start + i] as number) - 0x30 : 0);
  fields[FRACTION] = nanoseconds;
  return after;
}

function endOfDigits(bytes: Uint8Array, start: number, limit: number): number {
  let at = start;
  while (at < limit && (bytes[at] as number) >= 0x30 && (bytes[at] as number) <= 0x39) at++;
  return at;
}

/** The field becomes `first` for the first of the names, and `step` more for each further one. */
function takeName(
  { field, names }: Step,
  bytes: Uint8Array,
  start: number,
  end: number,
  fields: Float64Array,
  first: number,
  step: number,
): number {
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    let length = 0;
    while (
      length < name.length &&
      start + length < end &&
      ((bytes[start + length] as number) | 0x20) === name.charCodeAt(length)
    )
      length++;
    if (length < name.length) continue;
    fields[field] = first + i * step;
    return start + length;
  }
  return -1;
}

function takeZone(
  { allowsZ, hasColon, minutes }: Step,
  bytes: Uint8Array,
  at: number,
  end: number,
  fields: Float64Array,
): number {
  if (at >= end) return -1;
  const sign = bytes[at];
  if (allowsZ && sign === 0x5a) return at + 1;
  if ((sign !== 0x2b && sign !== 0x2d) || at + 3 > end) return -1;
  const minutesAt = at + (hasColon ? 4 : 3);
  const hasMinutes =
    minutes === 'always' || (minutes === 'optional' && endOfDigits(bytes, minutesAt, end) - minutesAt >= 2);
  if (hasMinutes && (minutesAt + 2 > end || (hasColon && bytes[at + 3] !== 0x3a))) return -1;
  const offset = offsetSeconds(twoDigits(bytes, at + 1), hasMinutes ? twoDigits(bytes, minutesAt) : 0);
  if (Number.isNaN(offset)) return -1;
  fields[ZONE] = sign === 0x2b ? offset : -offset;
  return hasMinutes ? minutesAt + 2 : at + 3;
}

function takeLiteral({ literal }: Step, bytes: Uint8Array, at: number, end: number): number {
  if (at + literal.length > end) return -1;
  for (let i = 0; i < literal.length; i++) if (bytes[at + i] !== literal[i]) return -1;
  return at + literal.length;
}

class PatternProblem extends Error {}

function compile(pattern: string): readonly Step[] | string {
  try {
    return new PatternCompiler(pattern).steps();
  } catch (thrown) {
    if (thrown instanceof PatternProblem) return thrown.message;
    throw thrown;
  }
}

const TOKEN = /([A-Za-z])\1*|'(?:[^']|'')*'|\[|\]|[^A-Za-z'[\]#{}]+/y;

class PatternCompiler {
  private readonly pattern: string;
  private position = 0;
  /** Where each field stands: the sections around it, outermost first. */
  private readonly sections = new Map<number, readonly number[]>();
  private readonly sectionsAround: number[] = [];
  private sectionCount = 0;
  /** The step before takes one digit or two, so that a digit must not follow. */
  private afterVariable: string | undefined;
  private isTwelveHours = false;

  constructor(pattern: string) {
    this.pattern = pattern;
  }

  steps(): readonly Step[] {
    const steps = this.sequence();
    if (this.position < this.pattern.length) this.fail("']' without '['");
    this.checkFields();
    return steps;
  }

  private sequence(): Step[] {
    const steps: Step[] = [];
    while (this.position < this.pattern.length && this.pattern[this.position] !== ']') {
      TOKEN.lastIndex = this.position;
      const [token, letter] = TOKEN.exec(this.pattern) ?? [];
      if (token === undefined) this.failAtCharacter();
      this.position += token.length;
      if (token === '[') steps.push(this.optional());
      else if (letter !== undefined) steps.push(this.letters(letter, token));
      else steps.push(this.text(token));
    }
    return steps;
  }

  private failAtCharacter(): never {
    const character = this.pattern[this.position];
    return this.fail(character === "'" ? 'a quote is not closed' : `${character} is reserved`);
  }

  private optional(): Step {
    this.sectionsAround.push(++this.sectionCount);
    const steps = this.sequence();
    if (this.pattern[this.position] !== ']') this.fail("'[' without ']'");
    this.position++;
    this.sectionsAround.pop();
    return { ...NOTHING, kind: 'optional', steps };
  }

  private text(token: string): Step {
    const inner = token.startsWith("'") ? token.slice(1, -1).replaceAll("''", "'") : token;
    const literal = Buffer.from(inner === '' ? "'" : inner);
    if (/^[0-9]/.test(literal.toString())) this.digitFollows(literal.toString());
    this.afterVariable = undefined;
    return { ...NOTHING, literal };
  }

  private letters(letter: string, token: string): Step {
    if (letter === 'M' && token.length >= 3) return this.monthName(token);
    const digits = DIGIT_LETTERS.get(token);
    if (digits !== undefined) return this.digits(token, digits);
    if (letter === 'S' && token.length <= 9) {
      this.digitFollows(token);
      this.claim(FRACTION);
      this.afterVariable = token;
      return { ...NOTHING, kind: 'fraction', field: FRACTION, max: token.length };
    }
    this.afterVariable = undefined;
    if (token === 'a') {
      this.claim(HALF);
      return { ...NOTHING, kind: 'half', field: HALF, names: ['am', 'pm'] };
    }
    const zone = ZONES.get(token);
    if (zone === undefined) this.fail(`${token} is not supported`);
    this.claim(ZONE);
    return { ...NOTHING, ...zone, kind: 'zone', field: ZONE };
  }

  private monthName(token: string): Step {
    if (token.length > 4) this.fail(`${token} is not supported`);
    this.claim(MONTH);
    this.afterVariable = undefined;
    const names = token.length === 3 ? MONTHS.map((name) => name.slice(0, 3)) : MONTHS;
    return { ...NOTHING, kind: 'month', field: MONTH, names };
  }

  private digits(token: string, digits: DigitLetters): Step {
    this.digitFollows(token);
    this.claim(digits.field);
    this.isTwelveHours ||= digits.modulo !== undefined;
    this.afterVariable = token.length === 1 ? token : undefined;
    const min = token.length;
    return { ...NOTHING, kind: 'digits', min, max: Math.max(2, min), ...digits };
  }

  private digitFollows(token: string): void {
    if (this.afterVariable !== undefined)
      this.fail(`${this.afterVariable} directly before ${token} leaves open where it ends`);
  }

  private claim(field: number): void {
    if (this.sections.has(field)) this.fail(`it has the ${FIELDS[field]} twice`);
    this.sections.set(field, [...this.sectionsAround]);
  }

  private checkFields(): void {
    for (const field of [YEAR, MONTH, DAY]) {
      const sections = this.sections.get(field);
      if (sections === undefined) this.fail(`it has no ${FIELDS[field]}`);
      if (sections.length > 0) this.fail(`the ${FIELDS[field]} is optional in it`);
    }
    this.needs(MINUTE, HOUR);
    this.needs(SECOND, MINUTE);
    this.needs(FRACTION, SECOND);
    if (this.isTwelveHours) this.needs(HOUR, HALF);
    else if (this.sections.has(HALF)) this.fail('AM or PM needs an hour from 1 to 12, hh');
    if (this.isTwelveHours) this.needs(HALF, HOUR);
  }

  /** `field` occurs only where `other` does. */
  private needs(field: number, other: number): void {
    const sections = this.sections.get(field);
    const around = this.sections.get(other);
    if (sections === undefined) return;
    if (around === undefined || around.some((section, depth) => sections[depth] !== section))
      this.fail(`the ${FIELDS[field]} can occur without the ${FIELDS[other]}`);
  }

  private fail(problem: string): never {
    throw new PatternProblem(problem);
  }
}

type DigitLetters = Pick<Step, 'field' | 'lowest' | 'highest'> & Partial<Pick<Step, 'base' | 'modulo'>>;

const YEAR_DIGITS = { field: YEAR, lowest: 1, highest: 9999 };
const YEAR_OF_CENTURY = { field: YEAR, lowest: 0, highest: 99, base: 2000 };
const DIGIT_LETTERS = new Map<string, DigitLetters>([
  ['yyyy', YEAR_DIGITS],
  ['uuuu', YEAR_DIGITS],
  ['yy', YEAR_OF_CENTURY],
  ['uu', YEAR_OF_CENTURY],
  ...oneOrTwo('M', { field: MONTH, lowest: 1, highest: 12 }),
  ...oneOrTwo('d', { field: DAY, lowest: 1, highest: 31 }),
  ...oneOrTwo('H', { field: HOUR, lowest: 0, highest: 23 }),
  ...oneOrTwo('h', { field: HOUR, lowest: 1, highest: 12, modulo: 12 }),
  ...oneOrTwo('m', { field: MINUTE, lowest: 0, highest: 59 }),
  ...oneOrTwo('s', { field: SECOND, lowest: 0, highest: 59 }),
]);

function oneOrTwo(letter: string, digits: DigitLetters): readonly [string, DigitLetters][] {
  return [
    [letter, digits],
    [letter + letter, digits],
  ];
}

const ZONES = new Map<string, Pick<Step, 'allowsZ' | 'hasColon' | 'minutes'>>([
  ['X', { allowsZ: true, hasColon: false, minutes: 'optional' }],
  ['XX', { allowsZ: true, hasColon: false, minutes: 'always' }],
  ['XXX', { allowsZ: true, hasColon: true, minutes: 'always' }],
  ['x', { allowsZ: false, hasColon: false, minutes: 'optional' }],
  ['xx', { allowsZ: false, hasColon: false, minutes: 'always' }],
  ['xxx', { allowsZ: false, hasColon: true, minutes: 'always' }],
  ['Z', { allowsZ: false, hasColon: false, minutes: 'always' }],
]);

/** Lower case: bytes are compared with their bit 0x20 set. */
const MONTHS = [
  'january',
  'february',
  'march',
  'april',
  'may',
  'june',
  'july',
  'august',
  'september',
  'october',
  'november',
  'december',
];
