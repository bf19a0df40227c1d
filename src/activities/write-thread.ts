/** A write task's thread: builds its own adapters, since live ones cannot cross into it, and reports to its parent. */
import { parentPort, workerData } from 'node:worker_threads';
import { assert, Failure } from '../errors.ts';
import { connectKafka } from '../kafka/kafkajs-source.ts';
import type { Specification } from '../pipeline/specification.ts';
import { accountedOffsets } from '../records/accounting.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { WriteOrder, WriteProgress, WriteResult } from './dependencies.ts';
import type { PlanDocument } from './documents.ts';
import { loadReference, storeReference } from './references.ts';
import type { WriteThreadMessage } from './run-write-thread.ts';
import { writeTask } from './write-task.ts';

/** Sent even without progress: the parent's heartbeat, and so the activity's life, hangs on it. */
const REPORT_EVERY_MS = 1_000;

const say = (message: WriteThreadMessage) => parentPort?.postMessage(message);

try {
  say({ kind: 'done', result: await runTask(workerData as WriteOrder) });
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  say({ kind: 'failed', code: error.code, message: error.message, fix: error.fix });
}

async function runTask({ run, plan: planReference, task }: WriteOrder): Promise<WriteResult> {
  const store = new LocalStore(run.location);
  const specification = await loadReference<Specification>(store, run.specification);
  const plan = await loadReference<PlanDocument>(store, planReference);
  assert(plan.tasks[task] !== undefined, `the plan has a task ${task}`);

  let progress: WriteProgress = { offsetsRead: 0, rows: 0, bytesWritten: 0 };
  const timer = setInterval(() => say({ kind: 'progress', progress }), REPORT_EVERY_MS);
  const source = await connectKafka({ bootstrapServers: specification.source.bootstrapServers });
  const cleanWorkplace = specification.records.clean && (await openCleanWorkplace());
  try {
    const document = await writeTask({
      source,
      store,
      cleanWorkplace,
      letterStore: new LocalStore(deadLettersLocation(run.location)),
      run: run.id,
      specification,
      plan,
      task,
      // A thread is cancelled by ending it.
      signal: new AbortController().signal,
      onProgress: (now) => {
        progress = now;
      },
    });
    return {
      task: await storeReference(store, `runs/${run.id}/task-${plan.batchId}-${task}`, document),
      offsets: document.ranges.reduce((sum, { accounting }) => sum + accountedOffsets(accounting), 0),
      files: document.files.length,
      bytes: document.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    };
  } finally {
    clearInterval(timer);
    await cleanWorkplace?.close();
    await source.close();
  }
}

async function openCleanWorkplace() {
  const { LocalCleanWorkplace } = await import('../rewrite/clean-workplace.ts');
  return await LocalCleanWorkplace.open((folder) => new LocalStore(folder));
}
