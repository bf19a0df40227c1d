import { randomUUID } from 'node:crypto';
import type { DeltaLog } from '../delta/log.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { CommittedVersion } from '../delta/version.ts';
import { inLanes } from '../lanes.ts';
import type { ObjectStat, ObjectStore } from '../storage/object-store.ts';

/** The facts that a decision needs beside the snapshot. */
export interface CommitFacts {
  readonly nowMs: number;
  /** Fresh per decision, so that this attempt's ambiguous put can be distinguished from another attempt's. */
  readonly txnId: string;
  /** A fresh UUID for a table that this version creates. */
  readonly newTableId: string;
  /** The versions after the plan's, ascending, as far as their log is complete. */
  readonly versionsSincePlan: readonly CommittedVersion[];
  /** Of the files to add, those that exist, by path. */
  readonly fileStats: ReadonlyMap<string, ObjectStat>;
  /** Of the batch's dead-letter files, those that exist, by path. */
  readonly letterStats: ReadonlyMap<string, ObjectStat>;
}

type Paths = readonly { readonly path: string }[];

/** @param plannedVersion the table's version that the change was planned on; -1 where there was no table */
export async function gatherFacts(
  log: DeltaLog,
  snapshot: Snapshot | undefined,
  plannedVersion: number,
  files: Paths,
): Promise<CommitFacts> {
  return {
    nowMs: log.nowMs(),
    txnId: randomUUID(),
    newTableId: randomUUID(),
    versionsSincePlan: await log.versionsBetween(plannedVersion, snapshot?.tableVersion ?? -1),
    fileStats: await statFiles(log.store, files),
    letterStats: new Map(),
  };
}

const STATS_AT_ONCE = 16;

/** Those of the files that exist, by path. */
export async function statFiles(store: ObjectStore, files: Paths): Promise<Map<string, ObjectStat>> {
  const stats = new Map<string, ObjectStat>();
  await inLanes(files, STATS_AT_ONCE, async ({ path }) => {
    const stat = await store.stat(path);
    if (stat !== undefined) stats.set(path, stat);
  });
  return stats;
}
