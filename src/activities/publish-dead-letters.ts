import { Context } from '@temporalio/activity';
import { deadLettersLocation } from '../records/dead-letters.ts';
import type { Run } from '../workflows/contract.ts';
import type { Dependencies } from './dependencies.ts';

export interface PublishDeadLettersInput {
  readonly run: Run;
}

export interface PublishDeadLettersResult {
  /** The main version up to which this call has published; absent where there was nothing to do. */
  readonly mainTableVersion?: number;
}

const HEARTBEAT_EVERY_MS = 4_000;

/**
 * Makes the dead letters of committed batches readable: appends the files that the table's versions carry to the
 * dead-letter table, each once, in order.
 *
 * Runs any number of times, also two at once and after any crash: what is published is a `txn` of the dead-letter table.
 */
export async function publishDeadLetters(
  dependencies: Dependencies,
  { run }: PublishDeadLettersInput,
): Promise<PublishDeadLettersResult> {
  const context = Context.current();
  const heartbeat = setInterval(() => context.heartbeat(), HEARTBEAT_EVERY_MS);
  try {
    const main = dependencies.openLog(run.location);
    const letters = dependencies.openLog(deadLettersLocation(run.location));
    const outcome = await letters.publishDeadLetters(main, run.pipeline);
    return outcome.kind === 'published' ? { mainTableVersion: Number(outcome.mainTableVersion) } : {};
  } finally {
    clearInterval(heartbeat);
  }
}
