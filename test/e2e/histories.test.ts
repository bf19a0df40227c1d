/**
 * Goal: saved histories are those of real runs. Method: drains, a compaction, a retry and vacuums with every
 * message they take; each history replays at once. `TIDEMARK_SAVE_HISTORIES=1` saves them for
 * `test/histories.test.ts`.
 */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Worker } from '@temporalio/worker';
import { expect, inject } from 'vitest';
import { temporalExecutable } from '../../src/dev/temporal-server.ts';
import { workflowBundle } from './setup/bundle.ts';
import { temporalNamespace, uniqueName } from './setup/harness.ts';
import { it } from './setup/place.ts';

const FOLDER = resolve(import.meta.dirname, '../histories');

it('replays what has just run', async ({ own }) => {
  const messages = Array.from({ length: 300 }, (_, n) => ({
    value: JSON.stringify({ n }),
    partition: n % 2,
  }));
  const topic = await own.topic('history', messages, { partitions: 2 });
  const pipeline = (type: string, more = {}) => ({
    source: { subscribe: [topic] },
    records: { schema: `n ${type}` },
    table: { partitionBy: ['year(_timestamp)'], ...more },
    limits: { maxOffsetsPerBatch: 100 },
  });
  const name = await own.pipeline(uniqueName('history'), pipeline('TINYINT'));
  const tidemark = await own.client();
  await own.worker();

  const { handle } = await tidemark.startDrain(name, { offsets: { [topic]: { 0: 60, 1: 10 } } });
  await tidemark.pause(name);
  await tidemark.retarget(name, { until: 'latest', raiseOnly: true });
  await tidemark.resume(name);
  expect((await handle.result()).totals).toMatchObject({ rows: 128, deadLetters: 172 });
  await save('drain', `drain-${name}`);

  expect((await tidemark.drain(name)).totals.rows).toBe(0);
  await save('drain-empty', `drain-${name}`);

  expect((await tidemark.compact({ pipeline: name, targetFiles: 1 })).filesAfter).toBe(1);
  await save('compact', `compact-${name}`);

  await own.pipeline(name, pipeline('SMALLINT'));
  expect((await tidemark.retryDeadLetters(name)).totals).toMatchObject({ letters: 172, rows: 172 });
  await save('retry-dead-letters', `retry-dead-letters-${name}`);

  const vacuumed = await tidemark.vacuum({ pipeline: name, olderThan: 0, force: true });
  expect(vacuumed).toMatchObject({ outcome: 'vacuumed', table: { kept: { fresh: 0 } } });
  await save('vacuum', `vacuum-${name}`);

  const retention = { partition: 'year(_timestamp)', olderThan: '1h' };
  await own.pipeline(name, pipeline('SMALLINT', { retention }));
  expect((await tidemark.vacuum({ pipeline: name })).retention).toMatchObject({ files: 0 });
  await save('vacuum-retention', `vacuum-${name}`);

  async function save(kind: string, workflowId: string): Promise<void> {
    const server = ['--address', inject('temporalAddress'), '--namespace', temporalNamespace()];
    const show = ['workflow', 'show', '--workflow-id', workflowId, '--output', 'json', ...server];
    const { stdout } = await promisify(execFile)(await temporalExecutable(), show, {
      maxBuffer: 64 * 1024 * 1024,
    });
    await Worker.runReplayHistory({ workflowBundle: { code: workflowBundle() } }, JSON.parse(stdout));
    if (process.env.TIDEMARK_SAVE_HISTORIES === undefined) return;
    // Whose machine it ran on is nobody's business.
    await writeFile(join(FOLDER, `${kind}.json`), stdout.replaceAll(/"\d+@[^"]*"/g, '"1@worker"'));
  }
});
