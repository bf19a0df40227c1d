import { Failure } from '../errors.ts';
import type { Field, Schema } from '../records/ddl.ts';
import { Database, type Rows } from './database.ts';
import {
  columnFromFiles,
  partitionValue,
  quoteIdentifier,
  quoteString,
  readParquet,
  sqlType,
} from './table-sql.ts';

export interface TableQuery {
  /** What the table is called in the SQL text: the pipeline's name. */
  readonly view: string;
  /** Columns in the table's order, partition columns among them. */
  readonly schema: Schema;
  readonly partitionColumns: readonly string[];
  /** The live files with the log's partition values. */
  readonly files: readonly QueriedFile[];
  readonly sql: string;
  /** @default 1 GiB */
  readonly memoryLimitBytes?: number;
  /** @default 2 */
  readonly threads?: number;
}

export interface QueriedFile {
  /** Of this machine. */
  readonly file: string;
  readonly partitionValues: Readonly<Record<string, string | null>>;
}

/** Rows as they come; closed after them. */
export interface QueryResult extends Rows {
  close(): void;
}

/**
 * Runs one SELECT over the live files of a table. Its SQL can reach these files and nothing else.
 * The caller closes it, after the rows.
 *
 * @throws Failure USAGE where DuckDB refuses the SQL or runs out of memory
 */
export async function queryTable(query: TableQuery): Promise<QueryResult> {
  const database = await Database.open({
    memoryLimitBytes: query.memoryLimitBytes ?? 1024 ** 3,
    threads: query.threads ?? 2,
    readableFiles: query.files.map(({ file }) => file),
  });
  try {
    await database.run(await createView(database, query));
    const { columns, rows } = await database.select(query.sql);
    return { columns, rows: namingFailures(rows), close: () => database.close() };
  } catch (error) {
    database.close();
    throw sqlFailure(error);
  }
}

async function createView(
  database: Database,
  { view, schema, partitionColumns, files }: TableQuery,
): Promise<string> {
  const head = `CREATE VIEW ${quoteIdentifier(view)} AS SELECT`;
  if (files.length === 0) {
    const nulls = schema.fields.map((field) => columnFromFiles(field, new Map()));
    return `${head} ${nulls.join(', ')} WHERE false`;
  }
  const fileColumn = unusedName('_file', schema);
  const source = readParquet(
    files.map(({ file }) => file),
    fileColumn,
  );
  const stored = await database.storedColumns(`FROM ${source}`);
  const selected = schema.fields.map((field) => {
    const index = partitionColumns.indexOf(field.name);
    return index < 0 ? columnFromFiles(field, stored) : partitionColumn(field, index);
  });
  return `${head} ${selected.join(', ')} FROM ${source} JOIN ${partitionValuesOf(files, partitionColumns)}
    ON ${quoteIdentifier(fileColumn)} = partition_values.file`;
}

function partitionColumn(field: Field, index: number): string {
  return `CAST(partition_values.value_${index} AS ${sqlType(field.type)}) AS ${quoteIdentifier(field.name)}`;
}

function partitionValuesOf(files: readonly QueriedFile[], columns: readonly string[]): string {
  const tuples = files.map(({ file, partitionValues }) => {
    const values = columns.map((column) => partitionValue(partitionValues[column]));
    return `(${[quoteString(file), ...values].join(', ')})`;
  });
  const names = ['file', ...columns.map((_, index) => `value_${index}`)];
  return `(VALUES ${tuples.join(', ')}) partition_values(${names.join(', ')})`;
}

function unusedName(wanted: string, schema: Schema): string {
  const taken = new Set(schema.fields.map((field) => field.name.toLowerCase()));
  let name = wanted;
  while (taken.has(name)) name = `_${name}`;
  return name;
}

async function* namingFailures(
  rows: Rows['rows'],
): Rows['rows'] extends AsyncIterable<infer R> ? AsyncGenerator<R> : never {
  try {
    yield* rows;
  } catch (error) {
    throw sqlFailure(error);
  }
}

function sqlFailure(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  return new Failure(
    'USAGE',
    message,
    "The SQL is DuckDB's dialect; the table has the name of its pipeline.",
    {
      cause: error,
    },
  );
}
