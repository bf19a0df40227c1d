import { type ChildProcess, fork } from 'node:child_process';
import { entryFile } from '../entry.ts';
import { Failure } from '../errors.ts';
import type { FailureMessage } from './failure.ts';
import type { BinOrder, RewrittenBin } from './rewrite-bin.ts';

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

/** JavaScript objects of the process; DuckDB's memory lies outside. */
const PROCESS_HEAP_MIB = 256;
const STDERR_KEPT = 2000;

export interface RewriteListener {
  onProgress(progress: RewriteProgress): void;
  /** A bin's output is complete, and nobody else will touch it. In any order. */
  onBin(index: number, bin: RewrittenBin): void;
}

/**
 * Rewrites bins in a process of their own: a crash of DuckDB, or the kernel taking its memory, costs this attempt and
 * not the worker. The process is killed when `signal` aborts and ends by itself when its parent is gone.
 *
 * Rejects with the rewrite's `Failure`, REWRITE_FAILED where the process died, or the signal's reason; never before the
 * process has ended.
 */
export async function runRewriteProcess(
  order: RewriteOrder,
  listener: RewriteListener,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const child = fork(entryFile(import.meta.url, './rewrite-process'), {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [`--max-old-space-size=${PROCESS_HEAP_MIB}`],
    env: environment(),
  });
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  try {
    await conversation(child, order, listener);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

/** It needs no credentials, and DuckDB writes instants in the zone of the process. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE } = process.env;
  return { TZ: 'UTC', ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }) };
}

function conversation(child: ChildProcess, order: RewriteOrder, listener: RewriteListener): Promise<void> {
  return new Promise((resolve, reject) => {
    let last: RewriteMessage | undefined;
    let stderr = '';
    child.stderr?.on('data', (text) => {
      stderr = (stderr + text).slice(-STDERR_KEPT);
    });
    child.on('message', (message: RewriteMessage) => {
      if (message.kind === 'progress') listener.onProgress(message.progress);
      else if (message.kind === 'bin') listener.onBin(message.index, message.bin);
      else last = message;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (last?.kind === 'done') resolve();
      else if (last?.kind === 'failed') reject(new Failure(last.code, last.message, last.fix));
      else reject(processDied(signal === null ? `with exit code ${code}` : `by ${signal}`, stderr));
    });
    child.send(order, (error) => error && reject(processDied('before it got its order', String(error))));
  });
}

function processDied(how: string, output: string): Failure {
  return new Failure(
    'REWRITE_FAILED',
    `The process that rewrites files ended ${how}.${output === '' ? '' : `\n${output.trim()}`}`,
    'Nothing was committed and the table is as it was. If it was killed for its memory (dmesg), compact fewer or smaller files at once.',
  );
}
