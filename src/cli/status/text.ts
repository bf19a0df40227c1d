import { formatBytes, formatCount, formatCountOf } from '../../format.ts';
import type { PartitionLag } from '../../inspect/lag.ts';
import type { RunStatus } from '../../inspect/running.ts';
import type { Status, TableStatus } from '../../inspect/status.ts';
import { type Output, table } from '../../terminal/output.ts';

/** The status on one screen. */
export function describeStatus(status: Status, output: Output): string {
  const heading = (text: string) => output.style('bold', text);
  return [
    `${heading(status.pipeline)}  ${status.location}`,
    describeTable(status.table, status.pipeline),
    ...(status.findings.length > 0 ? [describeFindings(status, output)] : []),
    ...('problem' in status.kafka ? [`Kafka: ${status.kafka.problem}`] : []),
    ...(status.partitions.length > 0 ? [describePartitions(status.partitions)] : []),
    describeRuns(status),
    describeSchedules(status.schedules),
  ].join('\n\n');
}

function describeTable(found: Status['table'], pipeline: string): string {
  if ('problem' in found) return `Table: ${found.problem}`;
  if (!('files' in found)) return 'Table: none yet; the first drain makes it.';
  const rows = found.rows === null ? 'unknown rows' : `${formatCount(found.rows)} rows`;
  const commits = found.recentCommits.map(({ tableVersion, committedAt, operation, totals }) => [
    String(tableVersion),
    committedAt ?? '',
    operation,
    Object.entries(totals ?? {})
      .filter(([, value]) => typeof value === 'number' && value !== 0)
      .map(([name, value]) => `${name} ${formatCount(Number(value))}`)
      .join(', '),
  ]);
  return (
    `Table: version ${found.tableVersion}, ${formatCountOf(found.files, 'file')}, ${formatBytes(found.bytes)}, ${rows}\n` +
    table(['version', 'committed at', 'operation', 'totals'], commits, ['version']) +
    (found.vacuumedUntil === null ? '' : `\nVacuumed: files from before ${found.vacuumedUntil}`) +
    describeDeadLetters(found.deadLetters, pipeline)
  );
}

function describeFindings({ pipeline, findings }: Status, output: Output): string {
  const problems = findings.map(({ problem, topic }) =>
    topic === undefined ? problem : `${problem} (${topic})`,
  );
  return `${output.style('red', `To repair: ${problems.join(', ')}`)}\nLook: tidemark repair ${pipeline}`;
}

function describeDeadLetters(found: TableStatus['deadLetters'], pipeline: string): string {
  if ('problem' in found) return `\nDead letters: ${found.problem}`;
  if (found.letters === 0) return '';
  const letters = found.letters === null ? 'an unknown number' : formatCount(found.letters);
  return `\nDead letters: ${letters}, ${formatCount(found.retried)} of them retried: tidemark dead-letters list ${pipeline}`;
}

function describePartitions(partitions: readonly PartitionLag[]): string {
  const total = partitions.reduce((sum, { lag }) => sum + BigInt(lag ?? 0), 0n);
  const isKnown = partitions.every(({ lag }) => lag !== null);
  const headings = ['topic', 'partition', 'committed', 'log end', 'lag'];
  const rows = partitions.map(({ topic, kafkaPartition, committedOffset, logEndOffset, lag }) => [
    topic,
    String(kafkaPartition),
    committedOffset ?? '-',
    logEndOffset ?? '-',
    lag === null ? '-' : formatCount(BigInt(lag)),
  ]);
  const sum = isKnown ? `\nLag: ${formatCount(total)} offsets` : '';
  return table(headings, rows, headings.slice(1)) + sum;
}

function describeRuns({ runs, pipeline }: Status): string {
  if ('problem' in runs) return `Temporal: ${runs.problem}`;
  if (runs.length === 0) return 'Runs: none';
  return runs
    .map((run) => `Running: ${run.workflowId} since ${run.startedAt}${describeProgress(run, pipeline)}`)
    .join('\n');
}

function describeProgress({ progress }: RunStatus, pipeline: string): string {
  if (progress === null) return '';
  if ('problem' in progress) return `; ${progress.problem}`;
  const resumable = progress.paused ? `\nContinue it: tidemark resume ${pipeline}` : '';
  const goal = progress.offsetsToDrain === undefined ? '' : ` of ${formatCount(progress.offsetsToDrain)}`;
  return `; ${progress.phase}, ${formatCount(progress.offsetsDrained)}${goal} offsets, ${formatCount(progress.totals.rows)} rows${resumable}`;
}

function describeSchedules(schedules: Status['schedules']): string {
  if ('problem' in schedules) return 'Schedules: not known without Temporal';
  if (schedules.length === 0) return 'Schedules: none';
  return schedules
    .map(({ scheduleId, spec, paused, nextRun }) => {
      const next = paused ? 'paused' : `next at ${nextRun ?? 'no time'}`;
      return `Schedule: ${scheduleId} ${spec}, ${next}`;
    })
    .join('\n');
}
