import type { SchemaChange } from '../../commits/schema-fit.ts';
import { formatCount, formatCountOf } from '../../format.ts';
import type { DrainPlan } from '../../inspect/plan.ts';
import { table } from '../../terminal/output.ts';

/** The plan on one screen. */
export function describePlan(plan: DrainPlan): string {
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
  const state = plan.tableVersion < 0 ? 'created by this drain' : `at version ${plan.tableVersion}`;
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
