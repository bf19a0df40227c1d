import type { Client } from '@temporalio/client';
import { HEAVY_TASK_QUEUE, TASK_QUEUE } from '../contract.ts';
import { formatCountOf, formatDuration, formatSchedule } from '../format.ts';
import type { Specification } from '../pipeline/specification.ts';
import { connectTemporal } from '../temporal/client.ts';
import { temporalConnection } from '../temporal/connection.ts';
import { listSchedules, wantedSchedules } from '../temporal/schedules.ts';
import { type Check, CLOCKS_APART_MS, checked, fail, ok, skip, warn } from './checks.ts';

/** A worker that polls comes back within a minute. */
const POLL_MS_MAX = 70_000;
/** Of Temporal's TaskQueueType. */
const WORKFLOWS = 1;
const ACTIVITIES = 2;
const QUEUES = [
  { queue: TASK_QUEUE, type: WORKFLOWS, work: 'workflows' },
  { queue: TASK_QUEUE, type: ACTIVITIES, work: 'light activities' },
  { queue: HEAVY_TASK_QUEUE, type: ACTIVITIES, work: 'heavy activities' },
] as const;

/**
 * Server, namespace, workers, schedules, clock. @param specification where a pipeline was named and is valid
 */
export async function checkTemporal(
  specification: Specification | undefined,
  now: () => number,
): Promise<Check[]> {
  let client: Client | undefined;
  const reached = await checked('Temporal', async () => {
    client = await connectTemporal();
    return ok('Temporal', `${temporalConnection().options.address}, namespace ${client.options.namespace}`);
  });
  const connected = client as Client | undefined;
  if (connected === undefined) {
    const unknown = 'not known without Temporal';
    return [...reached, skip('worker', unknown), ...(specification ? [skip('schedules', unknown)] : [])];
  }
  try {
    const [workers, schedules] = await Promise.all([
      checked('worker', async () => await checkWorkers(connected, now)),
      specification === undefined
        ? []
        : checked('schedules', async () => await checkSchedules(connected, specification)),
    ]);
    return [...reached, ...workers, ...schedules];
  } finally {
    await connected.connection.close();
  }
}

async function checkWorkers(client: Client, now: () => number): Promise<Check[]> {
  const queues = await Promise.all(
    QUEUES.map(async ({ queue, type, work }) => {
      const { pollers } = await client.workflowService.describeTaskQueue({
        namespace: client.options.namespace,
        taskQueue: { name: queue },
        taskQueueType: type,
      });
      const polls = (pollers ?? []).map(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1000);
      return { queue, work, polls };
    }),
  );
  const alive = queues.map((one) => ({
    ...one,
    polls: one.polls.filter((poll) => now() - poll < POLL_MS_MAX),
  }));
  const idle = alive.filter(({ polls }) => polls.length === 0);
  const newest = Math.max(...queues.flatMap(({ polls }) => polls));
  const start = 'Start one: tidemark worker, with the same TEMPORAL_ADDRESS and --pipelines.';
  if (idle.length === QUEUES.length) {
    // The server remembers a worker that is gone for some minutes.
    const last = Number.isFinite(newest) ? ` The last poll was ${formatDuration(now() - newest)} ago.` : '';
    const text = `No worker polls the task queues ${TASK_QUEUE} and ${HEAVY_TASK_QUEUE}: runs would wait for one.${last}`;
    return [fail('worker', text, start, 'WORKER_NOT_RUNNING')];
  }
  if (idle.length > 0) {
    const missing = idle.map(({ queue, work }) => `the task queue ${queue} for ${work}`).join(', nor ');
    const text = `No worker polls ${missing}: runs would begin and then wait.`;
    const fix = 'tidemark worker polls all of them; your own workers must, too.';
    return [fail('worker', text, fix, 'WORKER_NOT_RUNNING'), clockOfTemporal(newest, now())];
  }
  const workers = Math.max(...alive.map(({ polls }) => polls.length));
  const text = `${formatCountOf(workers, 'worker')} on ${TASK_QUEUE} and ${HEAVY_TASK_QUEUE}`;
  return [ok('worker', text), clockOfTemporal(newest, now())];
}

/** Temporal tells no time but that of polls, and none of them was in the future. */
function clockOfTemporal(newestPollMs: number, nowMs: number): Check {
  const name = 'clock of Temporal';
  const ahead = newestPollMs - nowMs;
  if (ahead < CLOCKS_APART_MS) return ok(name, 'not ahead of this machine (polls show no more than that)');
  return warn(
    name,
    `It is ${formatDuration(ahead)} or more ahead of this machine's.`,
    "Synchronize both with NTP: schedules and time limits of runs use the server's clock.",
  );
}

async function checkSchedules(client: Client, specification: Specification): Promise<Check> {
  const { name } = specification;
  const found = new Map((await listSchedules(client, [name])).map((one) => [one.scheduleId, one]));
  const differences = wantedSchedules(specification).flatMap(({ scheduleId, schedule }) => {
    const have = found.get(scheduleId);
    if (schedule === undefined)
      return have ? [`${scheduleId} runs ${have.spec}, the file has no schedule for it`] : [];
    const want = formatSchedule(schedule);
    if (have === undefined) return [`${scheduleId} is not there, the file says ${want}`];
    if (have.spec !== want) return [`${scheduleId} runs ${have.spec}, the file says ${want}`];
    return have.paused ? [`${scheduleId} is paused`] : [];
  });
  if (differences.length > 0) {
    const paused = differences.every((one) => one.endsWith('is paused'));
    const fix = paused
      ? `temporal schedule toggle --unpause --schedule-id ID`
      : `tidemark schedule apply ${name}`;
    return warn('schedules', `${differences.join('; ')}.`, fix);
  }
  const count = found.size;
  return ok(
    'schedules',
    count === 0 ? 'none, as the file says' : `${formatCountOf(count, 'schedule')}, as the file says`,
  );
}
