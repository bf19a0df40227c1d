import {
  type CleanedLog,
  type DroppedPartitions,
  type VacuumedTable,
  type VacuumInput,
  type VacuumProgress,
  type VacuumReceipt,
  vacuumId,
} from '../contract.ts';
import { Failure } from '../errors.ts';
import { formatBytes, formatCount, formatCountOf, formatDuration } from '../format.ts';
import type { Context, Verb } from '../terminal/context.ts';
import { followRun } from '../terminal/follow-run.ts';
import type { Output } from '../terminal/output.ts';
import { parseDuration } from '../units.ts';

interface VacuumOptions {
  readonly olderThan?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .option(
        '--older-than <duration>',
        "delete only files older than this, such as 7d; default: the pipeline's",
      )
      .option('--dry-run', 'show what would be deleted; deletes nothing')
      .option('--force', 'accept a duration that is shorter than running work may need')
      .addHelpText(
        'after',
        '\nFirst drops the rows that table.retention calls old.\n' +
          'Then deletes files that no version of the table or of its dead-letter table needs, documents of finished runs, and old\n' +
          'versions of both logs, which the ledger keeps. Drains and readers of the newest version are not disturbed.\n\n' +
          'With --force, running drains, retries and compactions may have to write files again, or fail with FILES_EXPIRED, and\n' +
          'readers of an older version lose files. The table itself stays intact.',
      )
      .action((pipeline: string, options: VacuumOptions) => vacuumVerb(context, pipeline, options));
  },
};

/** Starts a vacuum or attaches to the running one, shows its progress, prints its receipt. */
async function vacuumVerb(context: Context, pipeline: string, options: VacuumOptions): Promise<void> {
  const input = vacuumInput(pipeline, options);
  await followRun<VacuumProgress, VacuumReceipt>(context, {
    pipeline,
    workflowId: vacuumId(pipeline, input.dryRun),
    noun: 'vacuum',
    start: (tidemark) => tidemark.startVacuum(input),
    attached: ': this command waits for its result.',
    describeProgress,
    describeReceipt,
  });
}

function vacuumInput(pipeline: string, { olderThan, dryRun, force }: VacuumOptions): VacuumInput {
  if (olderThan !== undefined && parseDuration(olderThan) === undefined) {
    throw new Failure(
      'USAGE',
      `--older-than takes a duration, not ${JSON.stringify(olderThan)}.`,
      'For example: --older-than 7d, or --older-than 12h.',
    );
  }
  return {
    pipeline,
    ...(olderThan === undefined ? {} : { olderThan }),
    ...(dryRun ? { dryRun } : {}),
    ...(force ? { force } : {}),
  };
}

function describeProgress({ phase, files }: VacuumProgress): string {
  if (files === undefined) return phase;
  const { deleted, toDelete, bytesDeleted, bytesToDelete } = files;
  return `${phase}: ${formatCount(deleted)} of ${formatCountOf(toDelete, 'file')} (${formatBytes(bytesDeleted)} of ${formatBytes(bytesToDelete)}) deleted`;
}

function describeReceipt(receipt: VacuumReceipt, output: Output): string {
  const { outcome, cutOff, table, deadLetters, leftovers, retention } = receipt;
  const heads = {
    planned: output.style('yellow', 'Dry run.'),
    nothingToDo: output.style('green', 'Nothing to do.'),
    vacuumed: output.style('green', 'Done.'),
  };
  return [
    `${heads[outcome]} From before ${cutOff}, this ${outcome === 'planned' ? 'would be' : 'was'} deleted (${formatDuration(receipt.durationMs)}):`,
    ...(retention === undefined ? [] : [describeRetention(retention)]),
    describeTable('table', table),
    ...(deadLetters === undefined ? [] : [describeTable('dead letters', deadLetters)]),
    `  leftovers     ${formatCountOf(leftovers.documents, 'document')} of finished runs (${formatBytes(leftovers.documentBytes)}), ` +
      `${formatCountOf(leftovers.temporaryFiles, 'temporary file')} (${formatBytes(leftovers.temporaryBytes)})`,
  ].join('\n');
}

/** Rows are gone for readers at once, their files for the disk later. */
function describeRetention(dropped: DroppedPartitions): string {
  const { column, before, oldest, newest, partitions, files, rows, bytes, tableVersion } = dropped;
  const label = `  ${'rows'.padEnd(13)} `;
  if (oldest === null) return `${label}none: no table partition has ${column} < ${before}`;
  const version = tableVersion === undefined ? '' : `, in version ${formatCount(tableVersion)}`;
  return (
    `${label}${rows === null ? 'an unknown number of rows' : formatCountOf(rows, 'row')} of ${formatCountOf(partitions, 'table partition')}, ` +
    `${column} ${oldest === newest ? oldest : `${oldest} to ${newest}`}${version}\n` +
    `  ${''.padEnd(13)} (${formatCountOf(files, 'file')}, ${formatBytes(bytes)}: kept for readers of older versions for vacuum.olderThan, then deleted)`
  );
}

function describeTable(label: string, { filesDeleted, bytesDeleted, kept, log }: VacuumedTable): string {
  const reasons = [
    `${formatCount(kept.live)} live`,
    ...(kept.fresh > 0 ? [`${formatCount(kept.fresh)} too fresh`] : []),
    ...(kept.removed > 0 ? [`${formatCount(kept.removed)} replaced since`] : []),
    ...(kept.carried > 0 ? [`${formatCount(kept.carried)} to be published`] : []),
    ...(kept.foreign > 0 ? [`${formatCount(kept.foreign)} not ours`] : []),
  ];
  return (
    `  ${label.padEnd(13)} ${formatCountOf(filesDeleted, 'file')} (${formatBytes(bytesDeleted)}); kept: ${reasons.join(', ')}\n` +
    `  ${''.padEnd(13)} ${describeLog(log)}`
  );
}

const HELD_BY: Readonly<Record<CleanedLog['heldBy'], string>> = {
  young: 'newer ones are too young',
  deadLetters: 'newer ones carry dead letters that are not published yet',
  restore: 'a RESTORE must be repaired first',
  newest: 'newer ones are needed to read the table',
};

function describeLog({ versionsDeleted, logCheckpointsDeleted, firstVersion, heldBy }: CleanedLog): string {
  return (
    `${formatCountOf(versionsDeleted, 'version')} of the log and ${formatCountOf(logCheckpointsDeleted, 'log checkpoint')}; ` +
    `it begins at version ${firstVersion}: ${HELD_BY[heldBy]}`
  );
}
