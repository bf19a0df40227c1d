import type { CommitInfo } from '../delta/actions.ts';
import type { DeltaLog } from '../delta/log.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';

/**
 * The version whose rows a RESTORE brought back, with its offsets. Which one that is, is said by the
 * RESTORE's parameters; that it is true, by the files: the RESTORE must have left exactly those of that
 * version.
 *
 * The restored version may itself stand upon a RESTORE that nobody repaired; then its offsets are that one's.
 *
 * @param restore the version of the RESTORE
 * @throws Failure REPAIR_REFUSED where the log does not tell it any more, or where the files differ
 */
export async function readRestored(log: DeltaLog, restore: number): Promise<Snapshot> {
  const after = await stateAt(log, restore);
  const named = restoredVersion((await log.versionsSince(restore - 1))[0]?.commitInfo);
  const restored =
    named === undefined ? await newestWithFiles(log, after) : await requireFiles(log, after, named);
  const { unrepairedRestore } = restored;
  return unrepairedRestore === undefined ? restored : await readRestored(log, unrepairedRestore);
}

/** `{"version": "1"}` of delta-rs and Spark; a RESTORE to a time does not name its version. */
function restoredVersion(commitInfo: CommitInfo | undefined): number | undefined {
  const parameters = commitInfo?.operationParameters as Readonly<Record<string, unknown>> | undefined;
  const version = String(parameters?.version ?? '');
  return /^\d{1,15}$/.test(version) ? Number(version) : undefined;
}

async function requireFiles(log: DeltaLog, after: Snapshot, tableVersion: number): Promise<Snapshot> {
  const restored = await stateAt(log, tableVersion);
  if (haveSameFiles(restored, after)) return restored;
  throw refused(
    `Version ${after.tableVersion} says that it restored version ${tableVersion}, but its files are not that version's.`,
  );
}

/** Versions with the same files have the same rows: offsets between them stand for none. */
async function newestWithFiles(log: DeltaLog, after: Snapshot): Promise<Snapshot> {
  for (let tableVersion = after.tableVersion - 1; tableVersion >= 0; tableVersion--) {
    const state = await stateAt(log, tableVersion);
    if (haveSameFiles(state, after)) return state;
  }
  throw refused(`Version ${after.tableVersion} is a RESTORE, but no earlier version has its files.`);
}

async function stateAt(log: DeltaLog, tableVersion: number): Promise<Snapshot> {
  const snapshot = await log.snapshotAt(tableVersion);
  if (snapshot !== undefined) return snapshot;
  throw refused(`The log no longer says what version ${tableVersion} held: it was cleaned up.`);
}

function haveSameFiles(one: Snapshot, other: Snapshot): boolean {
  return one.files.size === other.files.size && [...one.files.keys()].every((path) => other.files.has(path));
}

function refused(problem: string): Failure {
  return new Failure(
    'REPAIR_REFUSED',
    `${problem} So the offsets that belong to the table's rows are unknown. Nothing was changed.`,
    'Restore _delta_log from a backup, or drain into a new location.',
  );
}
