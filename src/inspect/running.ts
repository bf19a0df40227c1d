import type { Client } from '@temporalio/client';
import { compactId, type DrainProgress, drainId, retryDeadLettersId, vacuumId } from '../contract.ts';
import type { Part } from './part.ts';

const PROGRESS_WITHIN_MS = 2_000;

export interface RunStatus {
  readonly workflowId: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Null but for a drain. */
  readonly progress: Part<DrainProgress> | null;
}

/** Workflow types, with the id that a pipeline's run of each has. */
export const WORKFLOW_IDS = {
  drain: drainId,
  compact: compactId,
  vacuum: vacuumId,
  retryDeadLetters: retryDeadLettersId,
} as const;
export type WorkflowType = keyof typeof WORKFLOW_IDS;

/** A pipeline's runs that are running. */
export async function runningWorkflows(client: Client, pipeline: string): Promise<RunStatus[]> {
  const runs: RunStatus[] = [];
  for await (const { type, workflowId, startTime } of runsOf(client, pipeline)) {
    const progress = type === 'drain' ? await drainProgress(client, workflowId) : null;
    runs.push({ workflowId, startedAt: startTime.toISOString(), progress });
  }
  return runs;
}

/** The same without asking the runs. Temporal lists a run up to a second after its start. */
export async function* runsOf(
  client: Client,
  pipeline: string,
): AsyncGenerator<{ readonly type: WorkflowType; readonly workflowId: string; readonly startTime: Date }> {
  const types = Object.keys(WORKFLOW_IDS) as WorkflowType[];
  const prefixes = types.map((type) => `WorkflowId STARTS_WITH '${WORKFLOW_IDS[type](pipeline)}'`);
  const query = `ExecutionStatus = 'Running' AND (${prefixes.join(' OR ')})`;
  for await (const { workflowId, startTime } of client.workflow.list({ query })) {
    // A Schedule's runs have the time that they were due at in their id.
    const id = workflowId.replace(/-\d{4}-\d\d-\d\dT[\d:.]+Z$/, '');
    const type = types.find((one) => WORKFLOW_IDS[one](pipeline) === id);
    if (type !== undefined) yield { type, workflowId, startTime };
  }
}

async function drainProgress(client: Client, workflowId: string): Promise<Part<DrainProgress>> {
  try {
    return await client.withDeadline(Date.now() + PROGRESS_WITHIN_MS, () =>
      client.workflow.getHandle(workflowId).query<DrainProgress>('progress'),
    );
  } catch {
    return { code: 'WORKER_NOT_RUNNING', problem: 'no worker answers (start one with `tidemark worker`)' };
  }
}
