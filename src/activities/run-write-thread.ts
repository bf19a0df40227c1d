import { Worker } from 'node:worker_threads';
import { entryFile } from '../entry.ts';
import { Failure, type FailureCode } from '../errors.ts';
import type { Dependencies, RetryOrder, WriteOrder, WriteProgress, WriteResult } from './dependencies.ts';

/** What a write thread says, and all that it says. */
export type WriteThreadMessage =
  | { readonly kind: 'progress'; readonly progress: WriteProgress }
  | { readonly kind: 'done'; readonly result: WriteResult }
  | { readonly kind: 'failed'; readonly code: FailureCode; readonly message: string; readonly fix: string };

/** JavaScript objects of a thread; the columns lie outside, in buffers bounded by the write task itself. */
const THREAD_HEAP_MIB = 256;

export interface ThreadLimits {
  /** Without a word, which a timer of the thread says each second: it spins. */
  readonly silentMs: number;
  /** With the same progress each time: what it waits for hangs. */
  readonly stalledMs: number;
}

/**
 * The worst single record keeps a thread from its timer for 8 s (30 MiB, three million unknown fields, `rest`). Reading waits for a
 * leader for a minute, a cleaning step takes minutes at most.
 */
const LIMITS: ThreadLimits = { silentMs: 60_000, stalledMs: 10 * 60_000 };

/** The activity's heartbeats: as long as the thread is within its limits, whatever it is busy with. */
const HEARTBEAT_EVERY_MS = 1_000;

/**
 * Runs one write task in a thread that is ended with it: its memory is given back, and a cancelled or hung one can be
 * terminated wherever it is. Rejects with the task's `Failure`, or with the signal's reason.
 */
export const runWriteThread: Dependencies['runWriteThread'] = (order, onProgress, signal) =>
  superviseThread(startThread('./write-thread', order), onProgress, signal);

/** The same for letters that are decoded again. */
export const runRetryThread: Dependencies['runRetryThread'] = (order, onProgress, signal) =>
  superviseThread(startThread('./retry-thread', order), onProgress, signal);

function startThread(entry: string, order: WriteOrder | RetryOrder): Worker {
  return new Worker(entryFile(import.meta.url, entry), {
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB },
  });
}

/**
 * The thread's answer. It is terminated when it has answered, when the signal says so, and when it is silent, or its progress
 * the same, for longer than `limits`: one that waits for a hung disk still shows that it lives. Until then `onProgress` is
 * told each second how far it is known to be.
 *
 * Throws WRITE_THREAD_STALLED, and WRITE_THREAD_OUT_OF_MEMORY, which no retry would mend.
 */
export function superviseThread(
  thread: Worker,
  onProgress: (progress: WriteProgress) => void,
  signal: AbortSignal,
  limits = LIMITS,
): Promise<WriteResult> {
  return new Promise((resolve, reject) => {
    let answer: Exclude<WriteThreadMessage, { kind: 'progress' }> | undefined;
    let progress: WriteProgress = { offsetsRead: 0, rows: 0, bytesWritten: 0 };
    const terminate = (reason: unknown) => {
      reject(reason);
      void thread.terminate();
    };
    const abort = () => terminate(signal.reason);
    const giveUp = (what: string, afterMs: number) =>
      setTimeout(() => terminate(stalled(what, afterMs, progress)), afterMs);
    const silence = giveUp('has not been heard of', limits.silentMs);
    const stall = giveUp('has made no progress', limits.stalledMs);
    const heartbeat = setInterval(() => onProgress(progress), HEARTBEAT_EVERY_MS);
    signal.addEventListener('abort', abort, { once: true });
    thread.on('message', (message: WriteThreadMessage) => {
      silence.refresh();
      if (message.kind === 'progress') {
        if (JSON.stringify(message.progress) !== JSON.stringify(progress)) stall.refresh();
        progress = message.progress;
        return;
      }
      answer = message;
      void thread.terminate();
    });
    thread.on('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? outOfMemory(error) : error);
    });
    // Not before: the next task's thread is to find this one's memory given back.
    thread.on('exit', (code) => {
      for (const timer of [silence, stall, heartbeat]) clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      if (answer?.kind === 'done') resolve(answer.result);
      else if (answer?.kind === 'failed') reject(new Failure(answer.code, answer.message, answer.fix));
      else reject(new Error(`the write thread ended with code ${code} before its task was done`));
    });
    if (signal.aborted) abort();
  });
}

function stalled(what: string, afterMs: number, { offsetsRead, rows, bytesWritten }: WriteProgress): Failure {
  return new Failure(
    'WRITE_THREAD_STALLED',
    `A write task ${what} for ${afterMs / 1000} s, after ${offsetsRead} offsets, ${rows} rows and ${bytesWritten} bytes.`,
    'Look whether the disk of the table answers and the machine has processors to spare; the task is tried again.',
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
