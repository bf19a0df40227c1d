import { type RetryProgress, type RetryReceipt, retryDeadLettersId } from '../workflows/contract.ts';
import type { Context } from './context.ts';
import { formatCount, formatCountOf, formatDuration, type Output } from './output.ts';

/** Starts a retry of the dead letters or attaches to the running one, shows its progress, prints its receipt. */
export async function retryVerb(
  context: Context,
  pipeline: string,
  options: { readonly wait: boolean },
): Promise<void> {
  const { output } = context;
  await context.loadPipeline(pipeline);
  const { withTemporal } = await import('./temporal.ts');
  const { attachedSince, requireWorker, workflowResult } = await import('./workflow-runs.ts');
  const { Tidemark } = await import('../client.ts');
  const { watchRun } = await import('./run-progress.ts');

  await withTemporal(async (client) => {
    await requireWorker(client);
    const startedAtMs = Date.now();
    const handle = await new Tidemark(client).startRetry(pipeline);
    const workflowId = retryDeadLettersId(pipeline);
    const since = await attachedSince(handle, startedAtMs);
    if (since !== undefined) {
      output.note(`A retry of ${pipeline} is running since ${since}, with the pipeline as it was then.`);
    }
    if (!options.wait) return output.result({ workflowId }, () => workflowId);
    const progress = watchRun({ client, workflowId, output, describe: describeProgress });
    context.onInterrupt(() => {
      progress.stop();
      output.note(
        `\nThe retry goes on as workflow ${workflowId}. Watch it: tidemark dead-letters retry ${pipeline}. ` +
          `Stop it: temporal workflow cancel --workflow-id ${workflowId}`,
      );
    });
    const receipt = await workflowResult<RetryReceipt>(handle).finally(() => progress.stop());
    output.result(receipt, () => describeReceipt(receipt, output));
  });
}

function describeProgress({ phase, totals, pass }: RetryProgress): string {
  if (pass === undefined) return phase;
  const { letters, rows, stillDefective } = totals;
  return (
    `${phase}: batch ${Math.min(pass.batchesDone + 1, pass.batches)} of ${pass.batches}; ` +
    `${formatCount(letters)} letters decoded again, ${formatCount(rows)} rows, ${formatCount(stillDefective)} still defective`
  );
}

export function describeReceipt(
  { pipeline, totals, tableVersion, durationMs }: RetryReceipt,
  output: Output,
): string {
  const { letters, rows, filtered, stillDefective, files } = totals;
  const done = output.style('green', 'Done.');
  if (letters === 0) return `${done} There are no open dead letters.`;
  const settled = [
    ...(rows > 0
      ? [
          `${formatCount(rows)} ${rows === 1 ? 'is a row' : 'are rows'} now, in ${formatCountOf(files, 'file')}`,
        ]
      : []),
    ...(filtered > 0 ? [`${formatCount(filtered)} left out by clean.where`] : []),
    ...(stillDefective > 0 ? [`${formatCount(stillDefective)} still defective`] : []),
  ];
  const lines = [
    `${done} ${formatCountOf(letters, 'dead letter')} decoded again: ${settled.join('; ')}. ${formatDuration(durationMs)}. Table version ${formatCount(tableVersion)}.`,
  ];
  if (stillDefective > 0)
    lines.push(`What is wrong with those: tidemark dead-letters list ${pipeline} --open`);
  return lines.join('\n');
}
