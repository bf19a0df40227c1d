import type { Value } from '../duckdb/database.ts';
import type { StoredColumns } from '../duckdb/table-sql.ts';
import { Failure } from '../errors.ts';
import type { Schema } from '../records/ddl.ts';
import { type Scan, ScanError } from './scan.ts';
import { statisticsOf } from './scan-sql.ts';
import {
  isBinary,
  type Leaf,
  type SeenLeaf,
  type StatisticsColumn,
  statisticsLeaves,
} from './statistics-check.ts';

/** What the rows of one file are. */
export interface FileStatistics {
  readonly rowCount: number;
  readonly leaves: ReadonlyMap<Leaf, SeenLeaf>;
  /** Of binary columns together. */
  readonly binaryBytes: number;
}

/** What DuckDB may use for one query. */
export interface ScanLimits {
  readonly memoryLimitBytes: number;
  readonly threads: number;
}

/** Beyond it one column of one row group is more than anybody should have to hold. */
const MEMORY_BYTES_MAX = 4 * 1024 ** 3;

/**
 * Counts, minima and maxima of files. Where DuckDB runs out of memory, a smaller try follows: one file, fewer
 * columns, one thread; and for one column of one file twice the memory, again and again. The lesson holds for
 * the next files.
 */
export class RowStatistics {
  private readonly schema: Schema;
  private readonly fileColumn: string;
  private readonly scanWith: (limits: ScanLimits) => Promise<Scan>;
  private readonly columns: ColumnGroup;

  /** @param scanWith a process with these limits; the caller closes it */
  constructor(
    schema: Schema,
    fileColumn: string,
    limits: ScanLimits,
    scanWith: (limits: ScanLimits) => Promise<Scan>,
  ) {
    this.schema = schema;
    this.fileColumn = fileColumn;
    this.scanWith = scanWith;
    this.columns = new ColumnGroup(columnsOf(schema), limits);
  }

  get leaves(): readonly Leaf[] {
    return this.columns.columns.flatMap((column) => (column.kind === 'leaf' ? [column.leaf] : []));
  }

  /** @returns by file; throws ScanError where one cannot be read, VERIFY_FAILED where memory does not do */
  async of(files: readonly string[], stored: StoredColumns): Promise<ReadonlyMap<string, FileStatistics>> {
    const found = new Map<string, MutableStatistics>();
    await this.read(files, stored, this.columns, found);
    return found;
  }

  private async read(
    files: readonly string[],
    stored: StoredColumns,
    group: ColumnGroup,
    found: Map<string, MutableStatistics>,
  ): Promise<void> {
    if (group.parts !== undefined) {
      for (const part of group.parts) await this.read(files, stored, part, found);
      return;
    }
    try {
      await this.readTogether(files, stored, group, found);
    } catch (error) {
      if (!(error instanceof ScanError && isOutOfMemory(error))) throw error;
      if (files.length > 1) for (const file of files) await this.read([file], stored, group, found);
      else {
        if (!group.shrink()) throw noRoom(error);
        await this.read(files, stored, group, found);
      }
    }
  }

  private async readTogether(
    files: readonly string[],
    stored: StoredColumns,
    { columns, limits }: ColumnGroup,
    found: Map<string, MutableStatistics>,
  ): Promise<void> {
    const scan = await this.scanWith(limits);
    const rows: (readonly Value[])[] = [];
    const sql = statisticsOf(files, this.schema, columns, this.fileColumn, stored);
    for await (const row of scan.rows(sql)) rows.push(row);
    for (const [file, count, ...values] of rows) {
      const statistics = found.get(String(file)) ?? {
        rowCount: Number(count),
        leaves: new Map(),
        binaryBytes: 0,
      };
      found.set(String(file), statistics);
      columns.forEach((column, at) => {
        const [nonNull, min, max] = values.slice(3 * at, 3 * at + 3);
        if (column.kind !== 'leaf') return;
        if (isBinary(column.leaf)) statistics.binaryBytes += Number(max ?? 0);
        statistics.leaves.set(column.leaf, { nonNull: Number(nonNull), min: textOf(min), max: textOf(max) });
      });
    }
  }
}

interface MutableStatistics extends FileStatistics {
  readonly leaves: Map<Leaf, SeenLeaf>;
  binaryBytes: number;
}

/** Columns that are read by one query, until that needs too much. */
class ColumnGroup {
  readonly columns: readonly StatisticsColumn[];
  limits: ScanLimits;
  parts: readonly ColumnGroup[] | undefined;

  constructor(columns: readonly StatisticsColumn[], limits: ScanLimits) {
    this.columns = columns;
    this.limits = limits;
  }

  /** @returns false where no try is smaller, and no memory larger */
  shrink(): boolean {
    const { columns, limits } = this;
    if (columns.length > 1) {
      const half = columns.length >> 1;
      this.parts = [columns.slice(0, half), columns.slice(half)].map((part) => new ColumnGroup(part, limits));
    } else if (limits.threads > 1) this.limits = { ...limits, threads: 1 };
    else {
      const memoryLimitBytes = 2 * limits.memoryLimitBytes;
      if (memoryLimitBytes > MEMORY_BYTES_MAX) return false;
      this.limits = { ...limits, memoryLimitBytes };
    }
    return true;
  }
}

function columnsOf({ fields }: Schema): StatisticsColumn[] {
  return [
    ...statisticsLeaves(fields, []).map((leaf) => ({ kind: 'leaf', leaf }) as const),
    ...fields
      .filter(({ type }) => type.kind === 'array' || type.kind === 'map')
      .map((field) => ({ kind: 'nested', field }) as const),
  ];
}

export function isOutOfMemory({ message }: ScanError): boolean {
  return /out of memory|could not allocate/i.test(message);
}

function noRoom(error: ScanError): Failure {
  return new Failure(
    'VERIFY_FAILED',
    `One column of one row group needs more than ${MEMORY_BYTES_MAX / 1024 ** 3} GiB to be read: ${error.message.split('\n')[0]}`,
    'Nothing was changed. Rewrite the file with smaller row groups, or check without the rows: --quick.',
  );
}

function textOf(value: Value | undefined): string | null {
  return value === null || value === undefined ? null : String(value);
}
