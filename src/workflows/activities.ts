import { ApplicationFailure, proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { HEAVY_TASK_QUEUE, LONGEST_ACTIVITY_MS } from '../contract.ts';

/**
 * Every timeout and every retry of Tidemark. A failure that no retry can mend comes back non-retryable from
 * the activity's edge, under its own code; what may pass by itself is tried again for minutes, never for
 * ever.
 */

/**
 * A dead worker's activities begin again elsewhere after this. One that only froze is a zombie then, and what
 * it still commits is fenced by the table's log. Temporal's SDK sends a heartbeat every 80 % of it at most.
 */
const HEARTBEAT_TIMEOUT = '10 seconds';

/** Reads of Kafka's metadata and of the table's log: seconds at most. */
const light = proxyActivities<Activities>({
  startToCloseTimeout: '2 minutes',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  retry: {
    initialInterval: '500 milliseconds',
    backoffCoefficient: 2,
    maximumInterval: '20 seconds',
    maximumAttempts: 10,
  },
});

/**
 * One table version. Safe to repeat: a repeated commit finds itself in the log. Many attempts, because giving
 * up here throws away finished files.
 */
const commit = proxyActivities<Activities>({
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  retry: {
    initialInterval: '500 milliseconds',
    backoffCoefficient: 2,
    maximumInterval: '20 seconds',
    maximumAttempts: 20,
  },
});

/**
 * Reading, encoding, rewriting: minutes to hours in a thread or a child process. A dead worker is noticed by
 * its heartbeats; a thread that spins, by the process that watches it; what the thread waits for has limits
 * of its own. Attempts cover a worker that is killed again and again.
 */
const heavy = proxyActivities<Activities>({
  taskQueue: HEAVY_TASK_QUEUE,
  startToCloseTimeout: LONGEST_ACTIVITY_MS,
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  retry: {
    initialInterval: '500 milliseconds',
    backoffCoefficient: 2,
    maximumInterval: '20 seconds',
    maximumAttempts: 25,
  },
});

/**
 * Listing and deleting hundreds of thousands of files on a slow disk. If an attempt ends, the next one
 * continues.
 */
const sweeping = proxyActivities<Activities>({
  startToCloseTimeout: LONGEST_ACTIVITY_MS,
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  retry: {
    initialInterval: '500 milliseconds',
    backoffCoefficient: 2,
    maximumInterval: '20 seconds',
    maximumAttempts: 20,
  },
});

/** For lag tools only: no run waits longer for it, or fails by it. */
const bestEffort = proxyActivities<Activities>({
  scheduleToCloseTimeout: '10 seconds',
  retry: { maximumAttempts: 2 },
});

export const { resolveGoal, planDrain, makeReceipt, planCompaction, beginRetry, planRetry, planVacuum } =
  light;
export const { publishGroupOffsets } = bestEffort;
export const {
  commitBatch,
  publishDeadLetters,
  commitCompaction,
  commitRetry,
  dropOldPartitions,
  commitVacuum,
} = commit;
export const { writeFiles, rewriteFiles, retryLetters } = heavy;
export const { findGarbage, deleteGarbage, cleanUp } = sweeping;

/** Activities of one batch or compaction that are open at the same time. */
const OPEN_TASKS_MAX = 64;

/**
 * Runs `work` for every item, a bounded number at once; results in the items' order; the first failure fails
 * all.
 */
export async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const lane = async () => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(OPEN_TASKS_MAX, items.length) }, lane));
  return results;
}

/** A user's mistake in an argument, as the workflow and the activities tell it: stable code, what to do. */
export function refusal(code: string, message: string): ApplicationFailure {
  return ApplicationFailure.create({ type: code, message, nonRetryable: true });
}
