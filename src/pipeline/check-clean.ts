import { DdlError, parseDdl } from '../records/ddl.ts';
import type { PartitionTerm } from '../records/partition-term.ts';
import { isSameName, type RowColumns } from './check-columns.ts';
import type { Options, Refuse } from './read-shape.ts';

/** What can be said of `records.clean` without the database: names, and how they meet the other columns. */
export function checkClean(
  { where, columns = {} }: NonNullable<Options<'records'>['clean']>,
  rowColumns: RowColumns | undefined,
  partitionBy: readonly PartitionTerm[],
  refuse: Refuse,
): void {
  const names = Object.keys(columns);
  if (where === undefined && names.length === 0) {
    refuse(['records', 'clean'], 'records.clean has neither where nor columns.', 'Add one, or remove clean.');
  }
  if (where?.trim() === '') {
    refuse(
      ['records', 'clean', 'where'],
      'records.clean.where is empty.',
      'Write a condition, or remove it.',
    );
  }
  const present = [...(rowColumns?.record ?? []), ...(rowColumns?.added ?? [])].map(({ name }) => name);
  for (const [at, name] of names.entries()) {
    const problem = (message: string, fix: string) =>
      refuse(['records', 'clean', 'columns', name], `records.clean.columns: ${message}`, fix);
    if (columns[name]?.trim() === '') problem(`${name} has no expression.`, 'Write one, or remove it.');
    const unfit = nameProblem(name);
    if (unfit) problem(unfit, 'Use another name.');
    const others = [...present, ...names.slice(0, at), ...partitionBy.map(({ column }) => column)];
    const other = others.find((one) => one !== name && isSameName(one, name));
    if (other) problem(`${name} and ${other} differ only in case.`, `Write ${other}, or use another name.`);
    const term = partitionBy.find(({ source, column }) => source === name || column === name);
    if (term) {
      const fix = 'Give the expression another name.';
      problem(`${name} decides a row's table partition before clean runs, so it cannot be replaced.`, fix);
    }
  }
}

function nameProblem(name: string): string | undefined {
  try {
    parseDdl(`\`${name.replaceAll('`', '``')}\` STRING`);
    return undefined;
  } catch (error) {
    if (error instanceof DdlError) return `${error.problem}.`;
    throw error;
  }
}
