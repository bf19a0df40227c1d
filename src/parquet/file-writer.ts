import type { ColumnMetaData, RowGroup } from '@dsnp/parquetjs/dist/gen-nodejs/parquet_types.js';
import parquetSchema from '@dsnp/parquetjs/dist/lib/schema.js';
import parquetWriter, { type ParquetEnvelopeWriter } from '@dsnp/parquetjs/dist/lib/writer.js';
import { assert } from '../errors.ts';
import type { Schema } from '../records/ddl.ts';
import type { LeafBuffers, LeafType } from '../records/leaf-buffers.ts';
import { releaseBuffer } from '../release-buffer.ts';
import type { ObjectWriter } from '../storage/object-store.ts';
import { type Bounds, boundsOf } from './bounds.ts';
import { type Compression, compress } from './compression.ts';
import { type LeafShape, leafShapes, type MessageField, messageType } from './message-type.ts';
import { columnMetaData, encodeFooter, encodePageHeader, rowGroupOf } from './metadata.ts';
import { type Page, PageEncoder } from './pages.ts';
import { deltaStats, type LeafStatistics, leafKey, mergeStatistics, NO_STATISTICS } from './statistics.ts';

export interface ParquetFileOptions {
  /** The file's columns in their order. */
  readonly schema: Schema;
  readonly compression: Compression;
  readonly keyValueMetadata?: Readonly<Record<string, string>>;
}

export interface FinishedFile {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly rowCount: number;
  /** The `stats` of the Delta `add` action: JSON. */
  readonly stats: string;
}

/** What a row group is made of: `Columns`, or other leaves of the same shape. */
export interface RowGroupColumns {
  readonly rowCount: number;
  readonly leaves: readonly LeafBuffers[];
}

/**
 * Writes one Parquet file: magic, pages as they are made, footer. At most a page is held besides the columns.
 *
 * Calls one at a time, each awaited. After a failure, which is the sink's own, only `abort` makes sense.
 */
export class ParquetFileWriter {
  private readonly sink: ObjectWriter;
  private readonly schema: Schema;
  private readonly message: readonly MessageField[];
  private readonly shapes: readonly LeafShape[];
  private readonly compression: Compression;
  private readonly keyValueMetadata: Readonly<Record<string, string>>;
  private readonly envelope: ParquetEnvelopeWriter;
  private readonly rowGroups: RowGroup[] = [];
  private readonly statistics = new Map<string, LeafStatistics>();
  private rowCount = 0;

  private constructor(sink: ObjectWriter, envelope: ParquetEnvelopeWriter, options: MessageOptions) {
    this.sink = sink;
    this.envelope = envelope;
    this.schema = options.schema;
    this.message = options.message;
    this.shapes = leafShapes(options.message);
    this.compression = options.compression;
    this.keyValueMetadata = options.keyValueMetadata ?? {};
  }

  /** Begins the file. Takes over the sink: aborts it where even the beginning fails. */
  static async open(sink: ObjectWriter, options: ParquetFileOptions): Promise<ParquetFileWriter> {
    return ParquetFileWriter.openMessage(sink, { ...options, message: messageType(options.schema) });
  }

  /**
   * As `open`, for a message type that no table schema expresses; `stats` then knows only `options.schema`.
   */
  static async openMessage(sink: ObjectWriter, options: MessageOptions): Promise<ParquetFileWriter> {
    assert(options.message.length > 0, 'a Parquet file has at least one column');
    const writer = new ParquetFileWriter(sink, await openEnvelope(sink), options);
    try {
      await writer.envelope.writeHeader();
    } catch (error) {
      await sink.abort();
      throw error;
    }
    return writer;
  }

  /** Bytes handed to the sink so far. */
  get bytesWritten(): number {
    return Number(this.envelope.offset);
  }

  /**
   * Writes the rows of `columns` as one row group: the columns of the file's schema, found by path. Others,
   * such as partition columns, stay out. `columns` is left as it is. No rows, no row group.
   */
  async writeRowGroup(columns: RowGroupColumns): Promise<void> {
    if (columns.rowCount === 0) return;
    const leaves = new Map(columns.leaves.map((leaf) => [leafKey(leaf.path), leaf]));
    const chunks: ColumnMetaData[] = [];
    const encoder = takeEncoder();
    for (const shape of this.shapes) {
      const leaf = leaves.get(leafKey(shape.path));
      assert(
        leaf !== undefined && hasShape(leaf, shape),
        `column ${shape.path.join('.')} fits the file's schema`,
      );
      assert(
        countRows(leaf) === columns.rowCount,
        `column ${shape.path.join('.')} has a value or null in each row`,
      );
      chunks.push(await this.writeColumnChunk(leaf, encoder));
    }
    idleEncoder = encoder;
    this.rowGroups.push(rowGroupOf(columns.rowCount, chunks));
    this.rowCount += columns.rowCount;
  }

  /** Writes the footer and makes the file durable. */
  async finish(keyValueMetadata: Readonly<Record<string, string>> = {}): Promise<FinishedFile> {
    const metadata = { ...this.keyValueMetadata, ...keyValueMetadata };
    await this.envelope.writeSection(encodeFooter(this.message, this.rowCount, this.rowGroups, metadata));
    const { sizeBytes, modifiedMs } = await this.sink.finish();
    assert(
      sizeBytes === this.bytesWritten,
      `the file has the ${this.bytesWritten} bytes written, not ${sizeBytes}`,
    );
    const stats = deltaStats(this.schema, this.rowCount, this.statistics);
    return { sizeBytes, modifiedMs, rowCount: this.rowCount, stats };
  }

  async abort(): Promise<void> {
    await this.sink.abort();
  }

  private async writeColumnChunk(leaf: LeafBuffers, encoder: PageEncoder): Promise<ColumnMetaData> {
    const startOffset = this.bytesWritten;
    let dictionaryBytes = 0;
    let dataPageCount = 0;
    let uncompressedBytes = 0;
    let bounds: Bounds | undefined;
    for (const page of encoder.pages(leaf)) {
      const { storedBytes, plainBytes } = await this.writePage(page, encoder);
      uncompressedBytes += plainBytes;
      if (page.kind === 'data') {
        dataPageCount++;
      } else {
        dictionaryBytes = storedBytes;
        bounds = boundsOf(leaf, page.body, page.body.length);
      }
    }
    bounds ??= boundsOf(leaf, leaf.values, leaf.valuesEnd);
    const statistics = { bounds, nullCount: leaf.levelCount - leaf.valueCount };
    const key = leafKey(leaf.path);
    this.statistics.set(key, mergeStatistics(this.statistics.get(key) ?? NO_STATISTICS, statistics));
    const compressedBytes = this.bytesWritten - startOffset;
    const totals = { startOffset, dictionaryBytes, dataPageCount, compressedBytes, uncompressedBytes };
    return columnMetaData(leaf, this.compression, totals, statistics);
  }

  private async writePage(
    page: Page,
    encoder: PageEncoder,
  ): Promise<{ storedBytes: number; plainBytes: number }> {
    const stored = compress(this.compression, page.body);
    const header = encodePageHeader(page, stored);
    const sizes = {
      storedBytes: header.length + stored.length,
      plainBytes: header.length + page.body.length,
    };
    const section = encoder.joined(header, stored);
    if (stored !== page.body) releaseBuffer(stored);
    await this.envelope.writeSection(section);
    return sizes;
  }
}

/** The thread's, between two row groups: not the writer's, of which many may be open. */
let idleEncoder: PageEncoder | undefined;

function takeEncoder(): PageEncoder {
  const encoder = idleEncoder ?? new PageEncoder();
  idleEncoder = undefined;
  return encoder;
}

export interface MessageOptions extends ParquetFileOptions {
  readonly message: readonly MessageField[];
}

/**
 * The envelope writes sections and knows the position. parquetjs's own row groups and footer stay unused:
 * they copy a row group several times, and write neither logical types nor column orders nor right sizes.
 */
function openEnvelope(sink: ObjectWriter): Promise<ParquetEnvelopeWriter> {
  const stream = {
    write(bytes: Uint8Array, done: (error?: unknown) => void) {
      sink.write(bytes).then(() => done(), done);
    },
  };
  return parquetWriter.ParquetEnvelopeWriter.openStream(
    new parquetSchema.ParquetSchema({}),
    stream as unknown as Parameters<typeof ParquetEnvelopeWriter.openStream>[1],
    { pageIndex: false, useDataPageV2: false },
  );
}

function hasShape(leaf: LeafBuffers, shape: LeafShape): boolean {
  return (
    isSameType(leaf.type, shape.type) &&
    leaf.maxDefinitionLevel === shape.maxDefinitionLevel &&
    leaf.maxRepetitionLevel === shape.maxRepetitionLevel
  );
}

function isSameType(a: LeafType, b: LeafType): boolean {
  if (a.kind === 'primitive') return b.kind === 'primitive' && a.name === b.name;
  return b.kind === 'decimal' && a.precision === b.precision && a.scale === b.scale;
}

function countRows(leaf: LeafBuffers): number {
  if (leaf.maxRepetitionLevel === 0) return leaf.levelCount;
  let rows = 0;
  for (let i = 0; i < leaf.levelCount; i++) if (leaf.repetitionLevels[i] === 0) rows++;
  return rows;
}
