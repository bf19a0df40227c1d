import type { PlanningDependencies } from '../activities/dependencies.ts';
import { planDrain } from '../activities/plan-drain.ts';
import { resolveGoal } from '../activities/resolve-goal.ts';
import { fitSchema, type SchemaChange } from '../commits/schema-fit.ts';
import type { Until } from '../contract.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';
import { connectSource } from '../kafka/connect-source.ts';
import type { Specification } from '../pipeline/specification.ts';
import { formatType } from '../records/ddl.ts';
import { tableSchemas } from '../records/table-schema.ts';
import type { GoalDocument, PlanDocument } from '../runs/documents.ts';
import { openTable } from '../runs/open-table.ts';
import type { Outside } from '../runs/outside.ts';
import { loadReference } from '../runs/references.ts';
import { ForwardingStore, type StoreCall } from '../storage/forwarding-store.ts';

/** What the next drain would do. Numbers of offsets are decimal strings. */
export interface DrainPlan {
  readonly pipeline: string;
  readonly location: string;
  /** -1 where the first drain will make the table. */
  readonly tableVersion: number;
  /** As the pipeline file has them; types as DDL. */
  readonly columns: readonly { readonly name: string; readonly type: string; readonly nullable: boolean }[];
  readonly partitionColumns: readonly string[];
  /** What the next batch changes about the table's columns. */
  readonly schemaChanges: readonly SchemaChange[];
  readonly partitions: readonly PlannedPartition[];
  /** Of all partitions. */
  readonly offsets: string;
  /** Batches that it takes, as far as `limits.maxOffsetsPerBatch` tells. */
  readonly batches: number;
  /** Write tasks of the first batch: its ranges. */
  readonly firstBatch: PlanDocument['tasks'];
}

export interface PlannedPartition {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** Inclusive, decimal. */
  readonly startingOffset: string;
  /** Exclusive, decimal. */
  readonly endingOffset: string;
  readonly offsets: string;
}

/**
 * The next drain of a pipeline: runs the very activities that a drain begins with, over a table that keeps
 * what they write in memory. Fails as a drain does before it reads a record.
 *
 * @param until where it would end
 */
export async function planNextDrain(
  specification: Specification,
  outside: Outside,
  until: Until,
): Promise<DrainPlan> {
  const opened = openTable(specification, outside);
  const store = new KeptWrites(opened.store);
  const dependencies: PlanningDependencies = {
    loadPipeline: async () => specification,
    openStore: () => store,
    openLog: () => opened.log,
    connectKafka: (source) => connectSource(source, { environment: outside.environment }),
  };
  const { run, goal } = await resolveGoal(
    dependencies,
    { pipeline: specification.name, runId: 'plan', until },
    new AbortController().signal,
  );
  const batch = await planDrain(dependencies, { run, goal: goal.reference });
  return drainPlan(
    specification,
    await opened.log.snapshot(),
    await loadReference<GoalDocument>(store, goal.reference),
    batch.kind === 'reached' ? undefined : await loadReference<PlanDocument>(store, batch.plan),
  );
}

/** The store as it is, with what is written to it kept in memory. Data files cannot be written. */
class KeptWrites extends ForwardingStore {
  private readonly written = new Map<string, Buffer>();

  override async read(path: string): Promise<Buffer | undefined> {
    return this.written.get(path) ?? (await super.read(path));
  }

  override async putIfAbsent(path: string, content: Uint8Array): Promise<'created' | 'exists'> {
    if (this.written.has(path)) return 'exists';
    await this.put(path, content);
    return 'created';
  }

  override async put(path: string, content: Uint8Array): Promise<void> {
    this.written.set(path, Buffer.from(content));
  }

  protected override async call<T>({ method }: StoreCall, work: () => Promise<T>): Promise<T> {
    if (READING.has(method)) return await work();
    throw new Failure('USAGE', 'A plan writes nothing.', 'Run tidemark drain.');
  }
}

const READING: ReadonlySet<StoreCall['method']> = new Set(['read', 'readRange', 'stat', 'list', 'localCopy']);

function drainPlan(
  specification: Specification,
  snapshot: Snapshot | undefined,
  goal: GoalDocument,
  batch: PlanDocument | undefined,
): DrainPlan {
  const { tableSchema, partitionColumns } = tableSchemas(
    specification.records,
    specification.table.partitionBy,
  );
  const fit = snapshot && fitSchema(snapshot.metaData, tableSchema, partitionColumns);
  const partitions = goal.partitions.map(
    ({ topic, kafkaPartition, committedOffset, initialOffset, endingOffset }) => {
      const startingOffset = committedOffset ?? initialOffset;
      const size = BigInt(endingOffset) - BigInt(startingOffset);
      return { topic, kafkaPartition, startingOffset, endingOffset, offsets: String(size > 0n ? size : 0n) };
    },
  );
  const offsets = partitions.reduce((sum, partition) => sum + BigInt(partition.offsets), 0n);
  const batches = Math.ceil(Number(offsets) / specification.limits.maxOffsetsPerBatch);
  return {
    pipeline: specification.name,
    location: specification.table.location,
    tableVersion: snapshot?.tableVersion ?? -1,
    columns: tableSchema.fields.map(({ name, type, nullable }) => ({
      name,
      type: formatType(type),
      nullable,
    })),
    partitionColumns,
    schemaChanges: fit?.kind === 'evolves' ? fit.changes : [],
    partitions,
    offsets: String(offsets),
    batches: Math.max(batches, batch === undefined ? 0 : 1),
    firstBatch: batch?.tasks ?? [],
  };
}
