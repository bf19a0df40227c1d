/**
 * Promise: a person pauses, resumes and cancels runs by a pipeline's name, whoever started them. Method: a run
 * under a drain's own id and one under a Schedule's, both begun as paused.
 */
import { expect } from 'vitest';
import { type CliResult, tidemark, waitUntil } from './setup/harness.ts';
import { it } from './setup/place.ts';

const SCHEDULED = '2026-11-29T10:00:00Z';

it('pause, resume and cancel', async ({ served }) => {
  const topic = await served.topic(
    'control',
    Array.from({ length: 20 }, (_, id) => ({ value: `{"id":${id}}` })),
  );
  const name = await served.pipeline(topic, {
    source: { subscribe: [topic] },
    records: { schema: 'id BIGINT' },
  });
  const control = (...args: string[]) => tidemark([...args, '-o', 'json'], served.env);
  const client = await served.temporal();
  const begin = (workflowId: string) =>
    client.workflow.signalWithStart('drain', {
      workflowId,
      taskQueue: 'tidemark',
      args: [{ pipeline: name, until: 'latest' }],
      signal: 'pause',
    });
  const paused = async (count: number) => {
    let status: CliResult | undefined;
    await waitUntil(async () => {
      status = await tidemark(['status', name], served.env);
      return status.stdout.split('; paused').length === count + 1;
    });
    return status?.stdout;
  };

  const [own, scheduled] = await Promise.all([begin(`drain-${name}`), begin(`drain-${name}-${SCHEDULED}`)]);
  expect(await paused(2)).toContain(`tidemark resume ${name}`);
  expect(await tidemark(['status', name], served.env)).toMatchObject({ exitCode: 0, stderr: '' });
  const resumed = await control('resume', name);
  expect(JSON.parse(resumed.stdout).workflowIds.sort()).toEqual([own.workflowId, scheduled.workflowId]);
  for (const run of [own, scheduled]) expect(await run.result()).toMatchObject({ outcome: 'complete' });

  for (const verb of ['pause', 'resume', 'cancel']) {
    await waitUntil(async () => (await control(verb, name)).exitCode === 2);
    const { stderr } = await tidemark([verb, name], served.env);
    expect(stderr).toContain(`error RUN_NOT_FOUND\nNo workflow drain of ${name} is running.`);
  }
  expect((await control('cancel', name, 'compaction')).stderr).toContain('drain, compact, vacuum');

  const again = await begin(`drain-${name}`);
  await paused(1);
  expect((await tidemark(['pause', name], served.env)).stdout).toBe(
    `drain-${name} pauses before its next batch.\nContinue: tidemark resume ${name}\n`,
  );
  expect((await control('cancel', name)).exitCode).toBe(0);
  await expect(again.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
});
