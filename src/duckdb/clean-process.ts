import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describeFailure } from './failure.ts';
import type { CleanMessage, CleanOrder } from './run-clean-process.ts';

/**
 * The process behind `CleanProcess`: started before a write task reads, so that the task's scratch folder is
 * removed whatever ends the task; DuckDB is loaded when an order comes.
 */

const DESCRIBING_BYTES = 512 * 1024 * 1024;
const FIX =
  'This batch was not committed. If it ran out of memory, make batches smaller: limits.maxOffsetsPerBatch.';
const [, , scratchFolder = ''] = process.argv;

process.once('disconnect', () => {
  if (scratchFolder !== '') rmSync(scratchFolder, { recursive: true, force: true });
  // A normal exit would wait for the running query.
  process.kill(process.pid, 'SIGKILL');
});
process.on('message', (order: CleanOrder) => void answer(order));
// Only now: the parent of this process may already be gone, and then nobody else would remove the folder.
if (process.connected) {
  if (scratchFolder !== '') mkdirSync(scratchFolder, { recursive: true });
  process.send?.({ kind: 'ready' } satisfies CleanMessage);
}

async function answer(order: CleanOrder): Promise<void> {
  const message = await work(order).catch((error) =>
    describeFailure(error, 'clean rows', scratchFolder, FIX),
  );
  process.send?.(message);
}

async function work(order: CleanOrder): Promise<CleanMessage> {
  const { Database } = await import('./database.ts');
  if (order.kind === 'describe') {
    const { describeExpressions } = await import('./describe-expressions.ts');
    const database = await Database.open({
      memoryLimitBytes: DESCRIBING_BYTES,
      threads: 1,
      readableFiles: [],
    });
    const types = await describeExpressions(database, order.clean, order.rowSchema);
    return { kind: 'described', types };
  }
  const { cleanFiles } = await import('./clean-files.ts');
  const spillFolder = join(scratchFolder, 'spill');
  mkdirSync(spillFolder, { recursive: true });
  const { files, memoryLimitBytes, threads } = order;
  const database = await Database.open({
    memoryLimitBytes,
    threads,
    spillFolder,
    readableFiles: files.map(({ input }) => input),
    writableFolder: scratchFolder,
  });
  const onCleaned = () => process.send?.({ kind: 'cleanedOne' } satisfies CleanMessage);
  return { kind: 'cleaned', files: await cleanFiles(database, order, onCleaned) };
}
