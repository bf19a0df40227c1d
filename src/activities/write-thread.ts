/** A write task's thread: builds its own adapters, since live ones cannot cross into it, and reports to its parent. */
import { assert } from '../errors.ts';
import { connectKafka } from '../kafka/kafkajs-source.ts';
import type { Specification } from '../pipeline/specification.ts';
import { accountedOffsets } from '../records/accounting.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { WriteOrder, WriteProgress, WriteResult } from './dependencies.ts';
import type { PlanDocument } from './documents.ts';
import { loadReference, storeReference } from './references.ts';
import { carryOutOrder, openCleanWorkplace } from './thread-order.ts';
import { writeTask } from './write-task.ts';

await carryOutOrder(runTask);

async function runTask(
  { run, plan: planReference, task }: WriteOrder,
  onProgress: (now: WriteProgress) => void,
): Promise<WriteResult> {
  const store = new LocalStore(run.location);
  const specification = await loadReference<Specification>(store, run.specification);
  const plan = await loadReference<PlanDocument>(store, planReference);
  assert(plan.tasks[task] !== undefined, `the plan has a task ${task}`);

  const source = await connectKafka({ bootstrapServers: specification.source.bootstrapServers });
  const cleanWorkplace = await openCleanWorkplace(specification, (folder) => new LocalStore(folder));
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
      onProgress,
    });
    return {
      task: await storeReference(store, `runs/${run.id}/task-${plan.batchId}-${task}`, document),
      offsets: document.ranges.reduce((sum, { accounting }) => sum + accountedOffsets(accounting), 0),
      files: document.files.length,
      bytes: document.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    };
  } finally {
    await cleanWorkplace?.close();
    await source.close();
  }
}
