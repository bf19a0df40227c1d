import { stat } from 'node:fs/promises';
import { assert, Failure } from '../errors.ts';
import type { Compression } from '../parquet/compression.ts';
import type { Schema } from '../records/ddl.ts';
import type { CleanSpecification } from '../records/records-specification.ts';
import type { Database } from './database.ts';
import { footerStatistics, statsFromFooter } from './output-statistics.ts';
import { rowCounts, rowsPerRowGroup, writeRows } from './rewrite-bin.ts';
import { quoteIdentifier, readParquet, sqlType } from './table-sql.ts';

/** The finished temporary files of one write task. Plain JSON: it crosses into another process. */
export interface CleanFilesOrder {
  readonly clean: CleanSpecification;
  /** Absolute paths; an output does not exist yet. */
  readonly files: readonly { readonly input: string; readonly output: string }[];
  /** Columns of the inputs, as expressions see them. */
  readonly rowSchema: Schema;
  /** Columns of the outputs. */
  readonly fileSchema: Schema;
  /** INT column of the inputs: which of the task's ranges a row is from, 0 to `ranges - 1`. */
  readonly rangeColumn: string;
  readonly ranges: number;
  readonly compression: Compression;
}

/** `output` exists where `rowCount` is not 0. */
export interface CleanedFile {
  readonly rowCount: number;
  readonly sizeBytes: number;
  /** Delta statistics, a JSON text. */
  readonly stats: string;
  /** By range: rows for which `where` is true, and the others; each counted. */
  readonly kept: readonly number[];
  readonly filtered: readonly number[];
}

/**
 * Writes the rows of each input for which `where` is true, with the columns of `clean`, in their order.
 *
 * @throws Failure CLEAN_FAILED where an expression fails on a row; DuckDB's own errors otherwise
 */
export async function cleanFiles(
  database: Database,
  order: CleanFilesOrder,
  onCleaned: () => void,
): Promise<CleanedFile[]> {
  const cleaned: CleanedFile[] = [];
  for (const { input, output } of order.files) {
    cleaned.push(
      await cleanFile(database, order, input, output).catch(async (error) => {
        throw (await expressionFailure(database, order, input)) ?? error;
      }),
    );
    onCleaned();
  }
  return cleaned;
}

async function cleanFile(
  database: Database,
  order: CleanFilesOrder,
  input: string,
  output: string,
): Promise<CleanedFile> {
  const { fileSchema, compression } = order;
  const { kept, filtered } = await countByRange(database, order, input);
  const rowsKept = kept.reduce((sum, count) => sum + count, 0);
  if (rowsKept === 0) return { rowCount: 0, sizeBytes: 0, stats: '', kept, filtered };
  const [rowsIn = 0] = await rowCounts(database, [input]);
  const rowGroupRows = await rowsPerRowGroup(database, [input], rowsIn);
  await writeRows(database, cleanRows(order, input), {
    schema: fileSchema,
    output,
    compression,
    rowGroupRows,
  });
  const [rowCount = 0] = await rowCounts(database, [output]);
  assert(rowCount === rowsKept, `${rowsKept} rows pass clean, and ${rowCount} were written`);
  const stats = statsFromFooter(fileSchema, rowCount, await database.all(footerStatistics(output)));
  const { size } = await stat(output);
  return { rowCount, sizeBytes: size, stats, kept, filtered };
}

async function countByRange(
  database: Database,
  order: CleanFilesOrder,
  input: string,
): Promise<Pick<CleanedFile, 'kept' | 'filtered'>> {
  const rows = await database.all(
    `SELECT range, count(*) FILTER (passes), count(*) FILTER (NOT passes)
     FROM (SELECT ${quoteIdentifier(order.rangeColumn)} AS range, ${condition(order)} AS passes
           FROM ${rowsOf(order, input)}) GROUP BY range`,
  );
  const kept = new Array<number>(order.ranges).fill(0);
  const filtered = new Array<number>(order.ranges).fill(0);
  for (const [range, passing, others] of rows) {
    assert(Number(range) in kept, `${range} is one of ${order.ranges} ranges`);
    kept[Number(range)] = Number(passing);
    filtered[Number(range)] = Number(others);
  }
  return { kept, filtered };
}

function cleanRows(order: CleanFilesOrder, input: string): string {
  const expressions = new Map(order.clean.columns.map(({ name, expression }) => [name, expression]));
  const columns = order.fileSchema.fields.map(({ name, type }) => {
    const expression = expressions.get(name);
    const value = expression === undefined ? quoteIdentifier(name) : `(\n${expression}\n)`;
    return `CAST(${value} AS ${sqlType(type)}) AS ${quoteIdentifier(name)}`;
  });
  return `SELECT ${columns.join(', ')} FROM ${rowsOf(order, input)} WHERE ${condition(order)}`;
}

/** The input's rows, typed as expressions were checked against. */
function rowsOf({ rowSchema, rangeColumn }: CleanFilesOrder, input: string): string {
  const columns = rowSchema.fields.map(
    ({ name, type }) => `CAST(${quoteIdentifier(name)} AS ${sqlType(type)}) AS ${quoteIdentifier(name)}`,
  );
  return `(SELECT ${[...columns, quoteIdentifier(rangeColumn)].join(', ')} FROM ${readParquet([input])}) tidemark_row`;
}

/** Null is not true. */
function condition({ clean }: CleanFilesOrder): string {
  return clean.where === undefined ? 'true' : `((\n${clean.where}\n) IS TRUE)`;
}

/**
 * Which expression fails, tried one by one; undefined where it is none of them, or the file itself cannot be
 * read.
 */
async function expressionFailure(
  database: Database,
  order: CleanFilesOrder,
  input: string,
): Promise<Failure | undefined> {
  const { where, columns } = order.clean;
  const expressions = [
    ...(where === undefined ? [] : [{ option: 'records.clean.where', text: where, condition: 'true' }]),
    ...columns.map(({ name, expression }) => ({
      option: `records.clean.columns.${name}`,
      text: expression,
      condition: condition(order),
    })),
  ];
  const problemOf = (select: string, condition: string): Promise<string | undefined> =>
    database.all(`SELECT ${select} FROM ${rowsOf(order, input)} WHERE ${condition}`).then(
      () => undefined,
      (error: unknown) => String(error instanceof Error ? error.message : error),
    );
  if ((await problemOf('count(COLUMNS(*))', 'true')) !== undefined) return undefined;
  for (const { option, text, condition } of expressions) {
    const problem = await problemOf(`count((\n${text}\n))`, condition);
    if (problem === undefined || !ON_A_ROW.test(problem)) continue;
    return new Failure(
      'CLEAN_FAILED',
      `${option} failed on a row: ${problem.split('\n')[0]}\n${text}`,
      'This batch was not committed. Use TRY_CAST instead of CAST, or TRY(...) around the expression: both give null.',
    );
  }
  return undefined;
}

/** DuckDB's names for what a value can do, as opposed to memory, disks and bugs. */
const ON_A_ROW =
  /^(Conversion|Out of Range|Invalid Input|Constraint|Mismatch Type|Invalid type|Not implemented) Error/i;
