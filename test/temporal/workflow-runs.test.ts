/**
 * Goal: however a run ends, the CLI tells it under a code of its own, never as a bug. Method: Temporal's own
 * errors, wrapped as the client wraps them, through the function that waits for a result.
 */
import { WorkflowFailedError } from '@temporalio/client';
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  TerminatedFailure,
  TimeoutFailure,
} from '@temporalio/common';
import { expect, it } from 'vitest';
import { workflowResult } from '../../src/temporal/workflow-runs.ts';

const failed = (cause: Error) =>
  new WorkflowFailedError('Workflow execution failed', cause, 'NON_RETRYABLE_FAILURE');
const inActivity = (cause: Error) =>
  failed(new ActivityFailure('Activity task failed', 'writeFiles', '1', 'TIMEOUT', 'host', cause));

it.each([
  ['an activity that timed out', inActivity(new TimeoutFailure('', undefined, 'HEARTBEAT')), 'RUN_TIMED_OUT'],
  ['a run that timed out', failed(new TimeoutFailure('', undefined, 'START_TO_CLOSE')), 'RUN_TIMED_OUT'],
  ['a cancelled run', failed(new CancelledFailure('')), 'CANCELLED'],
  ['a terminated run', failed(new TerminatedFailure('')), 'CANCELLED'],
  [
    'a failure of ours',
    inActivity(ApplicationFailure.create({ type: 'FENCED', message: 'm', details: [{ fix: 'f' }] })),
    'FENCED',
  ],
])('%s', async (_, error, code) => {
  const result = workflowResult({ workflowId: 'drain-a', result: () => Promise.reject(error) });
  await expect(result).rejects.toMatchObject({ name: 'Failure', code });
});
