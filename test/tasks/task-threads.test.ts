/**
 * Goal: a task's thread that does not end well is ended, under a name that says what to do; one that does is
 * warm for the next task of its table. Method: real threads that hang, fill their heap, die, or say what a
 * write thread says.
 */

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import type { WriteOrder, WriteProgress } from '../../src/tasks/orders.ts';
import { superviseThread, TaskThreads, type ThreadLimits } from '../../src/tasks/task-threads.ts';

const ORDER = { run: { table: '/table' }, task: 0 } as WriteOrder;
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
  return { result: superviseThread(worker, ORDER, (now) => told.push(now), signal, limits), gone, told };
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

it('a thread has the environment of its worker, whatever its process has', async () => {
  const script = `import { parentPort, workerData } from 'node:worker_threads';
    parentPort.on('message', () => parentPort.postMessage({ kind: 'done', result: workerData }));`;
  const environment = { KAFKA_PASSWORD: 'of the worker' };
  const pool = new TaskThreads(environment, new URL(`data:text/javascript,${encodeURIComponent(script)}`));
  const order = { run: { table: '/a' }, task: 0 } as WriteOrder;
  expect(await pool.run('write', order, () => {}, NEVER)).toEqual({ environment });
});

describe('threads that wait', () => {
  /** Answers with its own number; `task` 1 fails, 2 dies. */
  const script = `import { parentPort, threadId } from 'node:worker_threads';
    parentPort.on('message', ({ task }) => {
      if (task === 1) parentPort.postMessage({ kind: 'failed', code: 'STORAGE_FULL', message: 'm', fix: 'f' });
      else if (task === 2) process.exit(3);
      else parentPort.postMessage({ kind: 'done', result: { offsets: threadId } });
    });`;
  const threads = () => {
    const pool = new TaskThreads({}, new URL(`data:text/javascript,${encodeURIComponent(script)}`));
    return async (table: string, task = 0) =>
      (await pool.run('write', { run: { table }, task } as WriteOrder, () => {}, NEVER)).offsets;
  };

  it('do the next task of their table, not of another', async () => {
    const run = threads();
    const first = await run('/a');
    const other = await run('/b');
    expect(other).not.toBe(first);
    for (let task = 0; task < 20; task++) expect(await run('/a')).toBe(first);
    expect(await run('/b')).toBe(other);
  });

  it('are as many as work at once, and no more than there are processors', async () => {
    const run = threads();
    const [one, two] = await Promise.all([run('/a'), run('/a')]);
    expect(one).not.toBe(two);
    expect([one, two]).toContain(await run('/a'));
    for (let table = 0; table < 2 * availableParallelism(); table++) await run(`/${table}`);
    expect([one, two]).not.toContain(await run('/a'));
  });

  it.each([1, 2])('are none that failed or died (%i)', async (task) => {
    const run = threads();
    const first = await run('/a');
    await expect(run('/a', task)).rejects.toThrow(task === 1 ? 'm' : 'ended with code 3');
    expect(await run('/a')).not.toBe(first);
  });
});
