import { stat } from 'node:fs/promises';
import { assert, Failure } from '../errors.ts';
import type { Compression } from '../pipeline/specification.ts';
import type { Schema } from '../records/ddl.ts';
import type { Database } from './duckdb.ts';
import { footerStatistics, statsFromFooter } from './output-statistics.ts';
import { columnFromFiles, fileList, quoteString, readParquet } from './table-sql.ts';

/** Files of one table partition that become one. Plain JSON: it crosses into another process. */
export interface BinOrder {
  /** As DuckDB can open them, in the order that their rows shall have. */
  readonly inputs: readonly string[];
  /** Absolute path of a file that does not exist yet. */
  readonly output: string;
  /** The columns that files hold: the table's without its partition columns. */
  readonly schema: Schema;
  readonly compression: Compression;
}

export interface RewrittenBin {
  readonly rowCount: number;
  readonly sizeBytes: number;
  /** Delta statistics, a JSON text. */
  readonly stats: string;
}

/** DuckDB holds whole row groups in memory, one or two per thread. */
const ROW_GROUP_BYTES = 32 * 1024 * 1024;
const ROW_GROUP_ROWS_MAX = 122_880;
const ROW_GROUP_ROWS_MIN = 2048;

const CODECS: Record<Compression, string> = {
  zstd: 'zstd',
  snappy: 'snappy',
  gzip: 'gzip',
  none: 'uncompressed',
};

/**
 * Writes the rows of all inputs into one Parquet file, in the inputs' order. The file is complete but not yet durable.
 *
 * @throws Failure COMPACTION_ROWS_DIFFER where rows went missing; DuckDB's own errors otherwise
 */
export async function rewriteBin(database: Database, order: BinOrder): Promise<RewrittenBin> {
  const input = await footerTotals(database, order.inputs);
  await copy(database, order, rowGroupRows(input));
  const output = await footerTotals(database, [order.output]);
  if (input.rows !== output.rows) {
    throw new Failure(
      'COMPACTION_ROWS_DIFFER',
      `${input.rows} rows went into ${order.output}, ${output.rows} came out.`,
      'Nothing was committed and the table is as it was. Please report this with the output of the compaction.',
    );
  }
  const stats = statsFromFooter(
    order.schema,
    output.rows,
    await database.all(footerStatistics(order.output)),
  );
  const { size } = await stat(order.output);
  return { rowCount: output.rows, sizeBytes: size, stats };
}

interface FooterTotals {
  readonly rows: number;
  readonly uncompressedBytes: number;
}

async function footerTotals(database: Database, files: readonly string[]): Promise<FooterTotals> {
  const list = fileList(files);
  const [row] = await database.all(`SELECT
    (SELECT sum(num_rows) FROM parquet_file_metadata(${list})),
    (SELECT sum(total_uncompressed_size) FROM parquet_metadata(${list}))`);
  assert(row !== undefined, 'an aggregate has one row');
  return { rows: Number(row[0]), uncompressedBytes: Number(row[1] ?? 0) };
}

function rowGroupRows({ rows, uncompressedBytes }: FooterTotals): number {
  const fitting = Math.floor((ROW_GROUP_BYTES * rows) / Math.max(1, uncompressedBytes));
  return Math.min(ROW_GROUP_ROWS_MAX, Math.max(ROW_GROUP_ROWS_MIN, fitting));
}

async function copy(database: Database, order: BinOrder, rowGroupRows: number): Promise<void> {
  const source = readParquet(order.inputs);
  const present = new Set((await database.columns(`FROM ${source}`)).map(({ name }) => name.toLowerCase()));
  const columns = order.schema.fields.map((field) => columnFromFiles(field, present));
  await database.run(`COPY (SELECT ${columns.join(', ')} FROM ${source}) TO ${quoteString(order.output)}
    (FORMAT parquet, COMPRESSION ${CODECS[order.compression]}, ROW_GROUP_SIZE ${rowGroupRows})`);
}
