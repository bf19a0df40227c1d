import type { WorkflowHandle } from '@temporalio/client';
import type { Tidemark } from '../client.ts';
import type { Context } from './context.ts';
import type { Output } from './output.ts';

export interface FollowedRun<Progress, Receipt> {
  readonly pipeline: string;
  readonly workflowId: string;
  /** As notes call it: `vacuum`. */
  readonly noun: string;
  /** Starts it, or attaches to the running one. */
  readonly start: (tidemark: Tidemark) => Promise<WorkflowHandle>;
  /** Whose result that is, where it had been running. */
  readonly attached: string;
  /** How to look at it again after an interrupt; by default nothing is said. */
  readonly watchAgain?: string;
  /** False: its id is the result. */
  readonly wait?: boolean;
  readonly describeProgress: (progress: Progress) => string;
  readonly describeReceipt: (receipt: Receipt, output: Output) => string;
}

/** Shows a run's progress on stderr and prints its receipt; an interrupt leaves the run alone. */
export async function followRun<Progress, Receipt>(
  context: Context,
  run: FollowedRun<Progress, Receipt>,
): Promise<void> {
  const { output } = context;
  const { pipeline, workflowId, noun } = run;
  await context.loadPipeline(pipeline);
  const { withTemporal } = await import('../temporal/client.ts');
  const { attachedSince, requireWorker, workflowResult } = await import('../temporal/workflow-runs.ts');
  const { Tidemark } = await import('../client.ts');
  const { watchRun } = await import('./run-progress.ts');

  await withTemporal(async (client) => {
    await requireWorker(client);
    const startedAtMs = Date.now();
    const handle = await run.start(new Tidemark(client));
    const since = await attachedSince(handle, startedAtMs);
    if (since !== undefined)
      output.note(`A ${noun} of ${pipeline} has been running since ${since}${run.attached}`);
    if (run.wait === false) return output.result({ workflowId }, () => workflowId);
    const progress = watchRun<Progress>({ client, workflowId, output, describe: run.describeProgress });
    context.onInterrupt(() => {
      progress.stop();
      const watch = run.watchAgain === undefined ? '' : `Watch it: ${run.watchAgain}. `;
      output.note(
        `\nThe ${noun} continues as workflow ${workflowId}. ` +
          `${watch}Stop it: temporal workflow cancel --workflow-id ${workflowId}`,
      );
    });
    const receipt = await workflowResult<Receipt>(handle).finally(() => progress.stop());
    output.result(receipt, () => run.describeReceipt(receipt, output));
  });
}
