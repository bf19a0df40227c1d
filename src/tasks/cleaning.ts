import type { CleanedFile, CleanFilesOrder } from '../duckdb/clean-files.ts';
import { assert } from '../errors.ts';
import { inLanes } from '../lanes.ts';
import type { RowGroupColumns } from '../parquet/file-writer.ts';
import type { Specification } from '../pipeline/specification.ts';
import { Columns } from '../records/columns.ts';
import type { Field, Schema } from '../records/ddl.ts';
import type { TableSchemas } from '../records/table-schema.ts';
import type { WrittenFile } from '../runs/documents.ts';
import type { ObjectStore } from '../storage/object-store.ts';

/**
 * What cleaning needs of the outside world: built where a write task's thread begins, closed where it ends.
 */
export interface CleanWorkplace {
  /** Where a task's files lie before they are clean: on this machine, apart from any table. */
  readonly scratch: ObjectStore;
  /** Runs DuckDB, in a process of its own, over files of `scratch`; `onCleaned` after each. */
  run(
    order: Omit<CleanFilesOrder, 'files'>,
    paths: readonly string[],
    onCleaned: () => void,
  ): Promise<readonly CleanedFile[]>;
  /** Creates the file that cleaning made of `path` in `store`, durable, under the same path. */
  publish(
    path: string,
    store: ObjectStore,
  ): Promise<Required<Pick<WrittenFile, 'sizeBytes' | 'modifiedMs' | 'tags'>>>;
}

/** Rows in a row that are from one of the task's ranges. */
export interface RangeSpan {
  readonly range: number;
  readonly rows: number;
}

/** Of one range, each counted. */
export interface RangeRows {
  readonly kept: number;
  readonly filtered: number;
}

const PUBLISHING_AT_ONCE = 8;

/**
 * `records.clean` for one write task: its files are first written to a scratch folder with all columns of the
 * row and one more, which tells the range that a row is from; then one process writes what is left of each.
 */
export class Cleaning {
  /** What the scratch files hold. */
  readonly fileSchema: Schema;
  /** By range, once all is clean. */
  counts: readonly RangeRows[] = [];

  private readonly workplace: CleanWorkplace;
  private readonly order: Omit<CleanFilesOrder, 'files'>;
  private readonly rangeField: Field;

  /** @param ranges of the task */
  constructor(
    workplace: CleanWorkplace,
    { records, table }: Specification,
    { rowSchema, fileSchema }: Pick<TableSchemas, 'rowSchema' | 'fileSchema'>,
    ranges: number,
  ) {
    assert(records.clean !== undefined, 'there is something to clean');
    this.workplace = workplace;
    this.rangeField = {
      name: unusedName('_tidemark_range', rowSchema),
      type: { kind: 'primitive', name: 'integer' },
      nullable: false,
    };
    this.fileSchema = { fields: [...rowSchema.fields, this.rangeField] };
    this.order = {
      clean: records.clean,
      rowSchema,
      fileSchema,
      rangeColumn: this.rangeField.name,
      ranges,
      compression: table.compression,
    };
  }

  get scratch(): ObjectStore {
    return this.workplace.scratch;
  }

  /** A row group's columns, and the column that tells their ranges. */
  withRanges(columns: Columns, spans: readonly RangeSpan[]): RowGroupColumns {
    const ranges = new Columns({ fields: [this.rangeField] });
    const [leaf] = ranges.leaves;
    for (const { range, rows } of spans) for (let row = 0; row < rows; row++) leaf?.appendInt32(range, 0);
    return { rowCount: columns.rowCount, leaves: [...columns.leaves, ...ranges.leaves] };
  }

  /**
   * The scratch files with rows left in them, in `store`; a file without rows is left out. After a failure,
   * none remain.
   */
  async clean(
    written: readonly WrittenFile[],
    store: ObjectStore,
    onStep: () => void,
  ): Promise<WrittenFile[]> {
    const paths = written.map(({ path }) => path);
    const cleaned = await this.workplace.run(this.order, paths, onStep);
    this.counts = Array.from({ length: this.order.ranges }, (_, range) => ({
      kept: cleaned.reduce((sum, { kept }) => sum + (kept[range] ?? 0), 0),
      filtered: cleaned.reduce((sum, { filtered }) => sum + (filtered[range] ?? 0), 0),
    }));
    const published: WrittenFile[] = [];
    try {
      await inLanes(cleaned.entries(), PUBLISHING_AT_ONCE, async ([at, { rowCount, stats }]) => {
        const before = written[at];
        if (rowCount === 0 || before === undefined) return;
        const stat = await this.workplace.publish(before.path, store);
        published.push({ ...before, ...stat, rowCount, stats });
        onStep();
      });
      return published;
    } catch (error) {
      for (const { path } of published) await store.delete(path).catch(() => {});
      throw error;
    }
  }
}

function unusedName(wanted: string, schema: Schema): string {
  const taken = new Set(schema.fields.map((field) => field.name.toLowerCase()));
  let name = wanted;
  while (taken.has(name)) name = `_${name}`;
  return name;
}
