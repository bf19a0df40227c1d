import { type Add, parseStats } from '../delta/actions.ts';
import { fileList, quoteString } from '../duckdb/table-sql.ts';
import { readFooter } from '../parquet/file-reader.ts';
import { localCopies } from '../storage/local-copies.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { Scan, type ScanSettings } from '../verify/scan.ts';
import type { TracedOffset } from './offset-trace.ts';

export interface RowPlace {
  readonly file: string;
  /** From 0 on, as Parquet readers count. */
  readonly rowGroup: number;
  /** In the file, from 0 on. */
  readonly row: number;
}

/**
 * Finds the rows of one offset in files of which some hold it perhaps; by statistics first, then in the
 * files.
 */
export async function locateRows(
  store: ObjectStore,
  files: readonly (readonly [string, Add])[],
  traced: TracedOffset,
  settings: Omit<ScanSettings, 'copiesFolder'>,
): Promise<RowPlace[]> {
  const candidates = files.filter(([, add]) => mayHold(add, traced)).map(([path]) => path);
  if (candidates.length === 0) return [];
  await using copies = await localCopies(store, candidates);
  const paths = new Map(candidates.map((path) => [copies.fileOf(path), path]));
  const scan = await Scan.open({ ...settings, copiesFolder: store.copiesFolder });
  try {
    const places: RowPlace[] = [];
    for await (const [copy, row] of scan.rows(rowsOf([...paths.keys()], traced))) {
      const file = paths.get(String(copy));
      if (file !== undefined)
        places.push({ file, row: Number(row), rowGroup: await rowGroupOf(store, file, Number(row)) });
    }
    return places;
  } finally {
    await scan.close();
  }
}

function rowsOf(files: readonly string[], { topic, kafkaPartition, offset }: TracedOffset): string {
  return `SELECT filename, file_row_number
    FROM read_parquet(${fileList(files)}, union_by_name = true, hive_partitioning = false, filename = true, file_row_number = true)
    WHERE "_offset" = ${offset} AND "_partition" = ${kafkaPartition} AND "_topic" = ${quoteString(topic)}`;
}

function mayHold({ stats }: Add, { offset }: TracedOffset): boolean {
  const { minValues, maxValues } = parseStats(stats) ?? {};
  const [least, greatest] = [minValues?._offset, maxValues?._offset];
  return !(isInteger(least) && least > offset) && !(isInteger(greatest) && greatest < offset);
}

function isInteger(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

async function rowGroupOf(store: ObjectStore, file: string, row: number): Promise<number> {
  const { rowGroups } = await readFooter(store, file);
  let end = 0;
  return rowGroups.findIndex(({ rowCount }) => {
    end += rowCount;
    return row < end;
  });
}
