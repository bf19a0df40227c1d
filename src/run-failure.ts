import { WorkflowNotFoundError } from '@temporalio/client';
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  TerminatedFailure,
  TimeoutFailure,
} from '@temporalio/common';
import type { FailureDetails } from './contract.ts';
import { FAILURES, Failure, type FailureCode } from './errors.ts';

/**
 * What Temporal's client rejected with, as the `Failure` that an activity or a workflow reported, however
 * deep it is wrapped, or as what became of the run. The original is its `cause`. Failures of Temporal itself
 * stay as they are.
 */
export function toFailure(error: unknown): unknown {
  if (error instanceof Failure) return error;
  if (error instanceof WorkflowNotFoundError) return noRun(error);
  let around: unknown;
  for (let inner: unknown = error; inner instanceof Error; around = inner, inner = inner.cause) {
    if (inner instanceof TimeoutFailure) return timedOut(around, inner, error);
    if (inner instanceof ApplicationFailure) return fromApplicationFailure(inner, error);
    if (inner instanceof CancelledFailure) return ended('The run was cancelled.', error);
    if (inner instanceof TerminatedFailure) return ended('The run was terminated.', error);
  }
  return error;
}

function noRun(error: WorkflowNotFoundError): Failure {
  return new Failure(
    'RUN_NOT_FOUND',
    `No workflow ${error.workflowId} is running.`,
    'It was never started, it has ended, or its history was deleted. Start a new one.',
    { cause: error },
  );
}

function ended(what: string, cause: unknown): Failure {
  return new Failure('CANCELLED', what, 'Everything that it committed stays. Start it again to continue.', {
    cause,
  });
}

/** Temporal's own limit was reached: no worker took the activity, or none of its attempts came to an end. */
function timedOut(around: unknown, { timeoutType }: TimeoutFailure, cause: unknown): Failure {
  const what = around instanceof ActivityFailure ? `The activity ${around.activityType}` : 'The run';
  return new Failure(
    'RUN_TIMED_OUT',
    `${what} timed out and is not tried again (${(timeoutType ?? 'timeout').toLowerCase().replaceAll('_', ' ')}).`,
    'Everything that the run committed stays. Check that workers are running and what they print, then start it again to continue.',
    { cause },
  );
}

function fromApplicationFailure(failure: ApplicationFailure, cause: unknown): unknown {
  const code = failure.type;
  if (!isFailureCode(code)) return cause;
  const details = failure.details?.[0] as FailureDetails | undefined;
  const fix = details?.fix ?? '';
  const message = failure.message.endsWith(fix)
    ? failure.message.slice(0, failure.message.length - fix.length).trimEnd()
    : failure.message;
  return new Failure(code, message, fix, { cause });
}

function isFailureCode(code: string | undefined | null): code is FailureCode {
  return code !== undefined && code !== null && code in FAILURES;
}
