import { describe, expect, it } from 'vitest';
import { BATCH } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import {
  DEAD_LETTERS_APP_ID,
  newestRetryOf,
  offsetAppId,
  RETRIED_APP_ID,
  topicIdAppId,
  topicIdHash,
  WITHDRAWN,
} from '../../src/commits/pipeline-state.ts';
import { REPAIR, type Repair } from '../../src/commits/repair.ts';
import { readRestored } from '../../src/commits/restored-version.ts';
import type { DeltaLog } from '../../src/delta/log.ts';
import type { Snapshot } from '../../src/delta/snapshot.ts';
import { acceptTopic, restoreOffsets, seenTable, skipLost } from '../../src/repair/answers.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { commitMany, makeFolder, openLog, planBatch, storeWith } from '../delta/table.ts';
import { RECREATED_TOPIC, TOPIC } from './batches.ts';

/**
 * Goal: an answer writes exactly what its page promises, once, on exactly what was seen; and a drain of
 * before loses to it. Method: real tables on disk; RESTOREs as other engines write them, by hand.
 */

it('fences a batch of before, although its offsets fit again', async () => {
  await using table = await open();
  const zombie = await planBatch(table.log, table.store, 'zombie');
  await commitMany(table.log, table.store, 1);
  const snapshot = await table.now();
  const topic = described(RECREATED_TOPIC.identity, { start: 0n, end: 9n });
  await commitAnswer(table.log, {
    ...answer(snapshot, 'accept-topic'),
    ...acceptTopic(snapshot, topic, new Set([0]), 'earliest', 'read_committed'),
  });
  const after = await table.now();
  expect(after.txns.get(offsetAppId('t', 0))).toBe(zombie.partitions[0]?.startingOffset ?? 0n);
  expect(after.txns.get(topicIdAppId('t'))).toBe(
    topicIdHash(RECREATED_TOPIC.identity ?? { clusterId: '', topicId: '' }),
  );
  const planned = { ...zombie, plannedOn: { ...zombie.plannedOn, tableId: after.metaData.id } };
  await expect(commit(table.log, BATCH, planned)).rejects.toMatchObject({ code: 'FENCED' });
});

it('refuses an answer once the table is no longer what was seen, and says what differs', async () => {
  await using table = await open();
  await commitMany(table.log, table.store, 1);
  const seen = await table.now();
  const accept = {
    ...answer(seen, 'accept-topic'),
    ...acceptTopic(
      seen,
      described(RECREATED_TOPIC.identity, { start: 0n, end: 9n }),
      new Set([0]),
      'latest',
      'read_committed',
    ),
  };
  await commitMany(table.log, table.store, 1, 'more');
  expect(await commit(table.log, REPAIR, accept)).toEqual({
    kind: 'changed',
    differences: ['the next offset of t-0 was 2, now it is 4'],
  });
});

it('finds its own version again when the answer to the put was lost', async () => {
  await using folder = await makeFolder();
  let lose = false;
  const store = storeWith(folder.path, (real) => ({
    putIfAbsent: async (path, content) => {
      const put = await real.putIfAbsent(path, content);
      if (lose) {
        lose = false;
        throw new Error('the answer is lost');
      }
      return put;
    },
  }));
  const log = openLog(store);
  await commitMany(log, store, 1);
  const snapshot = await required(log);
  lose = true;
  const outcome = await commit(log, REPAIR, {
    ...answer(snapshot, 'skip-lost'),
    ...skipLost(snapshot, [described(TOPIC.identity, { start: 5n, end: 9n })]),
  });
  expect(outcome).toMatchObject({
    kind: 'alreadyCommitted',
    record: { tableVersion: 1, answer: 'skip-lost', epoch: 1n },
  });
});

it('adds up: what is skipped is lost, entry by entry', async () => {
  await using table = await open();
  await commitMany(table.log, table.store, 1);
  const snapshot = await table.now();
  await commitAnswer(table.log, {
    ...answer(snapshot, 'skip-lost'),
    ...skipLost(snapshot, [described(TOPIC.identity, { start: 5n, end: 9n })]),
  });
  const [version] = await table.log.recentCommits(1);
  expect(version?.commitInfo?.ledger).toEqual([
    {
      topic: 't',
      kafkaPartition: 0,
      startingOffset: '2',
      readFrom: '5',
      endingOffset: '5',
      lost: 3,
      lostOffsets: '2-4',
    },
  ]);
});

describe('restore', () => {
  it('sets offsets, retries and dead letters, and never the vacuum', () => {
    const then = state([
      [offsetAppId('t', 0), 2n],
      [RETRIED_APP_ID, 3n],
    ]);
    const now = state([
      [offsetAppId('t', 0), 7n],
      [offsetAppId('t', 1), 1n],
      [RETRIED_APP_ID, 9n],
      [DEAD_LETTERS_APP_ID, 8n],
      ['tidemark/vacuum', 123n],
    ]);
    expect(restoreOffsets(now, then)).toEqual({
      moves: [
        { topic: 't', kafkaPartition: 0, before: 7n, after: 2n },
        { topic: 't', kafkaPartition: 1, before: 1n, after: undefined },
      ],
      restored: { tableVersion: then.tableVersion, previousDeadLetters: undefined },
      topics: [],
      markers: [
        { appId: RETRIED_APP_ID, before: 9n, after: 3n },
        { appId: DEAD_LETTERS_APP_ID, before: 8n, after: 'own version' },
      ],
    });
    const [none] = restoreOffsets(now, state([])).markers;
    expect(none).toEqual({ appId: RETRIED_APP_ID, before: 9n, after: WITHDRAWN });
    expect(newestRetryOf(state([[RETRIED_APP_ID, WITHDRAWN]]))).toBeUndefined();
  });

  it.each([
    ['named by its version', { version: '1' }],
    ['to a point in time', { datetime: '1790000000000' }],
    ["Spark's", { version: '1', timestamp: null }],
  ])('finds the version of a RESTORE %s', async (_, operationParameters) => {
    await using table = await open();
    await commitMany(table.log, table.store, 3);
    await restoreTo(table, 1, operationParameters);
    expect(await readRestored(table.log, 3)).toMatchObject({ tableVersion: 1, unrepairedRestore: undefined });
  });

  it('refuses a RESTORE whose files are not those of the version that it names', async () => {
    await using table = await open();
    await commitMany(table.log, table.store, 3);
    await restoreTo(table, 1, { version: '0' });
    await expect(readRestored(table.log, 3)).rejects.toMatchObject({ code: 'REPAIR_REFUSED' });
  });

  it('looks through a RESTORE of a RESTORE that nobody repaired', async () => {
    await using table = await open();
    await commitMany(table.log, table.store, 3);
    await restoreTo(table, 0, { version: '0' });
    await restoreTo(table, 2, { version: '2' });
    await restoreTo(table, 3, { version: '3' });
    expect(await readRestored(table.log, 5)).toMatchObject({ tableVersion: 0 });
  });

  it('refuses where the log that tells it was cleaned up', async () => {
    await using table = await open();
    await commitMany(table.log, table.store, 12);
    await restoreTo(table, 1, { version: '1' });
    for (let version = 0; version < 5; version++)
      await table.store.delete(`_delta_log/${String(version).padStart(20, '0')}.json`);
    await expect(readRestored(openLog(table.store), 12)).rejects.toThrow(/was cleaned up/);
  });
});

async function open() {
  const folder = await makeFolder();
  const store = new LocalStore(folder.path);
  const log = openLog(store);
  return { store, log, now: () => required(log), [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

async function required(log: DeltaLog): Promise<Snapshot> {
  const snapshot = await log.snapshot();
  if (snapshot === undefined) throw new Error('there is no table');
  return snapshot;
}

function answer(snapshot: Snapshot, kind: Repair['answer']): Repair {
  const who = { batchId: `answer-${kind}`, pipeline: 'products', who: 'somebody', reason: 'a test' };
  return { answer: kind, ...who, seen: seenTable(snapshot), moves: [], topics: [], markers: [] };
}

async function commitAnswer(log: DeltaLog, repair: Repair): Promise<void> {
  expect(await commit(log, REPAIR, repair)).toMatchObject({ kind: 'committed' });
}

function described(identity: typeof TOPIC.identity, { start, end }: { start: bigint; end: bigint }) {
  const partition = { kafkaPartition: 0, logStartOffset: start, lastStableOffset: end, highWatermark: end };
  return { topic: 't', identity, compacted: false, partitions: [partition] };
}

function state(txns: readonly (readonly [string, bigint])[]): Snapshot {
  return {
    tableVersion: 20,
    protocol: { minReaderVersion: 1, minWriterVersion: 2 },
    metaData: {
      id: 'table',
      format: { provider: 'parquet', options: {} },
      schemaString: '',
      partitionColumns: [],
      configuration: {},
    },
    txns: new Map(txns),
    files: new Map(),
    tombstones: new Map(),
    unrepairedRestore: 19,
  };
}

/** As another engine does it: the files of that version, nothing of the `txn`s. */
async function restoreTo(
  { log, store, now }: { log: DeltaLog; store: LocalStore; now: () => Promise<Snapshot> },
  version: number,
  operationParameters: object,
): Promise<void> {
  const [current, then] = [await now(), await log.snapshotAt(version)];
  const removes = [...current.files.values()]
    .filter(({ path }) => !then?.files.has(path))
    .map(({ path }) => ({ remove: { path, dataChange: true } }));
  const adds = [...(then?.files.values() ?? [])]
    .filter(({ path }) => !current.files.has(path))
    .map((add) => ({ add }));
  const actions = [{ commitInfo: { operation: 'RESTORE', operationParameters } }, ...removes, ...adds];
  const path = `_delta_log/${String(current.tableVersion + 1).padStart(20, '0')}.json`;
  await store.putIfAbsent(path, Buffer.from(actions.map((action) => JSON.stringify(action)).join('\n')));
}
