import { randomUUID } from 'node:crypto';
import { Failure } from '../errors.ts';
import { readFooter } from '../parquet/file-reader.ts';
import { ParquetFileWriter } from '../parquet/file-writer.ts';
import type { TableSpecification } from '../pipeline/specification.ts';
import { Columns } from '../records/columns.ts';
import type { Schema } from '../records/ddl.ts';
import { partitionFolder } from '../records/table-partitioner.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { WrittenFile } from './documents.ts';

type PartitionValues = Readonly<Record<string, string | null>>;

/**
 * Rows that one write task holds before it writes them out, in bytes of values and levels: what its memory is bounded
 * by, and about the size of a row group of an unpartitioned table.
 */
const BUFFERED_BYTES_MAX = 32 * 1024 * 1024;

/** Files open for writing at once: descriptors are few, and thousands of table partitions may be met. */
const WRITERS_MAX = 256;

/** Making a file durable is waiting for the disk: of many small files, some wait together. */
const FINISHING_AT_ONCE = 8;

export interface TableFilesOptions {
  readonly store: ObjectStore;
  /** Columns to collect; `fileSchema` is the part of them that goes into files. */
  readonly rowSchema: Schema;
  readonly fileSchema: Schema;
  readonly table: TableSpecification;
  readonly maxFiles: number;
  /** Rows held before they are written out, in bytes of values and levels; 32 MiB where absent. */
  readonly bufferedBytesMax?: number;
  /** Goes into every file's footer. */
  readonly keyValueMetadata: Readonly<Record<string, string>>;
  readonly task: number;
}

/** The data files that a write task has open, one per table partition, within one byte budget for all. */
export class TableFiles {
  private readonly options: TableFilesOptions;
  private readonly open = new Map<string, OpenFile>();
  private readonly finished: WrittenFile[] = [];
  private readonly bufferedBytesMax: number;

  constructor(options: TableFilesOptions) {
    this.options = options;
    this.bufferedBytesMax = options.bufferedBytesMax ?? BUFFERED_BYTES_MAX;
  }

  /** Columns that take the rows of one table partition. They may change hands at any `writeOut`: ask again after it. */
  columnsOf(key: string, partitionValues: () => PartitionValues): Columns {
    const file = this.open.get(key) ?? this.openFile(key, partitionValues());
    return file.columns;
  }

  get bytesWritten(): number {
    let total = 0;
    for (const { sizeBytes } of this.finished) total += sizeBytes;
    for (const { writer } of this.open.values()) total += writer?.bytesWritten ?? 0;
    return total;
  }

  /** Whether rows beyond the budget are held: time for `writeOut`. Cheap enough to ask after every few records. */
  get isFull(): boolean {
    return this.bufferedBytes() > this.bufferedBytesMax;
  }

  /** Writes out row groups, the largest first, until what is held fits the budget. */
  async writeOut(): Promise<void> {
    let held = this.bufferedBytes();
    if (held <= this.bufferedBytesMax) return;
    const files = [...this.open.values()].sort((a, b) => b.columns.sizeBytes - a.columns.sizeBytes);
    for (const file of files) {
      if (held <= this.bufferedBytesMax) return;
      held -= file.columns.sizeBytes;
      await this.writeRowGroup(file);
      const isLarge = (file.writer?.bytesWritten ?? 0) >= this.options.table.targetFileBytes;
      if (isLarge || this.writers() > WRITERS_MAX) await this.finishFile(file);
    }
  }

  /** Finishes all files: durable, with their footers read back. */
  async finish(): Promise<WrittenFile[]> {
    const queue = this.open.values();
    const lane = async () => {
      for (const file of queue) {
        if (file.columns.rowCount > 0) await this.writeRowGroup(file);
        await this.finishFile(file);
      }
    };
    // All lanes end before a failure is told: `abort` must not meet a file that is still being written.
    const lanes = await Promise.allSettled(Array.from({ length: FINISHING_AT_ONCE }, lane));
    for (const end of lanes) if (end.status === 'rejected') throw end.reason;
    return this.finished;
  }

  /** Deletes what this attempt has written, of which nobody knows yet: on a full disk every attempt would leave more. */
  async abort(): Promise<void> {
    for (const { writer } of this.open.values()) await writer?.abort();
    for (const { path } of this.finished) await this.options.store.delete(path);
  }

  private bufferedBytes(): number {
    let total = 0;
    for (const { columns } of this.open.values()) total += columns.sizeBytes;
    return total;
  }

  private writers(): number {
    let count = 0;
    for (const { writer } of this.open.values()) if (writer !== undefined) count++;
    return count;
  }

  private openFile(key: string, partitionValues: PartitionValues): OpenFile {
    const { maxFiles, rowSchema } = this.options;
    if (this.open.size >= maxFiles) {
      throw new Failure(
        'MAX_FILES_PER_BATCH',
        `More than ${maxFiles} table partitions in one batch; the next one would be ${JSON.stringify(partitionValues)}.`,
        'Nothing was committed. Partition by a column with fewer values, or raise limits.maxFilesPerBatch if this is meant.',
      );
    }
    const file: OpenFile = { partitionValues, columns: new Columns(rowSchema), writer: undefined, path: '' };
    this.open.set(key, file);
    return file;
  }

  private async writeRowGroup(file: OpenFile): Promise<void> {
    file.writer ??= await this.createFile(file);
    await file.writer.writeRowGroup(file.columns);
    // One table partition reuses its buffers; of many, each would keep the size of its largest row group.
    if (this.open.size === 1) file.columns.clear();
    else file.columns = new Columns(this.options.rowSchema);
  }

  private async createFile(file: OpenFile): Promise<ParquetFileWriter> {
    const { store, fileSchema, table, keyValueMetadata, task } = this.options;
    const folder = partitionFolder(file.partitionValues);
    const name = `part-${String(task).padStart(5, '0')}-${randomUUID()}.${table.compression}.parquet`;
    file.path = folder === '' ? name : `${folder}/${name}`;
    const sink = await store.create(file.path);
    return await ParquetFileWriter.open(sink, {
      schema: fileSchema,
      compression: table.compression,
      keyValueMetadata,
    });
  }

  private async finishFile(file: OpenFile): Promise<void> {
    const { writer, path, partitionValues } = file;
    if (writer === undefined) return;
    file.writer = undefined;
    const { sizeBytes, modifiedMs, stats } = await writer.finish();
    const { rowCount } = await readFooter(this.options.store, path);
    this.finished.push({ path, sizeBytes, modifiedMs, rowCount, partitionValues, stats });
  }
}

interface OpenFile {
  readonly partitionValues: PartitionValues;
  columns: Columns;
  writer: ParquetFileWriter | undefined;
  path: string;
}
