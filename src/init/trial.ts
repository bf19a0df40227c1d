import type { SampledRecord } from '../kafka/sample.ts';
import type { Specification } from '../pipeline/specification.ts';
import { Columns } from '../records/columns.ts';
import { tableSchemas } from '../records/table-schema.ts';
import { RecordSink } from '../tasks/record-sink.ts';

/** What a drain would make of the sampled records. */
export interface Trial {
  readonly rows: number;
  readonly tombstones: number;
  readonly deadLetters: number;
  /** Why, the most frequent first. */
  readonly reasons: readonly TrialReason[];
  /** The values of the table partitions that the rows fall into, with the number of rows in each. */
  readonly tablePartitions: readonly { readonly values: PartitionValues; readonly rows: number }[];
}

export interface TrialReason {
  readonly reason: string;
  readonly path: string;
  readonly records: number;
  /** One of them. */
  readonly example: { readonly topic: string; readonly kafkaPartition: number; readonly offset: number };
}

type PartitionValues = Readonly<Record<string, string | null>>;

/** Decodes the sample as a write task does, by the same decoder and table partitions, into memory. */
export function tryOut(specification: Specification, sample: readonly SampledRecord[]): Trial {
  const schemas = tableSchemas(specification.records, specification.table.partitionBy);
  const partitions = new Map<string, { columns: Columns; values: PartitionValues }>();
  const columnsOf = (key: string, values: () => PartitionValues) => {
    const partition = partitions.get(key) ?? { columns: new Columns(schemas.rowSchema), values: values() };
    partitions.set(key, partition);
    return partition.columns;
  };
  const reasons = new Map<string, TrialReason>();
  let current: SampledRecord | undefined;
  const letters = {
    isFull: false,
    add: (_: unknown, { reason, path }: { reason: string; path: string }) => {
      const place = path.replace(/\[\d+\]/g, '[]');
      const key = `${reason} ${place}`;
      const { topic = '', kafkaPartition = 0, offset = 0 } = current ?? {};
      const known = reasons.get(key) ?? {
        reason,
        path: place,
        records: 0,
        example: { topic, kafkaPartition, offset },
      };
      reasons.set(key, { ...known, records: known.records + 1 });
    },
  };
  const sink = new RecordSink(specification, schemas, { columnsOf, isFull: false }, letters, 'deadLetter');
  const total = { rows: 0, tombstones: 0, deadLetters: 0 };
  for (const record of sample) {
    current = record;
    const { topic, kafkaPartition, offset, timestampMs, value } = record;
    sink.begin(topic, kafkaPartition);
    sink.record(
      offset,
      timestampMs,
      value ?? NOTHING,
      value === null ? -1 : 0,
      value?.length ?? -1,
      -1,
      -1,
      0,
      0,
    );
    total.rows += sink.rows;
    total.tombstones += sink.tombstones;
    total.deadLetters += sink.deadLetters;
  }
  return {
    ...total,
    reasons: [...reasons.values()].sort((a, b) => b.records - a.records),
    tablePartitions: [...partitions.values()].map(({ columns, values }) => ({
      values,
      rows: columns.rowCount,
    })),
  };
}

const NOTHING = Buffer.alloc(0);
