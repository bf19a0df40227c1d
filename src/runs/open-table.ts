import { type Add, parseStats } from '../delta/actions.ts';
import { DeltaLog } from '../delta/log.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { Outside } from './outside.ts';

export interface OpenTable {
  readonly store: ObjectStore;
  readonly log: DeltaLog;
  /** For what belongs to the table and lies elsewhere. */
  readonly outside: Outside;
}

/** A data file of the table's newest version. */
export interface LiveFile {
  /** As other programs can open it. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Undefined where another writer left no statistics. */
  readonly rows: number | undefined;
  /** As the log has them: text, or null. */
  readonly partitionValues: Readonly<Record<string, string | null>>;
}

/** The pipeline's table, for looking at it. Nothing is created. */
export function openTable({ table }: Specification, outside: Outside): OpenTable {
  const store = outside.openStore(table.location);
  return { store, log: new DeltaLog(store, { now: Date.now }), outside };
}

/** The newest version. Throws TABLE_NOT_FOUND where nothing was drained yet. */
export async function requireSnapshot(
  { log }: Pick<OpenTable, 'log'>,
  { name, table }: Specification,
): Promise<Snapshot> {
  const snapshot = await log.snapshot();
  if (snapshot !== undefined) return snapshot;
  throw new Failure(
    'TABLE_NOT_FOUND',
    `There is no table at ${table.location} yet.`,
    `The first drain creates it: tidemark drain ${name}. If the table is elsewhere, check table.location.`,
  );
}

/** The live files, sorted by path. */
export function liveFiles({ store }: OpenTable, snapshot: Snapshot): LiveFile[] {
  return sortedFiles(snapshot).map(([path, { size, stats, partitionValues }]) => ({
    path: store.address(path),
    sizeBytes: size,
    rows: parseStats(stats)?.numRecords,
    partitionValues,
  }));
}

/** The live files by their paths in the store, sorted by them. */
export function sortedFiles({ files }: Pick<Snapshot, 'files'>): [string, Add][] {
  return [...files].sort(([one], [other]) => (one < other ? -1 : 1));
}
