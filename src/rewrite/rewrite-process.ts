import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Database } from './duckdb.ts';
import { describeFailure } from './duckdb-failure.ts';
import { type RewrittenBin, rewriteBin } from './rewrite-bin.ts';
import type { RewriteMessage, RewriteOrder } from './run-rewrite-process.ts';

/** The process behind `runRewriteProcess`: one order in, progress and one result out, then it ends. */

const PROGRESS_EVERY_MS = 1000;
/** Processor time between two looks that is more than looking costs. */
const BUSY_MICROSECONDS = 10_000;
const FIX =
  'Nothing was committed and the table is as it was. If a data file is damaged, the text above names it.';

process.once('message', (order: RewriteOrder) => {
  process.once('disconnect', () => abandon(order));
  void answer(order);
});
offerToOutOfMemoryKiller();

async function answer(order: RewriteOrder): Promise<void> {
  const message = await rewrite(order).then(
    (bins): RewriteMessage => ({ kind: 'done', bins }),
    (error): RewriteMessage => describeFailure(error, 'rewrite files', order.scratchFolder, FIX),
  );
  // The callback comes once the message is with the parent: only then may the process end.
  process.send?.(message, () => process.exit(0));
}

async function rewrite({
  bins,
  scratchFolder,
  memoryLimitBytes,
  threads,
}: RewriteOrder): Promise<RewrittenBin[]> {
  const spillFolder = join(scratchFolder, 'spill');
  mkdirSync(spillFolder, { recursive: true });
  const database = await Database.open({
    memoryLimitBytes,
    threads,
    spillFolder,
    readableFiles: bins.flatMap((bin) => bin.inputs),
    writableFolder: scratchFolder,
  });
  const rewritten: RewrittenBin[] = [];
  const stopReporting = reportProgress(() => ({
    bins: bins.length,
    binsDone: rewritten.length,
    share: database.progress,
  }));
  try {
    for (const bin of bins) rewritten.push(await rewriteBin(database, bin));
    return rewritten;
  } finally {
    stopReporting();
    database.close();
  }
}

/** Says something only if something moved: a hung rewrite falls silent and is given up by its heartbeat. */
function reportProgress(
  progress: () => Extract<RewriteMessage, { kind: 'progress' }>['progress'],
): () => void {
  let shown = '';
  let usage = process.cpuUsage();
  const timer = setInterval(() => {
    const now = progress();
    const used = process.cpuUsage(usage);
    if (JSON.stringify(now) === shown && used.user + used.system < BUSY_MICROSECONDS) return;
    shown = JSON.stringify(now);
    usage = process.cpuUsage();
    process.send?.({ kind: 'progress', progress: now } satisfies RewriteMessage);
  }, PROGRESS_EVERY_MS);
  return () => clearInterval(timer);
}

/** The parent is gone, so nobody will take the result or clean up. A normal exit would wait for the running query. */
function abandon({ scratchFolder }: RewriteOrder): void {
  rmSync(scratchFolder, { recursive: true, force: true });
  process.kill(process.pid, 'SIGKILL');
}

/** Where the kernel has to choose, it shall choose this process and not the worker. Linux only. */
function offerToOutOfMemoryKiller(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // Elsewhere the kernel decides alone.
  }
}
