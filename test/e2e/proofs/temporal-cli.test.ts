/**
 * Promise: the `temporal` CLI is enough to start, pause, retarget, resume and read a drain, and to attach to
 * one. Method: nothing else touches the workflow here; the table is read in the end.
 */
import { expect } from 'vitest';
import type { DrainProgress, Receipt } from '../../../src/client.ts';
import { tidemark, uniqueName, waitUntil } from '../setup/harness.ts';
import { it } from '../setup/place.ts';
import { report, temporal } from './proof.ts';

it('is driven by nothing but the temporal CLI', async ({ own }) => {
  const messages = Array.from({ length: 4_000 }, (_, n) => ({
    value: JSON.stringify({ n }),
    partition: n % 2,
  }));
  const topic = await own.topic('cli', messages, { partitions: 2, codec: 'ZSTD', batchSize: 500 });
  const name = await own.pipeline(uniqueName('cli'), {
    source: { subscribe: [topic] },
    records: { format: 'json', mode: 'failFast', schema: 'n BIGINT' },
    limits: { maxOffsetsPerBatch: 200 },
  });
  const id = `drain-${name}`;
  await temporal(
    'workflow',
    'start',
    '--task-queue',
    'tidemark',
    '--type',
    'drain',
    '--workflow-id',
    id,
    '--input',
    JSON.stringify({ pipeline: name }),
  );
  await temporal('workflow', 'signal', '--workflow-id', id, '--name', 'pause');
  await own.worker();

  await waitUntil(async () => (await progress()).phase === 'paused');
  const paused = await progress();
  expect(paused).toMatchObject({ paused: true, offsetsToDrain: 4_000, offsetsDrained: 0 });
  const target = { until: { offsets: { [topic]: { 0: 1000, 1: 600 } } } };
  const moved = await temporal(
    'workflow',
    'update',
    'execute',
    '--workflow-id',
    id,
    '--name',
    'retarget',
    '--input',
    JSON.stringify(target),
  );
  expect(moved).toContain('600');
  await temporal('workflow', 'signal', '--workflow-id', id, '--name', 'resume');

  const answer = JSON.parse(await temporal('workflow', 'result', '--workflow-id', id, '-o', 'json'));
  const receipt: Receipt = answer.result;
  expect(receipt).toMatchObject({ outcome: 'complete', totals: { rows: 1_600 } });
  expect(receipt.partitions.map(({ endingOffset }) => endingOffset)).toEqual(['1000', '600']);

  const again = ['--workflow-id', id, '--type', 'drain', '--task-queue', 'tidemark', '--id-conflict-policy'];
  const further = { until: { offsets: { [topic]: { 0: 1200, 1: 800 } } }, raiseOnly: true };
  const goal = ['--update-name', 'retarget', '--update-input', JSON.stringify(further)];
  const input = ['--input', JSON.stringify({ pipeline: name, until: further.until })];
  await temporal('workflow', 'execute-update-with-start', ...again, 'UseExisting', ...input, ...goal);
  const rest = JSON.parse(await temporal('workflow', 'result', '--workflow-id', id, '-o', 'json'));
  expect(rest.result).toMatchObject({ outcome: 'complete', totals: { rows: 400 } });
  const sum = await tidemark(
    ['query', name, `SELECT count(*) AS rows, max(n) AS last FROM "${name}"`, '-o', 'jsonl'],
    own.env,
  );
  expect(JSON.parse(sum.stdout)).toEqual({ rows: 2_000, last: 2_398 });
  report(
    `started, paused at ${paused.offsetsDrained} of ${paused.offsetsToDrain}, retargeted, resumed, read: ${receipt.totals.rows} rows in ${receipt.totals.batches} batches; 400 more by update-with-start`,
  );

  async function progress(): Promise<DrainProgress> {
    const text = await temporal('workflow', 'query', '--workflow-id', id, '--type', 'progress', '-o', 'json');
    return JSON.parse(text).queryResult[0];
  }
});
