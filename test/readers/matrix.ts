/**
 * Tables read by every reader, each cell of it checked by the reader itself; see matrix.py and filters.py for
 * how.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { DeltaLog } from '../../src/delta/log.ts';
import { toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { tidemark } from '../e2e/setup/processes.ts';
import { pythonJson } from '../parquet/cases.ts';
import { deltaExtension, type ReadersEnvironment, readMatrixWith } from './environment.ts';
import { readByHyparquet } from './hyparquet-reader.ts';
import type { MadeTable } from './made-tables.ts';

export interface MatrixTable extends Omit<MadeTable, 'rows'> {
  /** A word: what the table is called in SQL. */
  readonly name: string;
  /** Without them, what the live files hold. */
  readonly rows?: MadeTable['rows'];
}

/** How many filters to take of a table, by reader. */
export interface FilterLimits {
  readonly spark: number;
  /** `tidemark query`, a process each hundred. */
  readonly tidemark: number;
  readonly others: number;
}

/** What one reader made of one table. */
export interface Cell {
  readonly table: string;
  readonly reader: string;
  readonly version?: string;
  readonly count?: number;
  readonly checksum?: string;
  readonly columns?: Readonly<Record<string, string>>;
  readonly filters?: number;
  /** Filters that found another number of rows because something was skipped. */
  readonly hidden?: readonly string[];
  /** Filters that mean something else to this reader. */
  readonly differing?: readonly string[];
  /** Filters that it cannot answer. */
  readonly failing?: readonly string[];
  readonly failure?: string;
  readonly seconds?: number;
}

interface TruthCell extends Cell {
  readonly sql?: { readonly checksum: string; readonly counts: readonly (readonly [string, number[]])[] };
}

export const PYTHON_READERS = ['delta-rs', 'delta-rs-dataset', 'polars', 'duckdb'] as const;

/**
 * @returns a cell for each table and each of: truth, spark, PYTHON_READERS, duckdb-delta where it is to be
 * had, hyparquet, tidemark
 */
export async function readMatrix(
  environment: ReadersEnvironment,
  folder: string,
  tables: readonly MatrixTable[],
  filters: FilterLimits,
  report: (cell: Cell) => void,
): Promise<Cell[]> {
  const asked = await Promise.all(tables.map((table) => describe(folder, table, filters)));
  const request = join(folder, 'request.json');
  await writeFile(request, JSON.stringify({ tables: asked }));
  const cells: Cell[] = [];
  const add = <C extends Cell>(some: readonly C[]) => {
    for (const { sql, ...cell } of some as readonly TruthCell[]) {
      cells.push(cell);
      report(cell);
    }
    return some;
  };
  const read = async (readers: readonly string[], extension?: string) =>
    add(await readMatrixWith<TruthCell>(environment, request, readers, extension));

  const truths = await read(['truth']);
  for (const reader of PYTHON_READERS) await read([reader]);
  const extension = await deltaExtension(environment);
  if ('folder' in extension) await read(['duckdb-delta'], extension.folder);
  for (const [i, table] of tables.entries()) {
    const { files = [] } = asked[i] ?? {};
    const { rows } = table;
    if (rows !== undefined) add([await readByHyparquet({ ...table, rows }, files, filters.others)]);
    const { sql } = truths.find((truth) => truth.table === table.name) ?? {};
    if (sql !== undefined) add([await queryTidemark(folder, table.name, sql)]);
  }
  await read(['spark']);
  return cells;
}

async function describe(folder: string, table: MatrixTable, filters: FilterLimits) {
  const { name, location, schema, rows } = table;
  await writePipeline(folder, name, location);
  const snapshot = await new DeltaLog(new LocalStore(location), { now: Date.now }).snapshot();
  if (snapshot === undefined) throw new Error(`${location} is no table`);
  const { stdout } = await tidemark(['files', name, '-o', 'json'], { TIDEMARK_PIPELINES: folder });
  const listed = JSON.parse(stdout) as { path: string; partitionValues: Record<string, string | null> }[];
  const stats = new Map(
    [...snapshot.files].map(([path, add]) => [new LocalStore(location).address(path), add.stats]),
  );
  const rowsFile = join(folder, `${name}.rows.json`);
  const type = { kind: 'struct', fields: schema.fields } as const;
  if (rows !== undefined)
    await writeFile(rowsFile, pythonJson({ kind: 'array', element: type, containsNull: false }, [...rows]));
  return {
    ...{ name, location, filters, schema: toDeltaSchemaString(schema) },
    partitionColumns: snapshot.metaData.partitionColumns,
    files: listed.map((file) => ({ ...file, stats: stats.get(file.path) })),
    ...(rows === undefined ? {} : { rows: rowsFile }),
  };
}

/** For the verbs that look at a table: of all that is in it, only the location matters to them. */
async function writePipeline(folder: string, name: string, location: string): Promise<void> {
  const source = { bootstrapServers: '127.0.0.1:1', subscribe: 'none' };
  const pipeline = { source, records: { schema: 'id BIGINT' }, table: { location } };
  await writeFile(join(folder, `${name}.yaml`), stringify(pipeline));
}

async function queryTidemark(
  folder: string,
  name: string,
  sql: NonNullable<TruthCell['sql']>,
): Promise<Cell> {
  const started = Date.now();
  const query = async (text: string) => {
    const env = { TIDEMARK_PIPELINES: folder, TZ: 'Asia/Kolkata' };
    const { stdout, stderr, exitCode } = await tidemark(['query', name, text, '-o', 'json'], env);
    if (exitCode !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  };
  try {
    const [{ count, checksum }] = await query(sql.checksum);
    const hidden: string[] = [];
    for (const [text, meant] of sql.counts) {
      const found = (await query(text)) as { n: number }[];
      const filters = text.split(' UNION ALL ');
      for (const [i, { n }] of found.entries())
        if (Number(n) !== meant[i]) hidden.push(`${filters[i]}: ${n} of ${meant[i]}`);
    }
    const seconds = (Date.now() - started) / 1000;
    return {
      ...{ table: name, reader: 'tidemark query', count: Number(count), checksum, hidden, seconds },
      filters: sql.counts.reduce((sum, [, meant]) => sum + meant.length, 0),
    };
  } catch (error) {
    return { table: name, reader: 'tidemark query', failure: String(error) };
  }
}
