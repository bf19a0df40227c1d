import type { Client } from '@temporalio/client';
import { compactId, type DrainProgress, drainId, vacuumId } from '../contract.ts';
import type { Part } from './part.ts';

const PROGRESS_WITHIN_MS = 2_000;

export interface RunStatus {
  readonly workflowId: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Null for a compaction or a vacuum. */
  readonly progress: Part<DrainProgress> | null;
}

/**
 * Drains, compactions and vacuums of a pipeline that are running. A Schedule's have the time that they were
 * due at in their id.
 */
export async function runningWorkflows(client: Client, pipeline: string): Promise<RunStatus[]> {
  const ids = [drainId(pipeline), compactId(pipeline), vacuumId(pipeline)];
  const prefixes = ids.map((id) => `WorkflowId STARTS_WITH '${id}'`).join(' OR ');
  const runs: RunStatus[] = [];
  for await (const { workflowId, startTime } of client.workflow.list({
    query: `ExecutionStatus = 'Running' AND (${prefixes})`,
  })) {
    const id = workflowId.replace(/-\d{4}-\d\d-\d\dT[\d:.]+Z$/, '');
    if (!ids.includes(id)) continue;
    const progress = id === drainId(pipeline) ? await drainProgress(client, workflowId) : null;
    runs.push({ workflowId, startedAt: startTime.toISOString(), progress });
  }
  return runs;
}

async function drainProgress(client: Client, workflowId: string): Promise<Part<DrainProgress>> {
  try {
    return await client.withDeadline(Date.now() + PROGRESS_WITHIN_MS, () =>
      client.workflow.getHandle(workflowId).query<DrainProgress>('progress'),
    );
  } catch {
    return { problem: 'no worker answers (start one with `tidemark worker`)' };
  }
}
