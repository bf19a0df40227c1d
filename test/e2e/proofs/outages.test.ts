/**
 * Promise: servers that die and lines that break in the middle of a drain cost a pause, neither a record nor
 * a duplicate. Method: Temporal and the broker get SIGKILL at seeded moments while a drain is unfinished and
 * come back on their data; a worker that cannot reach Temporal any more, but Kafka and the table, has its
 * work taken over, and comes back in the middle of its commit; a run is reset to its beginning in the middle
 * of its commit. A kill counts only if the drain was unfinished when it hit.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import type { Receipt } from '../../../src/client.ts';
import { versionPath } from '../../../src/delta/log-files.ts';
import { startKafka } from '../../../src/dev/kafka-server.ts';
import { startTemporal } from '../../../src/dev/temporal-server.ts';
import { produce, waitUntil } from '../setup/harness.ts';
import { type HeldPut, type Hold, holdPuts, temporalLine } from '../setup/holds.ts';
import { it, type Place } from '../setup/place.ts';
import {
  type CaseFigures,
  expectEveryOffsetOnce,
  keepFigures,
  readers,
  report,
  seededRandom,
  sized,
  temporal,
} from './proof.ts';

const RECORDS = sized(2_000, 200_000);
const BATCHES = sized(10, 40);
/** Of the table's versions. */
const LAST = BATCHES - 1;
const PARTITIONS = 2;
const KILLS = sized(1, 5);
/** Longer than every heartbeat and every poll. */
const LONG_OUTAGE_MS = sized(0, 70_000);
const TIMEOUT = { timeout: sized(600_000, 900_000) };

it('Temporal is killed and comes back', TIMEOUT, async ({ own, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const random = seededRandom();
  const temporal = await startTemporal({ dataFolder: join(own.folder, 'temporal') });
  onTestFinished(() => temporal.stop());
  const place = own.with({ TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: temporal.namespace });
  const { name, topic, location } = await pipeline(place);
  const { hook, holds } = await holdPuts([
    ...limits(location),
    put(location, LAST - 1, 'after'),
    put(location, LAST, 'before'),
  ]);
  const [commit, last] = holds.slice(KILLS);
  for (const hold of holds) hold.arm();
  const worker = await place.worker(hook);
  const client = await place.temporal();
  await client.workflow.start('drain', {
    workflowId: `drain-${name}`,
    taskQueue: 'tidemark',
    args: [{ pipeline: name }],
  });

  await waitUntil(() => versions(location) > 0);
  const recoveries: number[] = [];
  for (let kill = 1; kill <= KILLS; kill++) {
    await sleep(100 + random() * 900);
    await killUnfinished(`Temporal, kill ${kill}`, location, () => temporal.kill('SIGKILL'));
    await sleep(kill === 1 ? LONG_OUTAGE_MS : 0);
    await temporal.restart();
    recoveries.push(await recoveryOf(location, holds[kill - 1]));
  }
  // Once in the moment between a version and the answer that it is there.
  await waitUntil(() => commit?.isReached() === true);
  await killUnfinished('Temporal, with a commit unanswered', location, () => temporal.kill('SIGKILL'));
  commit?.release();
  await temporal.restart();
  recoveries.push(await recoveryOf(location, last));

  const receipt: Receipt = await client.workflow.getHandle(`drain-${name}`).result();
  reportReceipt(receipt);
  keep('Temporal killed in mid-drain', recoveries, await expectEveryOffsetOnce(python, topic, location));
  expect(versions(location)).toBe(BATCHES);
  await worker.stop();
});

it('the broker is killed and comes back', TIMEOUT, async ({ own, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const random = seededRandom();
  const kafka = await startKafka();
  onTestFinished(() => kafka.stop());
  const place = own.with({ KAFKA_BROKERS: kafka.bootstrapServers });
  const { name, topic, location } = await pipeline(place);
  const { hook, holds } = await holdPuts(limits(location));
  for (const hold of holds) hold.arm();
  const worker = await place.worker(hook);
  const drained = (await place.client()).drain(name);

  await waitUntil(() => versions(location) > 0);
  const recoveries: number[] = [];
  for (let kill = 1; kill <= KILLS; kill++) {
    await sleep(100 + random() * 900);
    await killUnfinished(`broker, kill ${kill}`, location, () => kafka.nodes[0]?.kill('SIGKILL'));
    await sleep(kill === 1 ? LONG_OUTAGE_MS : 0);
    await kafka.nodes[0]?.restart();
    recoveries.push(await recoveryOf(location, holds[kill - 1]));
  }
  reportReceipt(await drained);
  const found = await expectEveryOffsetOnce(python, topic, location, place.brokers);
  keep('broker killed in mid-drain', recoveries, found);
  expect(versions(location)).toBe(BATCHES);
  await worker.stop();
});

it('a worker without Temporal loses to the one that took over', TIMEOUT, async ({ own, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const { name, topic, location } = await pipeline(own);
  const { hook, holds } = await holdPuts([{ path: [`${location}/_delta_log/`], moment: 'before' }]);
  const [commit] = holds;
  const line = await temporalLine();
  const separated = await own.worker({ ...hook, TEMPORAL_ADDRESS: line.address });
  const tidemark = await own.client();
  const drained = tidemark.drain(name);
  await waitUntil(() => versions(location) > 1);
  commit?.arm();
  await waitUntil(() => commit?.isReached() === true);
  const separatedAt = versions(location);
  line.cut('down');
  report(`a worker separated from Temporal at version ${separatedAt} of ${BATCHES}, in its commit`);

  const other = await own.worker();
  const recovery = await recoveryOf(location);
  // It reaches the table before it reaches Temporal: nobody can have told it.
  commit?.release();
  const overtaken = /is version \d+ already: another attempt committed it/;
  await waitUntil(() => overtaken.test(separated.output()));
  report(separated.output().match(new RegExp(`commitBatch.*${overtaken.source}`))?.[0] ?? '');
  line.mend();

  reportReceipt(await drained);
  keep(
    'worker cut off from Temporal in its commit',
    [recovery],
    await expectEveryOffsetOnce(python, topic, location),
  );
  expect(versions(location)).toBe(BATCHES);
  // It is a worker again: alone it does the next drain.
  await other.stop();
  await produce(own.brokers, topic, records(PARTITIONS));
  const next = await tidemark.drain(name);
  expect(next.totals.rows).toBe(PARTITIONS);
});

it('a run that is reset in mid-drain begins again on the table', TIMEOUT, async ({ own, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const { name, topic, location } = await pipeline(own);
  const { hook, holds } = await holdPuts([{ path: [`${location}/_delta_log/`], moment: 'before' }]);
  const [commit] = holds;
  const worker = await own.worker(hook);
  const client = await own.temporal();
  const workflowId = `drain-${name}`;
  await client.workflow.start('drain', { workflowId, taskQueue: 'tidemark', args: [{ pipeline: name }] });
  await waitUntil(() => versions(location) > 1);
  commit?.arm();
  await waitUntil(() => commit?.isReached() === true);
  const resetAt = versions(location);
  // Everything that the run remembers is gone, and one of its commits is in hand.
  await temporal(
    'workflow',
    'reset',
    '--workflow-id',
    workflowId,
    '--type',
    'FirstWorkflowTask',
    '--reason',
    'test',
  );
  commit?.release();
  report(`reset to its first task at version ${resetAt} of ${BATCHES}, in its commit`);
  const recovery = await recoveryOf(location);
  const receipt: Receipt = await client.workflow.getHandle(workflowId).result();
  report(`receipt: ${receipt.outcome}, ${receipt.totals.rows} rows in ${receipt.totals.batches} batches`);
  expect(receipt.outcome).toBe('complete');
  expect(receipt.totals.batches).toBeLessThan(BATCHES);
  keep(
    'run reset to its first task in a commit',
    [recovery],
    await expectEveryOffsetOnce(python, topic, location),
  );
  expect(versions(location)).toBe(BATCHES);
  await worker.stop();
});

async function pipeline(place: Place) {
  const topic = await place.topic('outage', records(RECORDS), { partitions: PARTITIONS });
  const name = await place.pipeline(topic, {
    source: { subscribe: [topic] },
    records: { mode: 'failFast', schema: 'n BIGINT' },
    limits: { maxOffsetsPerBatch: RECORDS / BATCHES },
  });
  return { name, topic, location: place.location };
}

function records(count: number) {
  return Array.from({ length: count }, (_, n) => ({
    value: JSON.stringify({ n }),
    partition: n % PARTITIONS,
  }));
}

async function killUnfinished(what: string, location: string, kill: () => Promise<void> | undefined) {
  await kill();
  const committed = versions(location);
  report(`${what}: at ${committed} of ${BATCHES} batches`);
  expect(committed).toBeLessThan(BATCHES);
}

/**
 * How far the drain may get before each kill: a kill at any moment must find it unfinished, with a version to
 * come after it and two that are the last kill's. Versions count from 0.
 */
function limits(location: string): HeldPut[] {
  const versionBefore = (kill: number) => Math.floor(((LAST - 2) * kill) / KILLS);
  return Array.from({ length: KILLS }, (_, at) => put(location, versionBefore(at + 1), 'before'));
}

function put(location: string, version: number, moment: HeldPut['moment']): HeldPut {
  return { path: [`${location}/`, versionPath(version)], moment };
}

/** Seconds from the moment that the server serves again, and the drain may go on, to the next version. */
async function recoveryOf(location: string, limit?: Hold): Promise<number> {
  const [startedMs, before] = [Date.now(), versions(location)];
  limit?.release();
  await waitUntil(() => versions(location) > before);
  const seconds = Math.round((Date.now() - startedMs) / 100) / 10;
  report(`  the next version after ${seconds} s`);
  return seconds;
}

const kept: CaseFigures[] = [];

function keep(
  name: string,
  recoveries: readonly number[],
  found: Pick<CaseFigures, 'records' | 'lost' | 'duplicate'>,
): void {
  expect(found.records).toBe(RECORDS);
  kept.push({ case: name, faults: recoveries.length, ...found, recoverySeconds: Math.max(...recoveries) });
  keepFigures('outages', kept);
}

function reportReceipt({ outcome, totals, durationMs }: Receipt): void {
  report(
    `receipt: ${outcome}, ${totals.rows} rows in ${totals.batches} batches, ${(durationMs / 1000).toFixed(1)} s`,
  );
  expect({ outcome, rows: totals.rows, batches: totals.batches }).toEqual({
    outcome: 'complete',
    rows: RECORDS,
    batches: BATCHES,
  });
}

function versions(location: string): number {
  const folder = join(location, '_delta_log');
  return existsSync(folder) ? readdirSync(folder).filter((file) => /^\d{20}\.json$/.test(file)).length : 0;
}
