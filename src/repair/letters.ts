import type { LettersInTheWay } from '../commits/publication.ts';
import { findLettersInTheWay, publishLetters } from '../commits/publish.ts';
import { type Add, decodePath, parseStats } from '../delta/actions.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';
import { formatCount } from '../format.ts';
import { openLetterTable } from '../letters/dead-letter-table.ts';
import type { Specification } from '../pipeline/specification.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import type { OpenTable } from '../runs/open-table.ts';
import { FORGET_LETTERS, requireOwn } from './answered.ts';
import type { Finding, FoundLetterFile } from './diagnosis.ts';

/** What keeps a drain from publishing dead letters, of a table that is ours and has no unrepaired RESTORE. */
export async function diagnoseLetters(main: OpenTable, specification: Specification): Promise<Finding[]> {
  try {
    const letters = openLetterTable(specification, main.outside);
    return findings(await findLettersInTheWay(letters.log, main.log, specification.name), specification);
  } catch (error) {
    // The version that would tell which files are missing is missing itself.
    if (!(error instanceof Failure) || error.code !== 'DEAD_LETTERS_LOST') throw error;
    return [{ problem: error.code, text: `${error.message}\n${error.fix}`, partitions: [], answers: [] }];
  }
}

function findings({ lost, rewritten }: LettersInTheWay, { name, table }: Specification): Finding[] {
  const location = deadLettersLocation(table.location);
  const command = `tidemark repair ${name} ${FORGET_LETTERS}`;
  const ofLost: Finding = {
    problem: 'DEAD_LETTERS_LOST',
    text: `${location}: ${countedLetters(lost.map(foundFile))} that were to be published are gone or altered.\nNo batch is read until they are restored from a backup, or given up.`,
    partitions: [],
    files: lost.map(foundFile),
    answers: [{ command, effect: `the other letters are published; ${GIVEN_UP}` }],
  };
  const ofRewritten: Finding = {
    problem: 'REPAIR_REFUSED',
    text: `${location}: ${countedLetters(rewritten.map(foundFile))} should change with a repaired RESTORE of the table, but this table was rewritten after they were published.`,
    partitions: [],
    files: rewritten.map(foundFile),
    answers: [{ command, effect: LEFT }],
  };
  return [...(rewritten.length > 0 ? [ofRewritten] : []), ...(lost.length > 0 ? [ofLost] : [])];
}

export const GIVEN_UP =
  "Tidemark has no copy of these records' bytes (Kafka may still have them); the table keeps their counts";
export const LEFT =
  'these letters stay in the dead-letter table as they are; dead-letters list and retry skip the rewritten files, since these also hold letters of batches that the RESTORE took back';

/** Files that keep dead letters from being published, and what the answer would do about each. */
export interface ForgettableLetters {
  /** The dead-letter table's. */
  readonly location: string;
  /** Gone or altered: their letters are given up. */
  readonly lost: readonly FoundLetterFile[];
  /** Of a table that was rewritten since: their letters stay as they are. */
  readonly rewritten: readonly FoundLetterFile[];
}

/** What `forgetLetters` would give up and leave. Throws as a drain does for a table that is not ours. */
export async function forgettableLetters(
  main: OpenTable,
  snapshot: Snapshot,
  specification: Specification,
): Promise<ForgettableLetters> {
  requireOwn(snapshot, specification);
  const letters = openLetterTable(specification, main.outside);
  const { lost, rewritten } = await findLettersInTheWay(letters.log, main.log, specification.name);
  const location = deadLettersLocation(specification.table.location);
  return { location, lost: lost.map(foundFile), rewritten: rewritten.map(foundFile) };
}

/**
 * Publishes all dead letters but those of the files that were shown.
 *
 * @returns the version of the dead-letter table that names them, and the files it leaves; undefined where all
 *   is published by now
 */
export async function forgetLetters(
  main: OpenTable,
  specification: Specification,
  { lost, rewritten }: ForgettableLetters,
  { who, reason }: { readonly who: string; readonly reason: string },
): Promise<{ readonly tableVersion: number; readonly forgotten: readonly string[] } | undefined> {
  const files = new Set([...lost, ...rewritten].map(({ path }) => path));
  const letters = openLetterTable(specification, main.outside);
  const outcome = await publishLetters(letters.log, main.log, specification.name, { files, who, reason });
  return outcome.kind === 'nothingToPublish' ? undefined : outcome.record;
}

/** `1,200 dead letters in 3 files`, as far as the log tells how many they are. */
export function countedLetters(files: readonly FoundLetterFile[]): string {
  const known = files.reduce((sum, { letters }) => sum + (letters ?? 0), 0);
  const letters = known === 1 ? '1 dead letter' : `${formatCount(known)} dead letters`;
  return `${letters} in ${files.length === 1 ? '1 file' : `${formatCount(files.length)} files`}`;
}

function foundFile({ path, stats }: Add): FoundLetterFile {
  return { path: decodePath(path), letters: parseStats(stats)?.numRecords ?? null };
}
