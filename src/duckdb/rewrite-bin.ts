import { stat } from 'node:fs/promises';
import { assert, Failure } from '../errors.ts';
import type { Compression } from '../parquet/compression.ts';
import type { Schema } from '../records/ddl.ts';
import type { Database } from './database.ts';
import { footerStatistics, statsFromFooter } from './output-statistics.ts';
import {
  columnFromFiles,
  fileList,
  holdsNegativeZero,
  quoteIdentifier,
  quoteString,
  readParquet,
} from './table-sql.ts';

/** Files of one table partition that become one. Plain JSON: it crosses into another process. */
export interface BinOrder {
  /** As DuckDB can open them, in the order of their rows in the output. */
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
  /** Rows of each input by its footer, in the inputs' order. */
  readonly inputRowCounts: readonly number[];
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
 * Writes the rows of all inputs into one Parquet file, in the inputs' order. The file is complete but not yet
 * durable.
 *
 * @throws Failure COMPACTION_ROWS_DIFFER where rows went missing; DuckDB's own errors otherwise
 */
export async function rewriteBin(database: Database, order: BinOrder): Promise<RewrittenBin> {
  const { inputs, output, schema } = order;
  const inputRowCounts = await rowCounts(database, inputs);
  const rowsIn = inputRowCounts.reduce((sum, count) => sum + count, 0);
  const rowGroupRows = await rowsPerRowGroup(database, inputs, rowsIn);
  await writeRows(database, await rowsInSchema(database, order), { ...order, rowGroupRows });
  const [rowCount = 0] = await rowCounts(database, [output]);
  if (rowCount !== rowsIn) {
    throw new Failure(
      'COMPACTION_ROWS_DIFFER',
      `${rowsIn} rows went into ${output}, ${rowCount} came out.`,
      'Nothing was committed and the table is as it was. Please report this with the output of the compaction.',
    );
  }
  const stats = statsFromFooter(schema, rowCount, await database.all(footerStatistics(output)));
  const { size } = await stat(output);
  return { rowCount, sizeBytes: size, stats, inputRowCounts };
}

/** Rows of each file by its footer, in the files' order. */
export async function rowCounts(database: Database, files: readonly string[]): Promise<number[]> {
  const rows = await database.all(
    `SELECT file_name, num_rows FROM parquet_file_metadata(${fileList(files)})`,
  );
  const byFile = new Map(rows.map(([file, count]) => [file, Number(count)]));
  return files.map((file) => {
    const count = byFile.get(file);
    assert(count !== undefined, `a row count for ${file}`);
    return count;
  });
}

/** Rows that make a row group of about ROW_GROUP_BYTES, if the inputs' footers say true. */
export async function rowsPerRowGroup(
  database: Database,
  files: readonly string[],
  rows: number,
): Promise<number> {
  const [row] = await database.all(
    `SELECT sum(total_uncompressed_size) FROM parquet_metadata(${fileList(files)})`,
  );
  const fitting = Math.floor((ROW_GROUP_BYTES * rows) / Math.max(1, Number(row?.[0] ?? 0)));
  return Math.min(ROW_GROUP_ROWS_MAX, Math.max(ROW_GROUP_ROWS_MIN, fitting));
}

/** Writes what `rows`, a SELECT with the schema's columns, gives into one Parquet file, in its order. */
export async function writeRows(
  database: Database,
  rows: string,
  order: Pick<BinOrder, 'schema' | 'output' | 'compression'> & { readonly rowGroupRows: number },
): Promise<void> {
  // DuckDB's dictionaries hold 0.0 and -0.0 equal: whichever comes first would take the other's place.
  const dictionaries = (await anyNegativeZero(database, order.schema, rows))
    ? ', DICTIONARY_SIZE_LIMIT 0'
    : '';
  await database.run(`COPY (${rows}) TO ${quoteString(order.output)}
    (FORMAT parquet, COMPRESSION ${CODECS[order.compression]}, ROW_GROUP_SIZE ${order.rowGroupRows}${dictionaries})`);
}

async function rowsInSchema(database: Database, { inputs, schema }: BinOrder): Promise<string> {
  const source = readParquet(inputs);
  const stored = await database.storedColumns(`FROM ${source}`);
  const columns = schema.fields.map((field) => columnFromFiles(field, stored));
  return `SELECT ${columns.join(', ')} FROM ${source}`;
}

async function anyNegativeZero(database: Database, { fields }: Schema, rows: string): Promise<boolean> {
  const conditions = fields.flatMap(({ name, type }) => holdsNegativeZero(type, quoteIdentifier(name)) ?? []);
  if (conditions.length === 0) return false;
  const [row] = await database.all(`SELECT bool_or(${conditions.join(' OR ')}) FROM (${rows})`);
  return row?.[0] === true;
}
