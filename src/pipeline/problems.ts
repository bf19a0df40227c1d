import { editDistance } from '../edit-distance.ts';
import { Failure } from '../errors.ts';

/** Where something stands in the file: keys and indexes from the root. */
export type Path = readonly (string | number)[];

/** One thing that is wrong with a pipeline file. Lines and columns count from 1. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** `table.partitionBy[0]`; empty for the file as a whole. */
  readonly option: string;
  /** The problem and its reason, in whole sentences. */
  readonly message: string;
  readonly fix: string;
}

/** CONFIGURATION_INVALID with every problem of the file. */
export class InvalidPipeline extends Failure {
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    super(
      'CONFIGURATION_INVALID',
      `${file} has ${count}:\n\n${problems.map(renderProblem).join('\n')}`,
      'Change the places named above, then check with `tidemark validate`.',
    );
    this.problems = problems;
  }
}

export function renderProblem({ file, line, column, message, fix }: Problem): string {
  return `${file}:${line}:${column}  ${message.replaceAll('\n', '\n    ')}\n    ${fix.replaceAll('\n', '\n    ')}`;
}

/** `source.startingOffsets.crawl["0"]`, as people write a place in a file. */
export function optionName(path: Path): string {
  return path.map(step).join('').replace(/^\./, '');
}

function step(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`;
  return /^[A-Za-z_][\w.-]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** The one of `names` that `name` was most likely meant to be, or undefined where none is near. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const distances = names.map((candidate) => ({
    candidate,
    distance: editDistance(name.toLowerCase(), candidate.toLowerCase()),
  }));
  const best = distances.sort((a, b) => a.distance - b.distance)[0];
  return best && best.distance <= Math.max(1, Math.floor(name.length * 0.4)) ? best.candidate : undefined;
}

/** Each value that stands more than once, once. */
export function duplicates<T>(values: readonly T[]): T[] {
  return [...new Set(values.filter((value, at) => values.indexOf(value) !== at))];
}
