import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Batch,
  type CommitFacts,
  type DataFile,
  DEAD_LETTERS_APP_ID,
  decideCommit,
  type Expired,
  type Refused,
  refuseOwner,
  type Superseded,
  type ToCommit,
} from '../commits/batch.ts';
import { type BatchRecord, type CommittedVersion, readBatchRecord } from '../commits/batch-record.ts';
import {
  type Compaction,
  type CompactionRecord,
  decideCompaction,
  type Replan,
  readCompactionRecord,
} from '../commits/compaction.ts';
import { LetterSet } from '../commits/letters.ts';
import {
  type CarriedVersion,
  decidePublication,
  type Forget,
  filesToPublish,
  gatherCarried,
  type LettersInTheWay,
  lettersInTheWay,
  type Publication,
  publishedAppId,
  readCarried,
} from '../commits/publication.ts';
import { publicationFailure, refusal } from '../commits/refusal.ts';
import {
  decideRepair,
  type Repair,
  type RepairDecision,
  type RepairRecord,
  readRepairRecord,
} from '../commits/repair.ts';
import {
  type AppendOnly,
  decideRetention,
  type Retention,
  type RetentionDecision,
  type RetentionRecord,
  readRetentionRecord,
} from '../commits/retention.ts';
import {
  decideRetry,
  type Retry,
  type RetryRecord,
  type RetrySuperseded,
  readRetryRecord,
} from '../commits/retry.ts';
import {
  decideVacuum,
  type Needed,
  readVacuumRecord,
  type Vacuum,
  type VacuumDecision,
  type VacuumRecord,
} from '../commits/vacuum.ts';
import { assert, Failure } from '../errors.ts';
import type { ObjectStat, ObjectStore } from '../storage/object-store.ts';
import { decodePath, serializeActions } from './actions.ts';
import type { LedgerVersion } from './ledger.ts';
import {
  logCheckpointInterval,
  readLastCheckpoint,
  tombstoneRetentionMs,
  writeLogCheckpoint,
} from './log-checkpoint.ts';
import { type CleanUp, type CleanUpOptions, cleanUpLog, type Hold } from './log-cleanup.ts';
import { versionPath } from './log-files.ts';
import { LogReader } from './log-reader.ts';
import type { Snapshot } from './snapshot.ts';

export interface DeltaLogOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** A log checkpoint is only a short cut: losing one never fails a commit, and is told here. */
  readonly onLogCheckpointFailed?: (error: unknown) => void;
}

/** How a batch ended. Whatever else happens is thrown as a `Failure`. */
export type CommitOutcome =
  | { readonly kind: 'committed'; readonly batch: BatchRecord }
  | { readonly kind: 'alreadyCommitted'; readonly batch: BatchRecord }
  | Superseded
  | Expired;

export type CompactionOutcome =
  | { readonly kind: 'committed'; readonly compaction: CompactionRecord }
  | { readonly kind: 'alreadyCommitted'; readonly compaction: CompactionRecord }
  | Replan
  | Expired;

export type RetryOutcome =
  | { readonly kind: 'committed'; readonly retry: RetryRecord }
  | { readonly kind: 'alreadyCommitted'; readonly retry: RetryRecord }
  | RetrySuperseded
  | Expired;

export type PublicationOutcome =
  | {
      readonly kind: 'published';
      readonly mainTableVersion: bigint;
      /** Of the dead-letter table. */
      readonly tableVersion: number;
      /** The files that were left as they are, because `forget` said so. */
      readonly forgotten: readonly string[];
    }
  | { readonly kind: 'nothingToPublish' };

export type VacuumOutcome =
  | { readonly kind: 'committed'; readonly vacuum: VacuumRecord }
  | Exclude<VacuumDecision, ToCommit | Refused>;

export type RetentionOutcome =
  | { readonly kind: 'committed'; readonly retention: RetentionRecord }
  | Exclude<RetentionDecision, ToCommit | Refused | AppendOnly>;

/** Dead letters that wait to be published. */
export interface Unpublished {
  /** In the dead-letter table's store. */
  readonly files: ReadonlySet<string>;
  /** The first main version that carries some; undefined where all are published. */
  readonly firstVersion: number | undefined;
}

export type RepairOutcome =
  | { readonly kind: 'committed'; readonly repair: RepairRecord }
  | Exclude<RepairDecision, ToCommit>;

/**
 * The log of one table: reads snapshots, commits batches. Any number of processes may hold one for the same table;
 * what one of them believes is only ever a starting point, put-if-absent decides.
 */
export class DeltaLog {
  private readonly store: ObjectStore;
  private readonly options: DeltaLogOptions;
  private readonly reader: LogReader;
  /** What the retry `batchId` and all before it have settled: each batch of a retry asks again. */
  private settled: { readonly batchId: string; readonly letters: LetterSet } | undefined;

  constructor(store: ObjectStore, options: DeltaLogOptions) {
    this.store = store;
    this.options = options;
    this.reader = new LogReader(store);
  }

  /**
   * The newest version, undefined where there is no table. The first call reads the newest log checkpoint and what
   * follows it, later ones only what is new.
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

  /** The newest versions, newest first, at most `count`. */
  async recentCommits(count: number): Promise<CommittedVersion[]> {
    const newest = (await this.snapshot())?.tableVersion ?? -1;
    return (await this.reader.versionsBetween(newest - count, newest)).reverse();
  }

  /**
   * Every version from the first that is told of, ascending: those of the ledger of cleaned-up versions, then those of the
   * log. As many at a time in memory as a file of the ledger has.
   *
   * @throws Failure TABLE_CORRUPT naming a version that is missing
   */
  async *history(): AsyncGenerator<LedgerVersion> {
    const snapshot = await this.snapshot();
    if (snapshot !== undefined) yield* this.reader.history(snapshot.tableVersion);
  }

  /**
   * Commits a batch as one table version: its data files and the next offset of every partition.
   *
   * Runs any number of times with the same effect: the second finds its `batchId` in the log and returns that version.
   * Delta protocol, "Transaction Identifiers".
   *
   * @param letterStore of the dead-letter table, where the batch has dead letters
   * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED, TABLE_SCHEMA_MISMATCH, ACCOUNTING_MISMATCH: the batch is not
   * in the table. COMMIT_CONTENDED, STORAGE_*: unknown; try again, delete nothing.
   */
  async commitBatch(batch: Batch, letterStore?: ObjectStore): Promise<CommitOutcome> {
    const { plannedOn, files, deadLetterFiles } = batch;
    assert(
      letterStore !== undefined || deadLetterFiles.length === 0,
      'dead letters lie in a store of their own',
    );
    const end = await this.commit(async (snapshot) => {
      const facts = await this.facts(snapshot, plannedOn.tableVersion, files);
      const letterStats = letterStore && (await statFiles(letterStore, deadLetterFiles));
      return decideCommit(snapshot, batch, { ...facts, ...(letterStats && { letterStats }) });
    });
    switch (end.kind) {
      case 'committed':
        return { kind: 'committed', batch: present(readBatchRecord(end.version)) };
      case 'alreadyCommitted':
      case 'superseded':
      case 'expired':
        return end;
      default:
        throw refusal(end, this.store.root, batch.pipeline);
    }
  }

  /**
   * Commits a compaction as one table version, `remove` and `add` without a change of data. Runs any number of times
   * with the same effect.
   *
   * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED, COMPACTION_ROWS_DIFFER: the compaction is not in the table.
   * COMMIT_CONTENDED, STORAGE_*: unknown; try again, delete nothing.
   */
  async commitCompaction(compaction: Compaction): Promise<CompactionOutcome> {
    const end = await this.commit(async (snapshot) =>
      decideCompaction(
        snapshot,
        compaction,
        await this.facts(snapshot, compaction.tableVersion, compaction.outputs),
      ),
    );
    switch (end.kind) {
      case 'committed':
        return { kind: 'committed', compaction: present(readCompactionRecord(end.version)) };
      case 'alreadyCommitted':
      case 'replan':
      case 'expired':
        return end;
      default:
        throw refusal(end, this.store.root, compaction.pipeline);
    }
  }

  /**
   * Commits rows of dead letters as one table version that says which letters they are. Runs any number of times with the
   * same effect.
   *
   * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED, TABLE_SCHEMA_MISMATCH, ACCOUNTING_MISMATCH: the retry is not
   * in the table. COMMIT_CONTENDED, STORAGE_*: unknown; try again, delete nothing.
   */
  async commitRetry(retry: Retry): Promise<RetryOutcome> {
    const end = await this.commit(async (snapshot) =>
      decideRetry(snapshot, retry, await this.facts(snapshot, retry.plannedOn.tableVersion, retry.files)),
    );
    switch (end.kind) {
      case 'committed':
        return { kind: 'committed', retry: present(readRetryRecord(end.version)) };
      case 'alreadyCommitted':
      case 'superseded':
      case 'expired':
        return end;
      default:
        throw refusal(end, this.store.root, retry.pipeline);
    }
  }

  /**
   * The letters that the retry of version `newest` and all before it have settled, found from one to the one before,
   * down to what is known from the last call.
   *
   * @param newest as `newestRetryOf` has it
   * @throws Failure TABLE_CORRUPT where one of these versions is gone: its letters would be made rows a second time
   */
  async lettersRetried(newest: bigint | undefined): Promise<LetterSet> {
    const known = this.settled;
    const letters = new LetterSet();
    let batchId: string | undefined;
    for (let tableVersion = newest; tableVersion !== undefined; ) {
      const version = await this.reader.versionAlone(Number(tableVersion));
      const retry = version && readRetryRecord(version);
      if (retry === undefined) throw retryGone(this.store.root, tableVersion);
      batchId ??= retry.batchId;
      // Not by its number: the table may have been made again, or restored and another retry have become that version.
      if (retry.batchId === known?.batchId) {
        letters.addAll(known.letters.toSpans());
        break;
      }
      letters.addAll(retry.retried);
      tableVersion = retry.previousRetry;
    }
    if (batchId !== undefined) this.settled = { batchId, letters: LetterSet.of(letters.toSpans()) };
    return letters;
  }

  /**
   * Commits the cut-off of a vacuum. Runs any number of times with the same effect.
   *
   * @returns the cut-off in force, the vacuum's own or a later one
   * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED: nothing may be deleted. COMMIT_CONTENDED, STORAGE_*: try again.
   */
  async commitVacuum(vacuum: Vacuum): Promise<VacuumOutcome> {
    const end = await this.commit(async (snapshot) =>
      decideVacuum(snapshot, vacuum, await this.facts(snapshot, vacuum.tableVersion, [])),
    );
    switch (end.kind) {
      case 'committed':
        return { kind: 'committed', vacuum: present(readVacuumRecord(end.version)) };
      case 'alreadyCommitted':
      case 'covered':
        return end;
      default:
        throw refusal(end, this.store.root, vacuum.pipeline);
    }
  }

  /**
   * Commits that old table partitions leave the table. Runs any number of times with the same effect.
   *
   * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED, TABLE_SCHEMA_MISMATCH, TABLE_UNSUPPORTED: nothing was dropped.
   * COMMIT_CONTENDED, STORAGE_*: try again.
   */
  async commitRetention(retention: Retention): Promise<RetentionOutcome> {
    const end = await this.commit(async (snapshot) =>
      decideRetention(snapshot, retention, await this.facts(snapshot, retention.tableVersion, [])),
    );
    switch (end.kind) {
      case 'committed':
        return { kind: 'committed', retention: present(readRetentionRecord(end.version)) };
      case 'alreadyCommitted':
      case 'nothingOld':
        return end;
      default:
        throw refusal(end, this.store.root, retention.pipeline);
    }
  }

  /**
   * What of this table a vacuum must leave, from its newest version.
   *
   * @param cutOffMs milliseconds since 1970
   */
  async neededFiles(cutOffMs: number): Promise<Omit<Needed, 'carried'>> {
    const snapshot = await this.snapshot();
    if (snapshot === undefined) return { live: new Map(), removed: new Set() };
    const { files: live, tombstones, metaData } = snapshot;
    const removed = new Set(
      [...tombstones]
        .filter(
          ([, { deletionTimestamp }]) => deletionTimestamp === undefined || deletionTimestamp >= cutOffMs,
        )
        .map(([path]) => path),
    );
    // Log checkpoints forget a removal after a while; the history does not.
    if (this.options.now() - cutOffMs > tombstoneRetentionMs(metaData)) {
      for await (const { commitInfo, removes } of this.history())
        if (Number(commitInfo?.timestamp ?? cutOffMs) >= cutOffMs)
          for (const { path } of removes) removed.add(path);
    }
    return { live, removed };
  }

  /**
   * Of this dead-letter table: what its main table's versions carry and it does not have yet.
   *
   * @throws Failure DEAD_LETTERS_LOST where one of these versions is gone
   */
  async unpublished(main: DeltaLog, pipeline: string): Promise<Unpublished> {
    const goal = await main.publicationGoal(pipeline);
    const published = goal && (await this.snapshot())?.txns.get(publishedAppId(goal.mainTableId));
    if (goal === undefined || (published !== undefined && published >= goal.target))
      return { files: new Set(), firstVersion: undefined };
    const { ahead } = await gatherCarried(goal.target, published, (version) => main.carriedBy(version));
    const files = ahead.flatMap((version) => version.files.map(({ path }) => decodePath(path)));
    return { files: new Set(files), firstVersion: Number(ahead.at(-1)?.tableVersion) };
  }

  /**
   * Takes old versions out of the log; what they tell stays in the ledger. Runs any number of times, killed anywhere.
   *
   * @param letters the dead-letter table of this one, which may still have to publish what old versions carry
   */
  async cleanUp(
    { keepSinceMs, dryRun }: Pick<CleanUpOptions, 'keepSinceMs' | 'dryRun'>,
    letters?: { readonly log: DeltaLog; readonly pipeline: string },
  ): Promise<CleanUp> {
    const unrepaired = (await this.snapshot())?.unrepairedRestore;
    const unpublished = await letters?.log.unpublished(this, letters.pipeline);
    const holds: Hold[] = [];
    if (unrepaired !== undefined) holds.push({ tableVersion: unrepaired, why: 'restore' });
    if (unpublished?.firstVersion !== undefined)
      holds.push({ tableVersion: unpublished.firstVersion, why: 'deadLetters' });
    return await cleanUpLog(this.store, this.reader, { keepSinceMs, dryRun, holds });
  }

  /**
   * Commits a person's answer as one table version, upon exactly what it was given for.
   *
   * @throws Failure COMMIT_CONTENDED, STORAGE_*: unknown; look at the table again.
   */
  async commitRepair(repair: Repair): Promise<RepairOutcome> {
    const end = await this.commit<Exclude<RepairDecision, ToCommit>>(async (snapshot) =>
      decideRepair(snapshot, repair, await this.facts(snapshot, repair.seen.tableVersion, [])),
    );
    return end.kind === 'committed'
      ? { kind: 'committed', repair: present(readRepairRecord(end.version)) }
      : end;
  }

  /**
   * Brings this dead-letter table up to its main table: appends what versions of that carry, in order, and takes back what
   * a repair has withdrawn. Lags behind the main table, never leads. Runs any number of times with the same effect.
   *
   * @param forget a person's answer to files that stand in the way
   * @throws Failure DEAD_LETTERS_LOST, REPAIR_REFUSED, TABLE_NOT_OURS, TABLE_SCHEMA_MISMATCH: nothing was changed.
   * COMMIT_CONTENDED, STORAGE_*: unknown; try again.
   */
  async publishDeadLetters(main: DeltaLog, pipeline: string, forget?: Forget): Promise<PublicationOutcome> {
    const goal = await main.publicationGoal(pipeline);
    if (goal === undefined) return { kind: 'nothingToPublish' };
    const { target } = goal;
    const end = await this.commit(async (snapshot) => {
      const gathered = await this.gatherPublication(snapshot, main, goal);
      if (gathered === undefined) return { kind: 'published' } as const;
      const { publication, fileStats } = gathered;
      const ids = { txnId: randomUUID(), newTableId: randomUUID() };
      const facts = { nowMs: this.options.now(), ...ids, fileStats };
      return decidePublication(snapshot, publication, facts, forget);
    });
    switch (end.kind) {
      case 'committed': {
        const { tableVersion, commitInfo } = end.version;
        const forgotten = (commitInfo?.forgotten ?? []) as readonly string[];
        return { kind: 'published', mainTableVersion: target, tableVersion, forgotten };
      }
      case 'published':
        return { kind: 'nothingToPublish' };
      case 'superseded':
        throw new Error('a publication is gathered upon the snapshot that decides it');
      case 'lost':
      case 'rewritten':
        throw publicationFailure(end, this.store.root, pipeline);
      default:
        throw refusal(end, this.store.root, pipeline);
    }
  }

  /**
   * What `publishDeadLetters` would refuse, for the person who is to decide. Changes nothing.
   *
   * @throws Failure DEAD_LETTERS_LOST where a version that tells it is gone
   */
  async lettersInTheWay(main: DeltaLog, pipeline: string): Promise<LettersInTheWay> {
    const goal = await main.publicationGoal(pipeline);
    const snapshot = await this.snapshot();
    const gathered = goal && (await this.gatherPublication(snapshot, main, goal));
    if (gathered === undefined) return { lost: [], rewritten: [] };
    return lettersInTheWay(snapshot, gathered.publication, gathered);
  }

  /** Up to where this main table's letters shall be published; undefined where there are none. */
  private async publicationGoal(pipeline: string): Promise<PublicationGoal | undefined> {
    const snapshot = await this.snapshot();
    const target = snapshot?.txns.get(DEAD_LETTERS_APP_ID);
    // What a RESTORE took back is known when it is repaired; until then no batch is planned either.
    if (snapshot === undefined || target === undefined || snapshot.unrepairedRestore !== undefined)
      return undefined;
    // The dead-letter table follows its main table's owner: a run of the one before must not take it back.
    const notOurs = refuseOwner(snapshot, pipeline);
    if (notOurs !== undefined) throw refusal(notOurs, this.store.root, pipeline);
    return { pipeline, mainTableId: snapshot.metaData.id, target };
  }

  /** Undefined where all is published. */
  private async gatherPublication(
    snapshot: Snapshot | undefined,
    main: DeltaLog,
    goal: PublicationGoal,
  ): Promise<{ publication: Publication; fileStats: Map<string, ObjectStat> } | undefined> {
    const published = snapshot?.txns.get(publishedAppId(goal.mainTableId));
    if (published !== undefined && published >= goal.target) return undefined;
    const carried = await gatherCarried(goal.target, published, (version) => main.carriedBy(version));
    const publication = { ...goal, published, ...carried };
    const paths = filesToPublish(publication).map((path) => ({ path }));
    return { publication, fileStats: await statFiles(this.store, paths) };
  }

  /**
   * Paths, in the dead-letter table's store, of all letters that this main table's versions carry.
   *
   * @throws Failure DEAD_LETTERS_LOST where one of these versions is gone
   */
  async carriedLetterPaths(): Promise<ReadonlySet<string>> {
    const newest = (await this.snapshot())?.txns.get(DEAD_LETTERS_APP_ID);
    if (newest === undefined) return new Set();
    const { ahead } = await gatherCarried(newest, undefined, (version) => this.carriedBy(version));
    return new Set(ahead.flatMap(({ files }) => files.map(({ path }) => decodePath(path))));
  }

  private async carriedBy(tableVersion: bigint): Promise<CarriedVersion> {
    const version = await this.reader.versionAlone(Number(tableVersion));
    const carried =
      version &&
      (await readCarried(version, async (restored) => {
        const snapshot = await this.reader.snapshotAt(restored);
        if (snapshot === undefined) throw carrierGone(this.store.root, restored);
        return snapshot.txns.get(DEAD_LETTERS_APP_ID);
      }));
    if (carried === undefined) throw carrierGone(this.store.root, Number(tableVersion));
    return carried;
  }

  /** Decides, puts if absent; after a lost race decides again, upon what the winner has made of the table. */
  private async commit<D extends { readonly kind: string }>(
    decide: (snapshot: Snapshot | undefined) => Promise<ToCommit | D>,
  ): Promise<Committed | D> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await sleep(attempt < 3 ? 0 : Math.random() * 10 * attempt);
      const decision = await decide(await this.snapshot());
      if (!isToCommit(decision)) return decision;
      const put = await this.put(decision).catch(async (error: unknown) => {
        // It may have happened all the same: rule 2 reads back. If the log does not have it, the error stands.
        const again = await decide(await this.snapshot());
        if (isToCommit(again)) throw error;
        return again;
      });
      if (typeof put !== 'string') return put;
      if (put === 'exists' || (await this.isDetached(decision))) continue;
      await this.checkpointWhenDue(decision.tableVersion);
      return { kind: 'committed', version: versionOf(decision) };
    }
    throw new Failure(
      'COMMIT_CONTENDED',
      `${this.store.root}: ${ATTEMPTS_MAX} commits in a row lost against other writers.`,
      'Nothing is lost; the commit is tried again. If it stays so, let fewer writers commit to this table at once.',
    );
  }

  private put({ tableVersion, actions }: ToCommit): Promise<'created' | 'exists'> {
    return this.store.putIfAbsent(versionPath(tableVersion), Buffer.from(serializeActions(actions)));
  }

  /**
   * Whether what was just put is no version of the table: a process that was frozen while the log was cleaned puts a version
   * that had been another's. Nobody reads it there; its own view is forgotten.
   *
   * The ledger decides where it covers the version; it also knows of a version that was folded, and its predecessor deleted,
   * a moment after it was put. The predecessor tells of clean-ups by others.
   */
  private async isDetached({ tableVersion, actions }: ToCommit): Promise<boolean> {
    const before = tableVersion === 0 || (await this.store.stat(versionPath(tableVersion - 1))) !== undefined;
    const isOurs = (await this.reader.isFolded(tableVersion))
      ? txnIdOf(await this.reader.versionAlone(tableVersion)) ===
        txnIdOf(versionOf({ tableVersion, actions }))
      : before;
    if (!isOurs) this.reader.forget();
    return !isOurs;
  }

  private async facts(
    snapshot: Snapshot | undefined,
    plannedVersion: number,
    files: readonly DataFile[],
  ): Promise<CommitFacts> {
    const newest = snapshot?.tableVersion ?? -1;
    return {
      nowMs: this.options.now(),
      txnId: randomUUID(),
      newTableId: randomUUID(),
      versionsSincePlan: await this.reader.versionsBetween(plannedVersion, newest),
      fileStats: await statFiles(this.store, files),
      letterStats: new Map(),
    };
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

/** Each lost race is another writer's progress, so this many in a row mean more writers than a table can take. */
const ATTEMPTS_MAX = 50;
const STATS_AT_ONCE = 16;

type PublicationGoal = Pick<Publication, 'pipeline' | 'mainTableId' | 'target'>;

interface Committed {
  readonly kind: 'committed';
  readonly version: CommittedVersion;
}

async function statFiles(
  store: ObjectStore,
  files: readonly { readonly path: string }[],
): Promise<Map<string, ObjectStat>> {
  const stats = new Map<string, ObjectStat>();
  const queue = files.values();
  const lane = async () => {
    for (const { path } of queue) {
      const stat = await store.stat(path);
      if (stat !== undefined) stats.set(path, stat);
    }
  };
  await Promise.all(Array.from({ length: STATS_AT_ONCE }, lane));
  return stats;
}

function isToCommit(decision: { readonly kind: string }): decision is ToCommit {
  return decision.kind === 'commit';
}

function versionOf({ tableVersion, actions }: Pick<ToCommit, 'tableVersion' | 'actions'>): CommittedVersion {
  const [first] = actions;
  return {
    tableVersion,
    commitInfo: first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined,
  };
}

/** Fresh per decision: no two puts have the same. */
function txnIdOf(version: CommittedVersion | undefined): unknown {
  return version?.commitInfo?.txnId;
}

function retryGone(root: string, tableVersion: bigint): Failure {
  return new Failure(
    'TABLE_CORRUPT',
    `${root}/${versionPath(Number(tableVersion))} is gone or altered: it tells which dead letters were made rows.`,
    'Nothing was changed. Restore it from a backup: without it these letters would become rows a second time.',
  );
}

function carrierGone(root: string, tableVersion: number): Failure {
  return new Failure(
    'DEAD_LETTERS_LOST',
    `${root}/${versionPath(tableVersion)} is gone or altered: it tells which dead letters are still to be published.`,
    'Nothing was changed. Restore it from a backup.',
  );
}

function present<T>(record: T | undefined): T {
  assert(record !== undefined, 'a commit of ours carries its own record');
  return record;
}
