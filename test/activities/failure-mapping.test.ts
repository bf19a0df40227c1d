/**
 * Goal: an activity that works says that it lives, whatever it does, and stops saying so when it ends.
 * Method: Temporal's activity environment, and a clock that we move.
 */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Dependencies } from '../../src/activities/dependencies.ts';
import { createActivities } from '../../src/activities/index.ts';
import { Failure } from '../../src/errors.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('beats while an activity works, and no longer', async () => {
  let fail = (_: Error) => {};
  const never = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const { resolveGoal } = createActivities({ loadPipeline: () => never } as unknown as Dependencies);
  const environment = new MockActivityEnvironment();
  let beats = 0;
  environment.on('heartbeat', () => beats++);

  const input = { pipeline: 'crawl', until: 'latest' } as unknown as Parameters<typeof resolveGoal>[0];
  const ended = environment.run(resolveGoal, input).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(beats).toBeGreaterThanOrEqual(4);

  fail(new Failure('STORAGE_FAILED', 'a disk is gone', 'mount it'));
  expect(await ended).toMatchObject({ type: 'STORAGE_FAILED', nonRetryable: false });
  const before = beats;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(beats).toBe(before);
});
