import { assert, Failure } from '../errors.ts';
import type { RecordVisitor } from '../kafka/record-batch.ts';
import type { Specification } from '../pipeline/specification.ts';
import { Columns, type LeafColumn } from '../records/columns.ts';
import { ODD_TIMESTAMP, type RecordDefect } from '../records/dead-letters.ts';
import { JsonDecoder } from '../records/json-decoder.ts';
import { isOddTimestamp, KafkaColumns, type KafkaRecord, leafOf } from '../records/kafka-columns.ts';
import type { RecordMode } from '../records/records-specification.ts';
import { TablePartitioner } from '../records/table-partitioner.ts';
import { CORRUPT_RECORD, kafkaColumnName, REST, type TableSchemas } from '../records/table-schema.ts';
import { appendCorruptRecord } from './corrupt-record.ts';
import type { TableFiles } from './table-files.ts';

/** Bytes of a refused record that its failure shows. */
const EXCERPT_BYTES = 300;
const NOTHING = Buffer.alloc(0);

/** Takes the records that do not become rows, in mode deadLetter. */
export interface LetterSink {
  add(record: KafkaRecord, defect: RecordDefect): void;
  /** Whether it is time to write out what is held. */
  readonly isFull: boolean;
}

/** Where rows go. */
export type RowFiles = Pick<TableFiles, 'columnsOf' | 'isFull'>;

/**
 * Takes records, one by one, into the columns of their table partition. What becomes of one with a defect is
 * the pipeline's mode:
 *
 * - `deadLetter`: it goes to the letters, as it came.
 * - `permissive`: null where a value does not fit, its text in `_corrupt_record`.
 * - `dropMalformed`: left out.
 * - `failFast`: `RECORD_MALFORMED`.
 *
 * Each is counted since `begin` where it happens.
 */
export class RecordSink implements RecordVisitor {
  rows = 0;
  deadLetters = 0;
  dropped = 0;
  tombstones = 0;
  totalRows = 0;
  /** Times of rows that lost what is finer than a microsecond. */
  totalTruncated = 0;

  private readonly mode: RecordMode;
  private readonly files: RowFiles;
  private readonly letters: LetterSink;
  private readonly columns: Columns;
  private readonly decoder: JsonDecoder;
  private readonly corruptRecord: LeafColumn | undefined;
  private readonly kafkaColumns: KafkaColumns;
  private readonly keepsTombstones: boolean;
  private readonly hasTimestamp: boolean;
  private readonly partitioner: TablePartitioner | undefined;
  private readonly current = new CurrentRecord();

  /** @param mode what becomes of defects; the columns are always those of the pipeline's own mode */
  constructor(
    { records, table, limits }: Specification,
    { rowSchema, recordSchema }: TableSchemas,
    files: RowFiles,
    letters: LetterSink,
    mode = records.mode,
  ) {
    const isPartitioned = table.partitionBy.length > 0;
    this.mode = mode;
    this.files = files;
    this.letters = letters;
    // Only a finished row tells its table partition, so rows of a partitioned table are built apart and
    // copied.
    this.columns = isPartitioned ? new Columns(rowSchema) : files.columnsOf('', () => ({}));
    const nodes = this.columns.nodes.slice(0, recordSchema.fields.length);
    this.decoder = new JsonDecoder({
      nodes,
      timestamps: records.timestamps,
      from: records.from,
      truncateTimestamps: records.truncateTimestamps,
      quotedNumbers: records.quotedNumbers,
      limits: { maxRecordBytes: limits.maxRecordBytes, maxDepth: limits.maxNesting },
      ...(records.rest ? { rest: this.leaf(REST) } : {}),
    });
    this.corruptRecord = records.mode === 'permissive' ? this.leaf(CORRUPT_RECORD) : undefined;
    this.kafkaColumns = new KafkaColumns(
      this.columns,
      Object.fromEntries(records.kafkaColumns.map((column) => [column, kafkaColumnName(column)])),
    );
    this.keepsTombstones = records.tombstones === 'row';
    this.hasTimestamp = records.kafkaColumns.includes('timestamp');
    this.partitioner = isPartitioned ? new TablePartitioner(this.columns, table.partitionBy) : undefined;
  }

  begin(topic: string, kafkaPartition: number): void {
    this.current.topic = Buffer.from(topic);
    this.current.kafkaPartition = kafkaPartition;
    this.rows = 0;
    this.deadLetters = 0;
    this.dropped = 0;
    this.tombstones = 0;
  }

  get isFull(): boolean {
    return this.files.isFull || this.letters.isFull;
  }

  record(
    offset: number,
    timestampMs: number,
    buffer: Buffer,
    valueStart: number,
    valueEnd: number,
    keyStart: number,
    keyEnd: number,
    headersStart: number,
    headersEnd: number,
  ): void {
    const isTombstone = valueStart < 0;
    if (isTombstone && !this.keepsTombstones) {
      this.tombstones++;
      return;
    }
    const { current } = this;
    current.offset = offset;
    current.timestampMs = timestampMs;
    current.buffer = buffer;
    current.valueStart = valueStart;
    current.valueEnd = valueEnd;
    current.keyStart = keyStart;
    current.keyEnd = keyEnd;
    current.headersStart = headersStart;
    current.headersEnd = headersEnd;
    if (!(isTombstone ? this.appendTombstone() : this.appendRow())) return;
    this.rows++;
    this.totalRows++;
    this.totalTruncated += this.decoder.truncated;
  }

  /** @returns false where the record did not become a row; it has then been counted */
  private appendRow(): boolean {
    const { buffer, valueStart, valueEnd, timestampMs } = this.current;
    const isOdd = this.hasTimestamp && isOddTimestamp(timestampMs);
    if (isOdd && this.mode !== 'permissive') {
      this.refuse(() => oddTimestamp(timestampMs));
      return false;
    }
    const decoded = this.decoder.decode(buffer, valueStart, valueEnd);
    const outcome = decoded === 'row' && isOdd ? 'fieldDefect' : decoded;
    if (outcome === 'row') {
      this.corruptRecord?.appendNull(0, 0);
    } else if (this.corruptRecord === undefined || this.mode !== 'permissive') {
      if (outcome === 'fieldDefect') this.decoder.rollback();
      this.refuse(() => this.decodeDefect());
      return false;
    } else {
      if (outcome === 'recordDefect') this.decoder.appendNullRow();
      appendCorruptRecord(this.corruptRecord, buffer, valueStart, valueEnd);
    }
    this.kafkaColumns.append(this.current);
    this.columns.rowCount++;
    return this.partitioner === undefined || this.moveRow(this.partitioner);
  }

  /**
   * A Kafka timestamp that no TIMESTAMP holds is null in it: a record without a value cannot become a dead
   * letter.
   */
  private appendTombstone(): boolean {
    this.decoder.appendNullRow();
    this.corruptRecord?.appendNull(0, 0);
    this.kafkaColumns.append(this.current);
    this.columns.rowCount++;
    return this.partitioner === undefined || this.moveRow(this.partitioner);
  }

  /** Copies the row that was built into its table partition's columns. */
  private moveRow(partitioner: TablePartitioner): boolean {
    const { columns } = this;
    const defect = partitionDefect(partitioner);
    if (defect !== undefined) {
      columns.clear();
      if (this.corruptRecord === undefined || this.mode !== 'permissive') {
        this.refuse(() => defect);
        return false;
      }
      this.appendCorruptRow(this.corruptRecord);
    }
    const key = partitioner.key();
    if (key === undefined) {
      // A row of nulls still has its Kafka columns, and one of them may be what cannot partition.
      const still = partitionDefect(partitioner);
      assert(still !== undefined, 'a row without a table partition has a defect');
      throw malformed(this.current, still);
    }
    this.files.columnsOf(key, () => partitioner.partitionValues()).appendAll(columns);
    columns.clear();
    return true;
  }

  private appendCorruptRow(corruptRecord: LeafColumn): void {
    const { buffer, valueStart, valueEnd } = this.current;
    this.decoder.appendNullRow();
    appendCorruptRecord(corruptRecord, buffer, valueStart, valueEnd);
    this.kafkaColumns.append(this.current);
    this.columns.rowCount++;
  }

  /** What becomes of a record with a defect in the modes that make no row of it. */
  private refuse(defect: () => RecordDefect): void {
    if (this.mode === 'dropMalformed') {
      this.dropped++;
    } else if (this.mode === 'deadLetter') {
      this.letters.add(this.current, defect());
      this.deadLetters++;
    } else {
      throw malformed(this.current, defect());
    }
  }

  private decodeDefect(): RecordDefect {
    const defect = this.decoder.defect();
    assert(defect !== undefined, 'a record that is not a row has a defect');
    return defect;
  }

  private leaf(name: string): LeafColumn {
    const node = this.columns.nodes.find((candidate) => candidate.name === name);
    assert(node !== undefined, `${name} is a column`);
    return leafOf(node);
  }
}

/** One object for all records: none is made on the way. */
class CurrentRecord implements KafkaRecord {
  topic: Buffer = NOTHING;
  kafkaPartition = 0;
  offset = 0;
  timestampMs = 0;
  buffer: Buffer = NOTHING;
  valueStart = 0;
  valueEnd = 0;
  keyStart = 0;
  keyEnd = 0;
  headersStart = 0;
  headersEnd = 0;
}

function oddTimestamp(timestampMs: number): RecordDefect {
  const path = kafkaColumnName('timestamp');
  const message = `${path}: Kafka's timestamp of the record is ${timestampMs} ms since 1970, outside the years 0001 to 9999`;
  return { reason: ODD_TIMESTAMP, path, byteOffset: undefined, message };
}

function partitionDefect(partitioner: TablePartitioner): RecordDefect | undefined {
  const defect = partitioner.defect();
  if (defect === undefined) return undefined;
  const { code, column, message } = defect;
  return { reason: code, path: column, byteOffset: undefined, message };
}

function malformed(record: KafkaRecord, { message }: RecordDefect): Failure {
  const { topic, kafkaPartition, offset, buffer, valueStart, valueEnd } = record;
  const excerpt = buffer.toString('utf8', valueStart, Math.min(valueEnd, valueStart + EXCERPT_BYTES));
  return new Failure(
    'RECORD_MALFORMED',
    `${topic}-${kafkaPartition} offset ${offset}: ${message}.\n${excerpt}${valueEnd - valueStart > EXCERPT_BYTES ? ' ...' : ''}`,
    'This batch was not committed. Correct the schema, or use records.mode: deadLetter to set such records aside.',
  );
}
