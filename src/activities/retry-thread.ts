/** The thread in which letters are decoded again: builds its own adapters, and reports to its parent as a write task does. */
import { DeltaLog } from '../delta/log.ts';
import type { Specification } from '../pipeline/specification.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { WriteOrder, WriteProgress, WriteResult } from './dependencies.ts';
import type { RetryPlanDocument } from './plan-retry.ts';
import { loadReference, storeReference } from './references.ts';
import { retryTask } from './retry-task.ts';
import { carryOutOrder, openCleanWorkplace } from './thread-order.ts';

await carryOutOrder(runTask);

async function runTask(
  { run, plan: planReference }: WriteOrder,
  onProgress: (now: WriteProgress) => void,
): Promise<WriteResult> {
  const store = new LocalStore(run.location);
  const specification = await loadReference<Specification>(store, run.specification);
  const cleanWorkplace = await openCleanWorkplace(specification, (folder) => new LocalStore(folder));
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
      onProgress,
    });
    return {
      task: await storeReference(store, `runs/${run.id}/retry-task-${plan.batchId}`, document),
      offsets: document.letters,
      files: document.files.length,
      bytes: document.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    };
  } finally {
    await cleanWorkplace?.close();
  }
}
