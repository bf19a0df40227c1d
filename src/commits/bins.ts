/** What a plan needs to know of a live data file. */
export interface BinFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly partitionValues: Readonly<Record<string, string | null>>;
}

export type BinGoal =
  | { readonly kind: 'targetFileBytes'; readonly targetFileBytes: number; readonly minInputFiles: number }
  /** Data files per table partition. */
  | { readonly kind: 'targetFiles'; readonly targetFiles: number };

export interface BinOptions {
  /** A table partition whose newest file is younger than this is left alone. */
  readonly olderThanMs: number;
  readonly nowMs: number;
}

/** Two or more files of one table partition that become one. In the order in which they were written. */
export type Bin<F extends BinFile> = readonly F[];

export interface BinPlan<F extends BinFile> {
  /**
   * Bins that belong into one table version: only all of them together bring their table partition to the
   * goal.
   */
  readonly units: readonly (readonly Bin<F>[])[];
  /** Table partitions left alone because of `olderThanMs`. */
  readonly freshPartitions: number;
  /** Table partitions with fewer files than `targetFiles`: bins are made of whole files, none is split. */
  readonly partitionsBelowTarget: number;
}

/**
 * From this share of the target on, a file is large enough to be left alone and a bin full enough to be
 * written.
 */
const NEAR_TARGET = 0.75;

/**
 * Chooses which live files to merge. Every file is in one bin at most, and no bin crosses a table partition.
 * The same files give the same plan, in whatever order they come.
 *
 * `targetFileBytes`: files near the target stay; the others are put first-fit, oldest first, into bins of at
 * most the target. A bin is worth writing when it is nearly full or has `minInputFiles`, else its files wait
 * for more.
 *
 * `targetFiles`: whole files, largest first, each to the smallest of N bins, so that N files remain. A bin
 * with one file is that file and stays.
 */
export function planBins<F extends BinFile>(
  files: readonly F[],
  goal: BinGoal,
  options: BinOptions,
): BinPlan<F> {
  const units: (readonly Bin<F>[])[] = [];
  let freshPartitions = 0;
  let partitionsBelowTarget = 0;
  for (const members of tablePartitions(files)) {
    const newestMs = members.reduce((newest, file) => Math.max(newest, file.modifiedMs), 0);
    if (options.olderThanMs > 0 && options.nowMs - newestMs < options.olderThanMs) freshPartitions++;
    else if (goal.kind === 'targetFileBytes') units.push(...binsBySize(members, goal).map((bin) => [bin]));
    else if (members.length < goal.targetFiles) partitionsBelowTarget++;
    else if (members.length > goal.targetFiles) units.push(binsByCount(members, goal.targetFiles));
  }
  return { units, freshPartitions, partitionsBelowTarget };
}

/** The first units of at most `maxBytes` together, at least one; `complete` tells whether these are all. */
export function takeRound<F extends BinFile>(
  units: BinPlan<F>['units'],
  maxBytes: number,
): { readonly bins: readonly Bin<F>[]; readonly complete: boolean } {
  let bytes = 0;
  const end = units.findIndex((bins, index) => {
    bytes += totalBytes(bins.flat());
    return index > 0 && bytes > maxBytes;
  });
  return { bins: (end < 0 ? units : units.slice(0, end)).flat(), complete: end < 0 };
}

/** Neighbouring bins as tasks of at most `maxBytes` and `maxBins`, but at least one bin each. */
export function packTasks<F extends BinFile>(
  bins: readonly Bin<F>[],
  { maxBytes, maxBins }: { readonly maxBytes: number; readonly maxBins: number },
): (readonly Bin<F>[])[] {
  const tasks: Bin<F>[][] = [];
  let bytes = 0;
  for (const bin of bins) {
    const last = tasks.at(-1);
    const size = totalBytes(bin);
    if (last !== undefined && last.length < maxBins && bytes + size <= maxBytes) {
      last.push(bin);
      bytes += size;
    } else {
      tasks.push([bin]);
      bytes = size;
    }
  }
  return tasks;
}

/** One string per table partition. In the protocol a partition value of "" is null. */
export function tablePartitionKey(partitionValues: BinFile['partitionValues']): string {
  const names = Object.keys(partitionValues).sort();
  return JSON.stringify(names.map((name) => [name, partitionValues[name] || null]));
}

export function totalBytes(files: readonly BinFile[]): number {
  return files.reduce((sum, file) => sum + file.sizeBytes, 0);
}

function tablePartitions<F extends BinFile>(files: readonly F[]): F[][] {
  const partitions = new Map<string, F[]>();
  for (const file of files) {
    const key = tablePartitionKey(file.partitionValues);
    const members = partitions.get(key);
    if (members === undefined) partitions.set(key, [file]);
    else members.push(file);
  }
  return [...partitions].sort(([a], [b]) => compare(a, b)).map(([, members]) => members);
}

function binsBySize<F extends BinFile>(
  members: readonly F[],
  { targetFileBytes, minInputFiles }: { readonly targetFileBytes: number; readonly minInputFiles: number },
): Bin<F>[] {
  const isNearTarget = (bytes: number) => bytes >= targetFileBytes * NEAR_TARGET;
  const bins: { files: F[]; bytes: number }[] = [];
  for (const file of members.filter((member) => !isNearTarget(member.sizeBytes)).sort(asWritten)) {
    const bin = bins.find(({ bytes }) => bytes + file.sizeBytes <= targetFileBytes);
    if (bin === undefined) bins.push({ files: [file], bytes: file.sizeBytes });
    else {
      bin.files.push(file);
      bin.bytes += file.sizeBytes;
    }
  }
  return bins
    .filter(({ files, bytes }) => files.length > 1 && (isNearTarget(bytes) || files.length >= minInputFiles))
    .map(({ files }) => files);
}

function binsByCount<F extends BinFile>(members: readonly F[], count: number): Bin<F>[] {
  const bins = Array.from({ length: count }, () => ({ files: [] as F[], bytes: 0 }));
  const largestFirst = [...members].sort((a, b) => b.sizeBytes - a.sizeBytes || asWritten(a, b));
  for (const file of largestFirst) {
    const smallest = bins.reduce((a, b) =>
      b.bytes < a.bytes || (b.bytes === a.bytes && b.files.length < a.files.length) ? b : a,
    );
    smallest.files.push(file);
    smallest.bytes += file.sizeBytes;
  }
  return bins.filter(({ files }) => files.length > 1).map(({ files }) => files.sort(asWritten));
}

function asWritten(a: BinFile, b: BinFile): number {
  return a.modifiedMs - b.modifiedMs || compare(a.path, b.path);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
