import { execFile } from 'node:child_process';
import { rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { BATCH } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import { COMPACTION, type Compaction } from '../../src/commits/compaction.ts';
import { decodePath, serializeActions } from '../../src/delta/actions.ts';
import { logCheckpointInterval, writeLogCheckpoint } from '../../src/delta/log-checkpoint.ts';
import { logCheckpointPath, versionPath } from '../../src/delta/log-files.ts';
import { Failure } from '../../src/errors.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { ORIGIN } from '../commits/batches.ts';
import { commitMany, freezingStore, makeFolder, openLog, planBatch, storeWith, writeFile } from './table.ts';

/**
 * The log on a real disk: whatever is lost (a listing, a hint, an answer, old versions), a reader finds the
 * table or says what is missing, and a batch is in it once. Faults are planted in the store.
 */

const pathOf = (store: LocalStore, path: string) => join(store.root, path);

describe('committing', () => {
  test('a batch is committed once, however often it is tried, also by another process’s log', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const batch = await planBatch(openLog(store), store, 'one');
    const first = await commit(openLog(store), BATCH, batch);
    const again = await commit(openLog(store), BATCH, batch);
    expect(first).toMatchObject({
      kind: 'committed',
      record: { tableVersion: 0, totals: { rows: 2, files: 1 } },
    });
    expect(again).toEqual({ ...first, kind: 'alreadyCommitted' });
    expect((await store.list('_delta_log/')).length).toBe(1);
  });

  test('a lost answer is read back; a put that never happened stands as its error', async () => {
    await using folder = await makeFolder();
    let fault: 'after' | 'before' | undefined;
    const store = storeWith(folder.path, (real) => ({
      async putIfAbsent(path, content) {
        const [now, lost] = [fault, new Failure('STORAGE_FAILED', 'no answer', '')];
        fault = undefined;
        if (now === 'before') throw lost;
        const result = await real.putIfAbsent(path, content);
        if (now === 'after') throw lost;
        return result;
      },
    }));
    const log = openLog(store);
    const batch = await planBatch(log, store, 'one');
    fault = 'before';
    await expect(commit(log, BATCH, batch)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: 'no answer',
    });
    expect(await log.snapshot()).toBeUndefined();
    fault = 'after';
    expect(await commit(log, BATCH, batch)).toMatchObject({
      kind: 'alreadyCommitted',
      record: { tableVersion: 0 },
    });
    expect(await commit(log, BATCH, batch)).toMatchObject({
      kind: 'alreadyCommitted',
      record: { tableVersion: 0 },
    });
  });

  test('a lost race is decided again: rebased over an append, superseded by the same offsets', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const [ours, theirs] = [openLog(store), openLog(store)];
    await commitMany(ours, store, 1);
    const [a, b, c] = [
      await planBatch(ours, store, 'a', 2, 0),
      await planBatch(ours, store, 'b', 2, 1),
      await planBatch(ours, store, 'c', 3, 0),
    ];
    expect(await commit(theirs, BATCH, a)).toMatchObject({ record: { tableVersion: 1 } });
    expect(await commit(ours, BATCH, b)).toMatchObject({ kind: 'committed', record: { tableVersion: 2 } });
    expect(await commit(ours, BATCH, c)).toMatchObject({
      kind: 'superseded',
      partitions: [{ kafkaPartition: 0, startingOffset: 2n, committedOffset: 4n }],
    });
  });

  test('a process that was frozen during a clean-up finds that its put counts for nothing', async () => {
    await using folder = await makeFolder();
    const others = new LocalStore(folder.path);
    const { store, meanwhile } = freezingStore(folder.path);
    const frozen = openLog(store);
    await commitMany(frozen, store, 3);
    const batch = await planBatch(frozen, store, 'frozen');
    meanwhile(async () => {
      await commitMany(openLog(others), others, 12, 'meanwhile');
      for (const version of [0, 1, 2, 3, 4, 5]) await others.delete(versionPath(version));
    });
    expect(await commit(frozen, BATCH, batch)).toMatchObject({ kind: 'superseded' });
    expect(await others.stat(versionPath(3))).toBeDefined();
    expect(await commit(openLog(others), BATCH, batch)).toMatchObject({ kind: 'superseded' });
    const snapshot = await openLog(others).snapshot();
    expect([...(snapshot?.files.keys() ?? [])]).not.toContain('frozen.parquet');
    expect(snapshot?.tableVersion).toBe(14);
  });

  test('several processes: contiguous versions, every batch once, every offset once', {
    timeout: 60_000,
  }, async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const program = fileURLToPath(new URL('./log-process.ts', import.meta.url));
    const runs = [0, 1, 2, 3].map((p) =>
      promisify(execFile)(process.execPath, [program, folder.path, `${p}`, '12']),
    );
    const told = (await Promise.all(runs)).flatMap(({ stdout }) => stdout.trim().split('\n'));
    const committed = (await openLog(store).versionsSince(-1)).map(
      (v) => `${v.tableVersion} ${v.commitInfo?.batchId}`,
    );
    expect(told.toSorted()).toEqual(committed.toSorted());
    expect(committed.length).toBe(48);
    const snapshot = await openLog(store).snapshot();
    expect([0, 1, 2, 3].map((p) => snapshot?.txns.get(`tidemark/t/${p}`))).toEqual([24n, 24n, 24n, 24n]);
    expect(snapshot?.files.size).toBe(48);
    expect(
      (await store.list('_delta_log/')).filter(({ path }) => path.endsWith('.parquet')).length,
    ).toBeGreaterThan(2);
  });

  test.each([
    ['FENCED', { id: 'another' }],
    ['TABLE_NOT_OURS', { configuration: { 'tidemark.pipeline': 'others' } }],
    ['TABLE_SCHEMA_MISMATCH', { partitionColumns: ['id'] }],
  ])('%s stops by name, and nothing is committed', async (code, change) => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    await commitMany(log, store, 1);
    const batch = await planBatch(log, store, 'late');
    const metaData = (await log.snapshot())?.metaData;
    if (metaData === undefined) throw new Error('there is a table');
    await store.put(
      versionPath(1),
      Buffer.from(serializeActions([{ metaData: { ...metaData, ...change } }])),
    );
    await expect(commit(log, BATCH, batch)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(folder.path),
    });
    expect(await store.stat(versionPath(2))).toBeUndefined();
  });

  test('a RESTORE stops every later batch, also where only a log checkpoint remembers the table', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    await commitMany(log, store, 2);
    const before = await planBatch(log, store, 'before');
    const info = (commitInfo: Record<string, unknown>) => Buffer.from(serializeActions([{ commitInfo }]));
    await store.put(versionPath(2), info({ operation: 'RESTORE' }));
    await store.put(versionPath(3), info({ operation: 'OPTIMIZE', tidemark: 'compact' }));
    const restored = { code: 'TABLE_RESTORED', message: expect.stringContaining('version 2') };
    await expect(commit(log, BATCH, before)).rejects.toMatchObject(restored);
    const snapshot = await log.snapshot();
    if (snapshot === undefined) throw new Error('there is a table');
    await writeLogCheckpoint(store, snapshot, Date.now());
    expect((await openLog(store).snapshot())?.unrepairedRestore).toBe(2);
    await store.put(versionPath(4), info({ tidemark: 'repair' }));
    expect((await openLog(store).snapshot())?.unrepairedRestore).toBeUndefined();
    await expect(commit(log, BATCH, before)).rejects.toMatchObject(restored);
  });
});

describe('reading', () => {
  test('from a log checkpoint alone, without the versions before it', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    await commitMany(openLog(store), store, 25);
    const whole = await openLog(store).snapshot();
    for (let version = 0; version < 19; version++) await store.delete(versionPath(version));
    expect(comparable(await openLog(store).snapshot())).toEqual(comparable(whole));
    expect(whole?.tableVersion).toBe(24);
    expect(await openLog(store).versionsSince(-1)).toHaveLength(5);
  });

  test.each([
    ['missing', undefined],
    ['empty', ''],
    ['no JSON', '{"version":'],
    ['without a version', '{}'],
    ['ahead of the log', '{"version":99}'],
    ['behind', '{"version":3}'],
  ])('a _last_checkpoint that is %s costs nothing but time', async (_, content) => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    await commitMany(openLog(store), store, 12);
    const whole = await openLog(store).snapshot();
    if (content === undefined) await store.delete('_delta_log/_last_checkpoint');
    else await store.put('_delta_log/_last_checkpoint', Buffer.from(content));
    expect(comparable(await openLog(store).snapshot())).toEqual(comparable(whole));
    await commitMany(openLog(store), store, 1, 'next');
  });

  test.each(['', 'no Parquet at all'])(
    'a damaged log checkpoint (%j) falls back; without the versions it is corrupt',
    async (content) => {
      await using folder = await makeFolder();
      const store = new LocalStore(folder.path);
      await commitMany(openLog(store), store, 12);
      const whole = await openLog(store).snapshot();
      await store.put(logCheckpointPath(9), Buffer.from(content));
      expect(comparable(await openLog(store).snapshot())).toEqual(comparable(whole));
      await store.delete(versionPath(4));
      const corrupt = {
        code: 'TABLE_CORRUPT',
        message: expect.stringMatching(/checkpoint.parquet cannot be read.*version 4/),
      };
      await expect(openLog(store).snapshot()).rejects.toMatchObject(corrupt);
    },
  );

  test('a hole between versions is corrupt and named, for a log that knew the table before, too', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const known = openLog(store);
    await commitMany(known, store, 2);
    await commitMany(openLog(store), store, 3, 'others');
    await unlink(pathOf(store, versionPath(3)));
    const corrupt = { code: 'TABLE_CORRUPT', message: expect.stringContaining(versionPath(3)) };
    await expect(openLog(store).snapshot()).rejects.toMatchObject(corrupt);
    await expect(known.snapshot()).rejects.toMatchObject(corrupt);
  });

  test('what Tidemark cannot read or write is refused by name, with the place of the table', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    await commitMany(openLog(store), store, 1);
    const version = (await store.read(versionPath(0)))?.toString() ?? '';
    const changed = version.replace('"minReaderVersion":1', '"minReaderVersion":3');
    await store.put(versionPath(0), Buffer.from(changed));
    await expect(openLog(store).snapshot()).rejects.toMatchObject({
      code: 'TABLE_UNSUPPORTED',
      message: expect.stringContaining(`${folder.path}: The table uses what Tidemark does not support`),
    });
  });

  test('a torn listing is no hole', async () => {
    await using folder = await makeFolder();
    const [real, torn] = [new LocalStore(folder.path), { left: 2 }];
    await commitMany(openLog(real), real, 5);
    const store = storeWith(folder.path, (whole) => ({
      list: async (prefix, after) =>
        (await whole.list(prefix, after)).filter(({ path }) => path !== versionPath(3) || torn.left-- <= 0),
    }));
    expect((await openLog(store).snapshot())?.tableVersion).toBe(4);
  });

  test('a table that was dropped and made again is read again', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    await commitMany(log, store, 3);
    const before = await log.snapshot();
    await rm(folder.path, { recursive: true });
    expect(await log.snapshot()).toBeUndefined();
    await commitMany(openLog(store), store, 5, 'new');
    const after = await log.snapshot();
    expect(after?.tableVersion).toBe(4);
    expect(after?.metaData.id).not.toBe(before?.metaData.id);
  });

  test('log checkpoints in several parts are named where they are all there is', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    await commitMany(openLog(store), store, 3);
    const part = '_delta_log/00000000000000000001.checkpoint.0000000001.0000000002.parquet';
    await store.put(part, Buffer.from('x'));
    expect((await openLog(store).snapshot())?.tableVersion).toBe(2);
    await store.delete(versionPath(0));
    await expect(openLog(store).snapshot()).rejects.toMatchObject({
      message: expect.stringContaining('multi-part'),
    });
  });

  test('the newest commits, newest first', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    expect(await log.recentCommits(3)).toEqual([]);
    await commitMany(log, store, 5);
    expect((await log.recentCommits(3)).map(({ tableVersion }) => tableVersion)).toEqual([4, 3, 2]);
    expect((await openLog(store).recentCommits(9)).length).toBe(5);
  });
});

describe('log checkpoints', () => {
  test('never fail a commit, and their failure is told', async () => {
    await using folder = await makeFolder();
    const store = storeWith(folder.path, () => ({
      put: async () => {
        throw new Failure('STORAGE_FULL', 'full', '');
      },
    }));
    const failures: unknown[] = [];
    const log = openLog(store, { onLogCheckpointFailed: (error) => failures.push(error) });
    await commitMany(log, store, 11);
    expect(failures.length).toBeGreaterThan(0);
    expect((await openLog(store).snapshot())?.tableVersion).toBe(10);
  });

  test('_last_checkpoint never goes back', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    await commitMany(openLog(store), store, 3);
    const old = await openLog(store).snapshot();
    await commitMany(openLog(store), store, 10, 'more');
    if (old === undefined) throw new Error('there is a table');
    const before = await store.read('_delta_log/_last_checkpoint');
    await writeLogCheckpoint(store, old, Date.now());
    expect(await store.read('_delta_log/_last_checkpoint')).toEqual(before);
  });

  test('come every 10 versions, and less often for tables of many files', () => {
    expect([0, 10_000, 10_001, 1_000_000].map(logCheckpointInterval)).toEqual([10, 10, 11, 1000]);
  });

  test('keep tombstones for as long as the table wants its removed files kept', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    await commitMany(log, store, 2);
    await commit(log, COMPACTION, await planCompaction(store, log, 'c'));
    const snapshot = await log.snapshot();
    if (snapshot === undefined) throw new Error('there is a table');
    const tombstonesAfter = async (days: number, retention?: string) => {
      const configuration = { ...snapshot.metaData.configuration };
      if (retention !== undefined) configuration['delta.deletedFileRetentionDuration'] = retention;
      const later = { ...snapshot, metaData: { ...snapshot.metaData, configuration } };
      await writeLogCheckpoint(store, later, Date.now() + days * 24 * 60 * 60 * 1000);
      for (const version of [0, 1]) await rm(pathOf(store, versionPath(version)), { force: true });
      return (await openLog(store).snapshot())?.tombstones.size;
    };
    expect(await tombstonesAfter(6)).toBe(2);
    expect(await tombstonesAfter(8)).toBe(0);
    expect(await tombstonesAfter(8, 'interval 2 weeks')).toBe(2);
    expect(await tombstonesAfter(8, 'interval 1 day 2 hours')).toBe(0);
    expect(await tombstonesAfter(8, 'for ever')).toBe(2);
  });
});

describe('compaction', () => {
  test('replaces files by files of the same rows, once', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    await commitMany(log, store, 3);
    const compaction = await planCompaction(store, log, 'c');
    const first = await commit(log, COMPACTION, compaction);
    expect(first).toMatchObject({
      kind: 'committed',
      record: { tableVersion: 3, totals: { rows: 6, filesRemoved: 3 } },
    });
    expect(await commit(openLog(store), COMPACTION, compaction)).toEqual({
      ...first,
      kind: 'alreadyCommitted',
    });
    const snapshot = await log.snapshot();
    expect([...(snapshot?.files.keys() ?? [])]).toEqual(['c.parquet']);
    expect(snapshot?.tombstones.size).toBe(3);
    expect(snapshot?.txns.get('tidemark/t/0')).toBe(6n);
  });

  test('plans again where another compaction took its inputs; goes on over appends', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    await commitMany(log, store, 3);
    const [a, b] = [await planCompaction(store, log, 'a'), await planCompaction(store, log, 'b')];
    await commitMany(log, store, 1, 'append');
    expect(await commit(log, COMPACTION, a)).toMatchObject({
      kind: 'committed',
      record: { tableVersion: 4 },
    });
    const gone = b.inputs.map(({ path }) => path);
    expect(await commit(log, COMPACTION, b)).toEqual({ kind: 'replan', inputsGone: gone });
  });

  test('refuses other rows, in sum and per table partition, and outputs that are gone', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    await commitMany(log, store, 3);
    const good = await planCompaction(store, log, 'c');
    const [output] = good.outputs;
    if (output === undefined) throw new Error('there is an output');
    const differs = { code: 'COMPACTION_ROWS_DIFFER' };
    const wrong: Partial<Compaction>[] = [
      { outputs: [] },
      { inputs: good.inputs.slice(1) },
      { inputs: good.inputs.map((input) => ({ ...input, rowCount: input.rowCount + 1 })) },
      { outputs: [{ ...output, partitionValues: { day: 'monday' } }] },
      { outputs: [{ ...output, stats: '{}' }] },
    ];
    for (const change of wrong)
      await expect(commit(log, COMPACTION, { ...good, ...change })).rejects.toMatchObject(differs);
    await expect(commit(log, COMPACTION, { ...good, tableId: 'another' })).rejects.toMatchObject({
      code: 'FENCED',
    });
    await store.delete(output.path);
    expect(await commit(log, COMPACTION, good)).toMatchObject({ kind: 'expired' });
    expect((await log.snapshot())?.tableVersion).toBe(2);
  });
});

async function planCompaction(
  store: LocalStore,
  log: ReturnType<typeof openLog>,
  name: string,
): Promise<Compaction> {
  const snapshot = await log.snapshot();
  if (snapshot === undefined) throw new Error('there is a table');
  const inputs = [...snapshot.files.keys()].map((path) => ({ path, rowCount: 2 }));
  return {
    batchId: name,
    pipeline: 'products',
    run: 'compact-products.1',
    origin: ORIGIN,
    tableId: snapshot.metaData.id,
    tableVersion: snapshot.tableVersion,
    inputs,
    outputs: [await writeFile(store, `${name}.parquet`, 0, inputs.length * 2)],
  };
}

function comparable(snapshot: Awaited<ReturnType<ReturnType<typeof openLog>['snapshot']>>) {
  return (
    snapshot && {
      ...snapshot,
      files: [...snapshot.files.values()].map(({ path }) => decodePath(path)).toSorted(),
    }
  );
}
