import {
  type CompactInput,
  type CompactionProgress,
  type CompactionReceipt,
  compactId,
} from '../contract.ts';
import { Failure } from '../errors.ts';
import { formatBytes, formatCount, formatDuration } from '../format.ts';
import type { Context, Verb } from '../terminal/context.ts';
import { followRun } from '../terminal/follow-run.ts';
import type { Output } from '../terminal/output.ts';
import { parseBytes } from '../units.ts';

interface CompactOptions {
  readonly targetFiles?: string;
  readonly targetFileSize?: string;
  readonly dryRun?: boolean;
}

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .option('--target-files <n>', 'leave this many files in each table partition')
      .option('--target-file-size <size>', 'merge smaller files up to this size, such as 128MiB')
      .option('--dry-run', 'show what would be done; changes nothing')
      .action((pipeline: string, options: CompactOptions) => compactVerb(context, pipeline, options));
  },
};

/** Starts a compaction or attaches to the running one, shows its progress, prints its receipt. */
async function compactVerb(context: Context, pipeline: string, options: CompactOptions): Promise<void> {
  const input = compactInput(pipeline, options);
  await followRun<CompactionProgress, CompactionReceipt>(context, {
    pipeline,
    workflowId: compactId(pipeline, input.dryRun),
    noun: 'compaction',
    start: (tidemark) => tidemark.startCompaction(input),
    attached: ': this command waits for its result.',
    describeProgress,
    describeReceipt,
  });
}

function compactInput(
  pipeline: string,
  { targetFiles, targetFileSize, dryRun = false }: CompactOptions,
): CompactInput {
  if (targetFiles !== undefined && targetFileSize !== undefined) {
    throw usage('--target-files and --target-file-size exclude each other.');
  }
  if (targetFiles !== undefined && !/^[1-9]\d{0,5}$/.test(targetFiles)) {
    throw usage(`--target-files takes a whole number from 1 on, not ${JSON.stringify(targetFiles)}.`);
  }
  if (targetFileSize !== undefined && (parseBytes(targetFileSize) ?? 0) < 1024) {
    throw usage(`--target-file-size takes a size of at least 1KiB, not ${JSON.stringify(targetFileSize)}.`);
  }
  return {
    pipeline,
    ...(targetFiles === undefined ? {} : { targetFiles: Number(targetFiles) }),
    ...(targetFileSize === undefined ? {} : { targetFileSize }),
    ...(dryRun ? { dryRun } : {}),
  };
}

function usage(problem: string): Failure {
  return new Failure('USAGE', problem, 'For example: --target-files 4, or --target-file-size 128MiB.');
}

function describeProgress({ phase, totals, round }: CompactionProgress): string {
  if (phase === 'planning' || round === undefined) return phase;
  const before = totals.filesRemoved === 0 ? '' : `${formatCount(totals.filesRemoved)} files replaced; `;
  return (
    `${phase}: ${before}${formatCount(round.filesToRemove)} files (${formatBytes(round.bytesToRewrite)}) ` +
    `into ${formatCount(round.filesToAdd)}, ${round.tasksDone} of ${round.tasks} tasks done`
  );
}

function describeReceipt(receipt: CompactionReceipt, output: Output): string {
  const { outcome, filesBefore, filesAfter, filesRemoved, filesAdded, bytesRemoved, bytesAdded } = receipt;
  const left = leftAlone(receipt);
  if (outcome === 'nothingToDo') {
    return `${output.style('green', 'Nothing to do.')} ${formatCount(filesBefore)} files in table version ${formatCount(receipt.tableVersion)}.${left}`;
  }
  const rewritten = `${formatCount(filesRemoved)} of ${formatCount(filesBefore)} files`;
  const where = `${formatCount(receipt.rows)} rows in ${formatCount(receipt.tablePartitions)} table partitions`;
  if (outcome === 'planned') {
    return (
      `${output.style('yellow', 'Dry run.')} ${rewritten} (${formatBytes(bytesRemoved)}) would become ${formatCount(filesAdded)}, ` +
      `${where}; ${formatCount(filesAfter)} files would remain.${left}`
    );
  }
  return (
    `${output.style('green', 'Done.')} ${rewritten} (${formatBytes(bytesRemoved)}) became ${formatCount(filesAdded)} ` +
    `(${formatBytes(bytesAdded)}), ${where}, ${formatDuration(receipt.durationMs)}. ` +
    `Table version ${formatCount(receipt.tableVersion)}, ${formatCount(filesAfter)} files.${left}`
  );
}

function leftAlone({ partitionsLeft: { fresh, belowTarget } }: CompactionReceipt): string {
  const reasons = [
    ...(fresh > 0 ? [`${formatCount(fresh)} table partitions are too fresh`] : []),
    ...(belowTarget > 0 ? [`${formatCount(belowTarget)} have fewer files than asked for`] : []),
  ];
  return reasons.length === 0 ? '' : ` Left alone: ${reasons.join('; ')}.`;
}
