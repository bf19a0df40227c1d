/**
 * Promises: services that share a run each get a receipt that covers what they asked for; one whose run
 * closed before it took the goal on gets another run; failures have names. Method: clients with connections
 * of their own against one worker; where a run has to close at a chosen moment, the test itself answers its
 * workflow task.
 */
import { Client, WorkflowNotFoundError } from '@temporalio/client';
import { expect } from 'vitest';
import { Tidemark } from '../../src/client.ts';
import { tidemark, uniqueName } from './setup/harness.ts';
import { it, type Place } from './setup/place.ts';

const COMPLETE_WORKFLOW_EXECUTION = 4;

it('gives each of several services on one run a receipt for its own end', async ({ served }) => {
  const { name, topic } = await pipelineWith(served, 1_000);
  const first = await (await served.temporal()).workflow.signalWithStart('drain', {
    workflowId: `drain-${name}`,
    taskQueue: 'tidemark',
    args: [{ pipeline: name, until: { offsets: { [topic]: { 0: 100 } } } }],
    signal: 'pause',
  });
  const to = (end: number) => ({ offsets: { [topic]: { 0: end } } });
  const early = await (await served.client()).startDrain(name, to(300));
  const late = await (await served.client()).startDrain(name, to(700));
  const beyond = await (await served.client()).startDrain(name, to(1_200));
  const between = await (await served.client()).startDrain(name, to(500));
  expect([early, late, beyond, between].map(({ endingOffsets }) => endingOffsets[topic]?.[0])).toEqual([
    '300',
    '700',
    '1000',
    '1000',
  ]);
  await (await served.client()).resume(name);

  const receipts = await Promise.all([early, late, between, beyond].map((drain) => drain.receipt()));
  expect(receipts.map(({ outcome }) => outcome)).toEqual(['complete', 'complete', 'complete', 'partial']);
  for (const { partitions, tableVersion } of receipts) {
    expect(partitions[0]).toMatchObject({ startingOffset: '0', endingOffset: '1000' });
    expect(tableVersion).toBe(receipts[0]?.tableVersion);
  }
  expect(receipts[3]?.reason).toContain(`${topic}-0 at 1000 of 1200`);
  expect(await first.result()).toEqual(receipts[3]);
});

it('`drain --no-wait` names the run that took the goal on', async ({ served }) => {
  const { name, topic } = await pipelineWith(served, 10);
  const { exitCode, stdout } = await tidemark(['drain', name, '--no-wait', '-o', 'json'], served.env);
  expect(exitCode).toBe(0);
  const { workflowId, runId, endingOffsets } = JSON.parse(stdout);
  expect({ workflowId, endingOffsets }).toEqual({
    workflowId: `drain-${name}`,
    endingOffsets: { [topic]: { 0: '10' } },
  });
  const run = (await served.temporal()).workflow.getHandle(workflowId, runId);
  expect(await run.result()).toMatchObject({ outcome: 'complete', totals: { rows: 10 } });
});

it('starts another run where the one it met closed before it took the goal on', async ({ served }) => {
  const { name } = await pipelineWith(served, 50);
  const client = await served.temporal();
  const { workflowService: server } = client;
  const { namespace } = client.options;
  const taskQueue = uniqueName('closing');
  const closing = await client.workflow.start('drain', { workflowId: `drain-${name}`, taskQueue, args: [] });
  const task = await client.withDeadline(Date.now() + 20_000, () =>
    server.pollWorkflowTaskQueue({ namespace, taskQueue: { name: taskQueue } }),
  );

  // The server hands the update out with the next workflow task; there is none, since this one ends the run.
  const drain = (await served.client()).drain(name);
  const { promise: sent, resolve: isSent } = Promise.withResolvers<void>();
  setTimeout(isSent, 500);
  await sent;
  await server.respondWorkflowTaskCompleted({
    namespace,
    taskToken: task.taskToken,
    commands: [{ commandType: COMPLETE_WORKFLOW_EXECUTION, completeWorkflowExecutionCommandAttributes: {} }],
  });

  const { outcome, partitions } = await drain;
  expect({ outcome, end: partitions[0]?.endingOffset }).toEqual({ outcome: 'complete', end: '50' });
  const latest = await client.workflow.getHandle(`drain-${name}`).describe();
  expect(latest.runId).not.toBe(closing.firstExecutionRunId);
  expect((await closing.describe()).status.name).toBe('COMPLETED');
});

it('asks again where the server says that the run had closed', async ({ served }) => {
  const { name } = await pipelineWith(served, 50);
  let refusals = 0;
  const client = await served.temporal();
  const refused = new Client({
    connection: client.connection,
    namespace: client.options.namespace,
    interceptors: {
      workflow: [
        {
          startUpdateWithStart: async (input, next) => {
            if (++refusals <= 2)
              throw new WorkflowNotFoundError('workflow execution already completed', '', '');
            return await next(input);
          },
        },
      ],
    },
  });
  expect((await new Tidemark(refused).drain(name)).totals.rows).toBe(50);
  expect(refusals).toBe(3);

  refusals = -1_000;
  const never = new Client({
    ...refused.options,
    connection: client.connection,
    interceptors: { workflow: [{ startUpdateWithStart: () => Promise.reject(notFound()) }] },
  });
  await expect(new Tidemark(never).drain(name)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
});

it('names what a run failed of, and a run that is not there', async ({ served }) => {
  const tidemark = await served.client();
  const nobody = uniqueName('nobody');
  const failure = (code: string, words: string) => ({
    name: 'Failure',
    code,
    message: expect.stringContaining(words),
    fix: expect.stringMatching(/\w/),
    cause: expect.any(Error),
  });
  await expect(tidemark.drain(nobody)).rejects.toMatchObject(failure('PIPELINE_NOT_FOUND', nobody));
  await expect(tidemark.compact({ pipeline: nobody })).rejects.toMatchObject(
    failure('PIPELINE_NOT_FOUND', nobody),
  );
  await expect(tidemark.vacuum({ pipeline: nobody })).rejects.toMatchObject(
    failure('PIPELINE_NOT_FOUND', nobody),
  );
  await expect(tidemark.retryDeadLetters(nobody)).rejects.toMatchObject(
    failure('PIPELINE_NOT_FOUND', nobody),
  );
  const never = uniqueName('never');
  const none = failure('RUN_NOT_FOUND', `drain-${never}`);
  await expect(tidemark.progress(never)).rejects.toMatchObject(none);
  await expect(tidemark.pause(never)).rejects.toMatchObject(none);
  await expect(tidemark.resume(never)).rejects.toMatchObject(none);
  await expect(tidemark.retarget(never, { until: 'latest' })).rejects.toMatchObject(none);

  const { name, topic } = await pipelineWith(served, 10);
  const nowhere = { offsets: { [topic]: { 7: 1 } } };
  await expect(tidemark.drain(name, nowhere)).rejects.toMatchObject({ name: 'Failure', exitCode: 2 });
  const malformed = { offsets: 'all' } as never;
  await expect(tidemark.drain(name, malformed)).rejects.toMatchObject({ code: 'OFFSETS_INVALID' });
  await expect(tidemark.drain(name, { offsets: { [topic]: { 0: 10 } } })).resolves.toMatchObject({
    outcome: 'complete',
  });
});

it('tells a waiting service that its run was ended by somebody', async ({ served }) => {
  const { name } = await pipelineWith(served, 10);
  const tidemark = await served.client();
  const client = await served.temporal();
  await client.workflow.signalWithStart('drain', {
    workflowId: `drain-${name}`,
    taskQueue: 'tidemark',
    args: [{ pipeline: name }],
    signal: 'pause',
  });
  for (const end of ['cancel', 'terminate'] as const) {
    const drain = await tidemark.startDrain(name);
    const ended = expect(drain.receipt()).rejects.toMatchObject({ name: 'Failure', code: 'CANCELLED' });
    if (end === 'cancel') await tidemark.pause(name);
    await client.workflow.getHandle(`drain-${name}`)[end]();
    await ended;
  }
  expect((await tidemark.drain(name)).totals.rows).toBeLessThanOrEqual(10);
});

it('waits for a worker no longer than its client is told to', async ({ own }) => {
  const worker = await own.worker();
  const client = await own.temporal();
  const tidemark = new Tidemark(client);
  const { name } = await pipelineWith(own, 1);
  await worker.stop('SIGKILL');
  const waited = client.withDeadline(Date.now() + 1_500, () => tidemark.startDrain(name));
  await expect(waited).rejects.toMatchObject({ name: 'WorkflowUpdateRPCTimeoutOrCancelledError' });
  await client.workflow.getHandle(`drain-${name}`).terminate();
});

async function pipelineWith(place: Place, records: number): Promise<{ name: string; topic: string }> {
  const messages = Array.from({ length: records }, (_, n) => ({ value: `{"n":${n}}`, partition: 0 }));
  const topic = await place.topic('service', messages);
  const name = await place.pipeline(uniqueName('service'), {
    source: { subscribe: [topic] },
    records: { schema: 'n BIGINT' },
  });
  return { name, topic };
}

function notFound(): WorkflowNotFoundError {
  return new WorkflowNotFoundError('workflow execution already completed', '', '');
}
