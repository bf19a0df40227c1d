import type { Value } from '../duckdb/database.ts';
import { SupervisedProcess } from '../duckdb/supervised-process.ts';
import type { StoredColumns } from '../duckdb/table-sql.ts';
import { entryFile } from '../entry.ts';
import { leanMalloc } from '../lean-malloc.ts';

/** What a scan process gets first. */
export interface ScanSettings {
  /** The only folder that it can read: where the store's local copies lie. */
  readonly copiesFolder: string;
  /** Where DuckDB spills to. */
  readonly spillFolder: string;
  readonly memoryLimitBytes: number;
  readonly threads: number;
}

export type ScanRequest =
  | { readonly kind: 'open'; readonly settings: ScanSettings }
  | { readonly kind: 'run' | 'select' | 'columns'; readonly sql: string }
  /** The next rows of the SELECT that is under way. */
  | { readonly kind: 'next' };

export type ScanAnswer =
  | { readonly kind: 'done' }
  | { readonly kind: 'columns'; readonly columns: StoredColumns }
  /** No rows: there are no more. */
  | { readonly kind: 'rows'; readonly rows: readonly (readonly Value[])[] }
  | { readonly kind: 'failed'; readonly message: string };

/** DuckDB refused a statement: of a file that cannot be read, its message says which. */
export class ScanError extends Error {}

const PROCESS_HEAP_MIB = 128;
/** Of young objects: rows are short-lived, and there is no hurry. */
const SEMI_SPACE_MIB = 2;
const GIVEN_BACK_BYTES = 128 * 1024;

/**
 * DuckDB in a process of its own, one statement at a time: a damaged file may crash it, and its memory is
 * limited. The process ends with `close`, and by itself when its parent is gone.
 */
export class Scan {
  private readonly child = new SupervisedProcess<ScanRequest, ScanAnswer>({
    entry: entryFile(import.meta.url, './scan-process'),
    serialization: 'advanced',
    heapMiB: PROCESS_HEAP_MIB,
    semiSpaceMiB: SEMI_SPACE_MIB,
    environment: leanMalloc(GIVEN_BACK_BYTES),
    work: "reads the table's rows",
    code: 'VERIFY_FAILED',
    fix: 'Nothing was changed. If the process was killed for its memory (see dmesg), give this machine more, or check without the rows: --quick.',
  });

  private constructor() {}

  static async open(settings: ScanSettings): Promise<Scan> {
    const scan = new Scan();
    try {
      await scan.ask({ kind: 'open', settings });
      return scan;
    } catch (error) {
      await scan.close();
      throw error;
    }
  }

  async run(sql: string): Promise<void> {
    await this.ask({ kind: 'run', sql });
  }

  /** The columns that `sql` would give, by lower-case name. */
  async storedColumns(sql: string): Promise<StoredColumns> {
    const answer = await this.ask({ kind: 'columns', sql });
    return answer.kind === 'columns' ? answer.columns : new Map();
  }

  /** The rows of one SELECT, fetched while they are iterated. */
  async *rows(sql: string): AsyncGenerator<readonly Value[]> {
    let answer = await this.ask({ kind: 'select', sql });
    while (answer.kind === 'rows' && answer.rows.length > 0) {
      yield* answer.rows;
      answer = await this.ask({ kind: 'next' });
    }
  }

  async close(): Promise<void> {
    await this.child.kill();
  }

  private async ask(request: ScanRequest): Promise<ScanAnswer> {
    const answer = await this.child.ask(request);
    if (answer.kind === 'failed') throw new ScanError(answer.message);
    return answer;
  }
}
