import { Failure } from '../errors.ts';
import type { ObjectEntry, ObjectStore } from '../storage/object-store.ts';
import { parseActions } from './actions.ts';
import { ledgerLine, ledgerPath, ledgerVersion } from './ledger.ts';
import { pointToLogCheckpoint, readLastCheckpoint } from './log-checkpoint.ts';
import { LOG_FOLDER, type LogListing, readLogListing, versionOfEntry, versionPath } from './log-files.ts';
import type { LogReader } from './log-reader.ts';

/** Somebody needs the log from `tableVersion` on as it is. */
export interface Hold {
  readonly tableVersion: number;
  readonly why: HoldReason;
}

/**
 * - `young`: younger than what is to be kept
 * - `deadLetters`: it carries dead letters that are not published yet
 * - `restore`: a RESTORE that nobody has repaired
 * - `newest`: the table's newest version
 */
export type HoldReason = 'young' | 'deadLetters' | 'restore' | 'newest';

export interface CleanUpOptions {
  /** Versions that are younger than this moment by the store's clock stay. Milliseconds since 1970. */
  readonly keepSinceMs: number;
  readonly holds: readonly Hold[];
  /** Tells the same and changes nothing. */
  readonly dryRun: boolean;
}

/** What this call has done, or would do. */
export interface CleanUp {
  readonly versionsFolded: number;
  readonly versionsDeleted: number;
  readonly logCheckpointsDeleted: number;
  readonly bytesDeleted: number;
  /** The log is whole from this version on; undefined where there is no table. */
  readonly firstVersion: number | undefined;
  /** What kept the clean-up from going further. */
  readonly heldBy: HoldReason | undefined;
}

/**
 * Takes old versions out of the log: folds them into the ledger, and only then deletes them, ascending. What
 * stays begins with a log checkpoint that has all later versions, so other engines read the table as before.
 *
 * Runs any number of times, also two at once; if one is killed anywhere, the next one continues.
 *
 * @throws Failure TABLE_CORRUPT where a version is missing that would be folded
 */
export async function cleanUpLog(
  store: ObjectStore,
  reader: LogReader,
  { keepSinceMs, holds, dryRun }: CleanUpOptions,
): Promise<CleanUp> {
  const snapshot = await reader.snapshot();
  if (snapshot === undefined) return NOTHING;
  const entries = await store.list(LOG_FOLDER);
  const limit = limitOf(
    entries,
    [...holds, { tableVersion: snapshot.tableVersion, why: 'newest' }],
    keepSinceMs,
  );
  const covered = await reader.foldedUpTo();
  const restored = holds.find(({ why }) => why === 'restore');
  const firstVersion = restored
    ? undefined
    : await chooseStart(reader, readLogListing(entries), limit.tableVersion, covered + 1);
  if (firstVersion === undefined)
    return { ...NOTHING, firstVersion: covered + 1, heldBy: (restored ?? limit).why };

  const folding = new Folding(store, reader, firstVersion);
  const versionsFolded = dryRun ? await folding.count() : await folding.fold();
  if (!dryRun && ((await readLastCheckpoint(store)) ?? -1) < firstVersion)
    await pointToLogCheckpoint(store, firstVersion);
  // Versions after a hole that the ledger does not cover stay.
  const folded = { from: await reader.firstFolded(firstVersion), until: firstVersion };
  const deleted = await deleteFolded(store, entries, folded, dryRun);
  return { versionsFolded, ...deleted, firstVersion, heldBy: limit.why };
}

const NOTHING: CleanUp = {
  versionsFolded: 0,
  versionsDeleted: 0,
  logCheckpointsDeleted: 0,
  bytesDeleted: 0,
  firstVersion: undefined,
  heldBy: undefined,
};

/** The lowest version that somebody needs. Pure. */
export function limitOf(entries: readonly ObjectEntry[], holds: readonly Hold[], keepSinceMs: number): Hold {
  const versions = new Map(entries.map((entry) => [entry.path, entry.modifiedMs]));
  const young = readLogListing(entries).versions.filter(
    (tableVersion) => (versions.get(versionPath(tableVersion)) ?? 0) >= keepSinceMs,
  );
  const all = [
    ...holds,
    ...young.slice(0, 1).map((tableVersion) => ({ tableVersion, why: 'young' as const })),
  ];
  return all.reduce((lowest, hold) => (hold.tableVersion < lowest.tableVersion ? hold : lowest));
}

/**
 * The newest log checkpoint at or before `limit` that says what the versions before it say. At least
 * `folded`, the version from which a clean-up before this one has kept the log: what it folded is deleted,
 * whatever has changed since.
 */
async function chooseStart(
  reader: LogReader,
  { logCheckpoints }: LogListing,
  limit: number,
  folded: number,
): Promise<number | undefined> {
  const possible = logCheckpoints.filter(
    (version) => version >= folded && (version <= limit || version === folded),
  );
  for (const tableVersion of possible.reverse())
    if (await reader.isSoundLogCheckpoint(tableVersion)) return tableVersion;
  return undefined;
}

/** A file of the ledger is read whole for one of its versions. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const FILE_VERSIONS_MAX = 1000;

/** Extends the ledger up to `until`, exclusive, file by file. */
class Folding {
  private readonly store: ObjectStore;
  private readonly reader: LogReader;
  private readonly until: number;

  constructor(store: ObjectStore, reader: LogReader, until: number) {
    this.store = store;
    this.reader = reader;
    this.until = until;
  }

  async count(): Promise<number> {
    return Math.max(0, this.until - (await this.reader.firstUnfolded(this.until)));
  }

  async fold(): Promise<number> {
    let folded = 0;
    for (;;) {
      const first = await this.reader.firstUnfolded(this.until);
      if (first >= this.until) return folded;
      const lines = await this.linesFrom(first);
      if (lines.length === 0 && (await this.reader.firstUnfolded(this.until)) === first)
        throw missing(this.store, first);
      // If another clean-up was first, its file says where the ledger continues.
      if (
        lines.length > 0 &&
        (await this.store.putIfAbsent(ledgerPath(first), Buffer.from(lines.join('')))) === 'created'
      )
        folded += lines.length;
    }
  }

  /** If these are not the versions of the table any more, the ledger has grown, and the put fails. */
  private async linesFrom(first: number): Promise<string[]> {
    const lines: string[] = [];
    let bytes = 0;
    for (
      let version = first;
      version < this.until && lines.length < FILE_VERSIONS_MAX && bytes < FILE_BYTES_MAX;
      version++
    ) {
      const content = await this.store.read(versionPath(version));
      if (content === undefined) break;
      const actions = parseActions(content.toString('utf8'), `${this.store.root}/${versionPath(version)}`);
      const line = ledgerLine(ledgerVersion(version, actions));
      lines.push(line);
      bytes += line.length;
    }
    return lines;
  }
}

/**
 * Everything of versions [from, until), ascending: log checkpoints and what other engines keep beside them,
 * too.
 */
async function deleteFolded(
  store: ObjectStore,
  entries: readonly ObjectEntry[],
  { from, until }: { readonly from: number; readonly until: number },
  dryRun: boolean,
): Promise<Pick<CleanUp, 'versionsDeleted' | 'logCheckpointsDeleted' | 'bytesDeleted'>> {
  const deleted: ObjectEntry[] = [];
  for (const entry of entries) {
    const version = versionOfEntry(entry.path);
    if (version === undefined || version < from || version >= until) continue;
    // If the table was dropped and created again meanwhile, the same name is another object.
    const now = dryRun ? entry : await store.stat(entry.path);
    if (now?.modifiedMs !== entry.modifiedMs || now.sizeBytes !== entry.sizeBytes) continue;
    if (!dryRun) await store.delete(entry.path);
    deleted.push(entry);
  }
  const { versions, logCheckpoints, otherLogCheckpoints } = readLogListing(deleted);
  return {
    versionsDeleted: versions.length,
    logCheckpointsDeleted: new Set([...logCheckpoints, ...otherLogCheckpoints]).size,
    bytesDeleted: deleted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}

function missing(store: ObjectStore, tableVersion: number): Failure {
  return new Failure(
    'TABLE_CORRUPT',
    `${store.root}/${versionPath(tableVersion)} is missing, and the ledger does not hold it: the log cannot be cleaned up.`,
    'Nothing was deleted. Restore it from a backup.',
  );
}
