import { parentPort, workerData } from 'node:worker_threads';
import { Failure } from '../errors.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { Adapters, WriteProgress, WriteResult } from './dependencies.ts';
import type { WriteThreadMessage } from './run-write-thread.ts';

/** Sent even without progress: silence for long is what the parent takes for a thread that spins. */
const REPORT_EVERY_MS = 1_000;

/** What a thread that `superviseThread` watches does: the order that it was started with, telling its parent how it goes. */
export async function carryOutOrder<Order>(
  work: (order: Order, onProgress: (now: WriteProgress) => void) => Promise<WriteResult>,
): Promise<void> {
  const say = (message: WriteThreadMessage) => parentPort?.postMessage(message);
  let progress: WriteProgress = { offsetsRead: 0, rows: 0, bytesWritten: 0 };
  const timer = setInterval(() => say({ kind: 'progress', progress }), REPORT_EVERY_MS);
  const onProgress = (now: WriteProgress) => {
    progress = now;
  };
  try {
    say({ kind: 'done', result: await work(workerData, onProgress) });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    say({ kind: 'failed', code: error.code, message: error.message, fix: error.fix });
  } finally {
    clearInterval(timer);
  }
}

/** Where the specification has `clean`; else nothing of it is even loaded. */
export async function openCleanWorkplace(adapters: Adapters, { records }: Specification) {
  return records.clean === undefined ? undefined : await adapters.openCleanWorkplace(adapters.openStore);
}
