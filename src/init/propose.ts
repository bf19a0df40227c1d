import type { Environment } from '../environment.ts';
import { Failure } from '../errors.ts';
import { formatCount, formatCountOf } from '../format.ts';
import { offsetsIn, type Sample } from '../kafka/sample.ts';
import type { TopicDescription } from '../kafka/source.ts';
import { parsePipeline } from '../pipeline/load.ts';
import type { Specification } from '../pipeline/specification.ts';
import { formatType } from '../records/ddl.ts';
import { DEFECT_REASONS } from '../records/json-defect.ts';
import { quotedColumn } from '../records/json-path.ts';
import { partitionCandidates, partitionUnit } from './infer-partitions.ts';
import { inferSchema } from './infer-schema.ts';
import type { InferredField } from './infer-type.ts';
import { RecordObserver, type SampleObservation } from './observe-records.ts';
import { type Proposal, proposalText } from './proposal.ts';
import { type Trial, tryOut } from './trial.ts';

export interface ProposalRequest {
  readonly pipeline: string;
  /** Absolute, of the file to be. */
  readonly path: string;
  readonly bootstrapServers: string;
  readonly location: string;
  readonly jsonSchema: string;
  readonly environment: Environment;
  readonly topics: readonly TopicDescription[];
  readonly sample: Sample;
  readonly notNull?: ReadonlySet<string> | undefined;
  readonly decimals: ReadonlySet<string>;
  /** As given; `none` for no table partitions; absent: what the sample suggests. */
  readonly partitionBy?: readonly string[] | undefined;
}

export interface Proposed {
  readonly pipeline: string;
  readonly path: string;
  readonly text: string;
  readonly proposal: Proposal;
  readonly observed: SampleObservation;
  readonly sample: Sample;
  readonly trial: Trial;
}

/**
 * A pipeline for the sample: what the records suggest, written as a file, read back as any pipeline file, and
 * tried on the sample by the decoder that drains use.
 *
 * Throws SCHEMA_NOT_INFERRED where no record suggests a column, CONFIGURATION_INVALID for options that do not
 * fit it.
 */
export function propose(request: ProposalRequest): Proposed {
  const { pipeline, path, sample, topics, decimals, notNull } = request;
  const observed = observe(sample);
  const inferred = inferSchema(observed, { decimals, ...(notNull && { notNull }) });
  if (inferred.schema.fields.length === 0) throw noSchema(observed, topics);
  refuseUnknown(
    '--not-null',
    notNull,
    inferred.schema.fields.map(({ name }) => name),
  );
  refuseUnknown('--decimal', decimals, pathsOf(inferred.fields, isFraction));
  const unpartitioned = { ...request, inferred, records: observed.objects.size };
  const isGiven = request.partitionBy !== undefined;
  const found = isGiven ? undefined : partitionsOf(unpartitioned, observed);
  const partitionBy = (isGiven ? request.partitionBy : found?.terms)?.filter((term) => term !== 'none') ?? [];
  const proposal: Proposal = { ...unpartitioned, topics: topics.map(({ topic }) => topic), partitionBy };
  const commentOn = (trial: Trial) =>
    isGiven ? partitionComment(trial, partitionBy) : (found?.comment ?? NO_TIME);
  // Once to know what the sample becomes, and once more with the file that says so.
  const draft = tryOut(read(proposal, request, [], ''), sample.records);
  const text = textOf(proposal, request, headOf(request, draft), commentOn(draft));
  const trial = tryOut(parsePipeline(text, path, request.environment), sample.records);
  return { pipeline, path, text, proposal, observed, sample, trial };
}

/** An option that would do nothing is refused, not ignored. */
function refuseUnknown(
  option: string,
  given: ReadonlySet<string> | undefined,
  known: readonly string[],
): void {
  const unknown = [...(given ?? [])].find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const fix = known.length > 0 ? `There are: ${known.join(', ')}.` : 'Leave it out: there is none.';
  throw new Failure(
    'USAGE',
    `${option} names ${unknown}, which the sample does not suggest as such a column.`,
    fix,
  );
}

function pathsOf(fields: readonly InferredField[], isMeant: (field: InferredField) => boolean): string[] {
  return fields.flatMap((field) => [
    ...(isMeant(field) ? [field.path] : []),
    ...pathsOf(field.fields, isMeant),
  ]);
}

/** Also of a list or a MAP; and what has become a DECIMAL by being asked for. */
function isFraction({ type, seen }: InferredField): boolean {
  const inner = seen.element ?? [...seen.fields.values()][0] ?? seen;
  const isNumber = /(?:^|[<, ])(?:DOUBLE|DECIMAL\(\d+,\d+\))>*$/.test(type ? formatType(type) : '');
  return isNumber && (inner.scale > 0 || seen.scale > 0);
}

const NO_TIME = 'no column is a time that almost every record has.';

function observe({ records }: Sample): SampleObservation {
  const observer = new RecordObserver();
  for (const { value } of records) if (value !== null) observer.observe(value);
  return observer.sample;
}

/** The likeliest time, in the finest unit that makes no crowd of table partitions. */
function partitionsOf(
  request: ProposalRequest & Pick<Proposal, 'inferred' | 'records'>,
  observed: SampleObservation,
): { terms: string[]; comment: string } {
  for (const column of partitionCandidates(request.inferred, observed.objects.size)) {
    const topics = request.topics.map(({ topic }) => topic);
    const byDay = read(
      { ...request, topics, partitionBy: [`day(${quotedColumn(column)})`] },
      request,
      [],
      '',
    );
    const trial = tryOut(byDay, request.sample.records);
    const days = trial.tablePartitions.flatMap(({ values }) => values[`${column}_day`] ?? []);
    const unit = partitionUnit(days, offsetsIn(request.topics));
    if (unit === undefined) continue;
    return {
      terms: [`${unit}(${quotedColumn(column)})`],
      comment: `${formatCountOf(days.length, 'day')} in the sample`,
    };
  }
  return { terms: [], comment: NO_TIME };
}

function partitionComment({ tablePartitions }: Trial, partitionBy: readonly string[]): string {
  return partitionBy.length === 0
    ? 'as asked for.'
    : `${formatCountOf(tablePartitions.length, 'table partition')} in the sample`;
}

function read(
  proposal: Proposal,
  { path, environment, ...request }: ProposalRequest,
  head: readonly string[],
  partitionBy: string,
): Specification {
  return parsePipeline(
    textOf(proposal, { path, environment, ...request }, head, partitionBy),
    path,
    environment,
  );
}

function textOf(
  proposal: Proposal,
  { jsonSchema }: ProposalRequest,
  head: readonly string[],
  partitionBy: string,
): string {
  return proposalText(proposal, { jsonSchema, head, partitionBy });
}

function headOf({ topics, sample }: ProposalRequest, trial: Trial): string[] {
  const partitions = topics.reduce((sum, { partitions }) => sum + partitions.length, 0);
  return [
    `Proposed by \`tidemark init\` from ${formatCountOf(sample.records.length, 'record')} of ${formatCountOf(partitions, 'partition')}, of which it makes`,
    `${formatCountOf(trial.rows, 'row')} and ${formatCountOf(trial.deadLetters, 'dead letter')}. A column without a comment was in every record.`,
  ];
}

function noSchema(
  { malformed, records, objects }: SampleObservation,
  topics: readonly TopicDescription[],
): Failure {
  const reasons = [...malformed].map(
    ([reason, count]) => `${DEFECT_REASONS[reason]} (${formatCount(count)})`,
  );
  const names = topics.map(({ topic }) => topic).join(', ');
  if (records === 0) {
    return new Failure(
      'SCHEMA_NOT_INFERRED',
      `All sampled records of ${names} are tombstones.`,
      'Look at more of them: --records.',
    );
  }
  return new Failure(
    'SCHEMA_NOT_INFERRED',
    objects.size === 0
      ? `None of ${formatCountOf(records, 'sampled record')} of ${names} is a JSON object: ${reasons.join('; ')}.`
      : `No field of ${formatCountOf(records, 'sampled record')} of ${names} has one type in them.`,
    'Tidemark reads JSON objects, one per record. Look at a record as it is, for example with kcat -C -c 1.',
  );
}
