import { entryFile } from '../entry.ts';
import { type FailureMessage, failureOf } from './failure.ts';
import type { BinOrder, RewrittenBin } from './rewrite-bin.ts';
import { SupervisedProcess } from './supervised-process.ts';

/** What a rewrite process gets. */
export interface RewriteOrder {
  readonly bins: readonly BinOrder[];
  /** Holds the outputs and what DuckDB spills; it is the only place where the process can write. */
  readonly scratchFolder: string;
  readonly memoryLimitBytes: number;
  /** Of all bins that are rewritten at the same time. */
  readonly threads: number;
}

export interface RewriteProgress {
  readonly bins: number;
  readonly binsDone: number;
  /** Of the running bins, 0 to 1 each, together, as far as DuckDB knows. */
  readonly share: number;
}

/** What a rewrite process says, and all that it says. Progress only when it has made some. */
export type RewriteMessage =
  | { readonly kind: 'progress'; readonly progress: RewriteProgress }
  | { readonly kind: 'bin'; readonly index: number; readonly bin: RewrittenBin }
  | { readonly kind: 'done' }
  | FailureMessage;

const PROCESS_HEAP_MIB = 256;

export interface RewriteListener {
  onProgress(progress: RewriteProgress): void;
  /** A bin's output is complete, and nobody else will touch it. In any order. */
  onBin(index: number, bin: RewrittenBin): void;
}

/**
 * Rewrites bins in a process of their own: a crash of DuckDB, or the kernel taking its memory, costs this
 * attempt and not the worker. The process is killed when `signal` aborts and ends by itself when its parent
 * is gone.
 *
 * Rejects with the rewrite's `Failure`, REWRITE_FAILED where the process died, or the signal's reason; never
 * before the process has ended.
 */
export async function runRewriteProcess(
  order: RewriteOrder,
  listener: RewriteListener,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const { NODE_COMPILE_CACHE } = process.env;
  const child = new SupervisedProcess<RewriteOrder, RewriteMessage>({
    entry: entryFile(import.meta.url, './rewrite-process'),
    heapMiB: PROCESS_HEAP_MIB,
    environment: { ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }) },
    work: 'rewrites files',
    code: 'REWRITE_FAILED',
    fix: 'Nothing was committed and the table is as it was. If the process was killed for its memory (see dmesg), compact fewer or smaller files at once.',
  });
  const kill = () => void child.kill();
  signal.addEventListener('abort', kill, { once: true });
  try {
    const last = await child.ask(order, (message) => hear(message, listener));
    await child.ended;
    if (last.kind === 'failed') throw failureOf(last);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

/** Whether more is to come. */
function hear(message: RewriteMessage, listener: RewriteListener): boolean {
  if (message.kind === 'progress') listener.onProgress(message.progress);
  else if (message.kind === 'bin') listener.onBin(message.index, message.bin);
  else return false;
  return true;
}
