import { type RetryProgress, type RetryReceipt, retryDeadLettersId } from '../../contract.ts';
import { formatCount, formatCountOf, formatDuration } from '../../format.ts';
import type { Context } from '../../terminal/context.ts';
import { followRun } from '../../terminal/follow-run.ts';
import type { Output } from '../../terminal/output.ts';

/**
 * Starts a retry of the dead letters or attaches to the running one, shows its progress, prints its receipt.
 */
export async function retryVerb(
  context: Context,
  pipeline: string,
  options: { readonly wait: boolean },
): Promise<void> {
  await followRun<RetryProgress, RetryReceipt>(context, {
    pipeline,
    workflowId: retryDeadLettersId(pipeline),
    noun: 'retry',
    start: (tidemark) => tidemark.startRetry(pipeline),
    attached: ', with the pipeline as it was then.',
    watchAgain: `tidemark dead-letters retry ${pipeline}`,
    wait: options.wait,
    describeProgress,
    describeReceipt,
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
  if (stillDefective > 0) lines.push(`See why: tidemark dead-letters list ${pipeline} --open`);
  return lines.join('\n');
}
