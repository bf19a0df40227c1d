import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { entryFile } from '../entry.ts';
import type { Environment } from '../environment.ts';
import { Failure, type FailureCode } from '../errors.ts';
import type { RetryOrder, WriteOrder, WriteProgress, WriteResult } from './orders.ts';

/** What a task's thread has from its start. */
export interface TaskThreadData {
  /** The worker's. */
  readonly environment: Environment;
}

/** What a task's thread says, and all that it says. */
export type TaskThreadMessage =
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
 * The worst single record keeps a thread from its timer for 8 s (30 MiB, three million unknown fields,
 * `rest`). Reading waits for a leader for a minute, a cleaning step takes minutes at most.
 */
const LIMITS: ThreadLimits = { silentMs: 60_000, stalledMs: 10 * 60_000 };

/** The activity's heartbeats: as long as the thread is within its limits, whatever it is busy with. */
const HEARTBEAT_EVERY_MS = 1_000;

/** Longer than a commit and the next plan take, so that the batches of a drain find warm threads. */
const IDLE_MS = 15_000;

/** `write`: a write task's records; `retry`: letters that are decoded again. */
export interface TaskOrders {
  readonly write: WriteOrder;
  readonly retry: RetryOrder;
}

interface IdleThread {
  readonly thread: Worker;
  readonly key: string;
  readonly expiry: NodeJS.Timeout;
}

/**
 * Runs each task in a thread of its own, so that a cancelled or hung one can be terminated wherever it is. A
 * thread that has done its task waits a little for another of the same table: the machine code of its decoder
 * is the larger part of a small task's cost. After anything else it is ended, and its memory given back.
 */
export class TaskThreads {
  private readonly data: TaskThreadData;
  private readonly entry: string | URL;
  /** Oldest first. */
  private readonly idle: IdleThread[] = [];
  private running = 0;

  /**
   * @param environment what a thread's adapters are built from
   * @param entry the thread's file, which hands its orders to `takeOrders`
   */
  constructor(environment: Environment, entry: string | URL = entryFile(import.meta.url, '../task-thread')) {
    this.data = { environment: { ...environment } };
    this.entry = entry;
  }

  /** Rejects with the task's `Failure`, or with the signal's reason. */
  async run<Kind extends keyof TaskOrders>(
    kind: Kind,
    order: TaskOrders[Kind],
    onProgress: (progress: WriteProgress) => void,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const key = `${kind} ${order.run.table}`;
    const thread = this.takeIdle(key) ?? (await this.start());
    this.running++;
    try {
      const result = await superviseThread(thread, order, onProgress, signal);
      this.keep(thread, key);
      return result;
    } finally {
      this.running--;
    }
  }

  private takeIdle(key: string): Worker | undefined {
    const found = this.idle.findLast((one) => one.key === key);
    if (found === undefined) return undefined;
    this.forget(found.thread);
    found.thread.ref();
    return found.thread;
  }

  /**
   * Threads that wait make room for one that works: together they are as many as there are processors, or as
   * work.
   */
  private async start(): Promise<Worker> {
    if (this.running + this.idle.length >= availableParallelism()) await this.endOldest();
    const thread = new Worker(this.entry, {
      workerData: this.data,
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB },
    });
    // One that waits may die as well.
    return thread.on('error', () => {}).on('exit', () => this.forget(thread));
  }

  private keep(thread: Worker, key: string): void {
    const end = () => {
      this.forget(thread);
      void thread.terminate();
    };
    const expiry = setTimeout(end, IDLE_MS).unref();
    this.idle.push({ thread, key, expiry });
    thread.unref();
    if (this.idle.length > availableParallelism()) void this.endOldest();
  }

  private async endOldest(): Promise<void> {
    const [oldest] = this.idle;
    if (oldest === undefined) return;
    this.forget(oldest.thread);
    await oldest.thread.terminate();
  }

  private forget(thread: Worker): void {
    const at = this.idle.findIndex((one) => one.thread === thread);
    if (at >= 0) for (const { expiry } of this.idle.splice(at, 1)) clearTimeout(expiry);
  }
}

/**
 * The thread's answer to one order. It is terminated when it has failed, when the signal says so, and when it
 * is silent, or its progress the same, for longer than `limits`: one that waits for a hung disk still shows
 * that it lives. Until then `onProgress` is called each second with its known progress.
 *
 * Throws WRITE_THREAD_STALLED, and WRITE_THREAD_OUT_OF_MEMORY, which no retry would mend.
 */
export function superviseThread(
  thread: Worker,
  order: TaskOrders[keyof TaskOrders],
  onProgress: (progress: WriteProgress) => void,
  signal: AbortSignal,
  limits = LIMITS,
): Promise<WriteResult> {
  const { promise, resolve, reject } = Promise.withResolvers<WriteResult>();
  let failure: Failure | undefined;
  let progress: WriteProgress = { offsetsRead: 0, rows: 0, bytesWritten: 0 };
  const terminate = (reason: unknown) => {
    reject(reason);
    void thread.terminate();
  };
  const abort = () => terminate(signal.reason);
  const giveUp = (what: string, afterMs: number) =>
    setTimeout(() => terminate(stalled(what, afterMs, progress)), afterMs);
  const silence = giveUp('has given no sign of life', limits.silentMs);
  const stall = giveUp('has made no progress', limits.stalledMs);
  const heartbeat = setInterval(() => onProgress(progress), HEARTBEAT_EVERY_MS);
  const hear = (message: TaskThreadMessage) => {
    silence.refresh();
    if (message.kind === 'progress') {
      if (JSON.stringify(message.progress) !== JSON.stringify(progress)) stall.refresh();
      progress = message.progress;
    } else if (message.kind === 'done') {
      leave();
      resolve(message.result);
    } else {
      failure = new Failure(message.code, message.message, message.fix);
      void thread.terminate();
    }
  };
  const fail = (error: NodeJS.ErrnoException) =>
    reject(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? outOfMemory(error) : error);
  // The failure is reported only now, so that this attempt's memory is free when the next one begins.
  const end = (code: number) => {
    leave();
    reject(failure ?? new Error(`the write thread ended with code ${code} before its task was done`));
  };
  const leave = () => {
    for (const timer of [silence, stall, heartbeat]) clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    thread.off('message', hear).off('error', fail).off('exit', end);
  };
  signal.addEventListener('abort', abort, { once: true });
  thread.on('message', hear).on('error', fail).on('exit', end);
  if (signal.aborted) abort();
  else thread.postMessage(order);
  return promise;
}

function stalled(what: string, afterMs: number, { offsetsRead, rows, bytesWritten }: WriteProgress): Failure {
  return new Failure(
    'WRITE_THREAD_STALLED',
    `A write task ${what} for ${afterMs / 1000} s, after ${offsetsRead} offsets, ${rows} rows and ${bytesWritten} bytes.`,
    "Check that the table's disk answers and that the machine has processors to spare. The task is tried again.",
  );
}

function outOfMemory(cause: unknown): Failure {
  return new Failure(
    'WRITE_THREAD_OUT_OF_MEMORY',
    `A write task needed more than ${THREAD_HEAP_MIB} MiB for its objects. Nothing was committed.`,
    'This memory grows with the columns and with the table partitions of one task: partition by a column with fewer values, or lower limits.maxOffsetsPerBatch or limits.maxFilesPerBatch.',
    { cause },
  );
}
