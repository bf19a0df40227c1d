import { randomUUID } from 'node:crypto';
import { Failure } from '../errors.ts';
import { inLanes } from '../lanes.ts';
import { readFooter } from '../parquet/file-reader.ts';
import { ParquetFileWriter } from '../parquet/file-writer.ts';
import type { TableSpecification } from '../pipeline/specification.ts';
import { Columns } from '../records/columns.ts';
import type { Schema } from '../records/ddl.ts';
import { partitionFolder } from '../records/table-partitioner.ts';
import type { WrittenFile } from '../runs/documents.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { Cleaning, RangeSpan } from './cleaning.ts';

type PartitionValues = Readonly<Record<string, string | null>>;

/**
 * Rows that one write task holds before it writes them out, in bytes of values and levels: what its memory is
 * bounded by, and about the size of a row group of an unpartitioned table.
 */
const BUFFERED_BYTES_MAX = 32 * 1024 * 1024;

/** Of several table partitions, each of which has room of its own before it has many rows. */
const SHARED_BYTES_MAX = 64 * 1024 * 1024;

/** Files open for writing at once: descriptors are few, and thousands of table partitions may be met. */
const WRITERS_MAX = 512;

/** Making a file durable is waiting for the disk: of many small files, some wait together. */
const FINISHING_AT_ONCE = 8;

/** By their schema. A thread's tasks are of one table, which has rows and dead letters. */
const leftColumns = new Map<string, Columns>();
const LEFT_COLUMNS_MAX = 2;

export interface TableFilesOptions {
  readonly store: ObjectStore;
  /** Columns to collect; `fileSchema` is the part of them that goes into files. */
  readonly rowSchema: Schema;
  readonly fileSchema: Schema;
  readonly table: TableSpecification;
  readonly maxFiles: number;
  /**
   * Memory of the rows that are held before they are written out. @default 32 MiB, 64 MiB of several table
   * partitions
   */
  readonly bufferedBytesMax?: number;
  /** Files pass through it when they are finished; without it they are written where they belong. */
  readonly cleaning?: Cleaning;
  /** Goes into every file's footer. */
  readonly keyValueMetadata: Readonly<Record<string, string>>;
  readonly task: number;
}

/** The data files that a write task has open, one per table partition, within one byte budget for all. */
export class TableFiles {
  private readonly options: TableFilesOptions;
  private readonly schemaKey: string;
  private readonly open = new Map<string, OpenFile>();
  private readonly writing = new Set<OpenFile>();
  private readonly finished: WrittenFile[] = [];
  private finishedBytes = 0;
  /** The file whose columns were asked for last: only it may have grown since. */
  private current: OpenFile | undefined;
  private bytesOfOthers = 0;
  private range = 0;

  constructor(options: TableFilesOptions) {
    this.options = options;
    this.schemaKey = JSON.stringify(options.rowSchema);
  }

  /** The rows to come are from range `index` of the task: `cleaning` counts by it. */
  beginRange(index: number): void {
    if (this.options.cleaning) for (const file of this.open.values()) closeSpan(file, this.range);
    this.range = index;
  }

  /**
   * Columns that take the rows of one table partition, until columns are asked for again, or until
   * `writeOut`.
   */
  columnsOf(key: string, partitionValues: () => PartitionValues): Columns {
    const file = this.open.get(key) ?? this.openFile(key, partitionValues());
    if (file !== this.current) {
      this.bytesOfOthers += sizeOf(this.current) - sizeOf(file);
      this.current = file;
    }
    file.columns ??= this.newColumns();
    return file.columns;
  }

  get bytesWritten(): number {
    let total = this.finishedBytes;
    for (const { writer } of this.writing) total += writer?.bytesWritten ?? 0;
    return total;
  }

  /** Whether rows beyond the budget are held: time for `writeOut`. Cheap enough to ask after every record. */
  get isFull(): boolean {
    return this.bytesOfOthers + sizeOf(this.current) > this.budget;
  }

  /** Writes out row groups where the budget is used up, the largest first, until half of it is free. */
  async writeOut(): Promise<void> {
    if (!this.isFull) return;
    const files = [...this.open.values()].sort((a, b) => sizeOf(b) - sizeOf(a));
    let held = files.reduce((sum, file) => sum + sizeOf(file), 0);
    for (const file of files) {
      if (held <= this.budget / 2) break;
      held -= sizeOf(file);
      await this.writeRowGroup(file);
      const isLarge = (file.writer?.bytesWritten ?? 0) >= this.options.table.targetFileBytes;
      if (isLarge || this.writing.size > WRITERS_MAX) await this.finishFile(file);
    }
    this.bytesOfOthers = files.reduce((sum, file) => sum + sizeOf(file), 0) - sizeOf(this.current);
  }

  /**
   * Finishes all files: durable, with their footers read back, cleaned where that is asked for; `onStep`
   * after each step of a file.
   */
  async finish(onStep = () => {}): Promise<WrittenFile[]> {
    // After a failure nothing continues: `abort` must not meet a file that is still being written.
    await inLanes(this.open.values(), FINISHING_AT_ONCE, async (file) => {
      await this.writeRowGroup(file);
      await this.finishFile(file);
      onStep();
    });
    this.leaveColumns();
    const { cleaning, store } = this.options;
    return cleaning === undefined ? this.finished : await cleaning.clean(this.finished, store, onStep);
  }

  /**
   * Deletes what this attempt has written, of which nobody knows yet: on a full disk every attempt would
   * leave more.
   */
  async abort(): Promise<void> {
    for (const { writer } of this.writing) await writer?.abort();
    for (const { path } of this.finished) await this.target.delete(path);
  }

  private get budget(): number {
    return this.options.bufferedBytesMax ?? (this.open.size > 1 ? SHARED_BYTES_MAX : BUFFERED_BYTES_MAX);
  }

  private get target(): ObjectStore {
    return this.options.cleaning?.scratch ?? this.options.store;
  }

  /**
   * Of one table partition, those that the task before has left: their buffers have grown to the size of a
   * row group.
   */
  private newColumns(): Columns {
    const left = this.open.size === 1 ? leftColumns.get(this.schemaKey) : undefined;
    leftColumns.delete(this.schemaKey);
    return left ?? new Columns(this.options.rowSchema);
  }

  private leaveColumns(): void {
    const [only] = this.open.values();
    if (this.open.size !== 1 || only?.columns === undefined) return;
    if (leftColumns.size >= LEFT_COLUMNS_MAX) leftColumns.clear();
    leftColumns.set(this.schemaKey, only.columns);
    only.columns = undefined;
  }

  private openFile(key: string, partitionValues: PartitionValues): OpenFile {
    const { maxFiles } = this.options;
    if (this.open.size >= maxFiles) {
      throw new Failure(
        'MAX_FILES_PER_BATCH',
        `More than ${maxFiles} table partitions in one batch; the next one would be ${JSON.stringify(partitionValues)}.`,
        'Nothing was committed. Partition by a column with fewer values, or raise limits.maxFilesPerBatch if you want so many files.',
      );
    }
    const file: OpenFile = { partitionValues, columns: undefined, spans: [], writer: undefined, path: '' };
    this.open.set(key, file);
    return file;
  }

  private async writeRowGroup(file: OpenFile): Promise<void> {
    const { columns } = file;
    if (columns === undefined || columns.rowCount === 0) return;
    file.writer ??= await this.createFile(file);
    this.writing.add(file);
    if (this.options.cleaning === undefined) await file.writer.writeRowGroup(columns);
    else {
      closeSpan(file, this.range);
      await file.writer.writeRowGroup(this.options.cleaning.withRanges(columns, file.spans));
      file.spans = [];
    }
    // One table partition reuses its buffers; of many, each would keep the size of its largest row group.
    if (this.open.size === 1) columns.clear();
    else file.columns = undefined;
  }

  private async createFile(file: OpenFile): Promise<ParquetFileWriter> {
    const { cleaning, fileSchema, table, keyValueMetadata, task } = this.options;
    const folder = partitionFolder(file.partitionValues);
    const name = `part-${String(task).padStart(5, '0')}-${randomUUID()}.${table.compression}.parquet`;
    file.path = folder === '' ? name : `${folder}/${name}`;
    const sink = await this.target.create(file.path);
    return await ParquetFileWriter.open(sink, {
      schema: cleaning?.fileSchema ?? fileSchema,
      compression: table.compression,
      keyValueMetadata,
    });
  }

  private async finishFile(file: OpenFile): Promise<void> {
    const { writer, path, partitionValues } = file;
    if (writer === undefined) return;
    file.writer = undefined;
    this.writing.delete(file);
    const { sizeBytes, modifiedMs, stats } = await writer.finish();
    const { rowCount } = await readFooter(this.target, path);
    this.finished.push({ path, sizeBytes, modifiedMs, rowCount, partitionValues, stats });
    this.finishedBytes += sizeBytes;
  }
}

interface OpenFile {
  readonly partitionValues: PartitionValues;
  /** None while it has no rows to write: thousands of table partitions may be met. */
  columns: Columns | undefined;
  /** Which ranges the rows of `columns` are from, in their order; kept for `cleaning` alone. */
  spans: RangeSpan[];
  writer: ParquetFileWriter | undefined;
  path: string;
}

function sizeOf(file: OpenFile | undefined): number {
  return file?.columns?.sizeBytes ?? 0;
}

/** The rows since the last span are from `range`. */
function closeSpan({ columns, spans }: OpenFile, range: number): void {
  const spanned = spans.reduce((sum, { rows }) => sum + rows, 0);
  const rows = (columns?.rowCount ?? 0) - spanned;
  if (rows > 0) spans.push({ range, rows });
}
