import type { Schema } from '../records/ddl.ts';
import { CORRUPT_RECORD, REST } from '../records/table-schema.ts';
import type { TimestampFormat } from '../records/timestamp-format.ts';
import { columnsOf, type InferredField, inferFields } from './infer-type.ts';
import type { SampleObservation } from './observe-records.ts';
import { wordsOf } from './time-guesses.ts';

export interface InferenceChoices {
  /** Columns that every record must have; what is absent is decided by `isIdentifier`. */
  readonly notNull?: ReadonlySet<string>;
  /** Paths of fractions that become DECIMAL. */
  readonly decimals?: ReadonlySet<string>;
}

export interface InferredSchema {
  readonly schema: Schema;
  /** By path, as `records.timestamps` has it; ISO 8601, the default, is left out. */
  readonly timestamps: Readonly<Record<string, TimestampFormat>>;
  /** Paths of TIMESTAMPs for `records.truncateTimestamps`. */
  readonly truncated: readonly string[];
  /** Of the top level, columns and what is left out, in the order in which they were met. */
  readonly fields: readonly InferredField[];
  /** Records of the sample that will be dead letters. */
  readonly misfits: number;
}

/** As `records.maxDeadLetters` has it by default. */
const CONFLICT_SHARE_MAX = 0.01;
const COLUMNS_MAX = 500;
/** So many records have to agree before a column is NOT NULL by itself. */
const NOT_NULL_RECORDS_MIN = 100;

/**
 * The schema that the records of a sample suggest. Whatever it says of a record holds for the decoder too.
 */
export function inferSchema(sample: SampleObservation, choices: InferenceChoices = {}): InferredSchema {
  const rules = {
    records: sample.objects.size,
    conflictShareMax: CONFLICT_SHARE_MAX,
    decimals: choices.decimals ?? new Set<string>(),
  };
  const fields = withoutClashes(inferFields('', sample.root, rules));
  const nullable = columnsOf(fields);
  const required =
    choices.notNull ?? new Set(fields.filter((one) => isIdentifier(one, sample)).map(({ name }) => name));
  const schema = { fields: nullable.map((field) => ({ ...field, nullable: !required.has(field.name) })) };
  const misfits = new Set(fields.filter(({ type }) => type).flatMap(({ misfits }) => [...misfits]));
  for (const { name, type, seen } of fields) {
    if (type === undefined || !required.has(name)) continue;
    const present = recordsWith(seen);
    for (const record of sample.objects) if (!present.has(record)) misfits.add(record);
  }
  const malformed = sample.records - sample.objects.size;
  const timestamps = timestampsOf(fields);
  return { schema, timestamps, truncated: truncatedOf(fields), fields, misfits: misfits.size + malformed };
}

/** Names that Tidemark gives to columns of its own, and more columns than anybody reads. */
function withoutClashes(fields: readonly InferredField[]): InferredField[] {
  const ours = /^(?:_topic|_partition|_offset|_timestamp|_key|_headers)$/i;
  const leftOut = (field: InferredField, note: string): InferredField => {
    const { path, name, seen } = field;
    return { path, name, seen, note, misfits: new Set(), fields: [] };
  };
  const frequent = [...fields].sort((a, b) => recordsWith(b.seen).size - recordsWith(a.seen).size);
  const rare = new Set(frequent.slice(COLUMNS_MAX));
  return fields.map((field) => {
    const { name } = field;
    if (ours.test(name) || [REST, CORRUPT_RECORD].includes(name.toLowerCase()))
      return leftOut(field, 'Tidemark has a column of that name');
    return rare.has(field) ? leftOut(field, `more than ${COLUMNS_MAX} columns, and it is rare`) : field;
  });
}

/** Called like an identifier, and there in every record of a sample that is worth the name. */
export function isIdentifier({ name, type, seen }: InferredField, { objects }: SampleObservation): boolean {
  const words = wordsOf(name);
  if (words.length !== 1 || !/^(?:id|uuid|guid)$/.test(words[0] ?? '')) return false;
  if (type?.kind !== 'primitive' || (type.name !== 'string' && type.name !== 'long')) return false;
  return (
    objects.size >= NOT_NULL_RECORDS_MIN && recordsWith(seen).size === objects.size && !seen.kinds.has('null')
  );
}

/** Records in which the field has a value that is not null. */
export function recordsWith(seen: InferredField['seen']): Set<number> {
  return new Set([...seen.kinds].flatMap(([kind, { records }]) => (kind === 'null' ? [] : [...records])));
}

function timestampsOf(fields: readonly InferredField[]): Record<string, TimestampFormat> {
  const found: Record<string, TimestampFormat> = {};
  for (const { path, type, timestamp, fields: inner } of fields) {
    if (type === undefined) continue;
    if (timestamp !== undefined && timestamp !== 'iso8601') found[path] = timestamp;
    Object.assign(found, timestampsOf(inner));
  }
  return found;
}

function truncatedOf(fields: readonly InferredField[]): string[] {
  return fields.flatMap(({ path, type, truncates, fields: inner }) =>
    type === undefined ? [] : [...(truncates ? [path] : []), ...truncatedOf(inner)],
  );
}
