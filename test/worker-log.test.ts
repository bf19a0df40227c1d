/**
 * Goal: a line of a worker's log says what happened and why, and nothing of Temporal's that nobody can use.
 */
import { expect, it, vi } from 'vitest';
import { lineOf, toStderr } from '../src/worker-log.ts';

it.each([
  [
    'an attempt that failed',
    'Activity failed',
    { activityType: 'planDrain', workflowId: 'drain-p', attempt: 2, error: new Error('no\nKafka') },
    'planDrain of drain-p failed, attempt 2: no Kafka',
  ],
  [
    'what an activity says',
    'batch b is not committed',
    { activityType: 'commitBatch', workflowId: 'drain-p', attempt: 1, sdkComponent: 'activity' },
    'commitBatch of drain-p, attempt 1: batch b is not committed',
  ],
  [
    'an error without an activity',
    'Failed to poll',
    { error: new Error('refused'), taskQueue: 'tidemark', sdkComponent: 'worker' },
    'Failed to poll: refused (taskQueue tidemark)',
  ],
])('%s', (_, message, meta, line) => {
  expect(lineOf(message, meta as never)).toBe(line);
});

it('leaves out what is no news, and keeps what a drain has done', () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const entry = (level: 'INFO' | 'WARN', message: string, sdkComponent: string) =>
    toStderr({ level, message, meta: { sdkComponent, workflowId: 'drain-p' } as never });
  entry('INFO', 'Worker state changed', 'worker');
  entry('WARN', 'gRPC call poll_workflow_task_queue retried 10 times', 'core');
  entry('INFO', 'complete: 3 rows', 'activity');
  const lines = write.mock.calls.map(([line]) => String(line).replace(/^\S+ /, ''));
  write.mockRestore();
  expect(lines).toEqual(['INFO drain-p: complete: 3 rows\n']);
});
