import { Failure } from '../errors.ts';
import type { ObjectStat, ObjectStore } from '../storage/object-store.ts';
import { type Action, type CommitInfo, parseActions } from './actions.ts';
import { movesOffsets } from './kinds.ts';
import { LEDGER_FOLDER, type LedgerVersion, ledgerVersion } from './ledger.ts';
import { LedgerReader } from './ledger-reader.ts';
import { decodeLogCheckpoint, readLastCheckpoint } from './log-checkpoint.ts';
import {
  beforeVersion,
  LOG_FOLDER,
  type LogListing,
  logCheckpointPath,
  readLogListing,
  versionPath,
} from './log-files.ts';
import { replay, type Snapshot } from './snapshot.ts';
import { type CommittedVersion, commitInfoOf, type LogVersion } from './version.ts';

/**
 * Reads a table's log: the newest snapshot, kept and advanced, and the `commitInfo`s of versions.
 *
 * Versions are contiguous, or the table is corrupt. Two things look like a hole and are none: a listing that
 * was made while others committed, and versions below a log checkpoint that a clean-up has taken.
 *
 * Where the ledger covers a version, it decides what that version is, whatever JSON lies in its place: one
 * that came after a clean-up is a frozen process's. A JSON is trusted only if the ledger did not cover it
 * when it had been read.
 */
export class LogReader {
  private readonly store: ObjectStore;
  private readonly ledger: LedgerReader;
  private known: Known | undefined;
  /** Of versions read so far: a version never changes while the table stays the same. */
  private readonly commitInfos = new Map<number, CommitInfo | undefined>();

  constructor(store: ObjectStore) {
    this.store = store;
    this.ledger = new LedgerReader(store);
  }

  /**
   * The newest version that exists when the call begins, or a newer one; undefined where there is no table.
   */
  async snapshot(): Promise<Snapshot | undefined> {
    try {
      return await this.newest();
    } catch (error) {
      throw atTable(this.store.root, error);
    }
  }

  /**
   * The state at an older version; undefined where the log no longer tells it: cleaned up below a log
   * checkpoint.
   */
  async snapshotAt(tableVersion: number): Promise<Snapshot | undefined> {
    const listing = readLogListing(await this.store.list(LOG_FOLDER));
    for (const start of this.startingPoints(listing)) {
      if (start > tableVersion || firstMissing(start + 1, tableVersion, listing.versions) !== undefined)
        continue;
      const read = await this.readFrom(start, tableVersion);
      if (read.kind === 'read' && start >= (await this.ledger.end())) return read.snapshot;
    }
    return undefined;
  }

  /** Reads from scratch the next time. */
  forget(): void {
    this.known = undefined;
    this.commitInfos.clear();
    this.ledger.forget();
  }

  /** Whether a clean-up has folded this version, so that the ledger says what it is. */
  async isFolded(tableVersion: number): Promise<boolean> {
    return tableVersion <= (await this.ledger.end());
  }

  /** The last version that the ledger covers; -1 where there is none. */
  async foldedUpTo(): Promise<number> {
    return await this.ledger.end();
  }

  /** The first version that the ledger covers, or will when all before `until` is folded. */
  async firstFolded(until: number): Promise<number> {
    return await this.firstVersion(until);
  }

  /** The first version that a clean-up of all before `until` would fold. */
  async firstUnfolded(until: number): Promise<number> {
    const covered = await this.ledger.end();
    return covered >= 0 ? covered + 1 : await this.firstVersion(until);
  }

  /**
   * Whether the log checkpoint at `tableVersion` is whole, has all later versions, and says what the versions
   * before it say, as far as these are there: what comes before it is going to be deleted.
   */
  async isSoundLogCheckpoint(tableVersion: number): Promise<boolean> {
    const listing = readLogListing(await this.store.list(LOG_FOLDER));
    const newest = listing.versions.at(-1) ?? -1;
    if (firstMissing(tableVersion, newest, listing.versions) !== undefined) return false;
    const alone = await this.readLogCheckpoint(tableVersion);
    if (alone === undefined) return false;
    for (const start of [...listing.logCheckpoints, -1]
      .filter((version) => version < tableVersion)
      .reverse()) {
      if (
        start < this.ledger.knownEnd ||
        firstMissing(start + 1, tableVersion, listing.versions) !== undefined
      )
        continue;
      const read = await this.readFrom(start, tableVersion);
      if (read.kind === 'read') return isSameState(alone, read.snapshot);
    }
    return true;
  }

  /** Every version from the first that is known up to `newest`, ascending, each read when it is asked for. */
  async *history(newest: number): AsyncGenerator<LedgerVersion> {
    for (let next = await this.firstVersion(newest); next <= newest; ) {
      for await (const version of this.ledger.from(next)) {
        if (version.tableVersion > newest) return;
        yield version;
        next = version.tableVersion + 1;
      }
      const content = next > newest ? undefined : await this.store.read(versionPath(next));
      if (next > newest || (await this.isFolded(next))) continue;
      if (content === undefined) throw corrupt(this.store.root, `version ${next} is missing`);
      yield ledgerVersion(next, parseActions(content.toString('utf8'), this.where(next)));
      next++;
    }
  }

  private async newest(): Promise<Snapshot | undefined> {
    if (!(await this.isKnownStillTrue())) this.forget();
    const hint = this.known?.snapshot.tableVersion ?? (await readLastCheckpoint(this.store)) ?? 0;
    let problem = '';
    // A hint may be wrong, and a listing may miss what came while it was made: look at everything, twice,
    // then complain.
    for (const from of [hint, 0, 0]) {
      const listing = readLogListing(await this.store.list(LOG_FOLDER, beforeVersion(from)));
      const read = await this.readNewest(listing);
      const covered = await this.ledger.end();
      if (read.kind === 'read' && read.start >= covered) return await this.keep(read);
      if (read.kind === 'noTable' && from === 0 && covered === -1) return undefined;
      problem = read.kind === 'broken' ? read.problem : shortOf(covered, read);
      // What looks like the ledger of another table may be an old one's that is remembered.
      if (read.kind === 'noTable') this.ledger.forget();
    }
    throw corrupt(this.store.root, problem);
  }

  /** The ledger's first; else the first from which all versions up to `newest` are there. */
  private async firstVersion(newest: number): Promise<number> {
    const folded = await this.ledger.first();
    if (folded !== undefined) return folded;
    const there = new Set(readLogListing(await this.store.list(LOG_FOLDER)).versions);
    let first = newest;
    while (there.has(first - 1)) first--;
    return first;
  }

  /**
   * The versions in (`after`, `newest`], ascending, as far back as they can be trusted: a version counts only
   * while its predecessor is there, too. Clean-up ascends, so one behind a gap may come from a process that
   * was frozen meanwhile.
   */
  async versionsBetween(after: number, newest: number): Promise<CommittedVersion[]> {
    const versions: CommittedVersion[] = [];
    for await (const version of this.newestFirst(newest)) {
      if (version.tableVersion <= after) break;
      versions.push(version);
    }
    return versions.reverse();
  }

  /** Every look into the past goes through here. */
  private async *newestFirst(newest: number): AsyncGenerator<CommittedVersion> {
    let version = await this.version(newest);
    while (version !== undefined) {
      const { tableVersion } = version;
      const before = await this.version(tableVersion - 1);
      if (tableVersion > 0 && before === undefined) return;
      yield version;
      version = before;
    }
  }

  /**
   * One version, whatever lies around it; undefined where it is gone. Not kept: of many, each is asked for
   * once.
   */
  async versionAlone(tableVersion: number): Promise<CommittedVersion | undefined> {
    if (this.commitInfos.has(tableVersion))
      return { tableVersion, commitInfo: this.commitInfos.get(tableVersion) };
    const isKnownFolded = tableVersion <= this.ledger.knownEnd;
    const content = isKnownFolded ? undefined : await this.store.read(versionPath(tableVersion));
    if (isKnownFolded || (await this.isFolded(tableVersion))) return await this.ledger.version(tableVersion);
    if (content === undefined) return undefined;
    const lines = content.toString('utf8').split('\n');
    const actions = parseActions(
      lines.filter((line) => line.includes('"commitInfo"')).join('\n'),
      this.where(tableVersion),
    );
    return { tableVersion, commitInfo: commitInfoOf(actions) };
  }

  private async version(tableVersion: number): Promise<CommittedVersion | undefined> {
    if (tableVersion < 0) return undefined;
    const version = await this.versionAlone(tableVersion);
    if (version !== undefined) this.commitInfos.set(tableVersion, version.commitInfo);
    return version;
  }

  /**
   * A table may be dropped and created again between two calls: then its newest version is another object.
   */
  private async isKnownStillTrue(): Promise<boolean> {
    if (this.known === undefined) return true;
    const { snapshot, object } = this.known;
    const now = await this.store.stat(versionPath(snapshot.tableVersion));
    return now !== undefined && now.sizeBytes === object.sizeBytes && now.modifiedMs === object.modifiedMs;
  }

  private async keep({ snapshot, versions }: Extract<Read, { kind: 'read' }>): Promise<Snapshot> {
    for (const { tableVersion, actions } of versions)
      this.commitInfos.set(tableVersion, commitInfoOf(actions));
    const object = await this.store.stat(versionPath(snapshot.tableVersion));
    this.known = object === undefined ? undefined : { snapshot, object };
    for (const tableVersion of this.commitInfos.keys()) {
      if (tableVersion < snapshot.tableVersion - COMMIT_INFOS_KEPT) this.commitInfos.delete(tableVersion);
    }
    return snapshot;
  }

  /** From the newest starting point after which every version up to the newest is there and readable. */
  private async readNewest(listing: LogListing): Promise<Read> {
    const newest = Math.max(listing.versions.at(-1) ?? -1, listing.logCheckpoints.at(-1) ?? -1);
    const problems: string[] = [];
    const starts = this.startingPoints(listing);
    if (starts.length === 0) return { kind: 'broken', problem: shortOf(this.ledger.knownEnd) };
    for (const start of starts) {
      const missing = firstMissing(start + 1, newest, listing.versions);
      if (missing !== undefined) problems.push(`version ${missing} is missing (${versionPath(missing)})`);
      const read = missing === undefined ? await this.readFrom(start, newest) : undefined;
      if (read?.kind === 'read') return read;
      if (read?.kind === 'broken') problems.push(read.problem);
    }
    if (newest === -1 && listing.otherLogCheckpoints.length === 0) return { kind: 'noTable' };
    const others = listing.otherLogCheckpoints.map(
      (name) => `${name} is a kind of log checkpoint that Tidemark does not read (multi-part or V2)`,
    );
    return { kind: 'broken', problem: [...new Set([...problems, ...others])].join('; ') };
  }

  /** Versions of which the state can be had without those that the ledger covers; -1 is the empty table. */
  private startingPoints({ logCheckpoints }: LogListing): number[] {
    const known = this.known?.snapshot.tableVersion;
    const starts = [...(known === undefined ? [] : [known]), ...[...logCheckpoints].reverse(), -1];
    return starts.filter((start) => start >= this.ledger.knownEnd);
  }

  private async readFrom(start: number, newest: number): Promise<Read> {
    if (newest === -1) return { kind: 'noTable' };
    const base = await this.stateAt(start);
    if (base === 'unreadable')
      return { kind: 'broken', problem: `${logCheckpointPath(start)} cannot be read` };
    const versions: LogVersion[] = [];
    for (let tableVersion = start + 1; tableVersion <= newest; tableVersion++) {
      const content = await this.store.read(versionPath(tableVersion));
      if (content === undefined) return { kind: 'broken', problem: `version ${tableVersion} is missing` };
      versions.push({
        tableVersion,
        actions: parseActions(content.toString('utf8'), this.where(tableVersion)),
      });
    }
    return { kind: 'read', start, versions, snapshot: replay(base, versions) };
  }

  private async stateAt(start: number): Promise<Snapshot | undefined | 'unreadable'> {
    if (start === -1) return undefined;
    if (start === this.known?.snapshot.tableVersion) return this.known.snapshot;
    const snapshot = await this.readLogCheckpoint(start);
    return snapshot ? { ...snapshot, unrepairedRestore: await this.restoreUpTo(start) } : 'unreadable';
  }

  /**
   * Undefined where it is damaged. It does not include an unrepaired RESTORE, which a log checkpoint cannot
   * show.
   */
  private async readLogCheckpoint(tableVersion: number): Promise<Snapshot | undefined> {
    const content = await this.store.read(logCheckpointPath(tableVersion));
    const actions =
      content && (await decodeLogCheckpoint(content, this.where(tableVersion)).catch(unlessUnsupported));
    return actions && isComplete(actions) ? replay(undefined, [{ tableVersion, actions }]) : undefined;
  }

  /**
   * Log checkpoints hold no `commitInfo`: looks back to the pipeline's last commit. Clean-up never passes a
   * RESTORE.
   */
  private async restoreUpTo(newest: number): Promise<number | undefined> {
    for await (const { tableVersion, commitInfo } of this.newestFirst(newest)) {
      if (commitInfo?.operation === 'RESTORE') return tableVersion;
      if (movesOffsets(commitInfo)) return undefined;
    }
    return undefined;
  }

  private where(tableVersion: number): string {
    return `${this.store.root}/${versionPath(tableVersion)}`;
  }
}

/** A snapshot, and the object of its version by which to tell that the table is still the same. */
interface Known {
  readonly snapshot: Snapshot;
  readonly object: ObjectStat;
}

type Read =
  | {
      readonly kind: 'read';
      readonly snapshot: Snapshot;
      /** Of what the snapshot was replayed: from the state at `start`, these versions. */
      readonly start: number;
      readonly versions: readonly LogVersion[];
    }
  | { readonly kind: 'noTable' }
  | { readonly kind: 'broken'; readonly problem: string };

const COMMIT_INFOS_KEPT = 1000;

function firstMissing(from: number, to: number, versions: readonly number[]): number | undefined {
  const there = new Set(versions);
  for (let version = from; version <= to; version++) if (!there.has(version)) return version;
  return undefined;
}

/** In all that a commit or a reader depends on; expired tombstones may be missing. */
function isSameState(one: Snapshot, other: Snapshot): boolean {
  const same = <V>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, V>, equal: (x: V, y: V) => boolean) =>
    a.size === b.size &&
    [...a].every(([key, value]) => {
      const there = b.get(key);
      return there !== undefined && equal(value, there);
    });
  return (
    one.metaData.id === other.metaData.id &&
    one.metaData.schemaString === other.metaData.schemaString &&
    same(one.txns, other.txns, (x, y) => x === y) &&
    same(one.files, other.files, (x, y) => x.size === y.size)
  );
}

/** A damaged log checkpoint is only a lost short cut; one of another kind is a reason to stop. */
function unlessUnsupported(error: unknown): undefined {
  if (!(error instanceof Failure && error.code === 'TABLE_CORRUPT')) throw error;
}

function isComplete(actions: readonly Action[]): boolean {
  return actions.some((action) => 'protocol' in action) && actions.some((action) => 'metaData' in action);
}

/** The ledger ends at `covered`, and the rest of the log does not continue from there. */
function shortOf(covered: number, read?: Exclude<Read, { kind: 'broken' }>): string {
  const what = `${LEDGER_FOLDER} holds versions up to ${covered}`;
  if (read?.kind === 'read' && read.snapshot.tableVersion > covered)
    return `${what}, and a clean-up is in progress`;
  return `${what}, and no log checkpoint is left that continues from there`;
}

/** Code that reads one action or version does not know the table's place: this adds it. */
function atTable(root: string, error: unknown): unknown {
  if (!(error instanceof Failure) || error.message.includes(root)) return error;
  return new Failure(error.code, `${root}: ${error.message}`, error.fix, { cause: error });
}

function corrupt(root: string, problem: string): Failure {
  return new Failure(
    'TABLE_CORRUPT',
    `The log of the table ${root} cannot be read: ${problem}.`,
    'Nothing was changed. Restore the named object in _delta_log from a backup, or use another location.',
  );
}
