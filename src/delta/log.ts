import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { assert, Failure } from '../errors.ts';
import type { ObjectStat, ObjectStore } from '../storage/object-store.ts';
import { serializeActions } from './actions.ts';
import { type BatchRecord, type CommittedVersion, readBatchRecord } from './batch-record.ts';
import {
  type Batch,
  type CommitFacts,
  type DataFile,
  decideCommit,
  type Expired,
  type Superseded,
  type ToCommit,
} from './commit.ts';
import {
  type Compaction,
  type CompactionRecord,
  decideCompaction,
  type Replan,
  readCompactionRecord,
} from './compaction.ts';
import { LetterSet } from './letters.ts';
import { logCheckpointInterval, readLastCheckpoint, writeLogCheckpoint } from './log-checkpoint.ts';
import { versionPath } from './log-files.ts';
import { LogReader } from './log-reader.ts';
import { refusal } from './refusal.ts';
import {
  decideRepair,
  type Repair,
  type RepairDecision,
  type RepairRecord,
  readRepairRecord,
} from './repair.ts';
import { decideRetry, type Retry, type RetryRecord, type RetrySuperseded, readRetryRecord } from './retry.ts';
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
   * Commits a batch as one table version: its data files and the next offset of every partition.
   *
   * Runs any number of times with the same effect: the second finds its `batchId` in the log and returns that version.
   * Delta protocol, "Transaction Identifiers".
   *
   * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED, TABLE_SCHEMA_MISMATCH, ACCOUNTING_MISMATCH: the batch is not
   * in the table. COMMIT_CONTENDED, STORAGE_*: unknown; try again, delete nothing.
   */
  async commitBatch(batch: Batch): Promise<CommitOutcome> {
    const end = await this.commit(async (snapshot) =>
      decideCommit(snapshot, batch, await this.facts(snapshot, batch.plannedOn.tableVersion, batch.files)),
    );
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
   * The letters that the retry of version `newest` and all before it have settled, found from one to the one before.
   *
   * @param newest as `newestRetryOf` has it
   * @throws Failure TABLE_CORRUPT where one of these versions is gone: its letters would be made rows a second time
   */
  async lettersRetried(newest: bigint | undefined): Promise<LetterSet> {
    const letters = new LetterSet();
    for (let tableVersion = newest; tableVersion !== undefined; ) {
      const version = await this.reader.versionAlone(Number(tableVersion));
      const retry = version && readRetryRecord(version);
      if (retry === undefined) throw retryGone(this.store.root, tableVersion);
      letters.addAll(retry.retried);
      tableVersion = retry.previousRetry;
    }
    return letters;
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
      if (put === 'exists' || (await this.isDetached(decision.tableVersion))) continue;
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
   * Whether the version just put stands behind a gap: a process that was frozen while the log was cleaned puts a version
   * that had been another's. Nobody reads it there; its own view is forgotten.
   */
  private async isDetached(tableVersion: number): Promise<boolean> {
    if (tableVersion === 0 || (await this.store.stat(versionPath(tableVersion - 1))) !== undefined)
      return false;
    this.reader.forget();
    return true;
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
      fileStats: await this.statFiles(files),
    };
  }

  private async statFiles(files: readonly DataFile[]): Promise<Map<string, ObjectStat>> {
    const stats = new Map<string, ObjectStat>();
    const queue = files.values();
    const lane = async () => {
      for (const { path } of queue) {
        const stat = await this.store.stat(path);
        if (stat !== undefined) stats.set(path, stat);
      }
    };
    await Promise.all(Array.from({ length: STATS_AT_ONCE }, lane));
    return stats;
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

interface Committed {
  readonly kind: 'committed';
  readonly version: CommittedVersion;
}

function isToCommit(decision: { readonly kind: string }): decision is ToCommit {
  return decision.kind === 'commit';
}

function versionOf({ tableVersion, actions }: ToCommit): CommittedVersion {
  const [first] = actions;
  return {
    tableVersion,
    commitInfo: first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined,
  };
}

function retryGone(root: string, tableVersion: bigint): Failure {
  return new Failure(
    'TABLE_CORRUPT',
    `${root}/${versionPath(Number(tableVersion))} is gone or altered: it tells which dead letters were made rows.`,
    'Nothing was changed. Restore it from a backup: without it these letters would become rows a second time.',
  );
}

function present<T>(record: T | undefined): T {
  assert(record !== undefined, 'a commit of ours carries its own record');
  return record;
}
