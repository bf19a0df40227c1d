import { publishLetters } from '../commits/publish.ts';
import type { Run } from '../contract.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import type { Dependencies } from './dependencies.ts';

export interface PublishDeadLettersInput {
  readonly run: Run;
}

export interface PublishDeadLettersResult {
  /** The main version up to which this call has published; absent where there was nothing to do. */
  readonly mainTableVersion?: number;
}

/**
 * Makes the dead letters of committed batches readable: appends the files that the table's versions carry to
 * the dead-letter table, each once, in order.
 *
 * Runs any number of times, also two at once and after any crash: what is published is a `txn` of the
 * dead-letter table.
 */
export async function publishDeadLetters(
  dependencies: Dependencies,
  { run }: PublishDeadLettersInput,
): Promise<PublishDeadLettersResult> {
  const main = dependencies.openLog(run.table);
  const letters = dependencies.openLog(deadLettersLocation(run.table));
  const outcome = await publishLetters(letters, main, run.pipeline);
  return outcome.kind === 'committed' ? { mainTableVersion: Number(outcome.record.mainTableVersion) } : {};
}
