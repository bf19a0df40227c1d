import { Worker } from 'node:worker_threads';
import { entryFile } from '../entry.ts';
import { Failure, type FailureCode } from '../errors.ts';
import type { Dependencies, WriteProgress, WriteResult } from './dependencies.ts';

/** What a write thread says, and all that it says. */
export type WriteThreadMessage =
  | { readonly kind: 'progress'; readonly progress: WriteProgress }
  | { readonly kind: 'done'; readonly result: WriteResult }
  | { readonly kind: 'failed'; readonly code: FailureCode; readonly message: string; readonly fix: string };

/** JavaScript objects of a thread; the columns lie outside, in buffers bounded by the write task itself. */
const THREAD_HEAP_MIB = 256;

/**
 * Runs one write task in a thread that is ended with it: its memory is given back, and a cancelled or hung one can be
 * terminated wherever it is. Rejects with the task's `Failure`, or with the signal's reason.
 */
export const runWriteThread: Dependencies['runWriteThread'] = (order, onProgress, signal) =>
  new Promise<WriteResult>((resolve, reject) => {
    const thread = new Worker(entryFile(import.meta.url, './write-thread'), {
      workerData: order,
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB },
    });
    let answer: Exclude<WriteThreadMessage, { kind: 'progress' }> | undefined;
    const terminate = () => {
      reject(signal.reason);
      void thread.terminate();
    };
    signal.addEventListener('abort', terminate, { once: true });
    thread.on('message', (message: WriteThreadMessage) => {
      if (message.kind === 'progress') return onProgress(message.progress);
      answer = message;
      void thread.terminate();
    });
    thread.on('error', reject);
    // Not before: the next task's thread is to find this one's memory given back.
    thread.on('exit', (code) => {
      signal.removeEventListener('abort', terminate);
      if (answer?.kind === 'done') resolve(answer.result);
      else if (answer?.kind === 'failed') reject(new Failure(answer.code, answer.message, answer.fix));
      else reject(new Error(`the write thread ended with code ${code} before its task was done`));
    });
    if (signal.aborted) terminate();
  });
