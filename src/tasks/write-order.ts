import { assert } from '../errors.ts';
import type { Specification } from '../pipeline/specification.ts';
import { accountedOffsets } from '../records/accounting.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import type { PlanDocument } from '../runs/documents.ts';
import { loadReference, storeReference } from '../runs/references.ts';
import type { Adapters } from './adapters.ts';
import type { WriteOrder, WriteProgress, WriteResult } from './orders.ts';
import { openCleanWorkplace } from './thread-order.ts';
import { writeTask } from './write-task.ts';

/** What a write thread does: one task of a stored plan, with connections of its own. */
export async function carryOutWriteOrder(
  adapters: Adapters,
  { run, plan: planReference, task }: WriteOrder,
  onProgress: (now: WriteProgress) => void,
): Promise<WriteResult> {
  const documents = adapters.openStore(run.documents);
  const specification = await loadReference<Specification>(documents, run.specification);
  const plan = await loadReference<PlanDocument>(documents, planReference);
  assert(plan.tasks[task] !== undefined, `the plan has a task ${task}`);

  const source = await adapters.connectKafka(specification.source);
  const cleanWorkplace = await openCleanWorkplace(adapters, specification);
  try {
    const document = await writeTask({
      source,
      store: adapters.openStore(run.table),
      cleanWorkplace,
      letterStore: adapters.openStore(deadLettersLocation(run.table)),
      run: run.id,
      specification,
      plan,
      task,
      onProgress,
    });
    return {
      task: await storeReference(documents, `runs/${run.id}/task-${plan.batchId}-${task}`, document),
      offsets: document.ranges.reduce((sum, { accounting }) => sum + accountedOffsets(accounting), 0),
      files: document.files.length,
      bytes: document.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    };
  } finally {
    await cleanWorkplace?.close();
    await source.close();
  }
}
