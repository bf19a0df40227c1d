/**
 * Promise: kill -9 of the worker at any moment, and two drains of one pipeline at once, lose nothing and double
 * nothing. Method: kills at seeded moments while both drains run, then delta-rs over the table against an independent
 * read_committed consumer, offset by offset. A kill counts only if a drain was unfinished when it hit.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Receipt } from '../../../src/client.ts';
import {
  environment,
  startWorker,
  temporalClient,
  temporaryFolder,
  uniqueName,
  waitUntil,
  writePipeline,
} from '../setup/harness.ts';
import {
  crawlPipeline,
  expectEveryOffsetOnce,
  produceCrawl,
  readers,
  report,
  seededRandom,
  sized,
} from './proof.ts';

const RECORDS = sized(24_000, 1_000_000);
const KILLS = sized(3, 10);

it('loses and doubles nothing under kill -9 and overlapping drains', {
  timeout: sized(600_000, 1_500_000),
}, async ({ skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const random = seededRandom();
  const folder = await temporaryFolder();
  const [topic, name] = [uniqueName('kill'), uniqueName('kill')];
  const location = join(folder, 'table');
  await produceCrawl(python, topic, RECORDS / 2, 4, 'lz4');
  await produceCrawl(python, topic, RECORDS / 2, 4, 'gzip');
  const limits = { maxOffsetsPerBatch: RECORDS / (2 * KILLS) };
  await writePipeline(folder, name, crawlPipeline([topic], location, { limits }));
  const env = environment(folder);

  const client = await temporalClient();
  const workflowIds = [`drain-${name}`, `drain-${name}-second`];
  let worker = startWorker(env);
  const handles = await Promise.all(
    workflowIds.map((workflowId) =>
      client.workflow.start('drain', { workflowId, taskQueue: 'tidemark', args: [{ pipeline: name }] }),
    ),
  );
  const unfinished = async () => {
    const states = await Promise.all(handles.map((handle) => handle.describe()));
    return states.filter(({ status }) => status.name === 'RUNNING').length;
  };

  let hits = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    await waitUntil(() => worker.output().includes('Worker ready'));
    const delayMs = Math.round(200 + random() * sized(1_500, 4_000));
    await sleep(delayMs);
    const running = await unfinished();
    await worker.stop('SIGKILL');
    if (running > 0) hits++;
    report(`kill ${kill}: ${delayMs} ms after the worker was ready, ${running} drains unfinished`);
    worker = startWorker(env);
  }
  expect(hits).toBeGreaterThan(0);
  report(
    `${hits} of ${KILLS} kills met an unfinished drain; ${new Set(workflowIds).size} distinct workflow ids`,
  );

  const receipts: Receipt[] = await Promise.all(handles.map((handle) => handle.result()));
  for (const { totals, outcome } of receipts) {
    report(
      `receipt: ${outcome}, ${totals.rows} rows in ${totals.batches} batches, ${totals.committedByOthers} offsets committed by the other`,
    );
    expect(outcome).toBe('complete');
  }
  expect(receipts.reduce((sum, { totals }) => sum + totals.rows, 0)).toBe(RECORDS);

  expect((await expectEveryOffsetOnce(python, topic, location)).records).toBe(RECORDS);
  await worker.stop();
});
