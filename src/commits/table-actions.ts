import type { Action } from '../delta/actions.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { Schema } from '../records/ddl.ts';
import { toDeltaSchemaString } from '../records/delta-schema.ts';
import type { CommitFacts } from './facts.ts';
import { PIPELINE_PROPERTY } from './pipeline-state.ts';
import { fitSchema } from './schema-fit.ts';

/** The columns of a whole table, in their order, those that it is partitioned by included. */
export interface TableColumns {
  readonly schema: Schema;
  readonly partitionColumns: readonly string[];
}

/** Without `lastUpdated`, a reader that expires old `txn`s has nothing to expire them by. */
export function txn(appId: string, version: bigint): Action {
  return { txn: { appId, version } };
}

/** What the first version of a table begins with. */
export function newTableActions(
  { schema, partitionColumns }: TableColumns,
  configuration: Readonly<Record<string, string>>,
  { newTableId: id, nowMs: createdTime }: Pick<CommitFacts, 'newTableId' | 'nowMs'>,
): Action[] {
  const format = { provider: 'parquet', options: {} };
  const schemaString = toDeltaSchemaString(schema);
  return [
    { protocol: { minReaderVersion: 1, minWriterVersion: 2 } },
    { metaData: { id, format, schemaString, partitionColumns, configuration, createdTime } },
  ];
}

/**
 * Of a table that belongs to this pipeline. Other writers must not clean the log: it is our ledger, and its
 * `txn`s our state.
 */
export function ownerProperties(pipeline: string): Readonly<Record<string, string>> {
  return { [PIPELINE_PROPERTY]: pipeline, 'delta.enableExpiredLogCleanup': 'false' };
}

/**
 * The version with the first rows of a new schema also changes the schema: decided from the metaData that it
 * follows.
 */
export function evolutionActions(
  { metaData }: Snapshot,
  { schema, partitionColumns }: TableColumns,
): Action[] {
  const fit = fitSchema(metaData, schema, partitionColumns);
  return fit.kind === 'evolves' ? [{ metaData: { ...metaData, schemaString: fit.schemaString } }] : [];
}
