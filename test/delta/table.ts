import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BATCH, type Batch } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import type { DataFile } from '../../src/commits/data-files.ts';
import { epochOf, offsetAppId } from '../../src/commits/pipeline-state.ts';
import { DeltaLog, type DeltaLogOptions } from '../../src/delta/log.ts';
import { encodeParquetRows } from '../../src/parquet/row-writer.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { makeBatch, range } from '../commits/batches.ts';

/** Real tables on a local disk, of real Parquet files with an `id` per offset. */

export async function makeFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'tidemark-delta-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export function openLog(store: ObjectStore, options: Partial<DeltaLogOptions> = {}): DeltaLog {
  return new DeltaLog(store, { now: Date.now, ...options });
}

/** A store in which a test replaces single calls: the faults it plants. */
export function storeWith(root: string, faults: (store: ObjectStore) => Partial<ObjectStore>): ObjectStore {
  const store = new LocalStore(root);
  return Object.assign(Object.create(store), faults(store)) as ObjectStore;
}

/** A process that freezes before its next put: `meanwhile` says what others do until it wakes. */
export function freezingStore(root: string) {
  let work: (() => Promise<void>) | undefined;
  const store = storeWith(root, (real) => ({
    async putIfAbsent(path, content) {
      await work?.();
      work = undefined;
      return await real.putIfAbsent(path, content);
    },
  }));
  const meanwhile = (others: () => Promise<void>) => {
    work = others;
  };
  return { store, meanwhile };
}

/** A durable file with rows `id` from `start` to `end`. */
export async function writeFile(
  store: ObjectStore,
  path: string,
  start: number,
  end: number,
  partitionValues: DataFile['partitionValues'] = {},
): Promise<DataFile> {
  const ids = Array.from({ length: end - start }, (_, i) => ({ id: start + i }));
  const writer = await store.create(path);
  await writer.write(await encodeParquetRows([{ name: 'id', type: 'long' }], ids));
  const { sizeBytes } = await writer.finish();
  return {
    path,
    sizeBytes,
    rowCount: ids.length,
    partitionValues,
    stats: JSON.stringify({ numRecords: ids.length }),
  };
}

/** The next batch of one Kafka partition, planned on the table as it is now. */
export async function planBatch(
  log: DeltaLog,
  store: ObjectStore,
  batchId: string,
  rowCount = 2,
  kafkaPartition = 0,
): Promise<Batch> {
  const snapshot = await log.snapshot();
  const start = snapshot?.txns.get(offsetAppId('t', kafkaPartition));
  const first = Number(start ?? 0n);
  const file = await writeFile(store, `${batchId}.parquet`, first, first + rowCount);
  return makeBatch({
    batchId,
    plannedOn: {
      tableId: snapshot?.metaData.id,
      tableVersion: snapshot?.tableVersion ?? -1,
      epoch: epochOf(snapshot),
    },
    schema: { fields: [{ name: 'id', type: { kind: 'primitive', name: 'long' }, nullable: true }] },
    partitions: [range(kafkaPartition, start, BigInt(first + rowCount))],
    files: rowCount === 0 ? [] : [file],
  });
}

export async function commitMany(
  log: DeltaLog,
  store: ObjectStore,
  count: number,
  name = 'batch',
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const outcome = await commit(log, BATCH, await planBatch(log, store, `${name}-${i}`));
    if (outcome.kind !== 'committed') throw new Error(`${name}-${i}: ${outcome.kind}`);
  }
}
