import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { CompactionInput } from '../commits/compaction.ts';
import type { Reference, Run } from '../contract.ts';
import type { RewriteProgress } from '../duckdb/run-rewrite-process.ts';
import { assert } from '../errors.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { Schema } from '../records/ddl.ts';
import { fromDeltaSchemaString } from '../records/delta-schema.ts';
import { partitionFolder } from '../records/table-partitioner.ts';
import type { WrittenFile } from '../runs/documents.ts';
import { loadReference, storeReference } from '../runs/references.ts';
import type { Dependencies } from './dependencies.ts';
import type { CompactionPlanDocument, PlannedBin } from './plan-compaction.ts';

export interface RewriteFilesInput {
  readonly run: Run;
  readonly plan: Reference;
  /** Index into the plan's tasks. */
  readonly task: number;
}

/** A finished rewrite task: totals for people, the files by reference. */
export interface RewriteFilesResult {
  readonly task: Reference;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
}

/** Behind `RewriteFilesResult.task`. */
export interface RewriteDocument {
  readonly inputs: readonly CompactionInput[];
  readonly outputs: readonly WrittenFile[];
}

/**
 * Merges the files of every bin of one task into a new file each, in a process of its own.
 *
 * Run twice, it writes other files under other names: only a commit makes them part of the table, and only
 * one can. Heartbeats follow the process's own signs of life, so a hung one is given up like a dead worker.
 */
export async function rewriteFiles(
  dependencies: Dependencies,
  input: RewriteFilesInput,
): Promise<RewriteFilesResult> {
  const { run, plan, task } = input;
  const { cancellationSignal, heartbeat } = activityContext();
  const documents = dependencies.openStore(run.documents);
  const document = await loadReference<CompactionPlanDocument>(documents, plan);
  const { table } = await loadReference<Specification>(documents, run.specification);
  const planned = document.tasks[task];
  assert(planned !== undefined, `the plan has a task ${task}`);

  const schema = fileSchema(document);
  const { compression } = table;
  const bins = planned.map((bin) => {
    const output = outputPath(bin, document.partitionColumns, `part-${randomUUID()}.${compression}.parquet`);
    return { inputs: bin.inputs, output, schema, compression };
  });
  const store = dependencies.openStore(run.table);
  const rewritten = await dependencies.rewriteBins(store, bins, heartbeat, cancellationSignal, {
    // Several tasks keep the cores busy by themselves.
    threads: document.tasks.length > 1 ? 1 : 2,
  });

  const inputs: CompactionInput[] = [];
  const outputs: WrittenFile[] = [];
  for (const [index, { inputRowCounts, ...file }] of rewritten.entries()) {
    const bin = planned[index];
    assert(bin !== undefined, 'one file per bin');
    inputs.push(...bin.inputs.map((path, at) => ({ path, rowCount: inputRowCounts[at] ?? 0 })));
    outputs.push({ ...file, partitionValues: bin.partitionValues });
  }
  const result: RewriteDocument = { inputs, outputs };
  return {
    task: await storeReference(documents, `runs/${run.id}/rewrite-${document.batchId}-${task}`, result),
    files: outputs.length,
    rows: outputs.reduce((sum, { rowCount }) => sum + rowCount, 0),
    bytes: outputs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}

function activityContext() {
  const context = Context.current();
  return {
    cancellationSignal: context.cancellationSignal,
    heartbeat: (progress: RewriteProgress) => context.heartbeat(progress),
  };
}

/** The log holds the values of partition columns, files never do. */
function fileSchema({ schemaString, partitionColumns }: CompactionPlanDocument): Schema {
  const { fields } = fromDeltaSchemaString(schemaString);
  return { fields: fields.filter(({ name }) => !partitionColumns.includes(name)) };
}

/** Folder levels in the order of the table's partition columns, as new files have them. */
function outputPath(
  { partitionValues }: PlannedBin,
  partitionColumns: readonly string[],
  name: string,
): string {
  const ordered = Object.fromEntries(
    partitionColumns.map((column) => [column, partitionValues[column] || null]),
  );
  const folder = partitionFolder(ordered);
  return folder === '' ? name : `${folder}/${name}`;
}
