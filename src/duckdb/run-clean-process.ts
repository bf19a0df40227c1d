import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { entryFile } from '../entry.ts';
import { assert, Failure } from '../errors.ts';
import type { Schema } from '../records/ddl.ts';
import type { CleanSpecification } from '../records/records-specification.ts';
import type { CleanedFile, CleanFilesOrder } from './clean-files.ts';
import type { FailureMessage } from './failure.ts';

/** What a clean process gets. */
export type CleanOrder =
  | { readonly kind: 'describe'; readonly clean: CleanSpecification; readonly rowSchema: Schema }
  | ({
      readonly kind: 'clean';
      readonly memoryLimitBytes: number;
      readonly threads: number;
    } & CleanFilesOrder);

/** What a clean process says: that it is ready, then one message to each order, with one before it for each file that is done. */
export type CleanMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'cleanedOne' }
  | { readonly kind: 'described'; readonly types: readonly string[] }
  | { readonly kind: 'cleaned'; readonly files: readonly CleanedFile[] }
  | FailureMessage;

/** JavaScript objects of the process; DuckDB's memory lies outside. */
const PROCESS_HEAP_MIB = 256;
const STDERR_KEPT = 2000;

/**
 * DuckDB for `clean`, in a process of its own: its crash costs one attempt and not the worker. When whoever started it
 * is gone, it removes `scratchFolder` and ends.
 */
export class CleanProcess {
  private readonly child: ChildProcess;
  private readonly ready: Promise<unknown>;
  private stderr = '';

  /** @param scratchFolder made by the process, and the only place where it can write; none for `describe` */
  constructor(scratchFolder = '') {
    this.child = fork(entryFile(import.meta.url, './clean-process'), [scratchFolder], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [`--max-old-space-size=${PROCESS_HEAP_MIB}`],
      // It needs no credentials, and DuckDB writes instants in the zone of the process.
      env: { TZ: 'UTC' },
    });
    this.ready = this.nextMessage();
    this.ready.catch(() => {});
    this.child.stderr?.on('data', (text) => {
      this.stderr = (this.stderr + text).slice(-STDERR_KEPT);
    });
  }

  async describe(clean: CleanSpecification, rowSchema: Schema): Promise<readonly string[]> {
    const answer = await this.ask({ kind: 'describe', clean, rowSchema });
    assert(answer.kind === 'described', 'described is what was asked for');
    return answer.types;
  }

  async clean(
    order: CleanFilesOrder,
    { memoryLimitBytes = 1024 ** 3, threads = 2, onCleaned = () => {} } = {},
  ): Promise<readonly CleanedFile[]> {
    const count = (message: CleanMessage) => message.kind === 'cleanedOne' && onCleaned();
    this.child.on('message', count);
    const answer = await this.ask({ kind: 'clean', memoryLimitBytes, threads, ...order }).finally(() =>
      this.child.off('message', count),
    );
    assert(answer.kind === 'cleaned', 'cleaned is what was asked for');
    return answer.files;
  }

  /** Ends the process, which removes its scratch folder. */
  async stop(): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    if (child.connected) child.disconnect();
    await ended;
  }

  /** Settles when the scratch folder is there, and will be removed whatever happens. Rejects with REWRITE_FAILED. */
  async started(): Promise<void> {
    await this.ready;
  }

  /** Rejects with the order's `Failure`, REWRITE_FAILED where the process died. */
  private async ask(order: CleanOrder): Promise<CleanMessage> {
    await this.ready;
    const message = this.nextMessage();
    this.child.send(order, (error) => error && this.child.kill('SIGKILL'));
    const answer = await message;
    if (answer.kind === 'failed') throw new Failure(answer.code, answer.message, answer.fix);
    return answer;
  }

  private nextMessage(): Promise<CleanMessage> {
    const { child } = this;
    return new Promise((resolve, reject) => {
      if (child.exitCode !== null || child.signalCode !== null) reject(this.died('before it was asked'));
      child.on('message', (message: CleanMessage) => message.kind !== 'cleanedOne' && resolve(message));
      child.once('error', reject);
      child.once('close', (code, signal) => reject(this.died(signal ?? `exit code ${code}`)));
    });
  }

  private died(how: string): Failure {
    return new Failure(
      'REWRITE_FAILED',
      `The process that cleans rows ended: ${how}.${this.stderr === '' ? '' : `\n${this.stderr.trim()}`}`,
      'Nothing of this batch was committed. If it was killed for its memory (dmesg), make batches smaller: limits.maxOffsetsPerBatch.',
    );
  }
}
