import type { DeltaLog } from '../delta/log.ts';
import { tombstoneRetentionMs } from '../delta/log-checkpoint.ts';
import { LOG_FOLDER } from '../delta/log-files.ts';
import type { ObjectEntry } from '../storage/object-store.ts';

/** What a table still needs, from its newest version and from unfinished work on it. */
export interface Needed {
  /** Of the newest version, read after the cut-off was committed. */
  readonly live: ReadonlyMap<string, unknown>;
  /** Removed after the cut-off: a reader may hold the version before. */
  readonly removed: ReadonlySet<string>;
  /** Dead letters that a main version carries and that are not published yet. */
  readonly carried: ReadonlySet<string>;
}

/** Objects of a table's folder by why they stay, or that they may go. */
export interface Garbage {
  readonly garbage: readonly ObjectEntry[];
  readonly kept: KeptFiles;
}

export interface KeptFiles {
  readonly live: number;
  /** In no version, and younger than the cut-off: a run may commit them. */
  readonly fresh: number;
  readonly removed: number;
  readonly carried: number;
  /** No Parquet files, or in the folder of another table: not ours to delete. */
  readonly foreign: number;
}

/**
 * What of this table a vacuum must leave, from its newest version.
 *
 * @param cutOffMs milliseconds since 1970
 */
export async function neededFiles(log: DeltaLog, cutOffMs: number): Promise<Omit<Needed, 'carried'>> {
  const snapshot = await log.snapshot();
  if (snapshot === undefined) return { live: new Map(), removed: new Set() };
  const { files: live, tombstones, metaData } = snapshot;
  const removed = new Set(
    [...tombstones]
      .filter(([, { deletionTimestamp }]) => deletionTimestamp === undefined || deletionTimestamp >= cutOffMs)
      .map(([path]) => path),
  );
  // Log checkpoints forget a removal after a while; the history does not.
  if (log.nowMs() - cutOffMs > tombstoneRetentionMs(metaData)) {
    for await (const { commitInfo, removes } of log.history())
      if (Number(commitInfo?.timestamp ?? cutOffMs) >= cutOffMs)
        for (const { path } of removes) removed.add(path);
  }
  return { live, removed };
}

/**
 * Which data files may go. Pure. The order of the questions does not matter for the answer, only for what is
 * said of why a file stays.
 */
export function findGarbage(
  entries: readonly ObjectEntry[],
  { live, removed, carried }: Needed,
  cutOffMs: number,
): Garbage {
  const garbage: ObjectEntry[] = [];
  const kept = { live: 0, fresh: 0, removed: 0, carried: 0, foreign: 0 };
  const others = otherTables(entries);
  for (const entry of entries) {
    const { path, modifiedMs } = entry;
    if (isHidden(path)) continue;
    if (live.has(path)) kept.live++;
    else if (!path.endsWith('.parquet') || others.some((folder) => path.startsWith(folder))) kept.foreign++;
    else if (carried.has(path)) kept.carried++;
    else if (removed.has(path)) kept.removed++;
    else if (modifiedMs >= cutOffMs) kept.fresh++;
    else garbage.push(entry);
  }
  return { garbage, kept };
}

/** As in every Delta engine, names that begin with "_" are not data, except folders of partition columns. */
function isHidden(path: string): boolean {
  return path.split('/').some((name) => name.startsWith('_') && !name.includes('='));
}

/** Folders of tables that lie in this table's. */
function otherTables(entries: readonly ObjectEntry[]): string[] {
  const inner = `/${LOG_FOLDER}`;
  const folders = entries.flatMap(({ path }) => {
    const at = path.indexOf(inner);
    return at < 0 ? [] : [path.slice(0, at + 1)];
  });
  return [...new Set(folders)];
}
