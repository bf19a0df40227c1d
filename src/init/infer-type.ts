import { type DataType, type Field, MAX_DECIMAL_PRECISION, type PrimitiveName } from '../records/ddl.ts';
import { appendStep } from '../records/json-path.ts';
import type { TimestampFormat } from '../records/timestamp-format.ts';
import { Observation, type ValueKind } from './observe-records.ts';
import { epochFormat, type TextFormat, textFormatOf, wordsOf } from './time-guesses.ts';

/** A column, or a field of one, as the sample suggests it; without a type it is left out of the schema. */
export interface InferredField {
  /** As `records.timestamps` and the documentation write it: `seller.since`. */
  readonly path: string;
  readonly name: string;
  readonly seen: Observation;
  readonly type?: DataType;
  readonly timestamp?: TimestampFormat;
  /** A TIMESTAMP of which some values are finer than microseconds. */
  readonly truncates?: true;
  /** Why it is left out, or what a reader may want to know of its type. */
  readonly note?: string;
  /** Records that hold a value the type does not take. */
  readonly misfits: ReadonlySet<number>;
  /** Of a STRUCT; of an ARRAY of them, those of its element. */
  readonly fields: readonly InferredField[];
}

export interface InferenceRules {
  /** Records of the sample that are JSON objects. */
  readonly records: number;
  /** Share of them that may become dead letters by one field; beyond it the field is left out. */
  readonly conflictShareMax: number;
  /** Paths whose fractions are exact amounts: DECIMAL instead of DOUBLE. */
  readonly decimals: ReadonlySet<string>;
}

type Inferred = Omit<InferredField, 'path' | 'name' | 'seen'>;

/** @param name of the innermost field around the value: what tells a time from a number */
export function inferField(
  path: string,
  name: string,
  seen: Observation,
  rules: InferenceRules,
): InferredField {
  const inferred = inferValue(path, name, seen, rules);
  const ofFields = new Set(inferred.fields.flatMap(({ misfits }) => [...misfits]));
  const own = [...inferred.misfits].filter((record) => !ofFields.has(record)).length;
  const isConflict = own > rules.records * rules.conflictShareMax;
  if (inferred.type === undefined || !isConflict) return { path, name, seen, ...inferred };
  return { path, name, seen, ...leftOut(`values of different types: ${describeKinds(seen)}`) };
}

function inferValue(path: string, name: string, seen: Observation, rules: InferenceRules): Inferred {
  const groups = Map.groupBy(
    [...seen.kinds].filter(([kind]) => GROUP_OF[kind] !== undefined),
    ([kind]) => GROUP_OF[kind] ?? '',
  );
  const [group] =
    [...groups]
      .map(
        ([group, kinds]) => [group, new Set(kinds.flatMap(([, { records }]) => [...records])).size] as const,
      )
      .sort(([, one], [, other]) => other - one)[0] ?? [];
  if (group === undefined) {
    return leftOut(
      [...seen.kinds.keys()].every((kind) => kind === 'null') ? 'always null' : describeKinds(seen),
    );
  }
  const inferred = INFER[group as Group](path, name, seen, rules);
  if (inferred.type === undefined) return inferred;
  const misfits = new Set(inferred.misfits);
  for (const [kind, { records }] of seen.kinds) {
    if (kind !== 'null' && kind !== 'oddKey' && GROUP_OF[kind] !== group)
      for (const one of records) misfits.add(one);
  }
  return { ...inferred, misfits };
}

type Group = 'boolean' | 'number' | 'string' | 'object' | 'array';

const GROUP_OF: Readonly<Partial<Record<ValueKind, Group>>> = {
  boolean: 'boolean',
  integer: 'number',
  bigInteger: 'number',
  fraction: 'number',
  hugeNumber: 'number',
  string: 'string',
  object: 'object',
  array: 'array',
};

const INFER: Readonly<
  Record<Group, (path: string, name: string, seen: Observation, rules: InferenceRules) => Inferred>
> = {
  boolean: () => column(primitive('boolean')),
  number: inferNumber,
  string: (_path, _name, seen) => inferText(seen),
  object: inferObject,
  array: inferArray,
};

/** Digits that a double always gives back, and the most that one is ever written with. */
const EXACT_DIGITS = 15;
const DOUBLE_DIGITS = 17;
/**
 * Amounts of up to so many digits leave room for larger ones in a DECIMAL of 18, which is an INT64 in a file.
 */
const SHORT_AMOUNT_DIGITS = 14;
const SHORT_DECIMAL_PRECISION = 18;

function inferNumber(path: string, name: string, seen: Observation, { decimals }: InferenceRules): Inferred {
  const { integerDigits, scale, lowest, highest } = seen;
  const has = (kind: ValueKind) => seen.kinds.has(kind);
  const isWhole = !has('fraction') && !has('hugeNumber');
  const epoch = has('hugeNumber') ? undefined : epochFormat(name, lowest, highest);
  if (epoch === 'epochSeconds') return time(epoch, scale > 6);
  if (epoch !== undefined && seen.isWhole) return time(epoch, epoch === 'epochNanos' && !seen.isThousands);
  if (isWhole && !has('bigInteger')) return column(primitive('long'));
  const fitsDecimal = Math.max(0, integerDigits) + scale <= MAX_DECIMAL_PRECISION && !has('hugeNumber');
  const losesDigits =
    isWhole || seen.significantDigits > DOUBLE_DIGITS || seen.integerSignificantDigits > EXACT_DIGITS;
  if (fitsDecimal && (losesDigits || decimals.has(path))) {
    const isShort = Math.max(0, integerDigits) + scale <= SHORT_AMOUNT_DIGITS;
    const precision = isShort ? SHORT_DECIMAL_PRECISION : MAX_DECIMAL_PRECISION;
    const type = { kind: 'decimal', precision, scale } as const;
    return losesDigits ? column(type, 'more digits than a DOUBLE keeps') : column(type);
  }
  const beyond = seen.kinds.get('hugeNumber')?.records ?? new Set();
  const note = losesDigits ? 'some numbers have more digits than a DOUBLE keeps' : undefined;
  return { ...column(primitive('double'), note), misfits: beyond };
}

function time(timestamp: TimestampFormat, isFiner: boolean): Inferred {
  const note = isFiner ? 'finer than a microsecond: truncateTimestamps cuts it off' : undefined;
  return { ...column(primitive('timestamp'), note), timestamp, ...(isFiner && { truncates: true }) };
}

function inferText({ formats, isFiner }: Observation): Inferred {
  const format = textFormatOf(formats);
  if (format === undefined) return column(primitive('string'));
  if (format === 'ambiguous') return column(primitive('string'), ambiguity(formats));
  if (format === 'date') return column(primitive('date'));
  return time(format, format === 'iso8601' && isFiner);
}

function ambiguity(formats: readonly TextFormat[]): string {
  const names = formats.filter(({ name }) => /^(?:dd|MM)\//.test(name)).map(({ name }) => name);
  return `a time by ${names.join(' or by ')}: the sample does not tell which`;
}

function inferArray(path: string, name: string, seen: Observation, rules: InferenceRules): Inferred {
  if (seen.element === undefined || seen.element.kinds.size === 0) return leftOut('always an empty list');
  const { type: element, note, ...inferred } = inferValue(path, name, seen.element, rules);
  if (element === undefined) return leftOut(`its elements are ${note}`);
  return { ...inferred, type: { kind: 'array', element, containsNull: true }, ...(note && { note }) };
}

function inferObject(path: string, name: string, seen: Observation, rules: InferenceRules): Inferred {
  if (seen.fields.size === 0) return leftOut('always an object without fields');
  if (isMap(seen)) return inferMap(path, name, seen, rules);
  const fields = inferFields(path, seen, rules);
  const kept = columnsOf(fields);
  if (kept.length === 0) return { ...leftOut('none of its fields has a type'), fields };
  return {
    type: { kind: 'struct', fields: kept },
    misfits: new Set(fields.filter(({ type }) => type).flatMap(({ misfits }) => [...misfits])),
    fields,
  };
}

/**
 * From so many names on, of which an object has less than half; or names that nobody would give to a column.
 */
const MAP_NAMES_MIN = 16;
const ODD_NAMES_MIN = 3;

function isMap({ fields, objects, fieldsOfObjects, otherFields }: Observation): boolean {
  const names = fields.size;
  const perObject = fieldsOfObjects / Math.max(1, objects);
  const odd = [...fields.keys()].filter(
    (name) => !/^[A-Za-z_$@][\w.$@ -]*$/.test(name) || IS_UUID.test(name),
  ).length;
  if (otherFields !== undefined || (names >= MAP_NAMES_MIN && perObject < names / 2)) return true;
  return names >= ODD_NAMES_MIN && odd > names / 2;
}

const IS_UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function inferMap(path: string, name: string, seen: Observation, rules: InferenceRules): Inferred {
  const values = new Observation();
  for (const field of [...seen.fields.values(), ...(seen.otherFields ? [seen.otherFields] : [])])
    values.merge(field);
  const { type: value, note, misfits, ...inferred } = inferValue(path, name, values, rules);
  if (value === undefined) return leftOut(`its values are ${note}`);
  const oddKeys = seen.kinds.get('oddKey')?.records ?? [];
  return {
    ...inferred,
    type: { kind: 'map', key: primitive('string'), value, valueContainsNull: true },
    note: `${seen.fields.size}${seen.otherFields ? ' and more' : ''} names, ${perObject(seen)} in one object`,
    misfits: new Set([...misfits, ...oddKeys]),
  };
}

function perObject({ fieldsOfObjects, objects }: Observation): string {
  return (fieldsOfObjects / Math.max(1, objects)).toFixed(1).replace(/\.0$/, '');
}

/**
 * The fields of an object in the order in which they were met; of names that differ in case alone the more
 * frequent one.
 */
export function inferFields(parent: string, seen: Observation, rules: InferenceRules): InferredField[] {
  const names = [...seen.fields.keys()];
  return names.map((name) => {
    const path = appendStep(parent, name);
    const field = seen.fields.get(name) as Observation;
    const problem = nameProblem(name) ?? rivalProblem(name, seen);
    if (problem !== undefined) return { path, name, seen: field, ...leftOut(problem) };
    return inferField(path, name, field, rules);
  });
}

/** Delta's rules (`parseDdl`), and no characters that nobody sees. */
function nameProblem(name: string): string | undefined {
  if (name === '') return 'its name is empty';
  if (name === '__proto__') return 'its name means something else in JavaScript';
  if (/[ ,;{}()\n\t=]/.test(name)) return 'its name has a character that Delta does not allow';
  return /[\p{C}\p{Z}]/u.test(name) ? 'its name has a character that cannot be seen' : undefined;
}

function rivalProblem(name: string, { fields }: Observation): string | undefined {
  const rivals = [...fields.keys()].filter((one) => one.toLowerCase() === name.toLowerCase());
  if (rivals.length === 1) return undefined;
  const frequent = rivals.sort((a, b) => countOf(fields.get(b)) - countOf(fields.get(a)))[0];
  return frequent === name ? undefined : `it differs from ${frequent} in case alone`;
}

function countOf(seen: Observation | undefined): number {
  return [...(seen?.kinds.values() ?? [])].reduce((sum, { count }) => sum + count, 0);
}

export function columnsOf(fields: readonly InferredField[]): Field[] {
  return fields.flatMap(({ name, type }) => (type === undefined ? [] : [{ name, type, nullable: true }]));
}

/** Other values than null that were seen, in words for people, with the records and the examples of each. */
export function kindsOf(seen: Observation): { word: string; records: number; examples: string[] }[] {
  const kinds = [...seen.kinds].filter(([kind]) => kind !== 'null');
  return [...Map.groupBy(kinds, ([kind]) => KIND_WORDS[kind])].map(([word, alike]) => ({
    word,
    records: new Set(alike.flatMap(([, { records }]) => [...records])).size,
    examples: alike.flatMap(([, { examples }]) => examples),
  }));
}

/** `number in 40, text in 3`, by records. */
export function describeKinds(seen: Observation): string {
  return kindsOf(seen)
    .map(({ word, records }) => `${word} in ${records.toLocaleString('en-US')}`)
    .join(', ');
}

const KIND_WORDS: Readonly<Record<ValueKind, string>> = {
  null: 'null',
  boolean: 'boolean',
  integer: 'number',
  bigInteger: 'number',
  fraction: 'number',
  hugeNumber: 'number beyond DOUBLE',
  string: 'text',
  brokenString: 'text with half a surrogate pair',
  object: 'object',
  array: 'list',
  duplicate: 'field that comes twice',
  oddKey: 'name with half a surrogate pair',
  tooDeep: 'deeper nesting',
};

/** Called like money: whose fractions are likely amounts, not measurements. */
export function isMoneyName(name: string): boolean {
  return wordsOf(name).some((word) => /^(?:price|amount|cost|total|fee|balance|salary|tax|vat)$/.test(word));
}

function column(type: DataType, note?: string): Inferred {
  return { type, misfits: new Set(), fields: [], ...(note !== undefined && { note }) };
}

function leftOut(note: string): Inferred {
  return { note, misfits: new Set(), fields: [] };
}

function primitive(name: PrimitiveName): DataType & { kind: 'primitive' } {
  return { kind: 'primitive', name };
}
