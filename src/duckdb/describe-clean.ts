import { Failure } from '../errors.ts';
import type { Specification } from '../pipeline/specification.ts';
import { DdlError } from '../records/ddl.ts';
import { tableSchemas } from '../records/table-schema.ts';
import { CleanProcess } from './run-clean-process.ts';

/**
 * The pipeline with the types that the columns of `clean` have: DuckDB finds them over no rows, in a process of its own.
 *
 * @throws Failure CLEAN_INVALID where an expression is wrong, or not about its row alone
 */
export async function describeClean(specification: Specification): Promise<Specification> {
  const { clean, ...records } = specification.records;
  if (clean === undefined) return specification;
  const { rowSchema } = tableSchemas(records, specification.table.partitionBy);
  const process = new CleanProcess();
  try {
    const types = await process.describe(clean, rowSchema);
    const columns = clean.columns.map((column, at) => ({ ...column, type: types[at] ?? '' }));
    const described = { ...specification, records: { ...records, clean: { ...clean, columns } } };
    tableSchemas(described.records, specification.table.partitionBy);
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
