import { z } from 'zod';
import { nearest, optionName, type Path } from './problems.ts';
import type { PipelineShape } from './shape.ts';
import { OTHER_NAMES, SAID_ELSEWHERE, UNSUPPORTED_OPTIONS } from './unsupported.ts';

/** Something wrong with the option at `path`; `at: 'key'` where its name is what is wrong. */
export interface ShapeProblem {
  readonly path: Path;
  readonly at: 'key' | 'value';
  readonly message: string;
  readonly fix: string;
  /** Index into the text at `path`, where the place is known more exactly. */
  readonly position?: number;
}

/** What could be read of a section: an option with a problem is missing from it. */
export type Readable<T> = T extends readonly unknown[]
  ? T
  : T extends Readonly<Record<string, unknown>>
    ? string extends keyof T
      ? T
      : { readonly [K in keyof T]?: Readable<NonNullable<T[K]>> | undefined }
    : T;

/** What could be read of one section of a pipeline file. */
export type Options<Section extends keyof PipelineShape> = Readable<NonNullable<PipelineShape[Section]>>;

/** Adds a problem with the value at `path`; `position` is an index into its text. */
export type Refuse = (path: Path, message: string, fix: string, position?: number) => void;

/** Whether the file says something at `path`: a default looks the same in `Options`. */
export type IsGiven = (path: Path) => boolean;

/**
 * Reads a section option by option, defaults included. Unlike zod's own `parse` it gives back what is right
 * next to what is wrong, so that checks across options can run as well and all problems come out at once.
 */
export function readShape<S extends z.ZodObject>(
  shape: S,
  given: unknown,
  problems: ShapeProblem[],
  path: Path = [],
): Readable<z.output<S>> {
  const read: Record<string, unknown> = {};
  if (given !== undefined && !isMapping(given)) {
    problems.push(mustBe(path, 'a section with options', given));
    return read as Readable<z.output<S>>;
  }
  const values = given ?? {};
  refuseUnknown(shape, Object.keys(values), problems, path);
  for (const [key, schema] of Object.entries(shape.shape)) {
    // An option without a value (`schedule:`) is one that was left out.
    const value = Object.hasOwn(values, key) ? (values[key] ?? undefined) : undefined;
    const section = sectionOf(schema);
    if (section && !(value === undefined && schema instanceof z.ZodOptional)) {
      if (value === undefined && !(schema instanceof z.ZodPrefault))
        problems.push(missing(schema, [...path, key]));
      else read[key] = readShape(section, value, problems, [...path, key]);
      continue;
    }
    read[key] = readOption(schema, value, problems, [...path, key]);
  }
  return read as Readable<z.output<S>>;
}

function readOption(schema: z.core.$ZodType, value: unknown, problems: ShapeProblem[], path: Path): unknown {
  const result = z.safeParse(schema, value);
  if (result.success) return result.data;
  if (value === undefined) {
    problems.push(missing(schema, path));
    return undefined;
  }
  for (const issue of result.error.issues) {
    const inner = issue.path.filter((key) => typeof key !== 'symbol');
    const wrong = inner.reduce<unknown>((part, key) => (isObject(part) ? part[key] : part), value);
    const text = issue.code === 'invalid_key' ? issue.issues[0]?.message : issue.message;
    const at = issue.code === 'invalid_key' ? 'key' : 'value';
    problems.push(
      mustBe([...path, ...inner], text ?? 'another name', at === 'key' ? inner.at(-1) : wrong, at),
    );
  }
  return undefined;
}

function mustBe(path: Path, what: string, given: unknown, at: 'key' | 'value' = 'value'): ShapeProblem {
  const name = optionName(path) || 'The file';
  // Spark's texts begin with "Expected e.g."; people search for them.
  if (what.startsWith('Expected')) {
    return { path, at, message: `${name}: ${what}, got ${shown(given)}`, fix: 'Write it as shown.' };
  }
  return { path, at, message: `${name} cannot be ${shown(given)}.`, fix: `Write ${what}.` };
}

function missing(schema: z.core.$ZodType, path: Path): ShapeProblem {
  const name = optionName(path);
  const description = z.globalRegistry.get(schema)?.description ?? '';
  return { path, at: 'key', message: `${name} is missing. ${description}`.trim(), fix: `Add ${name}.` };
}

function refuseUnknown(
  shape: z.ZodObject,
  given: readonly string[],
  problems: ShapeProblem[],
  path: Path,
): void {
  const known = Object.keys(shape.shape);
  for (const key of given.filter((name) => !known.includes(name))) {
    const name = optionName([...path, key]);
    const notYet = UNSUPPORTED_OPTIONS[name];
    const near = nearest(key, known);
    const fix = near ? `Did you mean ${optionName([...path, near])}?` : `Known here: ${known.join(', ')}.`;
    const other = OTHER_NAMES[key];
    problems.push({
      path: [...path, key],
      at: 'key',
      message: notYet ? `${name} is not supported yet.` : `${name} is not an option.`,
      fix: notYet ?? SAID_ELSEWHERE[name] ?? (other ? `Here it is called ${other}.` : fix),
    });
  }
}

function sectionOf(schema: unknown): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) return sectionOf(schema.unwrap());
  return undefined;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return isObject(value) && !Array.isArray(value);
}

function isObject(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null;
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : (JSON.stringify(value) ?? 'nothing');
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
