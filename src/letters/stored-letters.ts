import { carriedLetterPaths } from '../commits/carried-letters.ts';
import type { LetterId } from '../commits/letters.ts';
import { hasOthersLetters } from '../commits/publication.ts';
import type { Add } from '../delta/actions.ts';
import type { DeltaLog } from '../delta/log.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { openParquetFile } from '../parquet/file-reader.ts';
import type { ObjectStore } from '../storage/object-store.ts';

/** A row of the dead-letter table as its files give it back. Times are microseconds since 1970. */
export interface StoredLetter {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly epoch: bigint;
  readonly timestamp: bigint | null;
  readonly key: Uint8Array | null;
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array | null }[] | null;
  readonly value: Uint8Array;
  readonly reason: string;
  readonly path: string;
  readonly byte_offset: number | null;
  readonly message: string;
  readonly run: string;
  readonly batch: string;
}

/** The columns that tell a letter from all others. */
export const IDENTITY = ['topic', 'partition', 'offset', 'epoch'] as const;

export function letterId(letter: Pick<StoredLetter, (typeof IDENTITY)[number]>): LetterId {
  const { topic, partition, offset, epoch } = letter;
  return { topic, kafkaPartition: partition, offset, epoch };
}

/**
 * The files with this table's published letters, oldest first. A table that lay here before may have left
 * letters of the same topics: offsets do not distinguish them, so only files that this table's own versions
 * name count then.
 */
export async function letterFilesOf(
  main: DeltaLog,
  mainTableId: string,
  letters: Pick<Snapshot, 'files' | 'txns'> | undefined,
): Promise<[string, Add][]> {
  if (letters === undefined) return [];
  const own = hasOthersLetters(letters, mainTableId) ? await carriedLetterPaths(main) : undefined;
  return [...letters.files]
    .filter(([path]) => own === undefined || own.has(path))
    .sort(
      ([onePath, one], [otherPath, other]) =>
        one.modificationTime - other.modificationTime || (onePath < otherPath ? -1 : 1),
    );
}

/** Rows that are held at once at most, also where another writer made larger row groups. */
const ROWS_AT_ONCE = 10_000;

/** A part of a file whose letters are held together. */
export interface LetterSlice {
  readonly startRow: number;
  readonly endRow: number;
  /**
   * The named columns of letters [startRow, endRow) of the file, all of the slice where not said otherwise.
   */
  read<Column extends keyof StoredLetter>(
    columns: readonly Column[],
    startRow?: number,
    endRow?: number,
  ): Promise<Pick<StoredLetter, Column>[]>;
}

/** Rows [startRow, endRow) of a file of the dead-letter table, in slices that fit into memory. */
export async function* letterSlices(
  store: ObjectStore,
  path: string,
  { startRow, endRow } = { startRow: 0, endRow: Number.POSITIVE_INFINITY },
): AsyncGenerator<LetterSlice> {
  const file = await openParquetFile(store, path);
  for (const group of file.rowGroups) {
    const groupEnd = Math.min(group.endRow, endRow);
    for (let from = Math.max(group.startRow, startRow); from < groupEnd; from += ROWS_AT_ONCE) {
      const until = Math.min(from + ROWS_AT_ONCE, groupEnd);
      yield {
        startRow: from,
        endRow: until,
        read: (columns, first = from, end = until) => file.read(columns, first, end),
      };
    }
  }
}
