import { Failure } from '../errors.ts';
import type { CleanSpecification } from '../records/records-specification.ts';
import type { PipelineDocument } from './document.ts';
import type { Path } from './problems.ts';

/**
 * The database names the option of each expression that is wrong, at the beginning of a line; here these get
 * their places in the file, as all other problems of a file have.
 */
export function placeClean(
  failure: Failure,
  { columns }: CleanSpecification,
  document: PipelineDocument,
  file: string,
): Failure {
  const options: readonly (readonly [name: string, path: Path])[] = [
    ['records.clean.where: ', ['records', 'clean', 'where']],
    ...columns.map(
      ({ name }) => [`records.clean.columns.${name}: `, ['records', 'clean', 'columns', name]] as const,
    ),
  ];
  const lines = failure.message.split('\n').map((text) => {
    const [, path] = options.find(([name]) => text.startsWith(name)) ?? [];
    if (path === undefined) return text;
    const { line, column } = document.lineAndColumn(document.offsetOf(path));
    return `${file}:${line}:${column}  ${text}`;
  });
  return new Failure(failure.code, lines.join('\n'), failure.fix, { cause: failure });
}
