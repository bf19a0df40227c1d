/**
 * Goal: `schedule apply` makes Temporal be what the pipeline file says, however often it runs. Method: the command line
 * against a real server, looked at with Temporal's own client.
 */
import { Client, Connection, ScheduleNotFoundError } from '@temporalio/client';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { run } from '../cli/run.ts';
import { environment, temporalNamespace, temporaryFolder, writePipeline } from './setup/harness.ts';

const PIPELINE = {
  source: { bootstrapServers: '127.0.0.1:9092', subscribe: ['orders'] },
  records: { mode: 'failFast', schema: 'id STRING' },
  table: { location: './table' },
};

async function setUp() {
  const folder = await temporaryFolder();
  const pipeline = `orders-${process.pid}-${Date.now()}`;
  const connection = await Connection.connect({ address: inject('temporalAddress') });
  const client = new Client({ connection, namespace: temporalNamespace() });
  const tidemark = (...args: string[]) => run(args, environment(folder));
  onTestFinished(async () => {
    await tidemark('schedule', 'delete', pipeline);
    await connection.close();
  });
  const write = (options: object) => writePipeline(folder, pipeline, { ...PIPELINE, ...options });
  const handle = (type: string) => client.schedule.getHandle(`${type}-${pipeline}`);
  return { pipeline, tidemark, write, handle };
}

describe('schedule apply', () => {
  test('creates both schedules, with one run buffered and ten minutes of catching up', async () => {
    const { pipeline, tidemark, write, handle } = await setUp();
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

  test('twice is once; a change is taken over, and a pause is kept', async () => {
    const { pipeline, tidemark, write, handle } = await setUp();
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

  test('what is removed from the file is deleted', async () => {
    const { pipeline, tidemark, write, handle } = await setUp();
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

  test('touches no schedule where a file or a cron expression is wrong', async () => {
    const { pipeline, tidemark, write, handle } = await setUp();
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
