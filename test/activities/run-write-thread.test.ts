/**
 * Goal: a write thread that does not end well is ended, under a name that says what to do. Method: real threads that
 * hang, fill their heap, die, or say what a write thread says.
 */
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import type { WriteProgress } from '../../src/activities/dependencies.ts';
import { superviseThread, type ThreadLimits } from '../../src/activities/run-write-thread.ts';

const NEVER = new AbortController().signal;
const progress = (offsetsRead: string) =>
  `parentPort.postMessage({ kind: 'progress', progress: { offsetsRead: ${offsetsRead}, rows: 0, bytesWritten: 0 } })`;

const thread = (script: string) =>
  new Worker(`const { parentPort } = require('node:worker_threads'); ${script}`, {
    eval: true,
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 },
    stderr: true,
  });

const PATIENT: ThreadLimits = { silentMs: 60_000, stalledMs: 60_000 };

function run(script: string, signal = NEVER, limits = PATIENT) {
  const worker = thread(script);
  const gone = new Promise((resolve) => worker.once('exit', resolve));
  const told: WriteProgress[] = [];
  return { result: superviseThread(worker, (now) => told.push(now), signal, limits), gone, told };
}

it('the result of a thread that gets on, for longer than a hung one may take', async () => {
  const script = `let n = 0; setInterval(() => {
    ${progress('++n')};
    if (n === 12) parentPort.postMessage({ kind: 'done', result: { offsets: 7 } });
  }, 250)`;
  await expect(run(script, NEVER, { silentMs: 2_000, stalledMs: 2_000 }).result).resolves.toEqual({
    offsets: 7,
  });
});

it.each([
  ['says that it lives and gets nowhere', `setInterval(() => ${progress('5')}, 20)`, { stalledMs: 300 }],
  ['says nothing', 'setInterval(() => {}, 1000)', { silentMs: 300 }],
  ['spins', `${progress('5')}; for (;;) {}`, { silentMs: 300 }],
])('a thread that %s is ended, and tried again', async (_name, script, limits) => {
  const { result, gone } = run(script, NEVER, { ...PATIENT, ...limits });
  await expect(result).rejects.toMatchObject({ code: 'WRITE_THREAD_STALLED', retryable: true });
  await gone;
});

it('a thread that one record keeps busy is told to live meanwhile, and answers after it', async () => {
  const script = `${progress('5')};
    setTimeout(() => {
      const until = Date.now() + 3_500;
      while (Date.now() < until);
      parentPort.postMessage({ kind: 'done', result: { offsets: 7 } });
    }, 100)`;
  const { result, told } = run(script, NEVER, { silentMs: 30_000, stalledMs: 30_000 });
  await expect(result).resolves.toEqual({ offsets: 7 });
  expect(told.length).toBeGreaterThanOrEqual(3);
  expect(told.at(-1)?.offsetsRead).toBe(5);
});

it('a thread out of heap is told as that, and not tried again', async () => {
  const { result } = run('const all = []; for (let i = 0; ; i++) all.push({ i, of: { i } })');
  await expect(result).rejects.toMatchObject({ code: 'WRITE_THREAD_OUT_OF_MEMORY', retryable: false });
});

it('a failure arrives with its code and advice', async () => {
  const script = `parentPort.postMessage({ kind: 'failed', code: 'STORAGE_FULL', message: 'm', fix: 'f' })`;
  await expect(run(script).result).rejects.toMatchObject({ code: 'STORAGE_FULL', message: 'm', fix: 'f' });
});

it('a thread that ends without an answer, or throws, fails', async () => {
  await expect(run('process.exit(3)').result).rejects.toThrow('ended with code 3');
  await expect(run('throw new TypeError("bug")').result).rejects.toThrow('bug');
});

it('a cancelled thread is ended with the reason', async () => {
  const controller = new AbortController();
  const { result, gone } = run('for (;;) {}', controller.signal);
  setTimeout(() => controller.abort(new Error('cancelled')), 50);
  await expect(result).rejects.toThrow('cancelled');
  await gone;
});
