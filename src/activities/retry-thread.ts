/** The thread in which letters are decoded again: builds its own adapters, and reports to its parent as a write task does. */
import { parentPort, workerData } from 'node:worker_threads';
import { DeltaLog } from '../delta/log.ts';
import { Failure } from '../errors.ts';
import type { Specification } from '../pipeline/specification.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { WriteOrder, WriteProgress, WriteResult } from './dependencies.ts';
import type { RetryPlanDocument } from './plan-retry.ts';
import { loadReference, storeReference } from './references.ts';
import { retryTask } from './retry-task.ts';
import type { WriteThreadMessage } from './run-write-thread.ts';

/** Sent even without progress: the parent's heartbeat, and so the activity's life, hangs on it. */
const REPORT_EVERY_MS = 1_000;

const say = (message: WriteThreadMessage) => parentPort?.postMessage(message);

try {
  say({ kind: 'done', result: await runTask(workerData as WriteOrder) });
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  say({ kind: 'failed', code: error.code, message: error.message, fix: error.fix });
}

async function runTask({ run, plan: planReference }: WriteOrder): Promise<WriteResult> {
  let progress: WriteProgress = { offsetsRead: 0, rows: 0, bytesWritten: 0 };
  const timer = setInterval(() => say({ kind: 'progress', progress }), REPORT_EVERY_MS);
  const store = new LocalStore(run.location);
  const specification = await loadReference<Specification>(store, run.specification);
  const cleanWorkplace = specification.records.clean && (await openCleanWorkplace());
  try {
    const plan = await loadReference<RetryPlanDocument>(store, planReference);
    const log = new DeltaLog(store, { now: Date.now });
    const document = await retryTask({
      store,
      letterStore: new LocalStore(deadLettersLocation(run.location)),
      specification,
      cleanWorkplace,
      plan,
      retried: await log.lettersRetried(plan.previousRetry === null ? undefined : BigInt(plan.previousRetry)),
      onProgress: (now) => {
        progress = now;
      },
    });
    return {
      task: await storeReference(store, `runs/${run.id}/retry-task-${plan.batchId}`, document),
      offsets: document.letters,
      files: document.files.length,
      bytes: document.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    };
  } finally {
    clearInterval(timer);
    await cleanWorkplace?.close();
  }
}

async function openCleanWorkplace() {
  const { LocalCleanWorkplace } = await import('../rewrite/clean-workplace.ts');
  return await LocalCleanWorkplace.open((folder) => new LocalStore(folder));
}
