import { Context } from '@temporalio/activity';
import type { BatchOutcome, Superseded } from '../commits/batch.ts';
import type { CompactionOutcome } from '../commits/compaction.ts';
import type { RetryOutcome } from '../commits/retry.ts';
import type { Expired } from '../commits/rules.ts';

type Outcome = BatchOutcome | CompactionOutcome | RetryOutcome;

/**
 * Says in the worker's log that this attempt has changed nothing, and why. It is not a failure: a worker was
 * frozen while another one continued, or two runs overlap. The batch's id is here for a person who asks later
 * why no version names its files.
 */
export function warnLostRace(outcome: Outcome, batchId: string): void {
  if (outcome.kind !== 'committed')
    Context.current().log.warn(`batch ${batchId} ${describeLostRace(outcome)}`);
}

/** Why this attempt has not committed a batch, as the end of a sentence that begins with the batch's id. */
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
