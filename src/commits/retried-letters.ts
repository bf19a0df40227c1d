import type { DeltaLog } from '../delta/log.ts';
import { versionPath } from '../delta/log-files.ts';
import { Failure } from '../errors.ts';
import { LetterSet } from './letters.ts';
import { readRetryRecord } from './retry.ts';

/** What the retry `batchId` and all before it have settled, by log: each batch of a retry asks again. */
const settled = new WeakMap<DeltaLog, { readonly batchId: string; readonly letters: LetterSet }>();

/**
 * The letters that the retry of version `newest` and all before it have settled, found from one to the one
 * before, down to what is known from the last call.
 *
 * @param newest as `newestRetryOf` has it
 * @throws Failure TABLE_CORRUPT where one of these versions is gone: its letters would be made rows a second
 * time
 */
export async function lettersRetried(log: DeltaLog, newest: bigint | undefined): Promise<LetterSet> {
  const known = settled.get(log);
  const letters = new LetterSet();
  let batchId: string | undefined;
  for (let tableVersion = newest; tableVersion !== undefined; ) {
    const version = await log.versionAlone(Number(tableVersion));
    const retry = version && readRetryRecord(version);
    if (retry === undefined) throw retryGone(log, tableVersion);
    batchId ??= retry.batchId;
    // Not by its number: the table may have been made again, or restored and that version be another retry.
    if (retry.batchId === known?.batchId) {
      letters.addAll(known.letters.toSpans());
      break;
    }
    letters.addAll(retry.retried);
    tableVersion = retry.previousRetry;
  }
  if (batchId !== undefined) settled.set(log, { batchId, letters: LetterSet.of(letters.toSpans()) });
  return letters;
}

function retryGone({ store }: DeltaLog, tableVersion: bigint): Failure {
  return new Failure(
    'TABLE_CORRUPT',
    `${store.root}/${versionPath(Number(tableVersion))} is gone or altered: it says which dead letters became rows.`,
    'Nothing was changed. Restore it from a backup: without it these letters would become rows a second time.',
  );
}
