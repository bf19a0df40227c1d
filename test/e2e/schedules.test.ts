/**
 * Goal: `schedule apply` makes Temporal be what the pipeline file says, however often it runs. Method: the
 * command line against a real server, looked at with Temporal's own client.
 */
import { ScheduleNotFoundError } from '@temporalio/client';
import { describe, expect, onTestFinished } from 'vitest';
import { run } from '../cli/run.ts';
import { uniqueName } from './setup/harness.ts';
import { type Place, test } from './setup/place.ts';

const PIPELINE = {
  source: { subscribe: ['orders'] },
  records: { mode: 'failFast', schema: 'id STRING' },
};

async function setUp(own: Place) {
  const pipeline = uniqueName('orders');
  const client = await own.temporal();
  const tidemark = (...args: string[]) => run(args, own.env);
  onTestFinished(async () => void (await tidemark('schedule', 'delete', pipeline)));
  const write = (options: object) => own.pipeline(pipeline, { ...PIPELINE, ...options });
  const handle = (type: string) => client.schedule.getHandle(`${type}-${pipeline}`);
  return { pipeline, tidemark, write, handle };
}

describe('schedule apply', () => {
  test('creates both schedules, with one run buffered and ten minutes of catching up', async ({ own }) => {
    const { pipeline, tidemark, write, handle } = await setUp(own);
    await write({ schedule: { every: '10m' }, compaction: { every: '1h' } });
    expect((await tidemark('schedule', 'apply', pipeline)).stdout).toBe(
      `created drain-${pipeline}, every 10m\ncreated compact-${pipeline}, every 1h\n`,
    );
    for (const [type, everyMs] of [
      ['drain', 600_000],
      ['compact', 3_600_000],
    ] as const) {
      const { spec, policies, action } = await handle(type).describe();
      expect(spec.intervals?.map(({ every }) => every)).toEqual([everyMs]);
      expect(policies).toMatchObject({ overlap: 'BUFFER_ONE', catchupWindow: 600_000 });
      expect(action).toMatchObject({
        workflowType: type,
        workflowId: `${type}-${pipeline}`,
        taskQueue: 'tidemark',
        args: [{ pipeline }],
      });
    }
  });

  test('twice is once; a change is taken over, and a pause is kept', async ({ own }) => {
    const { pipeline, tidemark, write, handle } = await setUp(own);
    await write({ schedule: { every: '10m' } });
    await tidemark('schedule', 'apply', pipeline);
    await handle('drain').pause('by a person');
    await write({ schedule: { cron: '5 * * * *' } });
    expect((await tidemark('schedule', 'apply', pipeline)).stdout).toBe(
      `updated drain-${pipeline}, at 5 * * * *\n`,
    );
    const { spec, state } = await handle('drain').describe();
    expect({ intervals: spec.intervals ?? [], calendars: spec.calendars?.length }).toEqual({
      intervals: [],
      calendars: 1,
    });
    expect(state).toMatchObject({ paused: true, note: 'by a person' });
    const { stdout } = await tidemark('schedule', 'list', pipeline, '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject([
      { scheduleId: `drain-${pipeline}`, spec: 'at 5 * * * *', paused: true },
    ]);
  });

  test('what is removed from the file is deleted', async ({ own }) => {
    const { pipeline, tidemark, write, handle } = await setUp(own);
    await write({ schedule: { every: '10m' }, compaction: { every: '1h' } });
    await tidemark('schedule', 'apply', pipeline);
    await write({ schedule: { every: '10m' } });
    expect((await tidemark('schedule', 'apply', pipeline)).stdout).toContain(`deleted compact-${pipeline}\n`);
    await expect(handle('compact').describe()).rejects.toThrow(ScheduleNotFoundError);
    expect((await tidemark('schedule', 'delete', pipeline)).stdout).toBe(`deleted drain-${pipeline}\n`);
    expect(await tidemark('schedule', 'delete', pipeline)).toMatchObject({
      exitCode: 0,
      stdout: 'There was nothing to delete.\n',
    });
  });

  test('touches no schedule where a file or a cron expression is wrong', async ({ own }) => {
    const { pipeline, tidemark, write, handle } = await setUp(own);
    await write({ schedule: { every: '10m' } });
    expect(await tidemark('schedule', 'apply', pipeline, 'nowhere')).toMatchObject({
      exitCode: 2,
      stdout: '',
    });
    await write({ schedule: { cron: '99 * * * *' } });
    const { exitCode, stderr } = await tidemark('schedule', 'apply', pipeline);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('Minute is not in range');
    await expect(handle('drain').describe()).rejects.toThrow(ScheduleNotFoundError);
  });
});
