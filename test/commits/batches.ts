import type { Batch, BatchPartition, BatchTopic } from '../../src/commits/batch.ts';
import type { CommitOrigin } from '../../src/commits/commit-info.ts';
import type { DataFile } from '../../src/commits/data-files.ts';
import type { CommitFacts } from '../../src/commits/facts.ts';
import { type Accounting, emptyAccounting } from '../../src/records/accounting.ts';
import type { Schema } from '../../src/records/ddl.ts';
import type { ObjectStat } from '../../src/storage/object-store.ts';

/** Small, whole, valid inputs for the commit protocol; every test changes what it is about. */

export const NOW_MS = 1_800_000_000_000;
const DAY_MS = 24 * 60 * 60 * 1000;

export const SCHEMA: Schema = {
  fields: [
    { name: 'id', type: { kind: 'primitive', name: 'long' }, nullable: false },
    { name: 'day', type: { kind: 'primitive', name: 'string' }, nullable: true },
  ],
};

export const TOPIC: BatchTopic = { topic: 't', identity: { clusterId: 'cluster', topicId: '0a'.repeat(16) } };
export const RECREATED_TOPIC: BatchTopic = {
  topic: 't',
  identity: { clusterId: 'cluster', topicId: '0b'.repeat(16) },
};

export const ORIGIN: CommitOrigin = { build: '0.1.0+test', specification: 'ab'.repeat(32) };

export function rows(count: number): Accounting {
  return { ...emptyAccounting(), rows: count };
}

/** A range that is rows only. */
export function range(
  kafkaPartition: number,
  startingOffset: bigint | undefined,
  endingOffset: bigint,
  readFrom = startingOffset ?? 0n,
): BatchPartition {
  const accounting = rows(Number(endingOffset - readFrom));
  return { topic: 't', kafkaPartition, startingOffset, readFrom, endingOffset, accounting };
}

export function dataFile(
  path: string,
  rowCount: number,
  partitionValues: DataFile['partitionValues'] = {},
): DataFile {
  return {
    path,
    sizeBytes: 100 + rowCount,
    rowCount,
    partitionValues,
    stats: JSON.stringify({ numRecords: rowCount }),
  };
}

/** The first batch of a pipeline, of one file with all of its rows. */
export function makeBatch(changes: Partial<Batch> = {}): Batch {
  const partitions = changes.partitions ?? [range(0, undefined, 3n), range(1, undefined, 2n)];
  const count = partitions.reduce((sum, { accounting }) => sum + accounting.rows, 0);
  return {
    batchId: 'batch-1',
    pipeline: 'products',
    run: 'drain-products.1',
    origin: ORIGIN,
    plannedOn: { tableId: undefined, tableVersion: -1, epoch: 0n },
    schema: SCHEMA,
    partitionColumns: [],
    compression: 'zstd',
    topics: [TOPIC],
    partitions,
    files: count === 0 ? [] : [dataFile(`${changes.batchId ?? 'batch-1'}.parquet`, count)],
    deadLetterFiles: [],
    ...changes,
  };
}

/** Facts under which nothing stands in the way of `batch`. */
export function factsFor(files: readonly DataFile[], changes: Partial<CommitFacts> = {}): CommitFacts {
  return {
    nowMs: NOW_MS,
    txnId: 'txn',
    newTableId: 'table',
    versionsSincePlan: [],
    fileStats: new Map(files.map(({ path, sizeBytes }) => [path, fresh(sizeBytes)])),
    letterStats: new Map(),
    ...changes,
  };
}

export function fresh(sizeBytes: number, ageMs = 1000): ObjectStat {
  return { sizeBytes, modifiedMs: NOW_MS - ageMs };
}

export const SIX_DAYS_MS = 6 * DAY_MS;
