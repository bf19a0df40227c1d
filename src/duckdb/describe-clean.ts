import { Failure } from '../errors.ts';
import { DdlError } from '../records/ddl.ts';
import type { PartitionTerm } from '../records/partition-term.ts';
import type { RecordsSpecification } from '../records/records-specification.ts';
import { tableSchemas } from '../records/table-schema.ts';
import { CleanProcess } from './run-clean-process.ts';

/**
 * The records with the types that the columns of `clean` have: DuckDB finds them over no rows, in a process
 * of its own.
 *
 * @throws Failure CLEAN_INVALID where an expression is wrong, or not about its row alone
 */
export async function describeClean(
  { clean, ...records }: RecordsSpecification,
  partitionBy: readonly PartitionTerm[],
): Promise<RecordsSpecification> {
  if (clean === undefined) return records;
  const { rowSchema } = tableSchemas(records, partitionBy);
  const process = new CleanProcess();
  try {
    const types = await process.describe(clean, rowSchema);
    const columns = clean.columns.map((column, at) => ({ ...column, type: types[at] ?? '' }));
    const described = { ...records, clean: { ...clean, columns } };
    tableSchemas(described, partitionBy);
    return described;
  } catch (error) {
    // A type can be DuckDB's and not Delta's: names within a STRUCT are the expression's.
    if (!(error instanceof DdlError)) throw error;
    const fix = 'Give the fields of a STRUCT plain names.';
    throw new Failure('CLEAN_INVALID', `records.clean.columns: ${error.problem}.`, fix, { cause: error });
  } finally {
    await process.stop();
  }
}
