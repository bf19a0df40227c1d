import {
  DEAD_LETTER_SCHEMA,
  DeadLetterColumns,
  type LetterOrigin,
  type RecordDefect,
} from '../records/dead-letters.ts';
import type { KafkaRecord } from '../records/kafka-columns.ts';
import type { WrittenFile } from '../runs/documents.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { LetterSink } from './record-sink.ts';
import { TableFiles } from './table-files.ts';

/**
 * Letters are few, or something is wrong: they share no budget with the rows, so that they cannot make row
 * groups small.
 */
const BUFFERED_BYTES_MAX = 4 * 1024 * 1024;
/**
 * Of the dead-letter table: its size on disk is nobody's measure, so what decides is that every reader reads
 * it.
 */
const TABLE = { partitionBy: [], targetFileBytes: 128 * 1024 * 1024, compression: 'zstd' } as const;

export interface LetterFilesOptions {
  /** Of the dead-letter table. */
  readonly store: ObjectStore;
  readonly origin: LetterOrigin;
  readonly task: number;
}

/** The dead letters of one write task: files of the dead-letter table, none where there are no letters. */
export class LetterFiles implements LetterSink {
  private readonly files: TableFiles;
  private readonly origin: LetterOrigin;
  private columns: DeadLetterColumns | undefined;

  constructor({ store, origin, task }: LetterFilesOptions) {
    this.origin = origin;
    this.files = new TableFiles({
      store,
      rowSchema: DEAD_LETTER_SCHEMA,
      fileSchema: DEAD_LETTER_SCHEMA,
      table: { ...TABLE, location: store.root },
      maxFiles: 1,
      bufferedBytesMax: BUFFERED_BYTES_MAX,
      keyValueMetadata: { 'tidemark.batch': origin.batch },
      task,
    });
  }

  get isFull(): boolean {
    return this.files.isFull;
  }

  add(record: KafkaRecord, defect: RecordDefect): void {
    this.columns ??= new DeadLetterColumns(this.files.columnsOf('', () => ({})));
    this.columns.append(record, defect, this.origin);
  }

  async writeOut(): Promise<void> {
    await this.files.writeOut();
    this.columns = undefined; // they may have changed hands
  }

  /** Durable, with their footers read back. */
  async finish(): Promise<WrittenFile[]> {
    return await this.files.finish();
  }

  async abort(): Promise<void> {
    await this.files.abort();
  }
}
