import { type Add, encodePath, type PartitionValues, parseStats, type Remove } from '../delta/actions.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { CommitFacts } from './facts.ts';

/** A finished, durable Parquet file. */
export interface DataFile {
  /** In the store: relative to the table, not encoded. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Read back from the finished footer. */
  readonly rowCount: number;
  readonly partitionValues: PartitionValues;
  /** Delta statistics, a JSON text with `numRecords`. */
  readonly stats: string;
  /** `CHECKSUM_TAG`, for `verify`; another writer's OPTIMIZE drops them. */
  readonly tags?: Readonly<Record<string, string>>;
}

export function addOf(
  file: DataFile,
  { fileStats, nowMs }: Pick<CommitFacts, 'fileStats' | 'nowMs'>,
  dataChange: boolean,
): Add {
  return {
    path: encodePath(file.path),
    partitionValues: file.partitionValues,
    size: file.sizeBytes,
    modificationTime: Math.floor(fileStats.get(file.path)?.modifiedMs ?? nowMs),
    dataChange,
    stats: file.stats,
    ...(file.tags === undefined ? {} : { tags: file.tags }),
  };
}

export function removeOf(
  { path, partitionValues, size }: Add,
  { nowMs }: Pick<CommitFacts, 'nowMs'>,
  dataChange: boolean,
): Remove {
  return {
    path,
    deletionTimestamp: nowMs,
    dataChange,
    extendedFileMetadata: true,
    partitionValues,
    size,
  };
}

/** One for each table partition. In the protocol a partition value of "" is null. */
export function tablePartitionKey(values: PartitionValues): string {
  const names = Object.keys(values).sort();
  return JSON.stringify(Object.fromEntries(names.map((name) => [name, values[name] || null])));
}

export function rowsOf(files: readonly DataFile[]): number {
  return files.reduce((sum, { rowCount }) => sum + rowCount, 0);
}

export function bytesOf(files: readonly DataFile[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/**
 * Of rule 6: files whose statistics count other rows than their footers, that a version has, or that are
 * named twice.
 */
export function fileProblems(snapshot: Snapshot | undefined, files: readonly DataFile[]): string[] {
  const counted = files.filter(({ stats, rowCount }) => parseStats(stats)?.numRecords !== rowCount);
  const known = files.filter(({ path }) => snapshot?.files.has(path) || snapshot?.tombstones.has(path));
  return [
    ...counted.map(
      ({ path, rowCount }) => `${path}: ${rowCount} rows in its footer, another number in its statistics`,
    ),
    ...known.map(({ path }) => `${path}: an earlier version has committed it`),
    ...repeated(files.map(({ path }) => path)),
  ];
}

export function repeated(names: readonly string[]): string[] {
  const seen = new Set<string>();
  // `Set.add` returns the set: the name is kept where it had been seen before.
  return names.filter((name) => seen.size === seen.add(name).size).map((name) => `${name} is named twice`);
}
