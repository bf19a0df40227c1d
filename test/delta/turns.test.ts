/**
 * Promise: others may write to our table too, in turns with us and at the same time: no row and no offset is
 * lost or doubled, by them or by us, every version stays readable, and what our batches cannot go on over is
 * refused by name.
 *
 * Method: delta-rs in a process of its own does what the test says; after each step the test knows which ids
 * the table holds.
 */

import { spawn } from 'node:child_process';
import { readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { BATCH } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import { COMPACTION } from '../../src/commits/compaction.ts';
import type { DeltaLog } from '../../src/delta/log.ts';
import { logCheckpointPath, versionPath } from '../../src/delta/log-files.ts';
import { rewriteBins } from '../../src/duckdb/rewrite-bins.ts';
import { readParquetRows } from '../../src/parquet/file-reader.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { ORIGIN } from '../commits/batches.ts';
import { readersEnvironment } from '../readers/environment.ts';
import { nextLine } from '../readers/scripts-server.ts';
import { commitMany, makeFolder, openLog, planBatch } from './table.ts';

const ID = { name: 'id', type: { kind: 'primitive', name: 'long' }, nullable: true } as const;

test('in turns: appends, deletes, compactions of both, checkpoints of both', { timeout: 120_000 }, async ({
  skip,
}) => {
  const { delta, log, store, close } = await bothWriters(skip);
  await using _ = close;
  /** What each version holds. */
  const versions: { ids: number[]; offset: number }[] = [];
  let ids: number[] = [];
  let offset = 0;
  const done = async (change: readonly number[], without: (id: number) => boolean = () => false) => {
    ids = [...ids.filter((id) => !without(id)), ...change].sort((a, b) => a - b);
    versions.push({ ids, offset });
    expect(await idsOf(log, store)).toEqual(ids);
  };
  const drain = async (count = 2) => {
    const rows = Array.from({ length: count }, (_, i) => offset + i);
    const outcome = await commit(log, BATCH, await planBatch(log, store, `at-${offset}`, count));
    expect(outcome.kind).toBe('committed');
    offset += count;
    await done(rows);
  };

  await drain();
  await drain();
  await delta('append', [1000, 1001]);
  await done([1000, 1001]);
  await drain();
  expect(await delta('delete', 'id = 1 OR id = 1000')).toBe(2);
  await done([], (id) => id === 1 || id === 1000);
  expect(await delta('update', ['id + 5000', 'id = 4'])).toBe(1);
  await done([5004], (id) => id === 4);
  await drain();
  await drain();
  // Theirs over files of both, then ours over files of both.
  expect(await delta('compact')).toBe(1);
  await done([]);
  await delta('append', [2000]);
  await done([2000]);
  await drain();
  await compactAll(log, store);
  await done([]);
  await drain();
  expect((await log.snapshot())?.tableVersion).toBe(versions.length - 1);

  for (const [version, { ids, offset }] of versions.entries()) {
    expect(await delta('read', version)).toEqual({ version, ids, offset });
  }
  // Of what is live, nothing is in its vacuum's list.
  const gone = (await delta('vacuum')) as string[];
  expect(gone.length).toBeGreaterThan(0);
  const live = [...((await log.snapshot())?.files.keys() ?? [])];
  expect(gone.filter((path) => live.includes(decodeURIComponent(path)))).toEqual([]);
});

test('at the same time: each finds the other’s versions and goes on', { timeout: 180_000 }, async ({
  skip,
}) => {
  const { delta, log, store, close } = await bothWriters(skip);
  await using _ = close;
  await commitMany(log, store, 1);
  const theirs = 15;
  const looping = delta('loop', [10_000, theirs]);
  let finished = false;
  looping.finally(() => (finished = true)).catch(() => {});
  let batches = 1;
  let compactions = 0;
  for (; batches < 25 || !finished; batches++) {
    await commitMany(log, store, 1, `meanwhile-${batches}`);
    if (batches % 6 === 0) compactions += (await compactAll(log, store)) ? 1 : 0;
  }
  const conflicts = await looping;
  console.log(`${batches} batches, ${compactions} compactions of ours, ${conflicts} conflicts of theirs`);
  const ids = [
    ...Array.from({ length: 2 * batches }, (_, i) => i),
    ...Array.from({ length: theirs }, (_, i) => 10_000 + i),
  ];
  expect(await idsOf(log, store)).toEqual(ids);
  expect(await delta('read')).toMatchObject({ ids, offset: 2 * batches });
});

test('each reads from the other’s log checkpoint alone', { timeout: 120_000 }, async ({ skip }) => {
  const { delta, log, store, close } = await bothWriters(skip);
  await using _ = close;
  await commitMany(log, store, 4);
  await delta('append', [1000]);
  await delta('delete', 'id = 3');
  await delta('checkpoint');
  const before = await log.snapshot();
  for (let version = 0; version < 5; version++) await store.delete(versionPath(version));
  const after = await openLog(store).snapshot();
  expect(after).toMatchObject({ tableVersion: 5, txns: before?.txns, metaData: before?.metaData });
  expect([...(after?.files.keys() ?? [])].sort()).toEqual([...(before?.files.keys() ?? [])].sort());
  expect((await commit(log, BATCH, await planBatch(openLog(store), store, 'next'))).kind).toBe('committed');

  await commitMany(openLog(store), store, 10, 'more');
  expect(await store.stat(logCheckpointPath(15))).toBeDefined();
  for (let version = 0; version < 15; version++) await store.delete(versionPath(version));
  const { ids, offset } = (await delta('read')) as { ids: number[]; offset: number };
  expect({ ids, offset }).toEqual({ ids: await idsOf(log, store), offset: 30 });
});

test('a column of theirs, an overwrite, another type: refused by name, or gone on over', {
  timeout: 120_000,
}, async ({ skip }) => {
  const { delta, log, store, close } = await bothWriters(skip);
  await using _ = close;
  await commitMany(log, store, 2);
  await delta('overwrite', [7, 8]);
  await commitMany(log, store, 1, 'after');
  expect(await idsOf(log, store)).toEqual([4, 5, 7, 8]);
  expect(await delta('read')).toMatchObject({ ids: [4, 5, 7, 8], offset: 6 });

  await delta('addColumn', 'theirs');
  const without = await planBatch(log, store, 'without');
  await expect(commit(log, BATCH, without)).rejects.toMatchObject({ code: 'TABLE_SCHEMA_MISMATCH' });
  const theirs = { name: 'theirs', type: { kind: 'primitive', name: 'double' }, nullable: true } as const;
  const batch = await planBatch(log, store, 'with');
  const outcome = await commit(log, BATCH, { ...batch, schema: { fields: [ID, theirs] } });
  expect(outcome.kind).toBe('committed');
  expect(await delta('read')).toMatchObject({
    ids: [4, 5, 6, 7, 7, 8],
    offset: 8,
  });

  await delta('overwriteSchema');
  const other = await planBatch(log, store, 'other');
  await expect(commit(log, BATCH, other)).rejects.toMatchObject({ code: 'TABLE_SCHEMA_MISMATCH' });
});

test('delta-rs leaves the log that is our ledger, but for cleanup_metadata, over which we go on', {
  timeout: 120_000,
}, async ({ skip }) => {
  const { delta, log, store, close } = await bothWriters(skip);
  await using _ = close;
  await commitMany(log, store, 12);
  const folder = join(store.root, '_delta_log');
  const longAgo = new Date(Date.now() - 400 * 86_400_000);
  for (const name of await readdir(folder)) await utimes(join(folder, name), longAgo, longAgo);
  const versions = async () => (await readdir(folder)).filter((name) => /^\d{20}\.json$/.test(name)).length;
  await delta('append', [1000]);
  await delta('checkpoint');
  expect(await versions()).toBe(13);

  // It does not look at delta.enableExpiredLogCleanup, as its checkpoints do.
  await delta('cleanup');
  expect(await versions()).toBe(1);
  await commitMany(openLog(store), store, 1, 'after');
  expect(await idsOf(log, store)).toHaveLength(27);
  expect(await delta('read')).toMatchObject({ version: 13, offset: 26 });
});

type Delta = (what: string, argument?: unknown) => Promise<unknown>;

/** A new folder, our log of it, and delta-rs in a process of its own. */
async function bothWriters(skip: (note: string) => never) {
  const environment = await readersEnvironment();
  if ('missing' in environment) return skip(environment.missing);
  const close = await makeFolder();
  const program = fileURLToPath(new URL('./delta_rs.py', import.meta.url));
  const child = spawn(environment.python, [program, close.path], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill());
  const lines = createInterface(child.stdout);
  const delta: Delta = async (what, argument = null) => {
    child.stdin.write(`${JSON.stringify([what, argument])}\n`);
    return JSON.parse(await nextLine(lines));
  };
  const store = new LocalStore(close.path);
  return { delta, log: openLog(store), store, close };
}

/** Every row of every live file, ascending. */
async function idsOf(log: DeltaLog, store: LocalStore): Promise<number[]> {
  const snapshot = await log.snapshot();
  const ids: number[] = [];
  for (const path of snapshot?.files.keys() ?? []) {
    const rows = (await readParquetRows((await store.read(path)) ?? Buffer.alloc(0), path)) as {
      id: bigint;
    }[];
    ids.push(...rows.map(({ id }) => Number(id)));
  }
  return ids.sort((a, b) => a - b);
}

/** All live files into one, by our rewrite; false where another writer took one of them meanwhile. */
async function compactAll(log: DeltaLog, store: LocalStore): Promise<boolean> {
  const snapshot = await log.snapshot();
  if (snapshot === undefined) throw new Error('there is a table');
  const { id: tableId } = snapshot.metaData;
  const name = `compacted-${snapshot.tableVersion}`;
  const inputs = [...snapshot.files].map(([path, { stats }]) => ({
    path,
    rowCount: Number(JSON.parse(stats ?? '{}').numRecords),
  }));
  const bin = {
    ...{ inputs: inputs.map(({ path }) => path), output: `${name}.parquet` },
    ...{ schema: { fields: [ID] }, compression: 'zstd' as const },
  };
  const files = await rewriteBins(store, [bin], () => undefined, new AbortController().signal);
  const outputs = files.map((file) => ({ ...file, partitionValues: {} }));
  const plan = {
    batchId: name,
    pipeline: 'products',
    run: 'c',
    origin: ORIGIN,
    tableId,
    tableVersion: snapshot.tableVersion,
  };
  const outcome = await commit(log, COMPACTION, { ...plan, inputs, outputs });
  expect(['committed', 'replan']).toContain(outcome.kind);
  return outcome.kind === 'committed';
}
