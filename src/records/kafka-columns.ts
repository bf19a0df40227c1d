import { isUtf8 } from 'node:buffer';
import { assert } from '../errors.ts';
import { RecordHeaders } from '../kafka/record-batch.ts';
import { appendNullTo, type ColumnNode, type Columns, type LeafColumn } from './columns.ts';
import { MAX_SECONDS, MIN_SECONDS } from './date-time.ts';

export const KAFKA_COLUMNS = ['topic', 'partition', 'offset', 'timestamp', 'key', 'headers'] as const;
export const DEFAULT_KAFKA_COLUMNS = ['topic', 'partition', 'offset', 'timestamp'] as const;
export type KafkaColumn = (typeof KAFKA_COLUMNS)[number];

/** Kafka's "no timestamp". */
const NO_TIMESTAMP = -1;

/**
 * One record as the walk meets it: positions lie in `buffer` and hold until the next one. As in
 * `RecordVisitor`.
 */
export interface KafkaRecord {
  readonly topic: Buffer;
  readonly kafkaPartition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly buffer: Buffer;
  readonly valueStart: number;
  readonly valueEnd: number;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly headersStart: number;
  readonly headersEnd: number;
}

/**
 * Writes where a record came from into its row. Headers are as Spark's `includeHeaders` has them: in their
 * order, a name may repeat, and null where there are none. A timestamp that is odd (`isOddTimestamp`) is
 * null.
 */
export class KafkaColumns {
  private readonly appends: readonly ((record: KafkaRecord) => void)[];
  private readonly headers = new RecordHeaders();

  /** @param names of the columns in `columns`, for each part of a record that is wanted */
  constructor(columns: Columns, names: Readonly<Partial<Record<KafkaColumn, string>>>) {
    this.appends = Object.entries(names).map(([column, name]) => {
      const node = columns.nodes.find((candidate) => candidate.name === name);
      assert(node !== undefined, `${name} is a column`);
      return column === 'headers' ? this.appendHeaders(node) : appendTo(column, leafOf(node));
    });
  }

  append(record: KafkaRecord): void {
    for (const append of this.appends) append(record);
  }

  private appendHeaders(node: ColumnNode): (record: KafkaRecord) => void {
    assert(node.kind === 'array' && node.element.kind === 'struct', 'headers are a list of structs');
    const [keyNode, valueNode] = node.element.fields;
    assert(keyNode && valueNode, 'a header has a key and a value');
    const [key, value] = [leafOf(keyNode), leafOf(valueNode)];
    const { headers } = this;
    return ({ buffer, headersStart }) => {
      headers.begin(buffer, headersStart);
      if (headers.count === 0) return appendNullTo(node, node.definitionLevel - 1, 0);
      for (let repetitionLevel = 0; headers.next(); repetitionLevel = node.element.repetitionLevel) {
        appendText(key, buffer, headers.keyStart, headers.keyEnd, repetitionLevel);
        appendBytes(value, buffer, headers.valueStart, headers.valueEnd, repetitionLevel);
      }
    };
  }
}

function appendTo(column: string, leaf: LeafColumn): (record: KafkaRecord) => void {
  switch (column) {
    case 'topic':
      return ({ topic }) => leaf.appendBytes(topic, 0, topic.length, 0);
    case 'partition':
      return ({ kafkaPartition }) => leaf.appendInt32(kafkaPartition, 0);
    case 'offset':
      return ({ offset }) => leaf.appendInt53(offset, 0);
    case 'timestamp':
      return ({ timestampMs }) => {
        if (timestampMs === NO_TIMESTAMP || isOddTimestamp(timestampMs))
          leaf.appendNull(leaf.maxDefinitionLevel - 1, 0);
        else if (Number.isSafeInteger(timestampMs * 1000)) leaf.appendInt53(timestampMs * 1000, 0);
        else leaf.appendInt64(BigInt(timestampMs) * 1000n, 0);
      };
    default:
      return ({ buffer, keyStart, keyEnd }) => appendBytes(leaf, buffer, keyStart, keyEnd, 0);
  }
}

/**
 * Whether no TIMESTAMP can hold it, being outside the years 0001 to 9999. Kafka takes any number, so a
 * producer that sends microseconds as milliseconds meets nothing that stops it.
 */
export function isOddTimestamp(timestampMs: number): boolean {
  return timestampMs < MIN_SECONDS * 1000 || timestampMs >= (MAX_SECONDS + 1) * 1000;
}

function appendBytes(leaf: LeafColumn, buffer: Buffer, start: number, end: number, repetitionLevel: number) {
  if (start < 0) leaf.appendNull(leaf.maxDefinitionLevel - 1, repetitionLevel);
  else leaf.appendBytes(buffer, start, end, repetitionLevel);
}

/** A STRING is UTF-8: what is not becomes U+FFFD. */
function appendText(
  leaf: LeafColumn,
  buffer: Buffer,
  start: number,
  end: number,
  repetitionLevel: number,
): void {
  const bytes = buffer.subarray(start, end);
  const text = isUtf8(bytes) ? bytes : Buffer.from(bytes.toString('utf8'));
  leaf.appendBytes(text, 0, text.length, repetitionLevel);
}

export function leafOf(node: ColumnNode): LeafColumn {
  assert(node.kind === 'leaf', `${node.name} is a column without fields`);
  return node.leaf;
}
