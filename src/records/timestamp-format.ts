import type { DataType, Field, Schema } from './ddl.ts';
import { appendStep } from './json-path.ts';
import { patternProblem } from './timestamp-pattern.ts';

/**
 * `iso8601`, `epochSeconds`, `epochMillis`, `epochMicros`, `epochNanos`, or a pattern such as `dd/MM/yyyy
 * HH:mm:ss`.
 */
export type TimestampFormat = string;

/** Numbers of these units since 1970-01-01T00:00:00Z. */
export const EPOCH_FORMATS = ['epochSeconds', 'epochMillis', 'epochMicros', 'epochNanos'] as const;
export type EpochFormat = (typeof EPOCH_FORMATS)[number];

const NAMED_FORMATS: readonly string[] = ['iso8601', ...EPOCH_FORMATS];

/** The problem of a format, in words, or undefined. */
export function timestampFormatProblem(format: TimestampFormat): string | undefined {
  if (NAMED_FORMATS.includes(format)) return undefined;
  const problem = patternProblem(format);
  return (
    problem &&
    `'${format}' is neither ${NAMED_FORMATS.slice(0, -1).join(', ')}, ${NAMED_FORMATS.at(-1)} nor a pattern: ${problem}`
  );
}

/**
 * The paths of all TIMESTAMPs of a schema, as `timestamps` names them: `crawl_ts`, `seller.since`. Elements
 * of arrays and values of maps have the path of their column. Names with a dot are in backquotes.
 */
export function timestampPaths(schema: Schema): readonly string[] {
  return pathsOfFields(schema.fields, '');
}

function pathsOfFields(fields: readonly Field[], parent: string): readonly string[] {
  return fields.flatMap(({ name, type }) => pathsOfType(type, appendStep(parent, name)));
}

function pathsOfType(type: DataType, path: string): readonly string[] {
  if (type.kind === 'struct') return pathsOfFields(type.fields, path);
  if (type.kind === 'array') return pathsOfType(type.element, path);
  if (type.kind === 'map') return pathsOfType(type.value, path);
  return type.kind === 'primitive' && type.name === 'timestamp' ? [path] : [];
}
