/**
 * Promises: a worker that is stopped, cancelled or hung in the middle costs at most the files not yet
 * committed, and never a row; a run goes on over `continue-as-new` as if nothing had been. Method: worker
 * processes and signals against real servers. The last step of a write task is held (`holds.ts`), so that the
 * fault meets exactly that moment; the table is read whole after it, and every number must be there once.
 * Frozen workers: `proofs/zombies.test.ts`.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Worker as Thread } from 'node:worker_threads';
import { expect, onTestFinished, vi } from 'vitest';
import { Tidemark } from '../../src/client.ts';
import { startTemporal } from '../../src/dev/temporal-server.ts';
import { superviseThread } from '../../src/tasks/task-threads.ts';
import { Meter, metered, startWorker as startWorkerHere } from '../../src/worker.ts';
import { workflowBundle } from './setup/bundle.ts';
import { tidemark as cli, startWorker, uniqueName, waitUntil } from './setup/harness.ts';
import { holdPut } from './setup/holds.ts';
import { it, type Place } from './setup/place.ts';

it('gives up a write task when its worker is stopped, and another one finishes it', async ({ own }) => {
  const { name, env } = await pipeline(own, { records: 1_000 });
  const { hook, isReached } = await holdPut('/task-');
  const stopped = await own.worker(hook);
  const drained = (await own.client()).drain(name);
  await waitUntil(isReached);
  const askedMs = Date.now();
  const stopping = stopped.stop('SIGTERM');
  const other = startWorker(env);
  await stopping;
  expect(Date.now() - askedMs).toBeLessThan(30_000);
  expect(stopped.output()).toContain('Worker stopped');
  expect((await drained).totals).toMatchObject({ rows: 1_000, batches: 1 });
  expect(await contents(name, env)).toEqual({ rows: 1_000, distinct: 1_000, last: 999 });
  await other.stop();
});

it('ends a cancelled drain with its thread, and the next one begins where the table is', async ({ own }) => {
  const { name, location, env } = await pipeline(own, { records: 1_000 });
  const { hook, isReached, isHeld, release } = await holdPut('/task-');
  await own.worker(hook, ['--heavy-tasks', '1']);
  const client = await own.temporal();
  const tidemark = new Tidemark(client);
  const cancelled = expect(tidemark.drain(name)).rejects.toMatchObject({
    name: 'Failure',
    code: 'CANCELLED',
  });
  await waitUntil(isReached);
  await client.workflow.getHandle(`drain-${name}`).cancel();
  await cancelled;
  expect(versions(location)).toBe(0);
  await waitUntil(() => !isHeld());
  release();

  expect((await tidemark.drain(name)).totals.rows).toBe(1_000);
  expect(runFiles(location).filter((file) => file.includes('/task-')).length).toBe(1);
  expect(await contents(name, env)).toEqual({ rows: 1_000, distinct: 1_000, last: 999 });
});

it('gives up a thread that hangs, and frees its place', async ({ own }) => {
  const { name, env } = await pipeline(own, { records: 100 });
  for (const [variable, value] of Object.entries(env)) vi.stubEnv(variable, value);
  onTestFinished(() => void vi.unstubAllEnvs());
  let threads = 0;
  const meter = new Meter();
  // A thread in a loop answers nobody: only its end helps. A minute of silence, as a worker waits, is not
  // what this is about.
  const hangs = () => new Thread('for (;;);', { eval: true });
  const impatient = { silentMs: 1_000, stalledMs: 60_000 };
  const worker = await startWorkerHere({
    pipelinesFolder: env.TIDEMARK_PIPELINES ?? '',
    heavyTasks: 1,
    workflowCode: workflowBundle(),
    compose: (built) => ({
      ...metered(built, meter),
      runWriteThread: (order, onProgress, signal) =>
        threads++ === 0
          ? superviseThread(hangs(), order, onProgress, signal, impatient)
          : built.runWriteThread(order, onProgress, signal),
    }),
  });
  onTestFinished(async () => void (await worker.stop()));
  const receipt = await (await own.client()).drain(name);
  expect(receipt.totals.rows).toBe(100);
  expect(threads).toBe(2);
  // The worker's own share: the goal, the plan, one version; records are read by its threads.
  expect(meter.totals().get('kafka.describeTopics')).toMatchObject({ failures: 0 });
  expect(meter.totals().get('store.putIfAbsent')).toMatchObject({ failures: 0, lostRaces: 0 });
  expect(meter.totals().get('kafka.fetch')).toBeUndefined();
});

it('carries totals, pause and goal over continue-as-new', async ({ own }) => {
  const temporal = await startTemporal({ dynamicConfig: { 'limit.historyCount.suggestContinueAsNew': 40 } });
  onTestFinished(() => temporal.stop());
  const place = own.with({ TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: temporal.namespace });
  const { name, topic, env } = await pipeline(place, { records: 1_000, maxOffsetsPerBatch: 40 });
  await place.worker();
  const client = await place.temporal();
  const tidemark = new Tidemark(client);
  const { handle } = await tidemark.startDrain(name, { offsets: { [topic]: { 0: 500 } } });

  // Signals and updates all the time, so that some of them meet a run that is about to go on as another.
  for (let end = 510; end <= 1_000; end += 10) {
    await tidemark.pause(name);
    const { endingOffsets } = await tidemark.startDrain(name, { offsets: { [topic]: { 0: end } } });
    expect(Number(endingOffsets[topic]?.[0])).toBeGreaterThanOrEqual(end);
    await tidemark.resume(name);
  }
  await tidemark.pause(name).catch(() => {});
  await tidemark.resume(name).catch(() => {});
  const last = await tidemark.drain(name, { offsets: { [topic]: { 0: 1_000 } } });
  expect(last.partitions[0]?.endingOffset).toBe('1000');
  const receipt = await handle.result();
  const runs: string[] = [];
  for await (const { runId } of client.workflow.list({ query: `WorkflowId = 'drain-${name}'` }))
    runs.push(runId);
  expect(runs.length).toBeGreaterThan(2);
  expect(receipt.outcome).toBe('complete');
  expect(await contents(name, env)).toEqual({ rows: 1_000, distinct: 1_000, last: 999 });
});

interface PipelineOptions {
  readonly records: number;
  readonly maxOffsetsPerBatch?: number;
}

async function pipeline(place: Place, { records, maxOffsetsPerBatch }: PipelineOptions) {
  const { location, env } = place;
  const messages = Array.from({ length: records }, (_, n) => ({
    value: JSON.stringify({ n }),
    partition: 0,
  }));
  const topic = await place.topic('fault', messages, { batchSize: 500 });
  const name = await place.pipeline(uniqueName('fault'), {
    source: { subscribe: [topic] },
    records: { format: 'json', mode: 'failFast', schema: 'n BIGINT' },
    limits: maxOffsetsPerBatch === undefined ? {} : { maxOffsetsPerBatch },
  });
  return { name, topic, location, env };
}

function runFiles(location: string): string[] {
  const folder = join(location, '_tidemark', 'runs');
  return existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
}

/** Committed versions of the table. */
function versions(location: string): number {
  const folder = join(location, '_delta_log');
  return existsSync(folder) ? readdirSync(folder).filter((file) => /^\d{20}\.json$/.test(file)).length : 0;
}

async function contents(name: string, env: Place['env']): Promise<unknown> {
  const sql = `SELECT count(*) AS rows, count(DISTINCT n) AS "distinct", max(n) AS last FROM "${name}"`;
  return JSON.parse((await cli(['query', name, sql, '-o', 'jsonl'], env)).stdout);
}
