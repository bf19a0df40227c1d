import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../errors.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { serializeActions } from './actions.ts';
import type { LedgerVersion } from './ledger.ts';
import { logCheckpointInterval, readLastCheckpoint, writeLogCheckpoint } from './log-checkpoint.ts';
import { type CleanUp, type CleanUpOptions, cleanUpLog, type Hold } from './log-cleanup.ts';
import { versionPath } from './log-files.ts';
import { LogReader } from './log-reader.ts';
import type { Snapshot } from './snapshot.ts';
import { type CommittedVersion, committedVersion, type ToCommit } from './version.ts';

export interface DeltaLogOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** A log checkpoint is only a short cut: losing one never fails a commit, and is told here. */
  readonly onLogCheckpointFailed?: (error: unknown) => void;
}

/** The put has made this version. */
export interface Committed {
  readonly kind: 'committed';
  readonly version: CommittedVersion;
}

/**
 * The log of one table: reads snapshots, commits versions. Any number of processes may hold one for the same
 * table; what one of them believes is only ever a starting point, put-if-absent decides.
 */
export class DeltaLog {
  /** The table's. */
  readonly store: ObjectStore;
  private readonly options: DeltaLogOptions;
  private readonly reader: LogReader;

  constructor(store: ObjectStore, options: DeltaLogOptions) {
    this.store = store;
    this.options = options;
    this.reader = new LogReader(store);
  }

  /**
   * The newest version, undefined where there is no table. The first call reads the newest log checkpoint and
   * what follows it, later ones only what is new.
   *
   * @throws Failure TABLE_UNSUPPORTED, TABLE_CORRUPT (naming what is missing), STORAGE_*
   */
  snapshot(): Promise<Snapshot | undefined> {
    return this.reader.snapshot();
  }

  /** The state at an older version, undefined where the log no longer tells it. */
  async snapshotAt(tableVersion: number): Promise<Snapshot | undefined> {
    return this.reader.snapshotAt(tableVersion);
  }

  /** The versions after `tableVersion`, ascending, as far back as the log is complete. */
  async versionsSince(tableVersion: number): Promise<CommittedVersion[]> {
    const snapshot = await this.snapshot();
    return snapshot === undefined ? [] : this.reader.versionsBetween(tableVersion, snapshot.tableVersion);
  }

  /** The versions in (`after`, `newest`], ascending, as far back as the log is complete. */
  versionsBetween(after: number, newest: number): Promise<CommittedVersion[]> {
    return this.reader.versionsBetween(after, newest);
  }

  /** One version, whatever lies around it; undefined where it is gone. */
  versionAlone(tableVersion: number): Promise<CommittedVersion | undefined> {
    return this.reader.versionAlone(tableVersion);
  }

  /** The newest versions, newest first, at most `count`. */
  async recentCommits(count: number): Promise<CommittedVersion[]> {
    const newest = (await this.snapshot())?.tableVersion ?? -1;
    return (await this.reader.versionsBetween(newest - count, newest)).reverse();
  }

  /**
   * Every version from the first that is told of, ascending: those of the ledger of cleaned-up versions, then
   * those of the log. As many at a time in memory as a file of the ledger has.
   *
   * @throws Failure TABLE_CORRUPT naming a version that is missing
   */
  async *history(): AsyncGenerator<LedgerVersion> {
    const snapshot = await this.snapshot();
    if (snapshot !== undefined) yield* this.reader.history(snapshot.tableVersion);
  }

  /** Milliseconds since 1970. */
  nowMs(): number {
    return this.options.now();
  }

  /**
   * Takes old versions out of the log; what they tell stays in the ledger. Runs any number of times, killed
   * anywhere. An unrepaired RESTORE keeps everything.
   *
   * @param furtherHolds asked after it is known whether one stands unrepaired
   */
  async cleanUp(
    { keepSinceMs, dryRun }: Pick<CleanUpOptions, 'keepSinceMs' | 'dryRun'>,
    furtherHolds: () => Promise<readonly Hold[]> = async () => [],
  ): Promise<CleanUp> {
    const unrepaired = (await this.snapshot())?.unrepairedRestore;
    const restore: Hold[] = unrepaired === undefined ? [] : [{ tableVersion: unrepaired, why: 'restore' }];
    const holds = [...restore, ...(await furtherHolds())];
    return await cleanUpLog(this.store, this.reader, { keepSinceMs, dryRun, holds });
  }

  /**
   * Decides, puts if absent; after a lost race, or an answer that was lost, decides again, upon what the
   * winner has made of the table.
   *
   * @throws Failure COMMIT_CONTENDED, STORAGE_*: unknown; try again, delete nothing.
   */
  async commit<Decision extends { readonly kind: string }>(
    decide: (snapshot: Snapshot | undefined) => Promise<Decision>,
  ): Promise<Committed | Exclude<Decision, ToCommit>> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await sleep(attempt < 3 ? 0 : Math.random() * 10 * attempt);
      const decision: ToCommit | Decision = await decide(await this.snapshot());
      if (!isToCommit(decision)) return decision as Exclude<Decision, ToCommit>;
      const put = await this.put(decision).catch(async (error: unknown) => {
        // It may have happened: rule 2 reads back. If the log does not have it, the error stands.
        const again: ToCommit | Decision = await decide(await this.snapshot());
        if (isToCommit(again)) throw error;
        return again as Exclude<Decision, ToCommit>;
      });
      if (typeof put !== 'string') return put;
      if (put === 'exists' || (await this.isDetached(decision))) continue;
      await this.checkpointWhenDue(decision.tableVersion);
      return { kind: 'committed', version: committedVersion(decision) };
    }
    throw new Failure(
      'COMMIT_CONTENDED',
      `${this.store.root}: ${ATTEMPTS_MAX} commits in a row lost to other writers.`,
      'No data is lost, and the commit is tried again. If this continues, let fewer writers commit to this table at once.',
    );
  }

  private put({ tableVersion, actions }: ToCommit): Promise<'created' | 'exists'> {
    return this.store.putIfAbsent(versionPath(tableVersion), Buffer.from(serializeActions(actions)));
  }

  /**
   * Whether what was just put is no version of the table: a process that was frozen while the log was cleaned
   * puts a version that had been another's. Nobody reads it there; its own view is forgotten.
   *
   * The ledger decides where it covers the version; it also knows of a version that was folded, and its
   * predecessor deleted, a moment after it was put. The predecessor tells of clean-ups by others.
   */
  private async isDetached(put: ToCommit): Promise<boolean> {
    const { tableVersion } = put;
    const before = tableVersion === 0 || (await this.store.stat(versionPath(tableVersion - 1))) !== undefined;
    const isOurs = (await this.reader.isFolded(tableVersion))
      ? txnIdOf(await this.reader.versionAlone(tableVersion)) === txnIdOf(committedVersion(put))
      : before;
    if (!isOurs) this.reader.forget();
    return !isOurs;
  }

  /** After the commit, and never its failure: a log checkpoint is only a short cut for readers. */
  private async checkpointWhenDue(tableVersion: number): Promise<void> {
    try {
      const since = tableVersion - ((await readLastCheckpoint(this.store)) ?? -1);
      if (since < logCheckpointInterval(0)) return;
      const snapshot = await this.snapshot();
      if (snapshot === undefined || since < logCheckpointInterval(snapshot.files.size)) return;
      await writeLogCheckpoint(this.store, snapshot, this.options.now());
    } catch (error) {
      this.options.onLogCheckpointFailed?.(error);
    }
  }
}

/**
 * Each lost race is another writer's progress, so this many in a row mean more writers than a table can take.
 */
const ATTEMPTS_MAX = 50;

function isToCommit(decision: { readonly kind: string }): decision is ToCommit {
  return decision.kind === 'commit';
}

/** Fresh per decision: no two puts have the same. */
function txnIdOf(version: CommittedVersion | undefined): unknown {
  return version?.commitInfo?.txnId;
}
