import { parseDate, TimestampReader } from '../records/date-time.ts';
import type { EpochFormat } from '../records/timestamp-format.ts';
import { TimestampPattern } from '../records/timestamp-pattern.ts';

/** A way to read text as a time: `date` for a DATE, else what `records.timestamps` takes. */
export interface TextFormat {
  readonly name: string;
  reads(text: Uint8Array): boolean;
}

const timestamp = new TimestampReader();
const FINER = 'tooPrecise';

/** Whether a text is an ISO 8601 time that only `truncateTimestamps` makes fit a TIMESTAMP. */
export function isFinerThanMicroseconds(text: Uint8Array): boolean {
  return timestamp.parse(text, 0, text.length) === FINER;
}

function pattern(name: string): TextFormat {
  const compiled = new TimestampPattern(name);
  return { name, reads: (text) => compiled.parse(text, 0, text.length) === undefined };
}

/**
 * The formats that are tried, the plainer first. A day and a month that may stand in either order are both
 * tried: where the sample does not tell them apart, nobody guesses.
 */
export const TEXT_FORMATS: readonly TextFormat[] = [
  { name: 'date', reads: (text) => !Number.isNaN(parseDate(text, 0, text.length)) },
  { name: 'iso8601', reads: (text) => [undefined, FINER].includes(timestamp.parse(text, 0, text.length)) },
  ...[
    'yyyy/MM/dd HH:mm:ss[.SSSSSS]',
    'yyyy/MM/dd',
    'dd.MM.yyyy HH:mm:ss[.SSSSSS]',
    'dd.MM.yyyy',
    'dd/MM/yyyy HH:mm:ss[.SSSSSS]',
    'MM/dd/yyyy HH:mm:ss[.SSSSSS]',
    'dd/MM/yyyy',
    'MM/dd/yyyy',
    'yyyyMMddHHmmss',
    "yyyyMMdd'T'HHmmss[X]",
    'dd/MMM/yyyy:HH:mm:ss Z',
    'dd MMM yyyy HH:mm:ss',
  ].map(pattern),
];

/** The format in which all strings can be read; `ambiguous` where day and month may be either. */
export function textFormatOf(formats: readonly TextFormat[]): string | 'ambiguous' | undefined {
  const names = formats.map(({ name }) => name);
  const [first] = names;
  if (first?.startsWith('dd/MM') && names.some((name) => name.startsWith('MM/dd'))) return 'ambiguous';
  return first;
}

/** From 2000 to 2100: as seconds, milliseconds, microseconds and nanoseconds these ranges do not meet. */
const EPOCH_SECONDS = { from: 946_684_800, until: 4_102_444_800 };
const EPOCH_UNITS: readonly (readonly [EpochFormat, number])[] = [
  ['epochSeconds', 1],
  ['epochMillis', 1e3],
  ['epochMicros', 1e6],
  ['epochNanos', 1e9],
];

/**
 * What numbers from `lowest` to `highest` are as times, in a field that is called like one. Numbers alone
 * prove nothing.
 */
export function epochFormat(name: string, lowest: number, highest: number): EpochFormat | undefined {
  if (!isTimeName(name)) return undefined;
  const unit = EPOCH_UNITS.find(
    ([, perSecond]) => lowest >= EPOCH_SECONDS.from * perSecond && highest < EPOCH_SECONDS.until * perSecond,
  );
  return unit?.[0];
}

const UNIT_WORDS =
  /^(?:ms|millis|milliseconds|us|micros|microseconds|ns|nano|nanos|nanoseconds|s|sec|secs|seconds|utc|epoch|unix)$/;
const TIME_WORDS =
  /^(?:ts|time|times|timestamp|date|datetime|at|on|when|epoch|created|updated|modified|changed|deleted|seen|fetched|crawled|published|expires|expiry|since|until|start|end|started|ended)$/;

/** `crawl_ts`, `createdAt`, `event_time_ms`. */
export function isTimeName(name: string): boolean {
  const words = wordsOf(name);
  if (words.some((word) => word === 'epoch' || word === 'timestamp')) return true;
  while (words.length > 1 && UNIT_WORDS.test(words.at(-1) ?? '')) words.pop();
  return TIME_WORDS.test(words.at(-1) ?? '');
}

export function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
}
