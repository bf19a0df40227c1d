import { type Add, type CommitInfo, decodePath } from '../delta/actions.ts';
import { traitsOf } from '../delta/kinds.ts';
import type { DeltaLog } from '../delta/log.ts';
import { versionPath } from '../delta/log-files.ts';
import type { CommittedVersion } from '../delta/version.ts';
import { Failure } from '../errors.ts';
import { DEAD_LETTERS_APP_ID } from './pipeline-state.ts';

/**
 * A main version that carries letters, or, without any, a repair that went back to what an older one had
 * carried.
 */
export interface CarriedVersion {
  readonly tableVersion: bigint;
  readonly files: readonly Add[];
  /** The carrying version before it; undefined for the first. */
  readonly previous: bigint | undefined;
}

/**
 * Paths, in the dead-letter table's store, of all letters that this main table's versions carry.
 *
 * @throws Failure DEAD_LETTERS_LOST where one of these versions is gone
 */
export async function carriedLetterPaths(main: DeltaLog): Promise<ReadonlySet<string>> {
  const newest = (await main.snapshot())?.txns.get(DEAD_LETTERS_APP_ID);
  if (newest === undefined) return new Set();
  const { ahead } = await gatherCarried(newest, undefined, (version) => carriedIn(main, version));
  return pathsOf(ahead);
}

/** In the dead-letter table's store. */
export function pathsOf(versions: readonly CarriedVersion[]): ReadonlySet<string> {
  return new Set(versions.flatMap(({ files }) => files.map(({ path }) => decodePath(path))));
}

/** Carrying versions, newest first. */
export interface Carried {
  readonly ahead: readonly CarriedVersion[];
  readonly behind: readonly CarriedVersion[];
}

/**
 * The carrying versions from `newest` back to `published`, and, where a repair has led past that, all of both
 * branches.
 *
 * @param read what a main version carries; throws where the log no longer tells
 */
export async function gatherCarried(
  newest: bigint,
  published: bigint | undefined,
  read: (tableVersion: bigint) => Promise<CarriedVersion>,
): Promise<Carried> {
  const ahead = await chain(newest, published, read);
  const reached = ahead.at(-1)?.previous;
  if (published === undefined || reached === published) return { ahead, behind: [] };
  return { ahead, behind: await chain(published, undefined, read) };
}

async function chain(
  newest: bigint,
  until: bigint | undefined,
  read: (tableVersion: bigint) => Promise<CarriedVersion>,
): Promise<CarriedVersion[]> {
  const versions: CarriedVersion[] = [];
  for (let next: bigint | undefined = newest; next !== undefined && next !== until; ) {
    const version: CarriedVersion = await read(next);
    versions.push(version);
    next = version.previous;
  }
  return versions;
}

/** @throws Failure DEAD_LETTERS_LOST where the main version is gone, or carries nothing */
export async function carriedIn(main: DeltaLog, tableVersion: bigint): Promise<CarriedVersion> {
  const version = await main.versionAlone(Number(tableVersion));
  const carried =
    version &&
    (await readCarried(version, async (restored) => {
      const snapshot = await main.snapshotAt(restored);
      if (snapshot === undefined) throw carrierGone(main, restored);
      return snapshot.txns.get(DEAD_LETTERS_APP_ID);
    }));
  if (carried === undefined) throw carrierGone(main, Number(tableVersion));
  return carried;
}

/**
 * What a main version carries; undefined where it carries nothing.
 *
 * @param carriedBy the newest carrying version at an older main version: asked where a repair does not tell
 * it itself
 */
export async function readCarried(
  { tableVersion, commitInfo }: CommittedVersion,
  carriedBy: (mainVersion: number) => Promise<bigint | undefined>,
): Promise<CarriedVersion | undefined> {
  const version = BigInt(tableVersion);
  if (commitInfo === undefined) return undefined;
  const { restoredVersion, deadLetters } = commitInfo;
  const traits = traitsOf(commitInfo.tidemark);
  if (traits?.offsets === 'answered' && typeof restoredVersion === 'number') {
    const isTold = 'previousDeadLetters' in commitInfo;
    const previous = isTold ? previousOf(commitInfo) : await carriedBy(restoredVersion);
    return { tableVersion: version, files: [], previous };
  }
  if (traits?.letters !== 'carried' || !Array.isArray(deadLetters)) return undefined;
  return { tableVersion: version, files: deadLetters as Add[], previous: previousOf(commitInfo) };
}

function previousOf({ previousDeadLetters }: CommitInfo): bigint | undefined {
  return typeof previousDeadLetters === 'string' ? BigInt(previousDeadLetters) : undefined;
}

function carrierGone({ store }: DeltaLog, tableVersion: number): Failure {
  return new Failure(
    'DEAD_LETTERS_LOST',
    `${store.root}/${versionPath(tableVersion)} is gone or altered: it says which dead letters must still be published.`,
    'Nothing was changed. Restore it from a backup.',
  );
}
