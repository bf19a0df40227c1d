import { type QueryResult, queryTable } from '../duckdb/query-table.ts';
import type { Specification } from '../pipeline/specification.ts';
import { fromDeltaSchemaString } from '../records/delta-schema.ts';
import { liveFiles, openTable, requireSnapshot } from '../runs/open-table.ts';
import type { Outside } from '../runs/outside.ts';

/**
 * One SELECT over the live files of the newest version, as a view with the pipeline's name; it can read these
 * files and nothing else. The caller closes the result. Throws TABLE_NOT_FOUND where nothing was drained yet.
 */
export async function queryPipeline(
  specification: Specification,
  outside: Outside,
  sql: string,
): Promise<QueryResult> {
  const opened = openTable(specification, outside);
  const snapshot = await requireSnapshot(opened, specification);
  return await queryTable({
    view: specification.name,
    schema: fromDeltaSchemaString(snapshot.metaData.schemaString),
    partitionColumns: snapshot.metaData.partitionColumns,
    files: liveFiles(opened, snapshot).map(({ path, partitionValues }) => ({ url: path, partitionValues })),
    sql,
  });
}
