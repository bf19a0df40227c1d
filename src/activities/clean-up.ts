import { holdUnpublished } from '../commits/publish.ts';
import type { CleanedLog } from '../contract.ts';
import type { CleanUp } from '../delta/log-cleanup.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import type { VacuumStepInput } from './commit-vacuum.ts';
import type { Dependencies } from './dependencies.ts';

export interface CleanUpInput extends VacuumStepInput {
  readonly dryRun: boolean;
}

export interface CleanUpResult {
  readonly table: CleanedLog;
  readonly deadLetters: CleanedLog;
  /** What killed writers had left in both folders. */
  readonly temporary: { readonly files: number; readonly bytes: number };
}

/**
 * Takes old versions out of both logs, folded into their ledgers first, and temporary files out of both
 * folders.
 *
 * Runs any number of times, killed anywhere; tells what this attempt has done.
 */
export async function cleanUp(
  dependencies: Dependencies,
  { run, plan, dryRun }: CleanUpInput,
): Promise<CleanUpResult> {
  const { cutOffMs, keepSinceMs } = plan;
  const lettersLocation = deadLettersLocation(run.table);
  const main = dependencies.openLog(run.table);
  const letters = dependencies.openLog(lettersLocation);
  const unpublished = () => holdUnpublished(letters, main, run.pipeline);
  const table = await main.cleanUp({ keepSinceMs, dryRun }, unpublished);
  const deadLetters = await letters.cleanUp({ keepSinceMs, dryRun });
  let temporary = { files: 0, bytes: 0 };
  for (const location of new Set([run.table, lettersLocation, run.documents])) {
    const { count, bytes } = await dependencies.openStore(location).deleteUnfinished(cutOffMs, dryRun);
    temporary = { files: temporary.files + count, bytes: temporary.bytes + bytes };
  }
  return { table: told(table), deadLetters: told(deadLetters), temporary };
}

function told({ firstVersion = 0, heldBy = 'newest', ...done }: CleanUp): CleanedLog {
  return { ...done, firstVersion, heldBy };
}
