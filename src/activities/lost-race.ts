import { Context } from '@temporalio/activity';
import type { BatchOutcome, Superseded } from '../commits/batch.ts';
import type { CompactionOutcome } from '../commits/compaction.ts';
import type { RetryOutcome } from '../commits/retry.ts';
import type { Expired } from '../commits/rules.ts';

type Outcome = BatchOutcome | CompactionOutcome | RetryOutcome;

/**
 * Says in the worker's log that this attempt has changed nothing, and why. No failure: a worker that froze while another
 * went on, or a run beside another run. Whoever asks later why no version names a batch's files finds its id here.
 */
export function warnLostRace(outcome: Outcome, batchId: string): void {
  if (outcome.kind !== 'committed')
    Context.current().log.warn(`batch ${batchId} ${describeLostRace(outcome)}`);
}

/** What became of a batch that this attempt has not committed, behind its id. */
export function describeLostRace(outcome: Exclude<Outcome, { kind: 'committed' }>): string {
  switch (outcome.kind) {
    case 'alreadyCommitted':
      return `is version ${outcome.record.tableVersion} already: another attempt committed it, or an earlier one whose answer was lost. This attempt changed nothing.`;
    case 'superseded':
      return `is not committed: ${'partitions' in outcome ? whoWasFirst(outcome) : 'others have retried dead letters since it was planned'}. No table version names its files; the rest is planned again.`;
    case 'replan':
      return `is not committed: others have removed ${outcome.inputsGone.length} of the files that it read. No table version names the files that it wrote; it is planned again.`;
    case 'expired':
      return `is not committed: ${describeExpired(outcome)}. Its files are written again.`;
  }
}

function whoWasFirst({ partitions, topics }: Superseded): string {
  const [first, ...others] = partitions;
  if (first === undefined)
    return topics.length === 0
      ? 'another run has created the table since it was planned'
      : `the id of topic ${topics[0]} has changed since it was planned`;
  const { topic, kafkaPartition, startingOffset, committedOffset } = first;
  const planned =
    startingOffset === undefined ? 'where none was planned' : `not ${startingOffset} as planned`;
  const more = others.length === 0 ? '' : `, and likewise for ${others.length} more partitions`;
  return `the table's next offset of ${topic}/${kafkaPartition} is ${committedOffset ?? 'unknown'}, ${planned}${more}`;
}

export function describeExpired({ files }: Expired): string {
  const [first, ...others] = files;
  return `${first?.path}: ${first?.problem}${others.length > 0 ? `, and ${others.length} more files` : ''}`;
}
