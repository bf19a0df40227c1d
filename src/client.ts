import { type Client, WithStartWorkflowOperation, type WorkflowHandle } from '@temporalio/client';
import {
  type CompactInput,
  type CompactionReceipt,
  compactId,
  type DrainInput,
  type DrainProgress,
  drainId,
  type Offsets,
  type Receipt,
  type RetargetInput,
  type RetargetResult,
  type RetryDeadLettersInput,
  type RetryReceipt,
  retryDeadLettersId,
  TASK_QUEUE,
  type Until,
} from './workflows/contract.ts';

export type * from './workflows/contract.ts';
export { compactId, drainId, retryDeadLettersId, TASK_QUEUE } from './workflows/contract.ts';

type DrainWorkflow = (input: DrainInput) => Promise<Receipt>;
type CompactWorkflow = (input: CompactInput) => Promise<CompactionReceipt>;
type RetryWorkflow = (input: RetryDeadLettersInput) => Promise<RetryReceipt>;

/** A drain that is running and has accepted the goal of its caller. */
export interface AttachedDrain {
  readonly handle: WorkflowHandle<DrainWorkflow>;
  /** Where the run ends now: at or beyond what was asked for. */
  readonly endingOffsets: Offsets;
}

/**
 * Tidemark for other services: a thin, typed layer over a Temporal `Client` of their own.
 *
 * ```ts
 * const tidemark = new Tidemark(new Client({ connection }));
 * const receipt = await tidemark.drain('products', { offsets: { crawl: { '0': 1000 } } });
 * ```
 */
export class Tidemark {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /**
   * Drains `pipeline` up to `until` and waits for the receipt. A running drain is attached to: its end is raised to
   * cover `until`. A run that ended before it could take that goal on is followed by a new one. Where somebody lowers
   * the end again, the receipt is `partial`.
   *
   * Rejects with Temporal's `WorkflowFailedError` where the run failed; its cause carries the failure's code as type.
   */
  async drain(pipeline: string, until: Until = 'latest'): Promise<Receipt> {
    const { handle, endingOffsets } = await this.startDrain(pipeline, until);
    return receiptUpTo(endingOffsets, await handle.result());
  }

  /** Starts a drain, or raises the end of the running one; returns once the run has accepted the goal. */
  async startDrain(pipeline: string, until: Until = 'latest'): Promise<AttachedDrain> {
    for (;;) {
      const start = new WithStartWorkflowOperation<DrainWorkflow>('drain', {
        workflowId: drainId(pipeline),
        taskQueue: TASK_QUEUE,
        args: [{ pipeline, until }],
        workflowIdConflictPolicy: 'USE_EXISTING',
        staticSummary: `Drain ${pipeline} until ${describeUntil(until)}`,
      });
      try {
        const { endingOffsets } = await this.client.workflow.executeUpdateWithStart<
          DrainWorkflow,
          RetargetResult,
          [RetargetInput]
        >('retarget', { args: [{ until, raiseOnly: true }], startWorkflowOperation: start });
        return { handle: await start.workflowHandle(), endingOffsets };
      } catch (error) {
        const { status } = await (await start.workflowHandle()).describe();
        // Completed: the run ended without our goal, so the next one gets it. Otherwise it failed, and knows why.
        if (status.name === 'COMPLETED') continue;
        if (status.name !== 'RUNNING') await (await start.workflowHandle()).result();
        throw error;
      }
    }
  }

  async progress(pipeline: string): Promise<DrainProgress> {
    return await this.handle(pipeline).query<DrainProgress>('progress');
  }

  /** Stops the running drain before its next batch. */
  async pause(pipeline: string): Promise<void> {
    await this.handle(pipeline).signal('pause');
  }

  async resume(pipeline: string): Promise<void> {
    await this.handle(pipeline).signal('resume');
  }

  /** Moves the end of the running drain; returns the ends in force, never below the batch that is being written. */
  async retarget(pipeline: string, target: RetargetInput): Promise<RetargetResult> {
    return await this.handle(pipeline).executeUpdate<RetargetResult, [RetargetInput]>('retarget', {
      args: [target],
    });
  }

  /** Compacts the table, or waits for the compaction that is running. */
  async compact(input: CompactInput): Promise<CompactionReceipt> {
    const handle = await this.startCompaction(input);
    return await handle.result();
  }

  /** Starts a compaction, or attaches to the running one, whatever it was asked to do. */
  async startCompaction(input: CompactInput): Promise<WorkflowHandle<CompactWorkflow>> {
    const what = input.dryRun === true ? 'Plan the compaction of' : 'Compact';
    return await this.client.workflow.start<CompactWorkflow>('compact', {
      workflowId: compactId(input.pipeline, input.dryRun),
      taskQueue: TASK_QUEUE,
      args: [input],
      workflowIdConflictPolicy: 'USE_EXISTING',
      staticSummary: `${what} ${input.pipeline}`,
    });
  }

  /** Decodes the dead letters again with today's specification, or waits for the retry that is running. */
  async retryDeadLetters(pipeline: string): Promise<RetryReceipt> {
    const handle = await this.startRetry(pipeline);
    return await handle.result();
  }

  /** Starts a retry of the dead letters, or attaches to the running one, which has the specification of its start. */
  async startRetry(pipeline: string): Promise<WorkflowHandle<RetryWorkflow>> {
    return await this.client.workflow.start<RetryWorkflow>('retryDeadLetters', {
      workflowId: retryDeadLettersId(pipeline),
      taskQueue: TASK_QUEUE,
      args: [{ pipeline }],
      workflowIdConflictPolicy: 'USE_EXISTING',
      staticSummary: `Retry the dead letters of ${pipeline}`,
    });
  }

  private handle(pipeline: string): WorkflowHandle<DrainWorkflow> {
    return this.client.workflow.getHandle<DrainWorkflow>(drainId(pipeline));
  }
}

/**
 * A run's receipt as the one to whom it had promised `endingOffsets` may read it: `complete` is said of where the run
 * ended, and a `retarget` of somebody else may have lowered that.
 */
export function receiptUpTo(endingOffsets: Offsets, receipt: Receipt): Receipt {
  const short = receipt.partitions.filter(
    ({ topic, kafkaPartition, endingOffset }) =>
      BigInt(endingOffset) < BigInt(endingOffsets[topic]?.[kafkaPartition] ?? '0'),
  );
  if (receipt.outcome === 'partial' || short.length === 0) return receipt;
  const places = short
    .slice(0, 5)
    .map((p) => `${p.topic}-${p.kafkaPartition} at ${p.endingOffset}`)
    .join(', ');
  const reason = `Somebody lowered the end of this run while it went: ${places}${short.length > 5 ? ' and more' : ''}.`;
  return { ...receipt, outcome: 'partial', reason };
}

/** `until` in words, for summaries. */
export function describeUntil(until: Until): string {
  if (until === 'latest') return 'the latest offsets';
  return 'timestamp' in until ? until.timestamp : 'given offsets';
}
