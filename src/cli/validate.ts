import { resolve } from 'node:path';
import { Failure } from '../errors.ts';
import { formatBytes, formatCount, formatDuration, formatSchedule } from '../format.ts';
import type { SourceSpecification } from '../kafka/source-specification.ts';
import type { Problem } from '../pipeline/problems.ts';
import type { ScheduleSpecification, Specification } from '../pipeline/specification.ts';
import type { CleanSpecification, RecordsSpecification } from '../records/records-specification.ts';
import type { Context, Verb } from '../terminal/context.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('[pipelines...]', 'names or paths of files; default: all in the pipelines folder')
      .action((pipelines: string[]) => validate(context, pipelines));
  },
};

interface Validation {
  readonly pipeline: string;
  readonly valid: boolean;
  readonly specification?: Specification;
  readonly problems?: readonly Problem[];
  readonly error?: { readonly code: string; readonly message: string; readonly fix: string };
}

/** Checks each file without asking any server, and prints what the valid ones mean. */
async function validate(context: Context, given: readonly string[]): Promise<void> {
  const { output } = context;
  const { pipelineNames } = await import('../pipeline/load.ts');
  const pipelines = given.length > 0 ? given : await pipelineNames(context.pipelinesFolder);
  if (pipelines.length === 0) {
    throw new Failure(
      'PIPELINE_NOT_FOUND',
      `The pipelines folder ${context.pipelinesFolder} has no pipeline file.`,
      'Write NAME.yaml there, or name another folder with --pipelines.',
    );
  }
  const validations: Validation[] = [];
  const owners = new Map<string, string>();
  for (const pipeline of pipelines) {
    const found = await load(pipeline, context)
      .then((specification) => requireOwnTable(specification, owners))
      .catch((error: unknown) => error);
    if (found instanceof Failure) {
      process.exitCode = found.exitCode;
      if (output.format === 'text') output.failure(found);
    } else if (found instanceof Error) throw found;
    validations.push(toValidation(pipeline, found as Specification | Failure));
  }
  const valid = validations.flatMap(({ specification }) => specification ?? []);
  output.rows(validations, () => valid.map(describeSpecification).join('\n\n'));
}

async function load(given: string, context: Context): Promise<Specification> {
  if (!/[/\\]|\.ya?ml$/.test(given)) return await context.loadPipeline(given);
  const { loadPipelineFile } = await import('../pipeline/load.ts');
  return await loadPipelineFile(resolve(given), context.environment);
}

/** A drain would refuse the table of the other one too, but only once it has drained. */
function requireOwnTable(specification: Specification, owners: Map<string, string>): Specification {
  const { name, table } = specification;
  const owner = owners.get(table.location) ?? name;
  owners.set(table.location, owner);
  if (owner === name) return specification;
  throw new Failure(
    'CONFIGURATION_INVALID',
    `The pipelines ${owner} and ${name} have the same table.location: ${table.location}. A table belongs to one pipeline.`,
    `Give one of them another location, or read both pipelines' topics in one.`,
  );
}

function toValidation(pipeline: string, found: Specification | Failure): Validation {
  if (!(found instanceof Failure)) return { pipeline, valid: true, specification: found };
  const { code, message, fix } = found;
  const problems = (found as { problems?: readonly Problem[] }).problems;
  return problems === undefined
    ? { pipeline, valid: false, error: { code, message, fix } }
    : { pipeline, valid: false, problems };
}

/** The resolved pipeline on one screen. */
function describeSpecification({
  name,
  source,
  records,
  table,
  limits,
  schedule,
  compaction,
  vacuum,
}: Specification): string {
  const formats = Object.entries(records.timestamps).map(([column, format]) => `, ${column} as ${format}`);
  const partitionBy = table.partitionBy.map(({ kind, source, column }) =>
    kind === 'column' ? column : `${column} = ${kind}(${source})`,
  );
  const goal =
    compaction.targetFiles === undefined
      ? `files of ${formatBytes(compaction.targetFileBytes)}, from ${compaction.minInputFiles} files on`
      : `${compaction.targetFiles} files per table partition`;
  const lines = [
    ['source', `${describeTopics(source.topics)} at ${source.bootstrapServers.join(', ')}`],
    ['', `${source.isolation}, a new pipeline begins at ${describeStart(source)}`],
    ['', source.failOnDataLoss ? '' : 'offsets that are gone are counted as lost, and the drain continues'],
    ['records', `${records.format}, ${describeMode(records)}${formats.join('')}`],
    ...records.schema.split('\n').map((line) => ['', `  ${line.trim()}`]),
    [
      '',
      [...(records.rest ? ['_rest'] : []), ...records.kafkaColumns.map((column) => `_${column}`)].join(', '),
    ],
    ...describeClean(records.clean).map((line, at) => [at === 0 ? 'clean' : '', line]),
    ['table', table.location],
    ['', `partitioned by ${partitionBy.length === 0 ? 'nothing' : partitionBy.join(', ')}`],
    ['', `files of ${formatBytes(table.targetFileBytes)}, ${table.compression}`],
    ['', describeRetention(table.retention)],
    ['', table.coalesce === undefined ? '' : `${table.coalesce} write tasks per batch`],
    [
      'batch',
      `at most ${formatCount(limits.maxOffsetsPerBatch)} offsets, ${formatCount(limits.maxFilesPerBatch)} files`,
    ],
    ['drain', describeSchedule(schedule)],
    ['compact', `${describeSchedule(compaction.schedule)}, to ${goal}`],
    [
      '',
      compaction.olderThanMs === 0 ? '' : `nothing younger than ${formatDuration(compaction.olderThanMs)}`,
    ],
    [
      'vacuum',
      `${describeSchedule(vacuum.schedule)}, files older than ${formatDuration(vacuum.olderThanMs)}, versions older than ${formatDuration(vacuum.keepLogMs)}`,
    ],
  ];
  const shown = lines.filter(([, text]) => text !== '');
  return [`${name} is valid`, ...shown.map(([label = '', text]) => `  ${label.padEnd(8)} ${text}`)].join(
    '\n',
  );
}

function describeRetention(retention: Specification['table']['retention']): string {
  if (retention === undefined) return '';
  const { partition, olderThanMs } = retention;
  return `rows are dropped ${formatDuration(olderThanMs)} after their ${partition.column} ends`;
}

function describeTopics(topics: SourceSpecification['topics']): string {
  if (topics.kind === 'subscribe') return topics.topics.join(', ');
  if (topics.kind === 'subscribePattern') return `every topic that matches ${topics.pattern}`;
  return Object.entries(topics.partitions)
    .map(([topic, partitions]) => `${topic}[${partitions.join(',')}]`)
    .join(', ');
}

function describeStart({ startingOffsets, startingTimestamps }: SourceSpecification): string {
  if (typeof startingTimestamps === 'number') return new Date(startingTimestamps).toISOString();
  if (startingTimestamps !== undefined) return 'given times';
  return typeof startingOffsets === 'string' ? startingOffsets : 'given offsets';
}

function describeMode({ mode, maxDeadLetterShare }: RecordsSpecification): string {
  if (mode !== 'deadLetter') return mode;
  return `${mode} (exit code 5 beyond ${Number((maxDeadLetterShare * 100).toPrecision(12))}%)`;
}

function describeClean(clean: CleanSpecification | undefined): string[] {
  const where = clean?.where === undefined ? [] : [`where ${clean.where}`];
  const columns = clean?.columns ?? [];
  return [...where, ...columns.map(({ name, type, expression }) => `${name} ${type} = ${expression}`)];
}

function describeSchedule(schedule: ScheduleSpecification | undefined): string {
  return schedule === undefined ? 'when asked' : formatSchedule(schedule);
}
