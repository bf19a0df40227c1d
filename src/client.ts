import {
  type Client,
  isGrpcServiceError,
  WithStartWorkflowOperation,
  type WorkflowHandle,
  WorkflowNotFoundError,
  type WorkflowUpdateHandle,
} from '@temporalio/client';
import {
  type CompactInput,
  type CompactionReceipt,
  type CompactWorkflow,
  compactId,
  type DrainProgress,
  type DrainWorkflow,
  drainId,
  type Offsets,
  type Receipt,
  type RetargetInput,
  type RetargetResult,
  type RetryDeadLettersWorkflow,
  type RetryReceipt,
  retryDeadLettersId,
  TASK_QUEUE,
  type Until,
  type VacuumInput,
  type VacuumReceipt,
  type VacuumWorkflow,
  vacuumId,
} from './contract.ts';
import { Failure } from './errors.ts';
import { receiptFor } from './receipt-for.ts';
import { toFailure } from './run-failure.ts';

export type * from './contract.ts';
export { compactId, drainId, retryDeadLettersId, TASK_QUEUE, vacuumId } from './contract.ts';
export { Failure } from './errors.ts';

/** A drain that is running and has accepted the goal of its caller. */
export interface AttachedDrain {
  /** Of the run that accepted the goal. */
  readonly runId: string;
  /** Of the very run that accepted the goal, and of those that it continues as. */
  readonly handle: WorkflowHandle<DrainWorkflow>;
  /** Where the run ends now: at or beyond what was asked for. */
  readonly endingOffsets: Offsets;
  /** Waits for the run's end. Its receipt, `partial` where this caller's own ends were not reached. */
  receipt(): Promise<Receipt>;
}

/**
 * Tidemark for other services: a thin, typed layer over a Temporal `Client` of their own.
 *
 * ```ts
 * const tidemark = new Tidemark(new Client({ connection }));
 * const receipt = await tidemark.drain('products', { offsets: { crawl: { '0': 1000 } } });
 * ```
 *
 * Every method rejects with a `Failure` where Tidemark has a name for it (`code`, `message`, `fix`,
 * `exitCode`; Temporal's error is its `cause`): the failure of a run, `CANCELLED` and `RUN_TIMED_OUT` where
 * it was ended from outside, `RUN_NOT_FOUND` where there is none. An error of Temporal itself (not reachable,
 * not allowed, a deadline of `client.withDeadline`) rejects as Temporal's own error. A caller that stops
 * waiting (`client.withAbortSignal`) stops nothing: runs continue.
 */
export class Tidemark {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /**
   * Drains `pipeline` up to `until` and waits for the receipt. Attaches to a running drain: raises its end to
   * cover `until`. A run that ended before it could take that goal on is followed by a new one.
   *
   * The receipt is the run's, which may have served other callers too; its `outcome` is this caller's:
   * `complete` where every end that this call asked for was reached, `partial` where Kafka has less, or where
   * somebody lowered the end meanwhile. Nothing is tried again after `partial`.
   *
   * @param until exclusive ends: offsets (-1: the log's end now; partitions that are not named are not waited
   * for), a time, or the log's ends when the run fixes its goal, which is after this call
   */
  async drain(pipeline: string, until: Until = 'latest'): Promise<Receipt> {
    return await (await this.startDrain(pipeline, until)).receipt();
  }

  /**
   * Starts a drain, or raises the end of the running one; returns once the run has accepted the goal. It
   * needs a worker for that, and waits for one: bound it by `client.withDeadline`
   * (`WorkflowUpdateRPCTimeoutOrCancelledError`) where there may be none.
   */
  async startDrain(pipeline: string, until: Until = 'latest'): Promise<AttachedDrain> {
    for (let attempt = 1; ; attempt++) {
      const attached = await this.tryToAttach(pipeline, until).catch((error) => {
        if (attempt === ATTEMPTS_MAX || !hadClosed(error)) throw toFailure(error);
      });
      if (attached !== undefined) return attached;
    }
  }

  /** How far the running or latest drain is. */
  async progress(pipeline: string): Promise<DrainProgress> {
    return await orFailure(this.handle(pipeline).query<DrainProgress>('progress'));
  }

  /** Stops the running drain before its next batch. */
  async pause(pipeline: string): Promise<void> {
    await orFailure(this.handle(pipeline).signal('pause'));
  }

  async resume(pipeline: string): Promise<void> {
    await orFailure(this.handle(pipeline).signal('resume'));
  }

  /**
   * Moves the end of the running drain; returns the ends in force, never below the batch that is being
   * written.
   */
  async retarget(pipeline: string, target: RetargetInput): Promise<RetargetResult> {
    const update = this.handle(pipeline).executeUpdate<RetargetResult, [RetargetInput]>('retarget', {
      args: [target],
    });
    return await orFailure(update);
  }

  /** Compacts the table, or waits for the compaction that is running. */
  async compact(input: CompactInput): Promise<CompactionReceipt> {
    const handle = await this.startCompaction(input);
    return await orFailure(handle.result());
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
    return await orFailure(handle.result());
  }

  /**
   * Starts a retry of the dead letters, or attaches to the running one, which has the specification of its
   * start.
   */
  async startRetry(pipeline: string): Promise<WorkflowHandle<RetryDeadLettersWorkflow>> {
    return await this.client.workflow.start<RetryDeadLettersWorkflow>('retryDeadLetters', {
      workflowId: retryDeadLettersId(pipeline),
      taskQueue: TASK_QUEUE,
      args: [{ pipeline }],
      workflowIdConflictPolicy: 'USE_EXISTING',
      staticSummary: `Retry the dead letters of ${pipeline}`,
    });
  }

  /** Deletes what no version of the table needs any more, or waits for the vacuum that is running. */
  async vacuum(input: VacuumInput): Promise<VacuumReceipt> {
    const handle = await this.startVacuum(input);
    return await orFailure(handle.result());
  }

  /** Starts a vacuum, or attaches to the running one, whatever it was asked to do. */
  async startVacuum(input: VacuumInput): Promise<WorkflowHandle<VacuumWorkflow>> {
    const what = input.dryRun === true ? 'Plan the vacuum of' : 'Vacuum';
    return await this.client.workflow.start<VacuumWorkflow>('vacuum', {
      workflowId: vacuumId(input.pipeline, input.dryRun),
      taskQueue: TASK_QUEUE,
      args: [input],
      workflowIdConflictPolicy: 'USE_EXISTING',
      staticSummary: `${what} ${input.pipeline}`,
    });
  }

  /** Undefined where the run was over before it could answer, and did not fail. */
  private async tryToAttach(pipeline: string, until: Until): Promise<AttachedDrain | undefined> {
    const startWorkflowOperation = new WithStartWorkflowOperation<DrainWorkflow>('drain', {
      workflowId: drainId(pipeline),
      taskQueue: TASK_QUEUE,
      args: [{ pipeline, until }],
      workflowIdConflictPolicy: 'USE_EXISTING',
      staticSummary: `Drain ${pipeline} until ${describeUntil(until)}`,
    });
    const update: WorkflowUpdateHandle<RetargetResult> = await this.client.workflow.startUpdateWithStart<
      DrainWorkflow,
      RetargetResult,
      [RetargetInput]
    >('retarget', { args: [{ until, raiseOnly: true }], waitForStage: 'ACCEPTED', startWorkflowOperation });
    // The type says optional for handles made from ids; the answer of a server always has it.
    const runId = update.workflowRunId as string;
    // By its run id: another run of the same workflow id may follow at once, and has not promised this.
    const handle = this.client.workflow.getHandle<DrainWorkflow>(drainId(pipeline), runId);
    try {
      const { endingOffsets } = await update.result();
      const receipt = async () => receiptFor({ until, endingOffsets }, await orFailure(handle.result()));
      return { runId, handle, endingOffsets, receipt };
    } catch (error) {
      const failure = toFailure(error);
      if (failure instanceof Failure) throw failure;
      const { status } = await handle.describe();
      if (status.name === 'RUNNING') throw error;
      // It ended before it could answer. Where it failed, that tells why.
      if (status.name !== 'CONTINUED_AS_NEW') await handle.result();
      return undefined;
    }
  }

  private handle(pipeline: string): WorkflowHandle<DrainWorkflow> {
    return this.client.workflow.getHandle<DrainWorkflow>(drainId(pipeline));
  }
}

/**
 * Runs in a row that closed before they accepted a goal. Each closing is a race; this many are something
 * else.
 */
const ATTEMPTS_MAX = 10;
const GRPC_ABORTED = 10;

/** The run that the server chose closed before it accepted the update: the next attempt starts a new one. */
function hadClosed(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return (
    error instanceof WorkflowNotFoundError ||
    (isGrpcServiceError(cause) && Number(cause.code) === GRPC_ABORTED)
  );
}

async function orFailure<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw toFailure(error);
  }
}

/** `until` in words, for summaries. */
function describeUntil(until: Until): string {
  if (until === 'latest') return 'the latest offsets';
  return 'timestamp' in until ? until.timestamp : 'given offsets';
}
