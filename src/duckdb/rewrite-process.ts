import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Database } from './database.ts';
import { describeFailure } from './failure.ts';
import { rewriteBin } from './rewrite-bin.ts';
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
    (): RewriteMessage => ({ kind: 'done' }),
    (error): RewriteMessage => describeFailure(error, 'rewrite files', order.scratchFolder, FIX),
  );
  // The callback comes once the message is with the parent: only then may the process end. By a normal exit,
  // which keeps the compiled modules, but not beside a bin that has failed: it would wait, without a word,
  // for the queries of the others.
  process.send?.(message, () => {
    if (message.kind === 'done') process.exit(0);
    process.kill(process.pid, 'SIGKILL');
  });
}

/**
 * Several bins at once with a thread each are done in two thirds of the time of one after the other with all
 * threads.
 */
async function rewrite({ bins, scratchFolder, memoryLimitBytes, threads }: RewriteOrder): Promise<void> {
  const spillFolder = join(scratchFolder, 'spill');
  mkdirSync(spillFolder, { recursive: true });
  const laneCount = Math.max(1, Math.min(threads, bins.length));
  const database = await Database.open({
    memoryLimitBytes,
    threads: Math.floor(threads / laneCount),
    spillFolder,
    readableFiles: bins.flatMap((bin) => bin.inputs),
    writableFolder: scratchFolder,
  });
  const lanes = await Promise.all(Array.from({ length: laneCount }, () => database.beside()));
  let binsDone = 0;
  const stopReporting = reportProgress(() => ({
    bins: bins.length,
    binsDone,
    share: lanes.reduce((sum, { progress }) => sum + progress, 0),
  }));
  const queue = bins.entries();
  const work = async (lane: Database) => {
    for (const [index, order] of queue) {
      const bin = await rewriteBin(lane, order);
      binsDone++;
      process.send?.({ kind: 'bin', index, bin } satisfies RewriteMessage);
    }
  };
  // Nothing is closed: where one lane fails, the others are in the middle of a query, and the process ends
  // now.
  await Promise.all(lanes.map(work)).finally(stopReporting);
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

/**
 * The parent is gone, so nobody will take the result or clean up. A normal exit would wait for the running
 * query.
 */
function abandon({ scratchFolder }: RewriteOrder): void {
  rmSync(scratchFolder, { recursive: true, force: true });
  process.kill(process.pid, 'SIGKILL');
}

/**
 * If the kernel must kill a process for its memory, it should kill this one and not the worker. Linux only.
 */
function offerToOutOfMemoryKiller(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // Elsewhere the kernel decides alone.
  }
}
