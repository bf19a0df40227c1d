/**
 * Promise: a schedule keeps a table up with its topic, whatever becomes of the workers and whoever starts
 * runs beside it. Method: `tidemark schedule apply` every 5 s, a producer that never stops, workers that are
 * stopped (SIGTERM) and killed (SIGKILL) while a run is unfinished, runs triggered by hand: the CLI's
 * default, which skips where one runs, and the SDK's, which starts one beside it. Lag is taken from the
 * table's log against what the brokers have acknowledged.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { expect, onTestFinished } from 'vitest';
import { committedOffsetOf } from '../../../src/commits/pipeline-state.ts';
import { DeltaLog } from '../../../src/delta/log.ts';
import { LocalStore } from '../../../src/storage/local-store.ts';
import { tidemark as cli, waitUntil } from '../setup/harness.ts';
import { it } from '../setup/place.ts';
import { expectEveryOffsetOnce, keepFigures, readers, report, sized, temporal } from './proof.ts';
import { type Lag, percentile, startProducer } from './steady-producer.ts';

const DURATION_MS = sized(30_000, 300_000);
const RESTARTS = sized(2, 8);
const RESTART_EVERY_MS = sized(5_000, 20_000);
const PARTITIONS = 2;
/** After a restart the next one waits until a run has caught up. */
const SETTLED_SECONDS = 15;
/** An interval, a killed worker's heartbeat and its successor's start, on a machine that many share. */
const LAG_SECONDS_MAX = 120;

it('keeps up, over restarts and runs by hand', { timeout: sized(600_000, 1_000_000) }, async ({
  own,
  skip,
}) => {
  const python = await readers();
  if (python === undefined) return skip();
  const { brokers, location, env } = own;
  const topic = await own.topic('schedule', [], { partitions: PARTITIONS });
  const name = await own.pipeline(topic, {
    source: { subscribe: [topic] },
    records: { mode: 'failFast', schema: 'n BIGINT, text STRING' },
    // Several batches a run, so that a run lasts long enough to be met.
    limits: { maxOffsetsPerBatch: 1_500 },
    schedule: { every: '5s' },
  });
  const client = await own.temporal();
  const scheduleId = `drain-${name}`;
  onTestFinished(() => void cli(['schedule', 'delete', name], env));
  const log = new DeltaLog(new LocalStore(location), { now: Date.now });

  let worker = await own.worker();
  const value = (_: number, n: number) => JSON.stringify({ n, text: `record ${n}` });
  const producer = await startProducer(brokers, {
    topic,
    partitions: PARTITIONS,
    everyMs: 100,
    records: 25,
    value,
  });
  expect((await cli(['schedule', 'apply', name], env)).stdout).toBe(`created ${scheduleId}, every 5s\n`);

  const lags: Lag[] = [];
  const lag = async () => {
    const snapshot = await log.snapshot();
    return producer.lagOf((partition) => committedOffsetOf(snapshot, topic, partition));
  };
  const startedMs = Date.now();
  let met = 0;
  let triggered = 0;
  const disturb = async () => {
    for (let restart = 1; restart <= RESTARTS; restart++) {
      await sleep(RESTART_EVERY_MS);
      await waitUntil(async () => (await lag()).seconds < SETTLED_SECONDS);
      await waitUntil(async () => (await runsOf(client, scheduleId, 'Running')).length > 0);
      const signal = restart % 2 === 1 ? 'SIGKILL' : 'SIGTERM';
      const running = (await runsOf(client, scheduleId, 'Running')).length;
      await worker.stop(signal);
      if (running > 0) met++;
      report(`${seconds(startedMs)} s: ${signal}, ${running} runs unfinished`);
      // Every second time a run beside another: without a worker, neither ends meanwhile. Their ids have
      // seconds.
      if (restart % 2 === 1) {
        await client.schedule.getHandle(scheduleId).trigger();
        await sleep(1_100);
        await client.schedule.getHandle(scheduleId).trigger();
        triggered++;
      }
      worker = await own.worker();
      if (restart === 1) await temporal('schedule', 'trigger', '--schedule-id', scheduleId);
    }
  };
  let isDisturbed = true;
  const disturbed = disturb().finally(() => {
    isDisturbed = false;
  });
  disturbed.catch(() => {});
  while (isDisturbed || Date.now() - startedMs < DURATION_MS) {
    lags.push(await lag());
    await sleep(250);
  }
  await disturbed;
  await producer.stop();
  await waitUntil(async () => (await lag()).records === 0);
  await cli(['schedule', 'delete', name], env);
  await waitUntil(async () => (await runsOf(client, scheduleId, 'Running')).length === 0);

  const runs = await runsOf(client, scheduleId);
  const overlapping = runs.filter((run, index) => runs.slice(0, index).some((other) => overlap(run, other)));
  const lagSeconds = lags.map((each) => each.seconds);
  const lagRecords = lags.map((each) => each.records);
  report(
    `${runs.length} runs in ${seconds(startedMs)} s, ${new Set(runs.map(({ workflowId }) => workflowId)).size} distinct workflow ids, ${overlapping.length} beside another run`,
  );
  report(
    `${met} of ${RESTARTS} restarts met an unfinished run; ${triggered} runs triggered beside a running one`,
  );
  report(
    `lag over ${lags.length} samples: ${percentile(lagSeconds, 0.99).toFixed(1)} s p99, ${Math.max(...lagSeconds).toFixed(1)} s max; ${percentile(lagRecords, 0.99)} records p99, ${Math.max(...lagRecords)} max`,
  );
  expect(runs.filter(({ status }) => status.name !== 'COMPLETED')).toEqual([]);
  expect(met).toBe(RESTARTS);
  expect(overlapping.length).toBeGreaterThanOrEqual(triggered);
  expect(triggered).toBeGreaterThan(0);
  expect(Math.max(...lagSeconds)).toBeLessThan(LAG_SECONDS_MAX);

  const figures = await expectEveryOffsetOnce(python, topic, location);
  expect(figures.records).toBe(producer.sent());
  keepFigures('schedule', [
    { case: 'a schedule over restarts and runs by hand', faults: met + triggered, ...figures },
  ]);
  await worker.stop();
  report(worker.output().match(/Worker stopped.*/)?.[0] ?? 'the worker said nothing');
});

type Run = Awaited<ReturnType<typeof runsOf>>[number];

/** Runs of the schedule: each has the schedule's id and its time as workflow id. */
async function runsOf(client: Client, scheduleId: string, status?: 'Running') {
  const query = `WorkflowId STARTS_WITH "${scheduleId}"${status ? ` AND ExecutionStatus = "${status}"` : ''}`;
  const runs = [];
  for await (const run of client.workflow.list({ query })) runs.push(run);
  return runs;
}

function overlap(one: Run, other: Run): boolean {
  const end = (run: Run) => run.closeTime ?? new Date();
  return one.startTime < end(other) && other.startTime < end(one);
}

const seconds = (sinceMs: number) => Math.round((Date.now() - sinceMs) / 1000);
