/**
 * Promise: a Temporal that goes away in mid-drain ends the CLI with 3 and its message, and the worker says
 * that it is gone and that it is back. Method: a Temporal of the test's own, killed while a drain waits for a
 * Kafka that does not answer.
 */
import { expect, onTestFinished } from 'vitest';
import { startTemporal } from '../../src/dev/temporal-server.ts';
import { temporaryFolder, tidemark, waitUntil } from './setup/harness.ts';
import { it } from './setup/place.ts';

it('Temporal is killed under a drain', async ({ own }) => {
  const temporal = await startTemporal({ dataFolder: await temporaryFolder() });
  onTestFinished(() => temporal.stop());
  const place = own.with({ TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: temporal.namespace });
  await place.pipeline('waits', {
    source: { bootstrapServers: '127.0.0.1:1', subscribe: ['t'] },
    records: { schema: 'id BIGINT' },
  });
  const worker = await place.worker();
  const draining = tidemark(['drain', 'waits'], place.env);
  await waitUntil(() => worker.output().includes('resolveGoal of drain-waits failed'));
  await temporal.kill('SIGKILL');
  const { exitCode, stderr } = await draining;
  expect(stderr).toContain('error TEMPORAL_UNREACHABLE');
  expect(stderr).not.toMatch(/\n {4}at /);
  expect(exitCode).toBe(3);
  await waitUntil(() => worker.output().includes(`Temporal at ${temporal.address} does not answer`));
  await temporal.restart();
  await waitUntil(() => worker.output().includes(`Temporal at ${temporal.address} answers again`));
});
