import { describe, expect, test } from 'vitest';
import { decideCommit } from '../../src/commits/batch.ts';
import { findGarbage, neededFiles } from '../../src/commits/garbage.ts';
import { cutOffOf } from '../../src/commits/pipeline-state.ts';
import { decideVacuum, type Vacuum } from '../../src/commits/vacuum.ts';
import { versionPath } from '../../src/delta/log-files.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import type { ObjectEntry } from '../../src/storage/object-store.ts';
import { Objects } from '../delta/memory-store.ts';
import { commitMany, openLog } from '../delta/table.ts';
import { factsFor, makeBatch } from './batches.ts';

/**
 * What a vacuum may commit and what it may delete, case by case; every interleaving is
 * `vacuum.exhaustive.test.ts`.
 */

function tableSnapshot(): Snapshot {
  const batch = makeBatch();
  const decision = decideCommit(undefined, batch, factsFor(batch.files));
  if (decision.kind !== 'commit') throw new Error(decision.kind);
  return replay(undefined, [{ tableVersion: 0, actions: decision.actions }]);
}

const VACUUM: Vacuum = {
  batchId: 'v',
  pipeline: 'products',
  run: 'vacuum-products.1',
  origin: { build: 'b', specification: 's' },
  tableId: 'table',
  tableVersion: 0,
  cutOffMs: 1000,
};
const FACTS = { nowMs: 2000, txnId: 'txn', versionsSincePlan: [] };

describe('decideVacuum', () => {
  test('commits the cut-off, and nothing else', () => {
    const decision = decideVacuum(tableSnapshot(), VACUUM, FACTS);
    if (decision.kind !== 'commit') throw new Error(decision.kind);
    const [, ...actions] = decision.actions;
    expect(actions).toEqual([{ txn: { appId: 'tidemark/vacuum', version: 1000n } }]);
    expect(decision.actions[0]).toMatchObject({
      commitInfo: { tidemark: 'vacuum', operation: 'VACUUM START', cutOff: '1000', build: 'b' },
    });
    const after = replay(tableSnapshot(), [{ tableVersion: 1, actions: decision.actions }]);
    expect(cutOffOf(after)).toBe(1000);
    for (const cutOffMs of [999, 1000])
      expect(decideVacuum(after, { ...VACUUM, cutOffMs }, FACTS)).toEqual({
        kind: 'covered',
        cutOffMs: 1000,
      });
    expect(decideVacuum(after, { ...VACUUM, cutOffMs: 1001 }, FACTS).kind).toBe('commit');
  });

  test('finds its own version; refuses another table, another owner and an unrepaired RESTORE', () => {
    const commitInfo = { tidemark: 'vacuum', batchId: 'v', cutOff: '1000' };
    const versionsSincePlan = [{ tableVersion: 7, commitInfo }];
    expect(decideVacuum(tableSnapshot(), VACUUM, { ...FACTS, versionsSincePlan })).toEqual({
      kind: 'alreadyCommitted',
      record: { tableVersion: 7, batchId: 'v', cutOffMs: 1000 },
    });
    const snapshot = tableSnapshot();
    expect(decideVacuum(undefined, VACUUM, FACTS).kind).toBe('fenced');
    expect(decideVacuum(snapshot, { ...VACUUM, tableId: 'other' }, FACTS).kind).toBe('fenced');
    expect(decideVacuum(snapshot, { ...VACUUM, pipeline: 'other' }, FACTS).kind).toBe('notOurs');
    expect(decideVacuum({ ...snapshot, unrepairedRestore: 3 }, VACUUM, FACTS).kind).toBe('restored');
  });
});

describe('findGarbage', () => {
  const entry = (path: string, modifiedMs = 1): ObjectEntry => ({ path, sizeBytes: 1, modifiedMs });
  const NOTHING = { live: new Map(), removed: new Set<string>(), carried: new Set<string>() };

  test('takes old Parquet files that nobody needs, and says why the others stay', () => {
    const entries = ['live', 'removed', 'carried', 'old'].map((name) => entry(`${name}.parquet`));
    const needed = {
      live: new Map([['live.parquet', {}]]),
      removed: new Set(['removed.parquet']),
      carried: new Set(['carried.parquet']),
    };
    const found = findGarbage([...entries, entry('fresh.parquet', 1000), entry('notes.txt')], needed, 1000);
    expect(found.garbage.map(({ path }) => path)).toEqual(['old.parquet']);
    expect(found.kept).toEqual({ live: 1, fresh: 1, removed: 1, carried: 1, foreign: 1 });
  });

  test('passes over the log, our documents and other tables; sees folders of partition columns', () => {
    const entries = [
      '_delta_log/00000000000000000009.checkpoint.parquet',
      '_tidemark/runs/r/plan.json',
      '_spark_metadata/part.parquet',
      'inner/_delta_log/00000000000000000000.json',
      'inner/day=1/part.parquet',
      'innermost.parquet',
      '_topic=a/day=2/part.parquet',
    ].map((path) => entry(path));
    const { garbage, kept } = findGarbage(entries, NOTHING, 1000);
    expect(garbage.map(({ path }) => path)).toEqual(['innermost.parquet', '_topic=a/day=2/part.parquet']);
    expect(kept.foreign).toBe(1);
  });
});

test('a file that was removed after the cut-off is known for longer than log checkpoints remember it', async () => {
  const objects = new Objects();
  const store = objects.view();
  const log = openLog(store);
  await commitMany(log, store, 2);
  const live = [...((await log.snapshot())?.files.keys() ?? [])];
  const removedMs = Date.now() - 10 * 24 * 3_600_000;
  const lines = [
    { commitInfo: { timestamp: removedMs, operation: 'OPTIMIZE' } },
    ...live.map((path) => ({ remove: { path, deletionTimestamp: removedMs, dataChange: false } })),
  ];
  await store.put(versionPath(2), Buffer.from(lines.map((line) => JSON.stringify(line)).join('\n')));
  await commitMany(log, store, 20, 'later');
  await openLog(store).cleanUp({ keepSinceMs: Number.POSITIVE_INFINITY, dryRun: false });
  const fresh = openLog(store);
  expect((await fresh.snapshot())?.tombstones.size).toBe(0);
  const removedSince = async (cutOffMs: number) => [...(await neededFiles(fresh, cutOffMs)).removed].sort();
  expect(await removedSince(removedMs - 1)).toEqual(live.toSorted());
  expect(await removedSince(removedMs + 1)).toEqual([]);
});
