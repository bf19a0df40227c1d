import { LetterSet, lettersFromJson } from '../commits/letters.ts';
import type { Specification } from '../pipeline/specification.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import type { RetryPlanDocument } from '../runs/documents.ts';
import { loadReference, storeReference } from '../runs/references.ts';
import type { Adapters } from './adapters.ts';
import type { RetryOrder, WriteProgress, WriteResult } from './orders.ts';
import { retryTask } from './retry-task.ts';
import { openCleanWorkplace } from './thread-order.ts';

/** What a retry thread does: decodes the letters of a stored plan again. */
export async function carryOutRetryOrder(
  adapters: Adapters,
  { run, plan: planReference, retried }: RetryOrder,
  onProgress: (now: WriteProgress) => void,
): Promise<WriteResult> {
  const documents = adapters.openStore(run.documents);
  const specification = await loadReference<Specification>(documents, run.specification);
  const cleanWorkplace = await openCleanWorkplace(adapters, specification);
  try {
    const plan = await loadReference<RetryPlanDocument>(documents, planReference);
    const document = await retryTask({
      store: adapters.openStore(run.table),
      letterStore: adapters.openStore(deadLettersLocation(run.table)),
      specification,
      cleanWorkplace,
      plan,
      retried: LetterSet.of(lettersFromJson(retried)),
      onProgress,
    });
    return {
      task: await storeReference(documents, `runs/${run.id}/retry-task-${plan.batchId}`, document),
      offsets: document.letters,
      files: document.files.length,
      bytes: document.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    };
  } finally {
    await cleanWorkplace?.close();
  }
}
