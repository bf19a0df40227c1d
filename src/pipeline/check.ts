import { dirname, resolve } from 'node:path';
import { columnName, plainPath } from '../records/json-path.ts';
import type { PartitionTerm } from '../records/partition-term.ts';
import type { CleanColumn, RecordsSpecification } from '../records/records-specification.ts';
import { tableSchemas } from '../records/table-schema.ts';
import { placeOf } from '../storage/location.ts';
import { checkClean } from './check-clean.ts';
import { failureOf, partitionTerms, rowColumns } from './check-columns.ts';
import { retentionOf } from './check-retention.ts';
import { checkServers, checkStart, startingTimestampsOf, topicsOf } from './check-source.ts';
import { optionName, type Path } from './problems.ts';
import type { IsGiven, Options, Readable, Refuse, ShapeProblem } from './read-shape.ts';
import type { PipelineShape } from './shape.ts';
import type { ScheduleSpecification, Specification } from './specification.ts';

/** Where the file lies decides its name and what its location is relative to. */
export interface FilePlace {
  readonly name: string;
  /** Absolute. */
  readonly path: string;
}

/**
 * The checks that need more than one option, and the step from options to a specification. Where there are
 * problems, now or before, the result is incomplete and not to be used.
 */
export function checkOptions(
  options: Readable<PipelineShape>,
  place: FilePlace,
  isGiven: IsGiven,
  problems: ShapeProblem[],
): Specification {
  const refuse: Refuse = (path, message, fix, position) =>
    problems.push({ path, at: 'value', message, fix, ...(position !== undefined && { position }) });
  const { records = {}, table = {}, limits, compaction = {}, vacuum = {} } = options;
  const source = sourceOf(options.source, isGiven, problems, refuse);
  checkMaxDeadLetters(records, isGiven, refuse);
  const columns = rowColumns(records, refuse);
  const partitionBy = partitionTerms(table.partitionBy ?? [], columns, records.clean, refuse);
  const isPartitioned = !hasProblem(problems, ['table', 'partitionBy']);
  const retention = isPartitioned ? retentionOf(table.retention, partitionBy, refuse) : undefined;
  if (records.clean) checkClean(records.clean, columns, partitionBy, refuse);
  const schedule = drainScheduleOf(options.schedule, problems, refuse);
  const specification: Incomplete<Specification> = {
    name: place.name,
    source,
    records: recordsOf(records),
    table: {
      location: table.location && locationOf(table.location, place, refuse),
      partitionBy,
      targetFileBytes: table.targetFileSize,
      ...(table.coalesce !== undefined && { coalesce: table.coalesce }),
      compression: table.compression,
      ...(retention && { retention }),
    },
    limits,
    ...(schedule && { schedule }),
    compaction: compactionOf(compaction, refuse),
    vacuum: vacuumOf(vacuum, refuse),
  };
  if (!hasProblem(problems, ['records']) && columns) {
    const terms = hasProblem(problems, ['table', 'partitionBy']) ? [] : partitionBy;
    checkTableSchemas(specification.records as RecordsSpecification, terms, refuse);
  }
  return specification as Specification;
}
function sourceOf(
  given: Options<'source'> | undefined,
  isGiven: IsGiven,
  problems: readonly ShapeProblem[],
  refuse: Refuse,
): Incomplete<Specification['source']> {
  const source = given ?? {};
  if (source.bootstrapServers) checkServers(source.bootstrapServers, refuse);
  const topics = topicsOf(source, refuse);
  if (given && !topics && !TOPIC_OPTIONS.some((option) => hasProblem(problems, ['source', option]))) {
    const message =
      'One of the following options must be specified for Kafka source: subscribe, subscribepattern, assign.';
    refuse(['source'], message, 'Add for example `subscribe: [orders]`.');
  }
  checkStart(source, isGiven, refuse);
  return {
    bootstrapServers: source.bootstrapServers,
    topics,
    startingOffsets: source.startingOffsets,
    ...startingTimestampsOf(source),
    startingTimestampStrategy: source.startingOffsetsByTimestampStrategy,
    failOnDataLoss: source.failOnDataLoss,
    isolation: source.isolation,
  };
}

/** An option that would do nothing is refused, not ignored. */
function checkMaxDeadLetters({ mode }: Options<'records'>, isGiven: IsGiven, refuse: Refuse): void {
  const path = ['records', 'maxDeadLetters'];
  if (mode === undefined || mode === 'deadLetter' || !isGiven(path)) return;
  const message = `records.maxDeadLetters is given, but mode ${mode} makes no dead letters.`;
  refuse(path, message, 'Remove it, or use records.mode: deadLetter.');
}

/** The rules of the table's own code, each reported at its option. */
function checkTableSchemas(
  { clean: _, timestamps, truncateTimestamps, from = {}, ...records }: RecordsSpecification,
  partitionBy: readonly PartitionTerm[],
  refuse: Refuse,
): void {
  const problem = failureOf(() => tableSchemas({ ...records, timestamps: {} }, partitionBy));
  if (problem) refuse(['records', 'schema'], `records.schema: ${problem.message}`, problem.fix);
  if (problem) return;
  for (const [path, format] of Object.entries(timestamps)) {
    const wrong = failureOf(() => tableSchemas({ ...records, timestamps: { [path]: format } }, []));
    if (wrong) refuse(['records', 'timestamps', path], `records.timestamps: ${wrong.message}`, wrong.fix);
  }
  for (const [column, path] of Object.entries(from)) {
    const wrong = failureOf(() => tableSchemas({ ...records, timestamps: {}, from: { [column]: path } }, []));
    if (wrong) refuse(['records', 'from', column], `records.${wrong.message}`, wrong.fix);
  }
  if (truncateTimestamps === undefined) return;
  const wrong = failureOf(() => tableSchemas({ ...records, timestamps: {}, truncateTimestamps }, []));
  if (wrong) refuse(['records', 'truncateTimestamps'], `records.${wrong.message}`, wrong.fix);
}

function recordsOf(records: Options<'records'>): Incomplete<Specification['records']> {
  const {
    maxDeadLetters,
    clean,
    schema,
    timestamps = {},
    tombstones,
    from,
    truncateTimestamps,
    quotedNumbers,
    ...others
  } = records;
  return {
    ...others,
    ...(tombstones === 'row' && { tombstones }),
    timestamps: renamed(timestamps, plainPath),
    ...(from && Object.keys(from).length > 0 && { from: renamed(from, columnName) }),
    ...(truncateTimestamps && {
      truncateTimestamps: truncateTimestamps === true || truncateTimestamps.map(plainPath),
    }),
    ...(quotedNumbers && { quotedNumbers }),
    schema: schema?.trim(),
    maxDeadLetterShare: maxDeadLetters,
    ...(clean && {
      clean: { ...(clean.where !== undefined && { where: clean.where }), columns: cleanColumns(clean) },
    }),
  };
}

/** With the names of columns out of their backquotes. */
function renamed<T>(
  options: Readonly<Record<string, T>>,
  name: (given: string) => string,
): Record<string, T> {
  return Object.fromEntries(Object.entries(options).map(([given, option]) => [name(given), option]));
}

/** Their types are the database's to say: `describeClean` fills them in. */
function cleanColumns({ columns = {} }: NonNullable<Options<'records'>['clean']>): readonly CleanColumn[] {
  return Object.entries(columns).map(([given, expression]) => ({
    name: columnName(given),
    expression,
    type: '',
  }));
}

/** A specification in which what had a problem is missing. */
type Incomplete<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: Incomplete<T[K]> | undefined }
    : T;

const TOPIC_OPTIONS = ['subscribe', 'subscribePattern', 'assign'];

function hasProblem(problems: readonly ShapeProblem[], path: Path): boolean {
  return problems.some((problem) => path.every((key, at) => problem.path[at] === key));
}

/** A path is relative to the pipeline's file; a URL is a whole location by itself. */
function locationOf(location: string, place: FilePlace, refuse: Refuse): string {
  const path = ['table', 'location'];
  const found = placeOf(location);
  if (found.kind === 'refused') {
    refuse(path, found.problem, found.fix);
    return location;
  }
  if (location.startsWith('~')) {
    refuse(
      path,
      'table.location begins with ~, which only a shell replaces.',
      `Write \${HOME} instead of ~.`,
    );
  }
  return resolve(dirname(place.path), found.folder);
}

function drainScheduleOf(
  given: Options<'schedule'> | undefined,
  problems: readonly ShapeProblem[],
  refuse: Refuse,
): ScheduleSpecification | undefined {
  const schedule = given && scheduleOf(given, ['schedule'], refuse);
  if (given && !schedule && !hasProblem(problems, ['schedule'])) {
    refuse(
      ['schedule'],
      'schedule says neither every nor cron.',
      'Add for example `every: 10m`, or remove schedule.',
    );
  }
  return schedule;
}

function compactionOf(given: Options<'compaction'>, refuse: Refuse): Incomplete<Specification['compaction']> {
  const { targetFileSize, targetFiles, minInputFiles, olderThan } = given;
  const schedule = scheduleOf(given, ['compaction'], refuse);
  return {
    targetFileBytes: targetFileSize,
    ...(targetFiles !== undefined && { targetFiles }),
    minInputFiles,
    olderThanMs: olderThan,
    ...(schedule && { schedule }),
  };
}

function vacuumOf(given: Options<'vacuum'>, refuse: Refuse): Incomplete<Specification['vacuum']> {
  const schedule = scheduleOf(given, ['vacuum'], refuse);
  return { olderThanMs: given.olderThan, keepLogMs: given.keepLog, ...(schedule && { schedule }) };
}

function scheduleOf(
  { every, cron }: Options<'schedule'>,
  path: Path,
  refuse: Refuse,
): ScheduleSpecification | undefined {
  if (every !== undefined && cron !== undefined) {
    refuse([...path, 'cron'], `${optionName(path)} has every and cron.`, 'Keep one of the two.');
  }
  if (every !== undefined) return { everyMs: every };
  return cron === undefined ? undefined : { cron };
}
