import { type QueryResult, queryTable } from '../duckdb/query-table.ts';
import type { Specification } from '../pipeline/specification.ts';
import { fromDeltaSchemaString } from '../records/delta-schema.ts';
import { openTable, requireSnapshot, sortedFiles } from '../runs/open-table.ts';
import type { Outside } from '../runs/outside.ts';
import { localCopies } from '../storage/local-copies.ts';

/**
 * One SELECT over the live files of the newest version, as a view with the pipeline's name; it can read these
 * files and nothing else. Throws TABLE_NOT_FOUND where nothing was drained yet.
 *
 * @param use gets the result, which is closed after it
 */
export async function queryPipeline<T>(
  specification: Specification,
  outside: Outside,
  sql: string,
  use: (result: QueryResult) => Promise<T>,
): Promise<T> {
  const opened = openTable(specification, outside);
  const snapshot = await requireSnapshot(opened, specification);
  const files = sortedFiles(snapshot);
  await using copies = await localCopies(
    opened.store,
    files.map(([path]) => path),
  );
  const result = await queryTable({
    view: specification.name,
    schema: fromDeltaSchemaString(snapshot.metaData.schemaString),
    partitionColumns: snapshot.metaData.partitionColumns,
    files: files.map(([path, { partitionValues }]) => ({ file: copies.fileOf(path), partitionValues })),
    sql,
  });
  try {
    return await use(result);
  } finally {
    result.close();
  }
}
