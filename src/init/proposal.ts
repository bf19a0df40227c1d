import { type DataType, formatDdl, formatType } from '../records/ddl.ts';
import { type InferredSchema, recordsWith } from './infer-schema.ts';
import { describeKinds, type InferredField, kindsOf } from './infer-type.ts';

/** A pipeline that somebody may want, with what it rests on. */
export interface Proposal {
  /** As it stands in the file: may hold a variable. */
  readonly bootstrapServers: string;
  readonly topics: readonly string[];
  /** Relative to the file, or absolute. */
  readonly location: string;
  readonly inferred: InferredSchema;
  readonly partitionBy: readonly string[];
  /** Records of the sample that are JSON objects. */
  readonly records: number;
}

export interface ProposalComments {
  /** Path or URL of the JSON Schema, for editors. */
  readonly jsonSchema: string;
  /** What the file says about itself at its top. */
  readonly head: readonly string[];
  readonly partitionBy: string;
}

/**
 * The pipeline file, with the evidence behind each column. No value of a record stands in it: files are
 * shared more widely than topics.
 */
export function proposalText(proposal: Proposal, comments: ProposalComments): string {
  const { bootstrapServers, topics, location, inferred, partitionBy, records } = proposal;
  const left = leftOut(inferred.fields);
  const timestamps = Object.entries(inferred.timestamps);
  return `${[
    `# yaml-language-server: $schema=${comments.jsonSchema}`,
    ...comments.head.map((line) => `# ${line}`),
    'source:',
    `  bootstrapServers: ${scalar(bootstrapServers)}`,
    `  subscribe: [${topics.map(scalar).join(', ')}]`,
    'records:',
    '  schema: |',
    ...schemaLines(inferred, records).map((line) => `    ${line}`),
    ...(timestamps.length === 0
      ? []
      : ['  timestamps:', ...timestamps.map(([path, format]) => `    ${scalar(path)}: ${scalar(format)}`)]),
    ...(inferred.truncated.length === 0
      ? []
      : [`  truncateTimestamps: [${inferred.truncated.map(scalar).join(', ')}] # finer than microseconds`]),
    '  # Fields that the schema does not have are kept in the column _rest, as JSON.',
    ...left.map(({ path, note }) => `  #   ${visible(`${path}: ${note}`)}`),
    '  rest: true',
    'table:',
    `  location: ${scalar(location)}`,
    partitionBy.length === 0
      ? `  # Not partitioned: ${comments.partitionBy}`
      : `  partitionBy: [${partitionBy.map((term) => JSON.stringify(term)).join(', ')}] # ${comments.partitionBy}`,
    '# schedule: { every: 10m }',
    '# compaction: { every: 1h }',
  ].join('\n')}\n`;
}

/** Fields that have become columns, or fields of them, each before its own. */
export function allColumns(fields: readonly InferredField[]): InferredField[] {
  return fields.flatMap((field) => (field.type === undefined ? [] : [field, ...allColumns(field.fields)]));
}

/** What the proposed schema does not have, below the columns that it has too. */
export function leftOut(fields: readonly InferredField[]): InferredField[] {
  return fields.flatMap((field) => (field.type === undefined ? [field] : leftOut(field.fields)));
}

/** How wide a column's text may be before its comment; a longer one has the comment all the same. */
const COMMENT_AT_MOST = 44;
/** A STRUCT that is longer in one line gets a line for each field. */
const ONE_LINE = 60;

function schemaLines({ schema, fields }: InferredSchema, records: number): string[] {
  const required = new Set(schema.fields.filter(({ nullable }) => !nullable).map(({ name }) => name));
  const lines = columnLines(fields, ' ', records, (name) => required.has(name));
  const at = Math.min(COMMENT_AT_MOST, Math.max(...lines.map(({ text }) => text.length)));
  return lines.map(({ text, comment }) => (comment === '' ? text : `${text.padEnd(at)} -- ${comment}`));
}

interface Line {
  readonly text: string;
  readonly comment: string;
}

function columnLines(
  fields: readonly InferredField[],
  separator: string,
  records: number,
  isRequired: (name: string) => boolean,
): Line[] {
  const kept = fields.flatMap((field) => (field.type === undefined ? [] : [{ field, type: field.type }]));
  return kept.flatMap(({ field, type }, at) => {
    const end = (isRequired(field.name) ? ' NOT NULL' : '') + (at === kept.length - 1 ? '' : ',');
    const name = quoted(field.name);
    const oneLine = `${name}${separator}${formatType(type)}`;
    const comment = evidence(field, records);
    const wrapped = oneLine.length > ONE_LINE && field.fields.length > 0 ? wrap(type) : undefined;
    if (wrapped === undefined) return [{ text: oneLine + end, comment }];
    const inner = columnLines(field.fields, ': ', records, () => false);
    return [
      { text: `${name}${separator}${wrapped[0]}`, comment },
      ...inner.map(({ text, comment }) => ({ text: `  ${text}`, comment })),
      { text: wrapped[1] + end, comment: '' },
    ];
  });
}

/** What stands before and after the fields of the STRUCT within a type. */
function wrap(type: DataType): [before: string, after: string] | undefined {
  if (type.kind === 'struct') return ['STRUCT<', '>'];
  const inner =
    type.kind === 'array' ? wrap(type.element) : type.kind === 'map' ? wrap(type.value) : undefined;
  if (inner === undefined) return undefined;
  return [`${type.kind === 'array' ? 'ARRAY<' : 'MAP<STRING, '}${inner[0]}`, `${inner[1]}>`];
}

function quoted(name: string): string {
  const ddl = formatDdl({ fields: [{ name, type: { kind: 'primitive', name: 'string' }, nullable: true }] });
  return ddl.slice(0, -' STRING'.length);
}

/**
 * `in 902 of 1,000: number in 900, text in 2`; empty where every record has such a value and there is no more
 * to say.
 */
export function evidence({ seen, note, misfits }: InferredField, records: number): string {
  const present = recordsWith(seen).size;
  const kinds = kindsOf(seen).length > 1 ? `: ${describeKinds(seen)}` : '';
  const parts = [
    ...(present === records && kinds === '' ? [] : [`in ${grouped(present)} of ${grouped(records)}${kinds}`]),
    ...(misfits.size === 0 ? [] : [`${grouped(misfits.size)} become dead letters`]),
    ...(note === undefined ? [] : [note]),
  ];
  return parts.join('; ');
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

function visible(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replace(/[\p{C}\p{Z}]/gu, (one) => (one === ' ' ? one : '?'));
}

/** A YAML scalar that is text and nothing else; variables in it stay variables. */
function scalar(text: string): string {
  const isPlain =
    /^(?:[A-Za-z_/]|\.\.?\/|\$\{)[\w./:${}-]*$/.test(text) &&
    !/:$|^(?:y|n|yes|no|on|off|true|false|null)$/i.test(text);
  return isPlain ? text : JSON.stringify(text);
}
