import { describe, expect, test } from 'vitest';
import { BATCH } from '../../src/commits/batch.ts';
import { readBatchRecord } from '../../src/commits/batch-record.ts';
import { commit } from '../../src/commits/commit.ts';
import { parseActions, serializeActions } from '../../src/delta/actions.ts';
import { type LedgerVersion, ledgerLine, ledgerPath, ledgerVersion } from '../../src/delta/ledger.ts';
import { versionPath } from '../../src/delta/log-files.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { commitMany, freezingStore, makeFolder, openLog, planBatch, storeWith } from './table.ts';

/**
 * What the ledger tells is what the log told, for every look into the past; where it covers a version, no
 * JSON counts. The ledgers here are made by hand from the versions as they are; the clean-up has tests of its
 * own.
 */

/** Folds versions [from, until) into a file of the ledger and, where asked for, deletes them. */
async function fold(store: ObjectStore, from: number, until: number, { deletes = true } = {}): Promise<void> {
  const lines: string[] = [];
  for (let version = from; version < until; version++) {
    const content = (await store.read(versionPath(version)))?.toString('utf8') ?? '';
    lines.push(ledgerLine(ledgerVersion(version, parseActions(content, ''))));
  }
  expect(await store.putIfAbsent(ledgerPath(from), Buffer.from(lines.join('')))).toBe('created');
  if (deletes) for (let version = from; version < until; version++) await store.delete(versionPath(version));
}

async function historyOf(store: ObjectStore): Promise<LedgerVersion[]> {
  const versions: LedgerVersion[] = [];
  for await (const version of openLog(store).history()) versions.push(version);
  return versions;
}

describe('history', () => {
  test('is the same before and after versions are folded, in one file or in several', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    expect(await historyOf(store)).toEqual([]);
    await commitMany(openLog(store), store, 25);
    const whole = await historyOf(store);
    expect(whole.map(({ tableVersion }) => tableVersion)).toEqual(Array.from({ length: 25 }, (_, i) => i));
    await fold(store, 0, 4);
    await fold(store, 4, 5);
    expect(await historyOf(store)).toEqual(whole);
    await fold(store, 5, 19, { deletes: false });
    expect(await historyOf(store)).toEqual(whole);
    const [first, , third] = whole;
    expect(first).toMatchObject({ metaData: true, txns: { 'tidemark/t/0': '2', 'tidemark/epoch': '0' } });
    expect(third).toMatchObject({
      adds: [{ path: 'batch-2.parquet', rows: 2, partitionValues: {}, dataChange: true }],
      removes: [],
      txns: { 'tidemark/t/0': '6' },
    });
    expect(third).not.toHaveProperty('metaData');
    expect(third && readBatchRecord(third)?.partitions[0]?.endingOffset).toBe(6n);
  });

  test('begins where a log begins that others have cleaned up, and names a hole', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    await commitMany(openLog(store), store, 12);
    for (const version of [0, 1, 2, 3]) await store.delete(versionPath(version));
    expect((await historyOf(store)).map(({ tableVersion }) => tableVersion)).toEqual([
      4, 5, 6, 7, 8, 9, 10, 11,
    ]);
    await fold(store, 4, 6);
    expect((await historyOf(store))[0]?.tableVersion).toBe(4);
    await store.delete(versionPath(7));
    await expect(historyOf(store)).rejects.toMatchObject({
      code: 'TABLE_CORRUPT',
      message: expect.stringContaining('version 7'),
    });
  });

  test('goes on in the ledger where versions are folded while it is read', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    await commitMany(openLog(store), store, 25);
    const seen: number[] = [];
    for await (const { tableVersion } of openLog(store).history()) {
      seen.push(tableVersion);
      if (tableVersion === 3) await fold(store, 0, 10);
    }
    expect(seen).toEqual(Array.from({ length: 25 }, (_, i) => i));
  });

  test('keeps every digit, tags, and what another writer leaves out', async () => {
    const actions = parseActions(
      [
        '{"commitInfo":{"big":9223372036854775807}}',
        '{"txn":{"appId":"a/b","version":9223372036854775807}}',
        '{"add":{"path":"d=a%2520b/f","partitionValues":{"d":null},"size":7,"modificationTime":1,"dataChange":false,"tags":{"t":"x"}}}',
        '{"remove":{"path":"g%20h","dataChange":true}}',
      ].join('\n'),
      '',
    );
    const line = ledgerLine(ledgerVersion(3, actions));
    expect(JSON.parse(line.replaceAll(/\d{19}/g, '"$&"').replaceAll('""', '"'))).toEqual({
      tableVersion: 3,
      commitInfo: { big: '9223372036854775807' },
      adds: [
        { path: 'd=a%20b/f', size: 7, partitionValues: { d: null }, dataChange: false, tags: { t: 'x' } },
      ],
      removes: [{ path: 'g h', dataChange: true }],
      txns: { 'a/b': '9223372036854775807' },
    });
  });
});

describe('looking back', () => {
  test('finds a batch by its id, and a RESTORE, below the clean-up', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    await commitMany(log, store, 2);
    const early = await planBatch(log, store, 'early');
    await commit(log, BATCH, early);
    await commitMany(log, store, 20, 'later');
    await fold(store, 0, 19);
    expect(await commit(openLog(store), BATCH, early)).toMatchObject({
      kind: 'alreadyCommitted',
      record: { tableVersion: 2 },
    });
    expect((await openLog(store).versionsSince(-1)).length).toBe(23);
  });

  test('ignores a JSON that the ledger covers, also one that fits into the row', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const known = openLog(store);
    await commitMany(known, store, 19);
    const frozen = openLog(store);
    await frozen.snapshot();
    await commitMany(openLog(store), store, 6, 'more');
    await fold(store, 0, 19);
    const whole = await historyOf(store);
    const before = await openLog(store).snapshot();
    const stray = serializeActions([
      { commitInfo: { operation: 'RESTORE', txnId: 'stray' } },
      { txn: { appId: 'tidemark/t/0', version: 0n } },
    ]);
    for (const version of [17, 18]) await store.put(versionPath(version), Buffer.from(stray));
    expect(await historyOf(store)).toEqual(whole);
    expect(await openLog(store).snapshot()).toEqual(before);
    expect(await frozen.snapshot()).toEqual(before);
    expect((await openLog(store).versionsSince(16)).map(({ commitInfo }) => commitInfo?.tidemark)).toEqual(
      Array(8).fill('drain'),
    );
  });

  test('a reader that froze between its looks does not take a stray version for the table’s', async () => {
    await using folder = await makeFolder();
    const others = new LocalStore(folder.path);
    await commitMany(openLog(others), others, 18);
    let meanwhile: (() => Promise<void>) | undefined;
    const store = storeWith(folder.path, (real) => ({
      async list(prefix, after) {
        await meanwhile?.();
        meanwhile = undefined;
        return await real.list(prefix, after);
      },
    }));
    const reader = openLog(store);
    await reader.snapshot();
    // It knows version 17; the stray one is 18, and 19 goes on from there.
    meanwhile = async () => {
      await commitMany(openLog(others), others, 6, 'more');
      await fold(others, 0, 19);
      await others.put(versionPath(18), Buffer.from('{"txn":{"appId":"tidemark/t/0","version":0}}'));
    };
    expect(await reader.snapshot()).toEqual(await openLog(others).snapshot());
  });
});

describe('the put', () => {
  test('of a frozen process counts for nothing, also where its predecessor is there again', async () => {
    await using folder = await makeFolder();
    const others = new LocalStore(folder.path);
    const { store, meanwhile } = freezingStore(folder.path);
    const frozen = openLog(store);
    await commitMany(frozen, store, 3);
    const batch = await planBatch(frozen, store, 'frozen');
    meanwhile(async () => {
      await commitMany(openLog(others), others, 22, 'meanwhile');
      await fold(others, 0, 19);
      await others.put(versionPath(2), Buffer.from('{"commitInfo":{"txnId":"another stray one"}}'));
    });
    expect(await commit(frozen, BATCH, batch)).toMatchObject({ kind: 'superseded' });
    expect(await others.stat(versionPath(3))).toBeDefined();
    expect((await openLog(others).snapshot())?.tableVersion).toBe(24);
  });

  test('is ours although it was folded and its predecessor deleted before we looked', async () => {
    await using folder = await makeFolder();
    const others = new LocalStore(folder.path);
    let after: (() => Promise<void>) | undefined;
    const store = storeWith(folder.path, (real) => ({
      async putIfAbsent(path, content) {
        const result = await real.putIfAbsent(path, content);
        await after?.();
        after = undefined;
        return result;
      },
    }));
    const log = openLog(store);
    await commitMany(log, store, 3);
    const batch = await planBatch(log, store, 'ours');
    after = async () => {
      await commitMany(openLog(others), others, 22, 'meanwhile');
      await fold(others, 0, 19);
    };
    expect(await commit(log, BATCH, batch)).toMatchObject({ kind: 'committed', record: { tableVersion: 3 } });
  });

  test('costs the same on 10 versions and on a long ledger', { timeout: 60_000 }, async () => {
    await using folder = await makeFolder();
    const calls: string[] = [];
    const store = storeWith(folder.path, (real) => {
      const counted =
        <A extends [string, ...unknown[]], R>(name: string, call: (...args: A) => R) =>
        (...args: A): R => {
          calls.push(`${name} ${args[0]}`);
          return call.apply(real, args);
        };
      const { read, readRange, stat, list } = real;
      return {
        read: counted('read', read),
        readRange: counted('readRange', readRange),
        stat: counted('stat', stat),
        async list(prefix, after) {
          const entries = await list.call(real, prefix, after);
          calls.push(`list ${prefix}: ${entries.length}`);
          return entries;
        },
      };
    });
    const log = openLog(store);
    const costOfOne = async (name: string) => {
      const batch = await planBatch(log, store, name);
      calls.length = 0;
      expect(await commit(log, BATCH, batch)).toMatchObject({ kind: 'committed' });
      return calls.map((call) => call.replace(/\/\d{20}/, '/N').replace(name, 'batch'));
    };
    await commitMany(log, store, 12);
    await fold(store, 0, 9);
    await costOfOne('warm');
    const early = await costOfOne('early');
    await commitMany(log, store, 60, 'more');
    for (let from = 9; from < 69; from += 5) await fold(store, from, from + 5);
    await costOfOne('warm-again');
    expect(await costOfOne('late')).toEqual(early);
  });
});

test('a ledger without its log is no new table: it is named', async () => {
  await using folder = await makeFolder();
  const store = new LocalStore(folder.path);
  await commitMany(openLog(store), store, 25);
  const batch = await planBatch(openLog(store), store, 'late');
  await fold(store, 0, 19);
  for (const { path } of await store.list('_delta_log/')) await store.delete(path);
  const corrupt = { code: 'TABLE_CORRUPT', message: expect.stringContaining('_tidemark/ledger/') };
  await expect(openLog(store).snapshot()).rejects.toMatchObject(corrupt);
  await expect(commit(openLog(store), BATCH, batch)).rejects.toMatchObject(corrupt);
  await using another = await makeFolder();
  const made = new LocalStore(another.path);
  await commitMany(openLog(made), made, 1);
  await store.put(versionPath(0), (await made.read(versionPath(0))) ?? Buffer.alloc(0));
  await expect(openLog(store).snapshot()).rejects.toMatchObject(corrupt);
});
