import type { Client, WorkflowHandle } from '@temporalio/client';
import { TASK_QUEUE } from '../contract.ts';
import { Failure } from '../errors.ts';
import { toFailure } from '../run-failure.ts';

/** A worker that polls comes back within a minute: its last poll being older, it is gone. */
const LAST_POLL_MS_MAX = 70_000;
const TAKEN_UP_WITHIN_MS = 20_000;
/** Started, and its first task scheduled. */
const UNTOUCHED_EVENTS_MAX = 3;
const START_A_WORKER =
  'Start one with `tidemark worker` (same TEMPORAL_ADDRESS, same --pipelines) and try again.';

/** Refuses before anything is started where nobody would do it. */
export async function requireWorker(client: Client): Promise<void> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: TASK_QUEUE },
    taskQueueType: 1,
  });
  const alive = (pollers ?? []).some(({ lastAccessTime }) => {
    const lastPollMs = Number(lastAccessTime?.seconds ?? 0) * 1000;
    return Date.now() - lastPollMs < LAST_POLL_MS_MAX;
  });
  if (alive) return;
  throw new Failure(
    'WORKER_NOT_RUNNING',
    `No worker polls the task queue ${TASK_QUEUE}; nothing was started.`,
    START_A_WORKER,
  );
}

/**
 * Waits until a run has accepted its goal. A workflow history that stands still shows that the worker is
 * gone: the server reports the last poll for some time afterwards. Retries of the first activity are not a
 * reason to give up.
 */
export async function acceptedSoon<T>(
  accept: () => Promise<T>,
  client: Client,
  workflowId: string,
): Promise<T> {
  const giveUp = new AbortController();
  const timer = setTimeout(async () => {
    const described = await client.workflow
      .getHandle(workflowId)
      .describe()
      .catch(() => undefined);
    if (described !== undefined && described.historyLength <= UNTOUCHED_EVENTS_MAX) giveUp.abort();
  }, TAKEN_UP_WITHIN_MS);
  try {
    return await client.withAbortSignal(giveUp.signal, accept);
  } catch (error) {
    if (!giveUp.signal.aborted) throw toFailure(error);
    throw new Failure(
      'WORKER_NOT_RUNNING',
      `The workflow ${workflowId} was started, but no worker has picked it up within ${TAKEN_UP_WITHIN_MS / 1000} s.`,
      `${START_A_WORKER} The workflow continues as soon as there is one.`,
    );
  } finally {
    clearTimeout(timer);
  }
}

/** The server's clock and ours: an older start is another caller's. */
const CLOCKS_APART_MS = 2_000;

/**
 * Since when the run goes that a start of ours, at `startedAtMs`, was answered with; undefined where it made
 * it.
 */
export async function attachedSince(
  handle: Pick<WorkflowHandle, 'describe'>,
  startedAtMs: number,
): Promise<string | undefined> {
  const { startTime } = await handle.describe();
  return startTime.getTime() < startedAtMs - CLOCKS_APART_MS ? startTime.toISOString() : undefined;
}

/** A workflow's result, or its failure as the activity's edge named it. */
export async function workflowResult<T>(handle: Pick<WorkflowHandle, 'result' | 'workflowId'>): Promise<T> {
  try {
    return (await handle.result()) as T;
  } catch (error) {
    throw toFailure(error);
  }
}
