/**
 * Promise: what retries have settled is read once, however many batches ask for it, and never taken for
 * another table's. Method: a log of retries on a real disk, whose reads are counted, looked at by one process
 * again and again while it grows and changes.
 */

import { expect, it } from 'vitest';
import { lettersRetried } from '../../src/commits/retried-letters.ts';
import type { DeltaLog } from '../../src/delta/log.ts';
import { spansToText } from '../../src/kafka/spans.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { makeFolder, openLog, storeWith } from '../delta/table.ts';

it('reads the retries that are new, and one to know that the others are the same', async () => {
  await using folder = await makeFolder();
  const { store, log, readsOf } = countingLog(folder.path);
  for (let version = 0; version < 20; version++) await retry(store, version, version - 1);
  expect(await readsOf(() => settled(log, 19))).toEqual([20, '0-19']);
  expect(await readsOf(() => settled(log, 19))).toEqual([1, '0-19']);
  for (const version of [20, 21]) await retry(store, version, version - 1);
  expect(await readsOf(() => settled(log, 21))).toEqual([3, '0-21']);
  expect(await readsOf(() => settled(log, 21))).toEqual([1, '0-21']);
  expect(await settled(log, undefined)).toBe('');
});

it('forgets what it knew where the chain is another one: a restored table, or one made again', async () => {
  await using folder = await makeFolder();
  const { store, log } = countingLog(folder.path);
  for (const version of [0, 1, 2]) await retry(store, version, version - 1);
  expect(await settled(log, 2)).toBe('0-2');
  await retry(store, 3, 0); // a repaired RESTORE has taken 1 and 2 back
  expect(await settled(log, 3)).toBe('0,3');
  expect(await settled(log, 2)).toBe('0-2');

  for (const version of [0, 1, 2, 3]) await store.delete(path(version));
  await retry(store, 0, -1, 50);
  await retry(store, 3, 0, 60);
  expect(await settled(log, 3)).toBe('50,60');
});

it('takes the set that it hands out back from nobody', async () => {
  await using folder = await makeFolder();
  const { store, log } = countingLog(folder.path);
  await retry(store, 0, -1);
  (await lettersRetried(log, 0n)).add({ topic: 't', kafkaPartition: 0, epoch: 0n, offset: 99n });
  expect(await settled(log, 0)).toBe('0');
});

async function settled(log: DeltaLog, newest: number | undefined): Promise<string> {
  const letters = await lettersRetried(log, newest === undefined ? undefined : BigInt(newest));
  return letters
    .toSpans()
    .map(({ spans }) => spansToText(spans))
    .join(';');
}

function countingLog(root: string) {
  let reads = 0;
  const store = storeWith(root, (inner) => ({
    read: (at) => {
      reads++;
      return inner.read(at);
    },
  }));
  const readsOf = async <T>(work: () => Promise<T>): Promise<[number, T]> => {
    reads = 0;
    const result = await work();
    return [reads, result];
  };
  return { store, log: openLog(store), readsOf };
}

let batches = 0;

/** A version that settles one letter. */
async function retry(store: ObjectStore, version: number, previous: number, offset = version): Promise<void> {
  const commitInfo = {
    tidemark: 'retry',
    batchId: `batch-${batches++}`,
    retried: [{ topic: 't', kafkaPartition: 0, epoch: '0', offsets: String(offset) }],
    previousRetry: previous < 0 ? null : String(previous),
  };
  await store.putIfAbsent(path(version), Buffer.from(`${JSON.stringify({ commitInfo })}\n`));
}

function path(version: number): string {
  return `_delta_log/${String(version).padStart(20, '0')}.json`;
}
