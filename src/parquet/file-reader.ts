import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type SchemaElement,
  type SchemaTree,
} from 'hyparquet';
import { Failure } from '../errors.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { DECOMPRESSORS } from './compression.ts';

export interface Footer {
  readonly rowCount: number;
  readonly rowGroups: readonly { readonly rowCount: number; readonly uncompressedBytes: number }[];
  /** Schema elements below the root, depth first, as the format has them. */
  readonly schema: readonly SchemaElement[];
  readonly keyValueMetadata: Readonly<Record<string, string>>;
  readonly createdBy: string | undefined;
}

/** One read is enough for the footers of ordinary files. */
const TAIL_BYTES = 64 * 1024;
/** A damaged length must not make us load a whole data file. */
const FOOTER_BYTES_MAX = 64 * 1024 * 1024;
/** A column chunk is bounded by who wrote it. */
const CHUNK_BYTES_MAX = 1024 * 1024 * 1024;

/**
 * The footer of a Parquet file, from the file's tail only.
 *
 * Throws TABLE_CORRUPT where the file is gone or its footer is damaged or contradicts itself.
 */
export async function readFooter(store: ObjectStore, path: string): Promise<Footer> {
  const name = `${store.root}/${path}`;
  const stat = await store.stat(path);
  if (stat === undefined) throw corrupt(name, 'the file is gone');
  return await orCorrupt(name, async () => {
    const tail = storedBytes(store, path, stat.sizeBytes);
    return footerOf(await parquetMetadataAsync(tail, { initialFetchSize: TAIL_BYTES, geoparquet: false }));
  });
}

/** Where the pages of one column of one row group lie: bytes [startByte, endByte) of the file. */
export interface ColumnChunk {
  readonly rowGroup: number;
  readonly column: string;
  readonly startByte: number;
  readonly endByte: number;
}

export interface OpenedFile {
  readonly footer: Footer;
  /** In the file's order. */
  readonly chunks: readonly ColumnChunk[];
}

/** As `readFooter`, with the places of all column chunks. */
export async function openFooter(store: ObjectStore, path: string): Promise<OpenedFile> {
  const name = `${store.root}/${path}`;
  const stat = await store.stat(path);
  if (stat === undefined) throw corrupt(name, 'the file is gone');
  return await orCorrupt(name, async () => {
    const tail = storedBytes(store, path, stat.sizeBytes);
    const metadata = await parquetMetadataAsync(tail, { initialFetchSize: TAIL_BYTES, geoparquet: false });
    checkChunks(metadata);
    return { footer: footerOf(metadata), chunks: chunksOf(metadata, stat.sizeBytes) };
  });
}

/**
 * All rows of a Parquet file, an object each: INT64 as bigint, times as bigints in their unit and dates as
 * days, lists as arrays, maps with string keys as objects. Nulls of the file are null or undefined.
 *
 * Throws TABLE_CORRUPT where the bytes are not a sound Parquet file.
 *
 * @param bytes the whole file; for log checkpoints, not for data files
 * @param name says in the message which file it was
 */
export async function readParquetRows(bytes: Uint8Array, name = 'A Parquet file'): Promise<object[]> {
  return await orCorrupt(name, async () => {
    const file = {
      byteLength: bytes.length,
      slice: (start: number, end?: number) => arrayBuffer(bytes, start, end),
    };
    const metadata = await parquetMetadataAsync(file, { geoparquet: false });
    const { rowCount } = footerOf(metadata);
    checkChunks(metadata);
    const rows = await parquetReadObjects({
      file,
      metadata,
      compressors: DECOMPRESSORS,
      parsers: EXACT_PARSERS,
      geoparquet: false,
    });
    if (rows.length !== rowCount)
      throw new Error(`the footer says ${rowCount} rows, the pages hold ${rows.length}`);
    return rows;
  });
}

/** A stored Parquet file, to be read in parts. */
export interface ParquetFile {
  /** Rows of each row group: [startRow, endRow). */
  readonly rowGroups: readonly { readonly startRow: number; readonly endRow: number }[];
  /**
   * Rows [startRow, endRow) of the file with the named columns of the top level only, as `readParquetRows`
   * returns them, except times, which are microseconds whatever their unit in the file, and bytes that are
   * not text, which are a Uint8Array. Reads the columns' chunks of every row group that it touches whole.
   */
  read<Row extends object>(
    columns: readonly (keyof Row & string)[],
    startRow: number,
    endRow: number,
  ): Promise<Row[]>;
}

/** Throws TABLE_CORRUPT, as its `read` does, where the file is gone or no sound Parquet file. */
export async function openParquetFile(store: ObjectStore, path: string): Promise<ParquetFile> {
  const name = `${store.root}/${path}`;
  const stat = await store.stat(path);
  if (stat === undefined) throw corrupt(name, 'the file is gone');
  const metadata = await orCorrupt(name, async () => {
    const tail = storedBytes(store, path, stat.sizeBytes);
    const read = await parquetMetadataAsync(tail, { initialFetchSize: TAIL_BYTES, geoparquet: false });
    checkChunks(read);
    return read;
  });
  let endRow = 0;
  const rowGroups = footerOf(metadata).rowGroups.map(({ rowCount }) => {
    const startRow = endRow;
    endRow += rowCount;
    return { startRow, endRow };
  });
  const read = <Row extends object>(
    columns: readonly (keyof Row & string)[],
    rowStart: number,
    rowEnd: number,
  ) =>
    orCorrupt(name, async () => {
      const rows = await parquetReadObjects({
        file: storedBytes(store, path, stat.sizeBytes, CHUNK_BYTES_MAX),
        metadata,
        columns: [...columns],
        rowStart,
        rowEnd,
        utf8: false,
        compressors: DECOMPRESSORS,
        parsers: MICROSECOND_PARSERS,
        geoparquet: false,
      });
      if (rows.length !== rowEnd - rowStart)
        throw new Error(`it has ${rows.length} of ${rowEnd - rowStart} rows`);
      return rows as Row[];
    });
  return { rowGroups, read };
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * hyparquet's own make Dates of times, which end at milliseconds, and drop a U+FEFF that a text begins with.
 */
const EXACT_PARSERS = {
  stringFromBytes: (bytes: Uint8Array | undefined) => bytes && decoder.decode(bytes),
  timestampFromMilliseconds: (millis: bigint) => millis,
  timestampFromMicroseconds: (micros: bigint) => micros,
  timestampFromNanoseconds: (nanos: bigint) => nanos,
  dateFromDays: (days: number) => days,
};

/** Spark writes timestamps as INT96, of nanoseconds, unless it is configured otherwise. */
const MICROSECOND_PARSERS = {
  ...EXACT_PARSERS,
  timestampFromMilliseconds: (millis: bigint) => millis * 1000n,
  timestampFromNanoseconds: (nanos: bigint) => nanos / 1000n,
};

function footerOf(metadata: FileMetaData): Footer {
  const rowGroups = metadata.row_groups.map((rowGroup) => ({
    rowCount: Number(rowGroup.num_rows),
    uncompressedBytes: Number(rowGroup.total_byte_size),
  }));
  const rowCount = Number(metadata.num_rows);
  const counted = rowGroups.reduce((sum, rowGroup) => sum + rowGroup.rowCount, 0);
  if (counted !== rowCount) throw new Error(`its footer counts ${rowCount} rows, its row groups ${counted}`);
  return {
    rowCount,
    rowGroups,
    schema: metadata.schema.slice(1),
    keyValueMetadata: Object.fromEntries(
      (metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? '']),
    ),
    createdBy: metadata.created_by,
  };
}

function chunksOf(metadata: FileMetaData, sizeBytes: number): ColumnChunk[] {
  const chunks = metadata.row_groups.flatMap(({ columns }, rowGroup) =>
    columns.flatMap(({ meta_data: chunk }) => {
      if (chunk === undefined) return [];
      const startByte = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
      const endByte = startByte + Number(chunk.total_compressed_size);
      if (startByte < 4 || endByte > sizeBytes)
        throw new Error(`its footer claims bytes up to ${endByte} of ${sizeBytes}`);
      return [{ rowGroup, column: chunk.path_in_schema.join('.'), startByte, endByte }];
    }),
  );
  return chunks.sort((a, b) => a.startByte - b.startByte);
}

/**
 * Each row group has a column chunk for each leaf of the schema, in order. hyparquet takes this for granted:
 * it begins to read chunks that it then never awaits, and their failures would end the process.
 */
function checkChunks(metadata: FileMetaData): void {
  const expected = JSON.stringify(leafPaths(parquetSchema(metadata)));
  for (const { columns } of metadata.row_groups) {
    const found = JSON.stringify(columns.map(({ meta_data }) => meta_data?.path_in_schema));
    if (found !== expected) throw new Error('the column chunks of a row group are not those of the schema');
  }
}

function leafPaths({ path, children }: SchemaTree): string[][] {
  return children.length === 0 ? [path] : children.flatMap(leafPaths);
}

function storedBytes(
  store: ObjectStore,
  path: string,
  byteLength: number,
  maxBytes = FOOTER_BYTES_MAX,
): AsyncBuffer {
  return {
    byteLength,
    async slice(start, end = byteLength) {
      if (end - start > maxBytes) throw new Error(`its footer claims ${end - start} bytes`);
      const bytes = await store.readRange(path, start, end);
      if (bytes?.length !== end - start) throw new Error('the file became shorter while it was read');
      return arrayBuffer(bytes);
    },
  };
}

function arrayBuffer(bytes: Uint8Array, start = 0, end = bytes.length): ArrayBuffer {
  return Uint8Array.prototype.slice.call(bytes, start, end).buffer as ArrayBuffer;
}

/** Whatever a parser throws at damaged bytes means one thing; the store's own failures pass. */
async function orCorrupt<T>(name: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw corrupt(name, error instanceof Error ? error.message : String(error), error);
  }
}

function corrupt(name: string, reason: string, cause?: unknown): Failure {
  return new Failure(
    'TABLE_CORRUPT',
    `${name} cannot be read as Parquet: ${reason}.`,
    'The file was damaged or removed after it was written. Restore it from a backup, or go back to a version without it.',
    { cause },
  );
}
