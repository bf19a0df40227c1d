import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleDescription,
  ScheduleNotFoundError,
  type ScheduleSpec,
  type ScheduleSummary,
} from '@temporalio/client';
import { compactId, drainId, TASK_QUEUE, vacuumId } from '../contract.ts';
import { Failure } from '../errors.ts';
import { formatDuration, formatSchedule } from '../format.ts';
import type { ScheduleSpecification, Specification } from '../pipeline/specification.ts';

export interface ScheduleChange {
  readonly scheduleId: string;
  readonly change: 'created' | 'updated' | 'deleted';
  /** `every 10m`; absent for a deleted one. */
  readonly spec?: string;
}

export interface ScheduleState {
  readonly scheduleId: string;
  readonly spec: string;
  readonly paused: boolean;
  /** ISO 8601. */
  readonly nextRun: string | undefined;
  /** Workflow id of the newest run that it started. */
  readonly lastWorkflowId: string | undefined;
}

/**
 * Makes the schedules of a pipeline be what its file says: created, updated, or deleted where the file has
 * none. Run twice it changes nothing more; a paused schedule stays paused.
 */
export async function applySchedules(
  client: Client,
  specification: Specification,
): Promise<ScheduleChange[]> {
  const changes: ScheduleChange[] = [];
  const { name } = specification;
  for (const { scheduleId, workflowType, schedule } of wantedSchedules(specification)) {
    if (schedule !== undefined) {
      const change = await createOrUpdate(client, scheduleId, workflowType, name, schedule);
      changes.push({ scheduleId, change, spec: formatSchedule(schedule) });
    } else if (await deleteSchedule(client, scheduleId)) changes.push({ scheduleId, change: 'deleted' });
  }
  return changes;
}

/** The schedules that a pipeline may have, with what its file says of each. */
export function wantedSchedules({ name, schedule, compaction, vacuum }: Specification): {
  readonly scheduleId: string;
  readonly workflowType: keyof typeof SCHEDULED;
  readonly schedule: ScheduleSpecification | undefined;
}[] {
  return [
    { scheduleId: drainId(name), workflowType: 'drain', schedule },
    { scheduleId: compactId(name), workflowType: 'compact', schedule: compaction.schedule },
    { scheduleId: vacuumId(name), workflowType: 'vacuum', schedule: vacuum.schedule },
  ];
}

/** Its schedules have the ids that its runs have by custom. */
const SCHEDULED = {
  drain: { id: drainId, verb: 'Drain' },
  compact: { id: compactId, verb: 'Compact' },
  vacuum: { id: vacuumId, verb: 'Vacuum' },
} as const;

function scheduleIds(pipelines: readonly string[]): string[] {
  return pipelines.flatMap((pipeline) => Object.values(SCHEDULED).map(({ id }) => id(pipeline)));
}

/** Deletes the schedules of pipelines by name; a missing one is not an error. */
export async function deleteSchedules(
  client: Client,
  pipelines: readonly string[],
): Promise<ScheduleChange[]> {
  const changes: ScheduleChange[] = [];
  for (const scheduleId of scheduleIds(pipelines)) {
    if (await deleteSchedule(client, scheduleId)) changes.push({ scheduleId, change: 'deleted' });
  }
  return changes;
}

/** The schedules of drains, compactions and vacuums, of the named pipelines or of all, sorted by id. */
export async function listSchedules(client: Client, pipelines: readonly string[]): Promise<ScheduleState[]> {
  if (pipelines.length > 0) {
    const found = await Promise.all(scheduleIds(pipelines).map((id) => describeSchedule(client, id)));
    return found.filter((schedule) => schedule !== undefined);
  }
  const schedules: ScheduleState[] = [];
  for await (const schedule of client.schedule.list()) {
    const type = schedule.action?.workflowType ?? '';
    const isOurs = Object.hasOwn(SCHEDULED, type) && schedule.scheduleId.startsWith(`${type}-`);
    if (isOurs) schedules.push(toState(schedule));
  }
  return schedules.sort((a, b) => (a.scheduleId < b.scheduleId ? -1 : 1));
}

async function createOrUpdate(
  client: Client,
  scheduleId: string,
  workflowType: keyof typeof SCHEDULED,
  pipeline: string,
  schedule: ScheduleSpecification,
): Promise<'created' | 'updated'> {
  const options = {
    spec: specOf(schedule),
    action: {
      type: 'startWorkflow' as const,
      workflowType,
      workflowId: scheduleId,
      taskQueue: TASK_QUEUE,
      args: [{ pipeline }],
      staticSummary: `${SCHEDULED[workflowType].verb} ${pipeline}, scheduled`,
    },
    // One run catches up with everything that became due during another, or during an outage.
    policies: { overlap: 'BUFFER_ONE' as const, catchupWindow: '10m' as const },
  };
  try {
    await client.schedule.create({ scheduleId, ...options });
    return 'created';
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw badSpec(error, pipeline, schedule);
  }
  try {
    await client.schedule.getHandle(scheduleId).update(({ state }) => ({ ...options, state }));
    return 'updated';
  } catch (error) {
    throw badSpec(error, pipeline, schedule);
  }
}

/** The SDK reports a cron expression that the server cannot read as a TypeError. */
function badSpec(error: unknown, pipeline: string, schedule: ScheduleSpecification): unknown {
  if (!(error instanceof TypeError)) return error;
  return new Failure(
    'CONFIGURATION_INVALID',
    `${pipeline}: Temporal cannot read the schedule "${formatSchedule(schedule)}": ${error.message}.`,
    'Change schedule, compaction or vacuum in the pipeline file; cron fields are minute, hour, day, month, day of week.',
    { cause: error },
  );
}

async function deleteSchedule(client: Client, scheduleId: string): Promise<boolean> {
  try {
    await client.schedule.getHandle(scheduleId).delete();
    return true;
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return false;
    throw error;
  }
}

async function describeSchedule(client: Client, scheduleId: string): Promise<ScheduleState | undefined> {
  try {
    return toState(await client.schedule.getHandle(scheduleId).describe());
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
}

function specOf(schedule: ScheduleSpecification): ScheduleSpec {
  // The server keeps calendars only; the comment is what tells people the expression again.
  return 'cron' in schedule
    ? { cronExpressions: [`${schedule.cron} # ${schedule.cron}`] }
    : { intervals: [{ every: schedule.everyMs }] };
}

function toState({ scheduleId, spec, state, info }: ScheduleSummary | ScheduleDescription): ScheduleState {
  const intervals = (spec?.intervals ?? []).map(({ every }) => `every ${formatDuration(Number(every))}`);
  const calendars = (spec?.calendars ?? []).map(({ comment }) => `at ${comment || 'calendar times'}`);
  return {
    scheduleId,
    spec: [...intervals, ...calendars].join(', '),
    paused: state.paused,
    nextRun: info.nextActionTimes[0]?.toISOString(),
    lastWorkflowId: info.recentActions.at(-1)?.action.workflow.workflowId,
  };
}
