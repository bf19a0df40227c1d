/**
 * Promise: kill -9 of the worker at any moment, and two drains of one pipeline at once, lose nothing and
 * double nothing. Method: kills at seeded moments while both drains run, then delta-rs over the table against
 * an independent read_committed consumer, offset by offset. A kill counts only if a drain was unfinished when
 * it hit.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Receipt } from '../../../src/client.ts';
import { uniqueName } from '../setup/harness.ts';
import { it } from '../setup/place.ts';
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
}, async ({ own, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const random = seededRandom();
  const { location } = own;
  const [topic, name] = [uniqueName('kill'), uniqueName('kill')];
  await produceCrawl(python, topic, RECORDS / 2, 4, 'lz4');
  await produceCrawl(python, topic, RECORDS / 2, 4, 'gzip');
  const limits = { maxOffsetsPerBatch: RECORDS / (2 * KILLS) };
  await own.pipeline(name, crawlPipeline([topic], location, { limits }));

  const client = await own.temporal();
  const workflowIds = [`drain-${name}`, `drain-${name}-second`];
  let worker = await own.worker();
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
    const delayMs = Math.round(200 + random() * sized(1_500, 4_000));
    await sleep(delayMs);
    const running = await unfinished();
    await worker.stop('SIGKILL');
    if (running > 0) hits++;
    report(`kill ${kill}: ${delayMs} ms after the worker was ready, ${running} drains unfinished`);
    worker = await own.worker();
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
