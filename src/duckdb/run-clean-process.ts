import { entryFile } from '../entry.ts';
import { assert } from '../errors.ts';
import type { Schema } from '../records/ddl.ts';
import type { CleanSpecification } from '../records/records-specification.ts';
import type { CleanedFile, CleanFilesOrder } from './clean-files.ts';
import { type FailureMessage, failureOf } from './failure.ts';
import { SupervisedProcess } from './supervised-process.ts';

/** What a clean process gets. */
export type CleanOrder =
  | { readonly kind: 'describe'; readonly clean: CleanSpecification; readonly rowSchema: Schema }
  | ({
      readonly kind: 'clean';
      readonly memoryLimitBytes: number;
      readonly threads: number;
    } & CleanFilesOrder);

/**
 * What a clean process says: that it is ready, then one message to each order, with one before it for each
 * file that is done.
 */
export type CleanMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'cleanedOne' }
  | { readonly kind: 'described'; readonly types: readonly string[] }
  | { readonly kind: 'cleaned'; readonly files: readonly CleanedFile[] }
  | FailureMessage;

const PROCESS_HEAP_MIB = 256;

/**
 * DuckDB for `clean`, in a process of its own: its crash costs one attempt and not the worker. When its
 * parent is gone, it removes `scratchFolder` and ends.
 */
export class CleanProcess {
  private readonly child: SupervisedProcess<CleanOrder, CleanMessage>;
  private readonly ready: Promise<unknown>;

  /** @param scratchFolder made by the process, and the only place where it can write; none for `describe` */
  constructor(scratchFolder = '') {
    this.child = new SupervisedProcess({
      entry: entryFile(import.meta.url, './clean-process'),
      args: [scratchFolder],
      heapMiB: PROCESS_HEAP_MIB,
      work: 'cleans rows',
      code: 'REWRITE_FAILED',
      fix: 'This batch was not committed. If the process was killed for its memory (see dmesg), make batches smaller: limits.maxOffsetsPerBatch.',
    });
    this.ready = this.child.nextMessage();
    this.ready.catch(() => {});
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
    const answer = await this.ask({ kind: 'clean', memoryLimitBytes, threads, ...order }, onCleaned);
    assert(answer.kind === 'cleaned', 'cleaned is what was asked for');
    return answer.files;
  }

  /** Ends the process, which removes its scratch folder. */
  async stop(): Promise<void> {
    await this.child.leave();
  }

  /**
   * Settles when the scratch folder is there, and will be removed whatever happens. Rejects with
   * REWRITE_FAILED.
   */
  async started(): Promise<void> {
    await this.ready;
  }

  /** Rejects with the order's `Failure`, REWRITE_FAILED where the process died. */
  private async ask(order: CleanOrder, onCleaned = () => {}): Promise<CleanMessage> {
    await this.ready;
    const answer = await this.child.ask(order, ({ kind }) => {
      if (kind === 'cleanedOne') onCleaned();
      return kind === 'cleanedOne';
    });
    if (answer.kind === 'failed') throw failureOf(answer);
    return answer;
  }
}
