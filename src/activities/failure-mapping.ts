import { Context } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { FailureDetails } from '../contract.ts';
import { Failure } from '../errors.ts';

/**
 * Maps failures once, where they leave an activity: a `Failure` keeps its code as type and its advice as
 * details, so that the UI, the CLI and other services read the same words; anything else is a bug and stays
 * as it is, retried a bounded number of times.
 */
export function atEdge<I, O>(activity: (input: I) => Promise<O>): (input: I) => Promise<O> {
  return async (input) => {
    try {
      return await activity(input);
    } catch (error) {
      throw toActivityFailure(error);
    }
  };
}

const HEARTBEAT_EVERY_MS = 2_000;

/**
 * Says that the worker lives while the activity runs, so that what a dead one began is soon begun elsewhere.
 * Not for an activity whose work is in a thread or process: there the heartbeats are its own signs of life.
 */
export function withHeartbeats<I, O>(activity: (input: I) => Promise<O>): (input: I) => Promise<O> {
  return async (input) => {
    const context = Context.current();
    const timer = setInterval(() => context.heartbeat(), HEARTBEAT_EVERY_MS);
    try {
      return await activity(input);
    } finally {
      clearInterval(timer);
    }
  };
}

function toActivityFailure(error: unknown): unknown {
  if (!(error instanceof Failure) || error instanceof CancelledFailure) return error;
  const details: FailureDetails = { code: error.code, fix: error.fix, exitCode: error.exitCode };
  const failure = ApplicationFailure.create({
    type: error.code,
    message: `${error.message}\n${error.fix}`,
    nonRetryable: !error.retryable,
    details: [details],
  });
  // The words say it; where in our code they were said helps nobody who reads them in the Temporal UI.
  failure.stack = '';
  return failure;
}
