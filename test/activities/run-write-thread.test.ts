/**
 * Goal: a write thread that does not end well is ended, under a name that says what to do. Method: real threads that
 * hang, fill their heap, die, or say what a write thread says.
 */
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { superviseThread } from '../../src/activities/run-write-thread.ts';

const NEVER = new AbortController().signal;
const progress = (offsetsRead: string) =>
  `parentPort.postMessage({ kind: 'progress', progress: { offsetsRead: ${offsetsRead}, rows: 0, bytesWritten: 0 } })`;

const thread = (script: string) =>
  new Worker(`const { parentPort } = require('node:worker_threads'); ${script}`, {
    eval: true,
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 },
    stderr: true,
  });

function run(script: string, signal = NEVER, stalledAfterMs = 60_000) {
  const worker = thread(script);
  const gone = new Promise((resolve) => worker.once('exit', resolve));
  return { result: superviseThread(worker, () => {}, signal, stalledAfterMs), gone };
}

it('the result of a thread that gets on, for longer than a hung one may take', async () => {
  const script = `let n = 0; setInterval(() => {
    ${progress('++n')};
    if (n === 12) parentPort.postMessage({ kind: 'done', result: { offsets: 7 } });
  }, 250)`;
  await expect(run(script, NEVER, 2_000).result).resolves.toEqual({ offsets: 7 });
});

it.each([
  ['says that it lives and gets nowhere', `setInterval(() => ${progress('5')}, 20)`],
  ['says nothing', 'setInterval(() => {}, 1000)'],
  ['spins', 'for (;;) {}'],
])('a thread that %s is ended, and tried again', async (_name, script) => {
  const { result, gone } = run(script, NEVER, 300);
  await expect(result).rejects.toMatchObject({ code: 'WRITE_THREAD_STALLED', retryable: true });
  await gone;
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
