import { drainId, type Receipt, type Until } from '../../contract.ts';
import { Failure } from '../../errors.ts';
import { formatBytes, formatCount, formatCountOf, formatDuration } from '../../format.ts';
import { ACCOUNTING_TERMS } from '../../records/accounting.ts';
import type { Context, Verb } from '../../terminal/context.ts';
import { type Output, table } from '../../terminal/output.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .option(
        '--until <end>',
        'latest, a timestamp, or offsets as JSON: {"topic":{"0":1000,"1":-1}} (exclusive)',
        'latest',
      )
      .option('--no-wait', 'start or attach, print the workflow id, and return')
      .action((pipeline: string, options: { until: string; wait: boolean }) =>
        drainVerb(context, pipeline, options),
      );
  },
};

/** Starts a drain or attaches to the running one, shows its progress, prints its receipt. */
async function drainVerb(
  context: Context,
  pipeline: string,
  options: { until: string; wait: boolean },
): Promise<void> {
  const { output } = context;
  const until = parseUntil(options.until);
  await context.loadPipeline(pipeline);
  const { withTemporal } = await import('../../temporal/client.ts');
  const { acceptedSoon, requireWorker } = await import('../../temporal/workflow-runs.ts');
  const { Tidemark } = await import('../../client.ts');
  const { describeDrain } = await import('./progress.ts');
  const { watchRun } = await import('../../terminal/run-progress.ts');

  await withTemporal(async (client) => {
    await requireWorker(client);
    // From the start: a first activity that is retried must not look like silence.
    const workflowId = drainId(pipeline);
    const progress = watchRun({ client, workflowId, output, describe: describeDrain(Date.now()) });
    context.onInterrupt(() => {
      progress.stop();
      output.note(
        `\nThe drain continues as workflow ${drainId(pipeline)}. Watch it: tidemark drain ${pipeline}. ` +
          `Stop it: tidemark cancel ${pipeline}`,
      );
    });
    try {
      const drain = await acceptedSoon(
        () => new Tidemark(client).startDrain(pipeline, until),
        client,
        drainId(pipeline),
      );
      if (!options.wait) {
        const { runId, endingOffsets } = drain;
        output.result({ workflowId, runId, endingOffsets }, () => workflowId);
        return;
      }
      const receipt = await drain.receipt();
      progress.stop();
      output.result(receipt, () => describeReceipt(receipt, output));
      process.exitCode = exitCode(receipt);
    } finally {
      progress.stop();
    }
  });
}

/** A run that fell short is worse news than letters that it set aside. */
function exitCode({ outcome, deadLetters }: Receipt): 0 | 1 | 5 {
  if (outcome === 'partial') return 1;
  return deadLetters.exceeded ? 5 : 0;
}

/** `latest`, a timestamp of ISO 8601, or a JSON object of offsets. */
export function parseUntil(text: string): Until {
  if (text === 'latest') return 'latest';
  if (text.trimStart().startsWith('{')) return { offsets: parseOffsets(text) };
  if (/^\d{4}-\d{2}-\d{2}/.test(text) && !Number.isNaN(Date.parse(text))) return { timestamp: text };
  throw new Failure(
    'USAGE',
    `--until takes latest, a timestamp, or offsets as JSON, not ${JSON.stringify(text)}.`,
    'For example: --until 2026-11-22T00:00:00Z, or --until \'{"topicA":{"0":1000,"1":-1}}\'.',
  );
}

function parseOffsets(text: string): Record<string, Record<string, number>> {
  try {
    const parsed = JSON.parse(text);
    return parsed.offsets ?? parsed;
  } catch (cause) {
    throw new Failure(
      'OFFSETS_INVALID',
      `Expected e.g. {"topicA":{"0":23,"1":-1}}, got ${text}`,
      'Give offsets as a JSON object; -1 is the latest.',
      { cause },
    );
  }
}

function describeReceipt(receipt: Receipt, output: Output): string {
  const { totals, partitions, partitionCount } = receipt;
  const moved = partitions.filter(({ startingOffset, endingOffset }) => startingOffset !== endingOffset);
  const lines: string[] = [];
  if (moved.length > 0) {
    const rows = moved.map((p) => [
      p.topic,
      String(p.kafkaPartition),
      p.startingOffset,
      p.endingOffset,
      formatCount(p.rows),
      formatCount(Number(p.offsetsBehindHighWatermark)),
    ]);
    const headings = ['topic', 'partition', 'from', 'to', 'rows', 'behind'];
    lines.push(table(headings, rows, headings.slice(1)));
    if (partitionCount > partitions.length)
      lines.push(`... and ${partitionCount - partitions.length} more partitions`);
  }
  const seconds = receipt.durationMs / 1000;
  const version =
    receipt.tableVersion < 0 ? 'No table yet' : `Table version ${formatCount(receipt.tableVersion)}`;
  const notes = ACCOUNTING_TERMS.filter((term) => term !== 'rows' && totals[term] > 0).map(
    (term) => `${formatCount(totals[term])} ${inWords(term)}`,
  );
  if (totals.committedByOthers > 0)
    notes.push(`${formatCount(totals.committedByOthers)} offsets committed by others`);
  if (totals.truncatedTimestamps !== undefined)
    notes.push(`${formatCountOf(totals.truncatedTimestamps, 'time')} cut to microseconds`);
  lines.push(
    `${output.style(receipt.outcome === 'complete' ? 'green' : 'yellow', receipt.outcome === 'complete' ? 'Done.' : 'Partial.')} ` +
      `${formatCount(totals.rows)} rows from ${formatCount(totals.offsets)} offsets${notes.length > 0 ? ` (${notes.join(', ')})` : ''}, ` +
      `${formatCountOf(totals.files, 'file')}, ${formatBytes(totals.bytes)}, ${formatDuration(receipt.durationMs)}` +
      `${totals.rows > 0 ? ` (${formatCount(Math.round(totals.rows / seconds))} rows/s)` : ''}.`,
    `${version}. ${formatCount(Number(receipt.offsetsBehindHighWatermark))} offsets behind the high watermark.`,
  );
  if (receipt.reason !== undefined) lines.push(receipt.reason);
  if (totals.deadLetters > 0) lines.push(describeDeadLetters(receipt, output));
  return lines.join('\n');
}

function describeDeadLetters({ pipeline, totals, deadLetters }: Receipt, output: Output): string {
  const { share, maxShare, exceeded, location } = deadLetters;
  const limit = exceeded ? `, more than records.maxDeadLetters (${percent(maxShare)})` : '';
  const text = `${formatCount(totals.deadLetters)} dead letters, ${percent(share)} of the records${limit}.`;
  return `${output.style(exceeded ? 'red' : 'yellow', text)} Table: ${location}\nLook at them: tidemark dead-letters list ${pipeline}`;
}

/** `deadLetters` as people write it. */
function inWords(term: string): string {
  return term.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** A share of 0.0004 must not look like none. */
function percent(share: number): string {
  return `${Number((share * 100).toPrecision(2))}%`;
}
