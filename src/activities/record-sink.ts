import { assert, Failure } from '../errors.ts';
import type { RecordVisitor } from '../kafka/record-batch.ts';
import type { KafkaColumn, Specification } from '../pipeline/specification.ts';
import { Columns, type LeafColumn } from '../records/columns.ts';
import { appendCorruptRecord } from '../records/corrupt-record.ts';
import { JsonDecoder } from '../records/json-decoder.ts';
import { TablePartitioner } from '../records/table-partitioner.ts';
import { CORRUPT_RECORD, kafkaColumnName, type TableSchemas } from '../records/table-schema.ts';
import type { TableFiles } from './table-files.ts';

/** Bytes of a refused record that its failure shows. */
const EXCERPT_BYTES = 300;
/** Kafka's "no timestamp". */
const NO_TIMESTAMP = -1;

/**
 * Takes the records of a write task's ranges, one by one, into the columns of their table partition, by the pipeline's
 * mode: `failFast` refuses the first defect, `permissive` keeps the record's text in `_corrupt_record` and null where
 * a value does not fit. `rows` and `tombstones` count since `begin`.
 */
export class RecordSink implements RecordVisitor {
  rows = 0;
  tombstones = 0;
  totalRows = 0;

  private readonly files: TableFiles;
  private readonly columns: Columns;
  private readonly decoder: JsonDecoder;
  private readonly corruptRecord: LeafColumn | undefined;
  private readonly kafkaLeaves: readonly (readonly [KafkaColumn, LeafColumn])[];
  private readonly partitioner: TablePartitioner | undefined;
  private topic = Buffer.alloc(0);
  private kafkaPartition = 0;

  constructor(
    { records, table }: Specification,
    { rowSchema, recordSchema }: TableSchemas,
    files: TableFiles,
  ) {
    const isPartitioned = table.partitionBy.length > 0;
    this.files = files;
    // Only a finished row tells its table partition, so rows of a partitioned table are built apart and copied.
    this.columns = isPartitioned ? new Columns(rowSchema) : files.columnsOf('', () => ({}));
    const nodes = this.columns.nodes.slice(0, recordSchema.fields.length);
    this.decoder = new JsonDecoder({ nodes, timestamps: records.timestamps });
    this.corruptRecord = records.mode === 'permissive' ? this.leaf(CORRUPT_RECORD) : undefined;
    this.kafkaLeaves = records.kafkaColumns.map(
      (column) => [column, this.leaf(kafkaColumnName(column))] as const,
    );
    this.partitioner = isPartitioned ? new TablePartitioner(this.columns, table.partitionBy) : undefined;
  }

  begin(topic: string, kafkaPartition: number): void {
    this.topic = Buffer.from(topic);
    this.kafkaPartition = kafkaPartition;
    this.rows = 0;
    this.tombstones = 0;
  }

  record(offset: number, timestampMs: number, buffer: Buffer, valueStart: number, valueEnd: number): void {
    if (valueStart < 0) {
      this.tombstones++;
      return;
    }
    this.appendRecord(offset, buffer, valueStart, valueEnd);
    this.appendKafkaColumns(offset, timestampMs);
    this.columns.rowCount++;
    if (this.partitioner !== undefined)
      this.moveRow(this.partitioner, offset, timestampMs, buffer, valueStart, valueEnd);
    this.rows++;
    this.totalRows++;
  }

  private appendRecord(offset: number, buffer: Buffer, start: number, end: number): void {
    const outcome = this.decoder.decode(buffer, start, end);
    if (outcome === 'row') {
      this.corruptRecord?.appendNull(0, 0);
      return;
    }
    if (this.corruptRecord === undefined) {
      throw this.malformed(offset, this.decoder.defect()?.message ?? outcome, buffer, start, end);
    }
    if (outcome === 'recordDefect') this.decoder.appendNullRow();
    appendCorruptRecord(this.corruptRecord, buffer, start, end);
  }

  private appendKafkaColumns(offset: number, timestampMs: number): void {
    for (const [column, leaf] of this.kafkaLeaves) {
      if (column === 'topic') leaf.appendBytes(this.topic, 0, this.topic.length, 0);
      else if (column === 'partition') leaf.appendInt32(this.kafkaPartition, 0);
      else if (column === 'offset') leaf.appendInt53(offset, 0);
      else if (timestampMs === NO_TIMESTAMP) leaf.appendNull(leaf.maxDefinitionLevel - 1, 0);
      else leaf.appendInt53(timestampMs * 1000, 0);
    }
  }

  /** Copies the row that was built into its table partition's columns. */
  private moveRow(
    partitioner: TablePartitioner,
    offset: number,
    timestampMs: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const { columns } = this;
    if (partitioner.key() === undefined) {
      const column = partitioner.emptyColumn();
      if (this.corruptRecord === undefined) {
        const problem = `${column} is '', and Delta cannot tell '' from null in a partition column`;
        throw this.malformed(offset, problem, buffer, start, end);
      }
      columns.clear();
      this.decoder.appendNullRow();
      appendCorruptRecord(this.corruptRecord, buffer, start, end);
      this.appendKafkaColumns(offset, timestampMs);
      columns.rowCount++;
    }
    const key = partitioner.key();
    assert(key !== undefined, 'a row of nulls belongs to a table partition');
    this.files.columnsOf(key, () => partitioner.partitionValues()).appendAll(columns);
    columns.clear();
  }

  private malformed(offset: number, problem: string, buffer: Buffer, start: number, end: number): Failure {
    const excerpt = buffer.toString('utf8', start, Math.min(end, start + EXCERPT_BYTES));
    return new Failure(
      'RECORD_MALFORMED',
      `${this.topic}-${this.kafkaPartition} offset ${offset}: ${problem}.\n${excerpt}${end - start > EXCERPT_BYTES ? ' ...' : ''}`,
      'Nothing of this batch was committed. Correct the schema, or use records.mode: permissive to keep such records as text.',
    );
  }

  private leaf(name: string): LeafColumn {
    const node = this.columns.nodes.find((candidate) => candidate.name === name);
    assert(node?.kind === 'leaf', `${name} is a column without fields`);
    return node.leaf;
  }
}
