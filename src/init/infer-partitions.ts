import type { TimeUnit } from '../records/partition-term.ts';
import { folderNameProblem } from '../records/table-partitioner.ts';
import type { InferredSchema } from './infer-schema.ts';
import { recordsWith } from './infer-schema.ts';
import type { InferredField } from './infer-type.ts';
import { wordsOf } from './time-guesses.ts';

/**
 * The share of records that must have the time: the others would all be in one table partition, that of null.
 */
const PRESENT_SHARE_MIN = 0.99;
/**
 * What tables are partitioned by, the likelier first: the time of a run or an event, not that of some
 * property.
 */
const TIME_RANKS: readonly RegExp[] = [
  /^(?:crawl|crawled|event|run)$/,
  /^(?:ts|timestamp|time|datetime|date|day)$/,
  /^(?:created|fetched|received|occurred|at|on)$/,
];

/** The columns that the table may be partitioned by, the likeliest first. */
export function partitionCandidates({ fields }: InferredSchema, records: number): string[] {
  const names = fields.map(({ name }) => name.toLowerCase());
  const columnsOf = (name: string) => ['year', 'month', 'day'].map((unit) => `${name}_${unit}`);
  const fits = (column: string) =>
    folderNameProblem(column) === undefined && !names.includes(column.toLowerCase());
  return fields
    .filter(isTime)
    .filter(({ name }) => /^[^()`]+$/.test(name) && columnsOf(name).every(fits))
    .filter(({ seen, misfits }) => recordsWith(seen).size - misfits.size >= records * PRESENT_SHARE_MIN)
    .map(({ name }) => ({ name, rank: rankOf(name) }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ name }) => name);
}

function isTime({ type }: InferredField): boolean {
  return type?.kind === 'primitive' && (type.name === 'timestamp' || type.name === 'date');
}

function rankOf(name: string): number {
  const words = wordsOf(name);
  const rank = TIME_RANKS.findIndex((words_) => words.some((word) => words_.test(word)));
  return rank < 0 ? TIME_RANKS.length : rank;
}

/** Rows that a table partition should have at least, where there are more than a few. */
const ROWS_MIN = 10_000;
/** So few are no burden, however small they are. */
const FEW_PARTITIONS = 62;
const DAYS_PER: Readonly<Record<'day' | 'month' | 'year', number>> = { day: 1, month: 30, year: 365 };

/**
 * The finest unit of time that makes no crowd of small table partitions; undefined where even years would.
 *
 * @param days of the rows of the sample, `YYYY-MM-DD`
 * @param rows of the topics, as far as offsets tell
 */
export function partitionUnit(days: readonly string[], rows: number): Exclude<TimeUnit, 'hour'> | undefined {
  const times = days.map((day) => Date.parse(day)).sort((a, b) => a - b);
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const span = (last - first) / 86_400_000 + 1;
  return (['day', 'month', 'year'] as const).find((unit) => {
    const partitions = Math.ceil(span / DAYS_PER[unit]);
    return partitions <= FEW_PARTITIONS || rows / partitions >= ROWS_MIN;
  });
}
