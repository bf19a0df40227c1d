import { readdir, readFile } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { describeClean } from '../duckdb/describe-clean.ts';
import type { Environment } from '../environment.ts';
import { Failure } from '../errors.ts';
import { checkOptions } from './check.ts';
import { PipelineDocument } from './document.ts';
import { placeClean } from './place-clean.ts';
import { InvalidPipeline, nearest, optionName, type Path, type Problem } from './problems.ts';
import { readShape, type ShapeProblem } from './read-shape.ts';
import { pipelineShape } from './shape.ts';
import type { Specification } from './specification.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/**
 * The pipeline `name`, from `NAME.yaml` in `folder`.
 *
 * @throws Failure PIPELINE_NOT_FOUND, CONFIGURATION_INVALID (an `InvalidPipeline` with every problem of the
 *   file), or CLEAN_INVALID for an expression of `records.clean`
 */
export async function loadPipeline(
  name: string,
  { folder, environment }: { readonly folder: string; readonly environment: Environment },
): Promise<Specification> {
  requireName(name);
  const path = resolve(folder, `${name}.yaml`);
  const text = await readText(path);
  if (text === undefined) throw await notFound(name, folder);
  return await described(text, path, environment);
}

/**
 * A name comes from anyone who may start a workflow: it must not lead out of the folder. Throws
 * PIPELINE_NOT_FOUND.
 */
export function requireName(name: string): void {
  if (NAME.test(name)) return;
  throw new Failure(
    'PIPELINE_NOT_FOUND',
    `${JSON.stringify(name)} is not a pipeline name: a name has up to 100 letters, digits, ".", "_" and "-".`,
    'Give the name of the file in the pipelines folder, without .yaml.',
  );
}

/**
 * The pipeline in the file at `path`, whose name is the file's without `.yaml`. Throws as `loadPipeline`
 * does.
 */
export async function loadPipelineFile(path: string, environment: Environment): Promise<Specification> {
  const text = await readText(path);
  if (text === undefined) {
    throw new Failure('PIPELINE_NOT_FOUND', `There is no file ${path}.`, 'Check the path.');
  }
  return await described(text, resolve(path), environment);
}

/** With the types of cleaned columns. */
async function described(text: string, path: string, environment: Environment): Promise<Specification> {
  const specification = parsePipeline(text, path, environment);
  const { clean } = specification.records;
  if (clean === undefined) return specification;
  try {
    const { records, table } = specification;
    return { ...specification, records: await describeClean(records, table.partitionBy) };
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'CLEAN_INVALID') throw error;
    throw placeClean(error, clean, new PipelineDocument(text, environment), shortest(path));
  }
}

/** Names of the pipelines in `folder`, sorted. Throws PIPELINE_NOT_FOUND where there is no such folder. */
export async function pipelineNames(folder: string): Promise<string[]> {
  const files = await readdir(folder).catch((cause) => {
    throw new Failure(
      'PIPELINE_NOT_FOUND',
      `The pipelines folder ${folder} cannot be read: ${cause.code ?? cause.message}.`,
      'Name the folder with --pipelines or TIDEMARK_PIPELINES; the default is ./pipelines.',
      { cause },
    );
  });
  return files
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => basename(file, '.yaml'))
    .sort();
}

/**
 * The file's own content: the types of cleaned columns are still empty.
 *
 * @param path absolute, of the file that `text` is from: it gives the name, and what `table.location` is
 *   relative to
 */
export function parsePipeline(text: string, path: string, environment: Environment): Specification {
  const name = basename(path).replace(/\.ya?ml$/, '');
  const document = new PipelineDocument(text, environment);
  const problems: ShapeProblem[] = document.problems.map((problem) => ({ ...problem, at: 'value' }));
  if (document.value !== undefined || problems.length === 0) {
    const options = readShape(pipelineShape, document.value ?? undefined, problems);
    const specification = checkOptions(options, { name, path }, (at) => document.has(at), problems);
    if (problems.length === 0) return specification;
  }
  const file = shortest(path);
  // Problems that only follow from a missing value are not reported.
  const causes = document.problems.length;
  const own = problems.filter(
    ({ path }, at) => at < causes || !document.problems.some((one) => isWithin(path, one.path)),
  );
  const places = own.map((problem, at) => place(problem, document, file, document.problems[at]?.offset));
  throw new InvalidPipeline(
    file,
    places.sort((a, b) => a.line - b.line || a.column - b.column),
  );
}

/** As people would write it where they are. */
function shortest(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith('..') ? path : fromHere;
}

function isWithin(path: Path, around: Path): boolean {
  return around.length > 0 && around.every((key, at) => path[at] === key);
}

function place(
  { path, at, message, fix, position }: ShapeProblem,
  document: PipelineDocument,
  file: string,
  offset: number | undefined,
): Problem {
  const exact = position === undefined ? undefined : document.offsetInText(path, position);
  const where = offset ?? exact ?? (at === 'key' ? document.offsetOfKey(path) : document.offsetOf(path));
  return { file, ...document.lineAndColumn(where), option: optionName(path), message, fix };
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new Failure(
      'PIPELINE_NOT_FOUND',
      `${path} cannot be read: ${code}.`,
      'Check the file and its permissions.',
      {
        cause,
      },
    );
  }
}

async function notFound(name: string, folder: string): Promise<Failure> {
  const names = await pipelineNames(folder).catch((failure: Failure) => failure);
  if (names instanceof Failure) return names;
  const near = nearest(name, names);
  const message = `There is no pipeline ${name}: ${join(folder, `${name}.yaml`)} does not exist.`;
  if (near) return new Failure('PIPELINE_NOT_FOUND', message, `Did you mean ${near}?`);
  const known = names.length > 0 ? `It has: ${names.join(', ')}.` : 'It has no pipeline file yet.';
  return new Failure(
    'PIPELINE_NOT_FOUND',
    message,
    `${known} To use another folder, set --pipelines or TIDEMARK_PIPELINES.`,
  );
}
