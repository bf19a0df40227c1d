import { crc32 } from 'node:zlib';
import parquetTypes, {
  type ColumnMetaData,
  type PageHeader,
  type RowGroup,
  type SchemaElement,
} from '@dsnp/parquetjs/dist/gen-nodejs/parquet_types.js';
import parquetUtil from '@dsnp/parquetjs/dist/lib/util.js';
import type { DecimalType, PrimitiveName } from '../records/ddl.ts';
import { decimalBytes, type LeafBuffers, type LeafType, physicalType } from '../records/leaf-buffers.ts';
import type { Compression } from './compression.ts';
import { leafShapes, type MessageField } from './message-type.ts';
import type { Page } from './pages.ts';
import { footerBounds, type LeafStatistics } from './statistics.ts';

/**
 * The Thrift structures around the pages, as parquet.thrift defines them: page headers, row groups, footer.
 */

const { ConvertedType, Encoding, FieldRepetitionType, PageType, Type } = parquetTypes;
const CODECS = {
  zstd: parquetTypes.CompressionCodec.ZSTD,
  snappy: parquetTypes.CompressionCodec.SNAPPY,
  gzip: parquetTypes.CompressionCodec.GZIP,
  none: parquetTypes.CompressionCodec.UNCOMPRESSED,
} as const satisfies Record<Compression, unknown>;

/**
 * Readers that know a writer's faults look for "<name> version <version>"; without it Spark distrusts
 * statistics.
 */
const CREATED_BY = 'tidemark version 0.1.0';
const MAGIC = Buffer.from('PAR1');

/** Where a column chunk's pages lie and what they hold. Sizes count page headers. */
export interface ChunkTotals {
  readonly startOffset: number;
  readonly dictionaryBytes: number;
  readonly dataPageCount: number;
  readonly compressedBytes: number;
  readonly uncompressedBytes: number;
}

export function encodePageHeader(page: Page, stored: Buffer): Buffer {
  const header = new parquetTypes.PageHeader({
    type: page.kind === 'dictionary' ? PageType.DICTIONARY_PAGE : PageType.DATA_PAGE,
    uncompressed_page_size: page.body.length,
    compressed_page_size: stored.length,
    crc: crc32(stored) | 0,
  });
  describePage(header, page);
  return parquetUtil.serializeThrift(header);
}

export function columnMetaData(
  leaf: LeafBuffers,
  compression: Compression,
  totals: ChunkTotals,
  statistics: LeafStatistics,
): ColumnMetaData {
  const { startOffset, dictionaryBytes, dataPageCount } = totals;
  const hasDictionary = dictionaryBytes > 0;
  const dataEncoding = hasDictionary ? Encoding.RLE_DICTIONARY : Encoding.PLAIN;
  const dataPages = pageCount(PageType.DATA_PAGE, dataEncoding, dataPageCount);
  const dictionaryPages = pageCount(PageType.DICTIONARY_PAGE, Encoding.PLAIN, 1);
  return new parquetTypes.ColumnMetaData({
    type: Type[leaf.physicalType],
    encodings: hasDictionary ? [Encoding.RLE, Encoding.PLAIN, dataEncoding] : [Encoding.RLE, dataEncoding],
    path_in_schema: [...leaf.path],
    codec: CODECS[compression],
    num_values: int64(leaf.levelCount),
    total_uncompressed_size: int64(totals.uncompressedBytes),
    total_compressed_size: int64(totals.compressedBytes),
    data_page_offset: int64(startOffset + dictionaryBytes),
    ...(hasDictionary && { dictionary_page_offset: int64(startOffset) }),
    statistics: thriftStatistics(leaf, statistics),
    encoding_stats: hasDictionary ? [dictionaryPages, dataPages] : [dataPages],
  });
}

export function rowGroupOf(rowCount: number, chunks: readonly ColumnMetaData[]): RowGroup {
  const sum = (size: (chunk: ColumnMetaData) => Int64) =>
    int64(chunks.reduce((total, chunk) => total + Number(size(chunk)), 0));
  const first = chunks[0];
  return new parquetTypes.RowGroup({
    // `file_offset` is deprecated: 0 where no metadata lies outside the footer.
    columns: chunks.map((chunk) => new parquetTypes.ColumnChunk({ file_offset: int64(0), meta_data: chunk })),
    total_byte_size: sum((chunk) => chunk.total_uncompressed_size),
    total_compressed_size: sum((chunk) => chunk.total_compressed_size),
    num_rows: int64(rowCount),
    ...(first && { file_offset: first.dictionary_page_offset ?? first.data_page_offset }),
  });
}

/** The footer with its length and the closing magic. */
export function encodeFooter(
  message: readonly MessageField[],
  rowCount: number,
  rowGroups: readonly RowGroup[],
  keyValueMetadata: Readonly<Record<string, string>>,
): Buffer {
  const elements = message.flatMap(schemaElements);
  const typeOrder = new parquetTypes.ColumnOrder({ TYPE_ORDER: new parquetTypes.TypeDefinedOrder() });
  const metadata = parquetUtil.serializeThrift(
    new parquetTypes.FileMetaData({
      version: 1,
      schema: [new parquetTypes.SchemaElement({ name: 'schema', num_children: message.length }), ...elements],
      num_rows: int64(rowCount),
      row_groups: [...rowGroups],
      key_value_metadata: Object.entries(keyValueMetadata).map(
        ([key, value]) => new parquetTypes.KeyValue({ key, value }),
      ),
      created_by: CREATED_BY,
      column_orders: leafShapes(message).map(() => typeOrder),
    }),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(metadata.length);
  return Buffer.concat([metadata, length, MAGIC]);
}

type Int64 = ColumnMetaData['num_values'];

/** The compact protocol takes a number for an i64; counts and file positions stay below 2 ** 53. */
function int64(value: number): Int64 {
  return value as unknown as Int64;
}

function describePage(header: PageHeader, page: Page): void {
  if (page.kind === 'dictionary') {
    header.dictionary_page_header = new parquetTypes.DictionaryPageHeader({
      num_values: page.entryCount,
      encoding: Encoding.PLAIN,
    });
  } else {
    header.data_page_header = new parquetTypes.DataPageHeader({
      num_values: page.levelCount,
      encoding: Encoding[page.encoding],
      definition_level_encoding: Encoding.RLE,
      repetition_level_encoding: Encoding.RLE,
    });
  }
}

function pageCount(page_type: PageType, encoding: Encoding, count: number) {
  return new parquetTypes.PageEncodingStats({ page_type, encoding, count });
}

type PageType = (typeof PageType)[keyof typeof PageType];
type Encoding = (typeof Encoding)[keyof typeof Encoding];
type ConvertedType = (typeof ConvertedType)[keyof typeof ConvertedType];

function thriftStatistics(leaf: LeafBuffers, { bounds, nullCount }: LeafStatistics) {
  const exact = footerBounds(leaf, bounds);
  return new parquetTypes.Statistics({
    null_count: int64(nullCount),
    ...(exact && {
      min_value: exact.min,
      max_value: exact.max,
      is_min_value_exact: exact.minIsExact,
      is_max_value_exact: exact.maxIsExact,
    }),
  });
}

/**
 * A field and all below it, depth first. Converted types too: readers older than logical types know only
 * those.
 */
function schemaElements(field: MessageField): SchemaElement[] {
  const { name } = field;
  const repetition_type = FieldRepetitionType[field.repetition];
  if (field.kind === 'leaf') {
    return [new parquetTypes.SchemaElement({ name, repetition_type, ...leafType(field.type) })];
  }
  const annotation = field.annotation && GROUP_ANNOTATIONS[field.annotation];
  const group = { name, repetition_type, num_children: field.fields.length, ...annotation };
  return [new parquetTypes.SchemaElement(group), ...field.fields.flatMap(schemaElements)];
}

type TypeOf = Pick<SchemaElement, 'type' | 'converted_type' | 'logicalType'>;

function leafType(type: LeafType): Partial<SchemaElement> {
  return type.kind === 'decimal' ? decimalElement(type) : PRIMITIVE_TYPES[type.name];
}

function decimalElement(type: DecimalType): Partial<SchemaElement> {
  const { precision, scale } = type;
  const physical = physicalType(type);
  return {
    type: Type[physical],
    ...(physical === 'FIXED_LEN_BYTE_ARRAY' && { type_length: decimalBytes(precision) }),
    converted_type: ConvertedType.DECIMAL,
    precision,
    scale,
    logicalType: new parquetTypes.LogicalType({
      DECIMAL: new parquetTypes.DecimalType({ precision, scale }),
    }),
  };
}

function smallInteger(bitWidth: number, converted_type: ConvertedType): TypeOf {
  const INTEGER = new parquetTypes.IntType({ bitWidth, isSigned: true });
  return { type: Type.INT32, converted_type, logicalType: new parquetTypes.LogicalType({ INTEGER }) };
}

const MICROS_IN_UTC = new parquetTypes.TimestampType({
  isAdjustedToUTC: true,
  unit: new parquetTypes.TimeUnit({ MICROS: new parquetTypes.MicroSeconds() }),
});

const PRIMITIVE_TYPES: Record<PrimitiveName, TypeOf> = {
  string: {
    type: Type.BYTE_ARRAY,
    converted_type: ConvertedType.UTF8,
    logicalType: new parquetTypes.LogicalType({ STRING: new parquetTypes.StringType() }),
  },
  long: { type: Type.INT64 },
  integer: { type: Type.INT32 },
  short: smallInteger(16, ConvertedType.INT_16),
  byte: smallInteger(8, ConvertedType.INT_8),
  double: { type: Type.DOUBLE },
  float: { type: Type.FLOAT },
  binary: { type: Type.BYTE_ARRAY },
  boolean: { type: Type.BOOLEAN },
  date: {
    type: Type.INT32,
    converted_type: ConvertedType.DATE,
    logicalType: new parquetTypes.LogicalType({ DATE: new parquetTypes.DateType() }),
  },
  timestamp: {
    type: Type.INT64,
    converted_type: ConvertedType.TIMESTAMP_MICROS,
    logicalType: new parquetTypes.LogicalType({ TIMESTAMP: MICROS_IN_UTC }),
  },
};

const GROUP_ANNOTATIONS: Record<'LIST' | 'MAP', TypeOf> = {
  LIST: {
    converted_type: ConvertedType.LIST,
    logicalType: new parquetTypes.LogicalType({ LIST: new parquetTypes.ListType() }),
  },
  MAP: {
    converted_type: ConvertedType.MAP,
    logicalType: new parquetTypes.LogicalType({ MAP: new parquetTypes.MapType() }),
  },
};
