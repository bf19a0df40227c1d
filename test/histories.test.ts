/**
 * Goal: running workflows survive a new worker. Method: histories of real runs, saved by
 * `test/e2e/histories.test.ts`, replay against today's workflow code; a tampered one must not, else this test
 * could not fail.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleWorkflowCode, Worker } from '@temporalio/worker';
import { beforeAll, expect, it } from 'vitest';

const FOLDER = join(import.meta.dirname, 'histories');
const SAVED = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));

let workflowBundle: { code: string };
beforeAll(async () => {
  const silent = () => {};
  const logger = { log: silent, trace: silent, debug: silent, info: silent, warn: silent, error: silent };
  workflowBundle = await bundleWorkflowCode({
    workflowsPath: join(FOLDER, '../../src/workflows/index.ts'),
    logger,
  });
}, 60_000);

it.each(SAVED)('%s replays', async (file) => {
  const history = JSON.parse(readFileSync(join(FOLDER, file), 'utf8'));
  await Worker.runReplayHistory({ workflowBundle }, history);
});

it('a history with another activity in it does not replay', async () => {
  const text = readFileSync(join(FOLDER, 'drain.json'), 'utf8').replaceAll('"planDrain"', '"planAnything"');
  await expect(Worker.runReplayHistory({ workflowBundle }, JSON.parse(text))).rejects.toThrow();
});
