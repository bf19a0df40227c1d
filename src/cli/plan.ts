import type { PlanningDependencies } from '../activities/dependencies.ts';
import { fitSchema, type SchemaChange } from '../commits/schema-fit.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';
import { formatCount, formatCountOf } from '../format.ts';
import type { Specification } from '../pipeline/specification.ts';
import { formatType } from '../records/ddl.ts';
import { tableSchemas } from '../records/table-schema.ts';
import type { GoalDocument, PlanDocument } from '../runs/documents.ts';
import { ForwardingStore, type StoreCall } from '../storage/forwarding-store.ts';
import type { Context, Verb } from '../terminal/context.ts';
import { table } from '../terminal/output.ts';
import { parseUntil } from './drain/drain.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .option(
        '--until <end>',
        'latest, a timestamp, or offsets as JSON: {"topic":{"0":1000,"1":-1}} (exclusive)',
        'latest',
      )
      .action((pipeline: string, options: { until: string }) => plan(context, pipeline, options.until));
  },
};

interface DrainPlan {
  readonly pipeline: string;
  readonly location: string;
  /** -1 where the first drain will make the table. */
  readonly tableVersion: number;
  readonly columns: readonly { readonly name: string; readonly type: string; readonly nullable: boolean }[];
  readonly partitionColumns: readonly string[];
  /** What the next batch changes about the table's columns. */
  readonly schemaChanges: readonly SchemaChange[];
  readonly partitions: readonly PlannedPartition[];
  readonly offsets: string;
  /** Batches that it takes, as far as `limits.maxOffsetsPerBatch` tells. */
  readonly batches: number;
  /** Write tasks of the first batch: its ranges. */
  readonly firstBatch: PlanDocument['tasks'];
}

interface PlannedPartition {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** Inclusive, decimal. */
  readonly startingOffset: string;
  /** Exclusive, decimal. */
  readonly endingOffset: string;
  readonly offsets: string;
}

/** Runs the very activities that a drain begins with, over a table that keeps what they write in memory. */
async function plan(context: Context, pipeline: string, untilText: string): Promise<void> {
  const until = parseUntil(untilText);
  const specification = await context.loadPipeline(pipeline);
  const { openTable } = await import('../runs/open-table.ts');
  const { connectKafka } = await import('../kafka/kafkajs-source.ts');
  const { resolveGoal } = await import('../activities/resolve-goal.ts');
  const { planDrain } = await import('../activities/plan-drain.ts');
  const { loadReference } = await import('../runs/references.ts');

  const opened = openTable(specification, context.openStore);
  const store = new KeptWrites(opened.store);
  const dependencies: PlanningDependencies = {
    loadPipeline: async () => specification,
    openStore: () => store,
    openLog: () => opened.log,
    connectKafka: ({ bootstrapServers }) => connectKafka({ bootstrapServers }),
  };
  const { run, goal } = await resolveGoal(
    dependencies,
    { pipeline, runId: 'plan', until },
    new AbortController().signal,
  );
  const batch = await planDrain(dependencies, { run, goal: goal.reference });
  const found = drainPlan(
    specification,
    await opened.log.snapshot(),
    await loadReference<GoalDocument>(store, goal.reference),
    batch.kind === 'reached' ? undefined : await loadReference<PlanDocument>(store, batch.plan),
  );
  context.output.result(found, () => describePlan(found));
}

/** The store as it is, with what is written on top of it kept in memory. Data files cannot be written. */
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

function describePlan(plan: DrainPlan): string {
  const { columns, partitionColumns, partitions, firstBatch } = plan;
  const headings = ['topic', 'partition', 'from', 'to', 'offsets'];
  const rows = partitions.map(({ topic, kafkaPartition, startingOffset, endingOffset, offsets }) => [
    topic,
    String(kafkaPartition),
    startingOffset,
    endingOffset,
    formatCount(BigInt(offsets)),
  ]);
  const tasks = firstBatch.map((ranges, at) => {
    const size = ranges.reduce(
      (sum, range) => sum + BigInt(range.endingOffset) - BigInt(range.startingOffset),
      0n,
    );
    const names = ranges.map(
      ({ topic, kafkaPartition, startingOffset, endingOffset }) =>
        `${topic}[${kafkaPartition}] ${startingOffset}..${endingOffset}`,
    );
    const more = names.length > 3 ? ` and ${formatCountOf(names.length - 3, 'more range')}` : '';
    return `  task ${at}: ${formatCount(size)} offsets, ${names.slice(0, 3).join(', ')}${more}`;
  });
  const state = plan.tableVersion < 0 ? 'made by this drain' : `at version ${plan.tableVersion}`;
  const work =
    plan.batches === 0
      ? 'Nothing to do: the table has reached the end.'
      : `${formatCount(BigInt(plan.offsets))} offsets, about ${plan.batches} ${plan.batches === 1 ? 'batch' : 'batches'}; the first has ${firstBatch.length} write ${firstBatch.length === 1 ? 'task' : 'tasks'}:`;
  return [
    `Table ${plan.location}, ${state}`,
    ...columns.map(({ name, type, nullable }) => `  ${name} ${type}${nullable ? '' : ' NOT NULL'}`),
    `  partitioned by ${partitionColumns.length === 0 ? 'nothing' : partitionColumns.join(', ')}`,
    ...describeChanges(plan.schemaChanges),
    '',
    table(headings, rows, headings.slice(1)),
    '',
    work,
    ...tasks,
  ].join('\n');
}

function describeChanges(changes: readonly SchemaChange[]): string[] {
  if (changes.length === 0) return [];
  return ['', 'The next batch changes the columns of the table:', ...changes.map(describeChange)];
}

function describeChange(change: SchemaChange): string {
  switch (change.kind) {
    case 'added':
      return `  + ${change.column} ${change.type}`;
    case 'widened':
      return `  ~ ${change.column} ${change.from}, widened to ${change.to}`;
    case 'nullable':
      return `  ~ ${change.column} ${change.type}, no longer NOT NULL`;
  }
}
