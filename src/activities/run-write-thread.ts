import { Worker } from 'node:worker_threads';
import { entryFile } from '../entry.ts';
import { Failure, type FailureCode } from '../errors.ts';
import type { Dependencies, WriteOrder, WriteProgress, WriteResult } from './dependencies.ts';

/** What a write thread says, and all that it says. */
export type WriteThreadMessage =
  | { readonly kind: 'progress'; readonly progress: WriteProgress }
  | { readonly kind: 'done'; readonly result: WriteResult }
  | { readonly kind: 'failed'; readonly code: FailureCode; readonly message: string; readonly fix: string };

/** JavaScript objects of a thread; the columns lie outside, in buffers bounded by the write task itself. */
const THREAD_HEAP_MIB = 256;

/** Reading waits for a leader for a minute, a cleaning step takes minutes at most: longer, and it hangs. */
const STALLED_AFTER_MS = 10 * 60_000;

/**
 * Runs one write task in a thread that is ended with it: its memory is given back, and a cancelled or hung one can be
 * terminated wherever it is. Rejects with the task's `Failure`, or with the signal's reason.
 */
export const runWriteThread: Dependencies['runWriteThread'] = (order, onProgress, signal) =>
  superviseThread(startThread('./write-thread', order), onProgress, signal);

/** The same for letters that are decoded again. */
export const runRetryThread: Dependencies['runRetryThread'] = (order, onProgress, signal) =>
  superviseThread(startThread('./retry-thread', order), onProgress, signal);

function startThread(entry: string, order: WriteOrder): Worker {
  return new Worker(entryFile(import.meta.url, entry), {
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB },
  });
}

/**
 * The thread's answer. It is terminated when it has answered, when the signal says so, and when its progress stays
 * the same for `stalledAfterMs`: a thread that waits for a hung disk still shows that it lives.
 *
 * Throws WRITE_THREAD_STALLED, and WRITE_THREAD_OUT_OF_MEMORY, which no retry would mend.
 */
export function superviseThread(
  thread: Worker,
  onProgress: (progress: WriteProgress) => void,
  signal: AbortSignal,
  stalledAfterMs = STALLED_AFTER_MS,
): Promise<WriteResult> {
  return new Promise((resolve, reject) => {
    let answer: Exclude<WriteThreadMessage, { kind: 'progress' }> | undefined;
    let last = '';
    const terminate = (reason: unknown) => {
      reject(reason);
      void thread.terminate();
    };
    const abort = () => terminate(signal.reason);
    const stall = setTimeout(() => terminate(stalled(stalledAfterMs, last)), stalledAfterMs);
    signal.addEventListener('abort', abort, { once: true });
    thread.on('message', (message: WriteThreadMessage) => {
      if (message.kind === 'progress') {
        const now = JSON.stringify(message.progress);
        if (now !== last) stall.refresh();
        last = now;
        return onProgress(message.progress);
      }
      answer = message;
      void thread.terminate();
    });
    thread.on('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? outOfMemory(error) : error);
    });
    // Not before: the next task's thread is to find this one's memory given back.
    thread.on('exit', (code) => {
      clearTimeout(stall);
      signal.removeEventListener('abort', abort);
      if (answer?.kind === 'done') resolve(answer.result);
      else if (answer?.kind === 'failed') reject(new Failure(answer.code, answer.message, answer.fix));
      else reject(new Error(`the write thread ended with code ${code} before its task was done`));
    });
    if (signal.aborted) abort();
  });
}

function stalled(afterMs: number, progress: string): Failure {
  return new Failure(
    'WRITE_THREAD_STALLED',
    `A write task has made no progress for ${afterMs / 1000} s; the last was ${progress || 'none'}.`,
    'Look whether the disk of the table answers; the task is tried again.',
  );
}

function outOfMemory(cause: unknown): Failure {
  return new Failure(
    'WRITE_THREAD_OUT_OF_MEMORY',
    `A write task needed more than ${THREAD_HEAP_MIB} MiB for its objects. Nothing was committed.`,
    'It grows with the table partitions that one task meets and with the columns: partition by a column with fewer values, or lower limits.maxOffsetsPerBatch or limits.maxFilesPerBatch.',
    { cause },
  );
}
