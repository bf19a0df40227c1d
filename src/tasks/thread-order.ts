import { parentPort, workerData } from 'node:worker_threads';
import type { Environment } from '../environment.ts';
import { Failure } from '../errors.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { Adapters } from './adapters.ts';
import type { WriteProgress, WriteResult } from './orders.ts';
import type { TaskThreadData, TaskThreadMessage } from './task-threads.ts';

/** Sent even without progress: silence for long is what the parent takes for a thread that spins. */
const REPORT_EVERY_MS = 1_000;

/** What a thread of `TaskThreads` does: one order after the other, telling its parent how it goes. */
export function takeOrders<Order>(
  work: (order: Order, onProgress: (now: WriteProgress) => void) => Promise<WriteResult>,
): void {
  const say = (message: TaskThreadMessage) => parentPort?.postMessage(message);
  // Nothing here handles an error that is not a Failure: it ends the thread, and the parent is notified.
  parentPort?.on('message', async (order: Order) => {
    let progress: WriteProgress = { offsetsRead: 0, rows: 0, bytesWritten: 0 };
    const timer = setInterval(() => say({ kind: 'progress', progress }), REPORT_EVERY_MS);
    try {
      const result = await work(order, (now) => {
        progress = now;
      });
      say({ kind: 'done', result });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      say({ kind: 'failed', code: error.code, message: error.message, fix: error.fix });
    } finally {
      clearInterval(timer);
    }
  });
}

/** The worker's, which need not be that of its process. */
export function threadEnvironment(): Environment {
  return (workerData as TaskThreadData).environment;
}

/** Where the specification has `clean`; else nothing of it is even loaded. */
export async function openCleanWorkplace(adapters: Adapters, { records }: Specification) {
  return records.clean === undefined ? undefined : await adapters.openCleanWorkplace(adapters.openScratch);
}
