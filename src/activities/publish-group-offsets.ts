import type { Reference, Run } from '../contract.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { GoalDocument } from '../runs/documents.ts';
import { loadReference } from '../runs/references.ts';
import { readTable } from '../runs/table-state.ts';
import type { PlanningDependencies } from './dependencies.ts';

export interface PublishGroupOffsetsInput {
  readonly run: Run;
  readonly goal: Reference;
}

export type PublishGroupOffsetsResult =
  | { readonly kind: 'published'; readonly group: string; readonly partitions: number }
  | { readonly kind: 'notPublished'; readonly group: string; readonly reason: string };

/** The consumer group under which lag tools find a pipeline. */
export const groupOf = (pipeline: string): string => `tidemark.${pipeline}`;

/**
 * Tells Kafka how far the table has got in the goal's partitions, for lag tools. Nothing reads it back, so it
 * may be late, missing or, when two runs overlap, behind for a while; whatever goes wrong is a value, never a
 * failure.
 */
export async function publishGroupOffsets(
  dependencies: PlanningDependencies,
  { run, goal }: PublishGroupOffsetsInput,
): Promise<PublishGroupOffsetsResult> {
  const group = groupOf(run.pipeline);
  try {
    const store = dependencies.openStore(run.documents);
    const specification = await loadReference<Specification>(store, run.specification);
    const { partitions } = await loadReference<GoalDocument>(store, goal);
    const table = await readTable(dependencies.openLog(run.table), specification);
    const offsets: Record<string, Record<string, string>> = {};
    let count = 0;
    for (const { topic, kafkaPartition } of partitions) {
      const offset = table.committedOffset(topic, kafkaPartition);
      if (offset === undefined) continue;
      offsets[topic] ??= {};
      offsets[topic][kafkaPartition] = String(offset);
      count++;
    }
    const kafka = await dependencies.connectKafka(specification.source);
    try {
      if (count > 0) await kafka.commitGroupOffsets(group, offsets);
    } finally {
      await kafka.close();
    }
    return { kind: 'published', group, partitions: count };
  } catch (error) {
    return { kind: 'notPublished', group, reason: (error as Error).message };
  }
}
