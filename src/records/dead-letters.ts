import { assert } from '../errors.ts';
import type { Columns, LeafColumn } from './columns.ts';
import { parseDdl, type Schema } from './ddl.ts';
import { KafkaColumns, type KafkaRecord, leafOf } from './kafka-columns.ts';

/** The columns of every dead-letter table. `reason` is a stable code; the other three are for people. */
export const DEAD_LETTER_SCHEMA: Schema = parseDdl(`
  topic STRING, partition INT, offset BIGINT, epoch BIGINT, timestamp TIMESTAMP,
  key BINARY, headers ARRAY<STRUCT<key: STRING, value: BINARY>>, value BINARY,
  reason STRING, path STRING, byte_offset INT, message STRING,
  run STRING, batch STRING
`);

/**
 * The dead-letter table lies beside the pipeline's table, so that no reader of one meets the other's files.
 */
export function deadLettersLocation(location: string): string {
  return `${location.replace(/\/+$/, '')}.dead_letters`;
}

/**
 * The reason of a record whose Kafka timestamp no TIMESTAMP can hold: in the letter it is null, its message
 * tells it.
 */
export const ODD_TIMESTAMP = 'kafkaTimestampOutOfRange';

/** Why a record did not become a row. */
export interface RecordDefect {
  /** Of `DEFECT_REASONS`, of a table partition's defect, or `ODD_TIMESTAMP`. */
  readonly reason: string;
  /** The place in the document; empty for the record itself. */
  readonly path: string;
  /** In the record's value; undefined for a defect without a place. */
  readonly byteOffset: number | undefined;
  /** One line for people. */
  readonly message: string;
}

/**
 * The batch that letters belong to: with topic, partition and offset, the epoch tells a letter from all
 * others.
 */
export interface LetterOrigin {
  readonly epoch: bigint;
  readonly run: string;
  readonly batch: string;
}

/**
 * Appends a letter per call to one `Columns` of the dead-letter table: the record byte for byte, and what is
 * wrong with it.
 */
export class DeadLetterColumns {
  readonly columns: Columns;
  private readonly kafka: KafkaColumns;
  private readonly epoch: LeafColumn;
  private readonly value: LeafColumn;
  private readonly reason: LeafColumn;
  private readonly path: LeafColumn;
  private readonly byteOffset: LeafColumn;
  private readonly message: LeafColumn;
  private readonly run: LeafColumn;
  private readonly batch: LeafColumn;

  constructor(columns: Columns) {
    const leaf = (name: string) => {
      const node = columns.nodes.find((candidate) => candidate.name === name);
      assert(node !== undefined, `${name} is a column of dead letters`);
      return leafOf(node);
    };
    this.columns = columns;
    this.kafka = new KafkaColumns(columns, KAFKA_NAMES);
    this.epoch = leaf('epoch');
    this.value = leaf('value');
    this.reason = leaf('reason');
    this.path = leaf('path');
    this.byteOffset = leaf('byte_offset');
    this.message = leaf('message');
    this.run = leaf('run');
    this.batch = leaf('batch');
  }

  append(record: KafkaRecord, defect: RecordDefect, { epoch, run, batch }: LetterOrigin): void {
    this.kafka.append(record);
    this.epoch.appendInt64(epoch, 0);
    this.value.appendBytes(record.buffer, record.valueStart, record.valueEnd, 0);
    appendString(this.reason, defect.reason);
    appendString(this.path, defect.path);
    if (defect.byteOffset === undefined) this.byteOffset.appendNull(0, 0);
    else this.byteOffset.appendInt32(defect.byteOffset, 0);
    appendString(this.message, defect.message);
    appendString(this.run, run);
    appendString(this.batch, batch);
    this.columns.rowCount++;
  }
}

const KAFKA_NAMES = {
  topic: 'topic',
  partition: 'partition',
  offset: 'offset',
  timestamp: 'timestamp',
  key: 'key',
  headers: 'headers',
} as const;

function appendString(leaf: LeafColumn, text: string): void {
  const bytes = Buffer.from(text);
  leaf.appendBytes(bytes, 0, bytes.length, 0);
}
