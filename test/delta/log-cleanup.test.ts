import { describe, expect, test } from 'vitest';
import { BATCH } from '../../src/commits/batch.ts';
import { carriedLetterPaths } from '../../src/commits/carried-letters.ts';
import { commit } from '../../src/commits/commit.ts';
import { DEAD_LETTERS_APP_ID, publishedAppId } from '../../src/commits/pipeline-state.ts';
import { holdUnpublished, publishLetters } from '../../src/commits/publish.ts';
import { serializeActions } from '../../src/delta/actions.ts';
import type { LedgerVersion } from '../../src/delta/ledger.ts';
import { readLastCheckpoint, writeLogCheckpoint } from '../../src/delta/log-checkpoint.ts';
import { logCheckpointPath, readLogListing, versionPath } from '../../src/delta/log-files.ts';
import { dataFile, makeBatch, range } from '../commits/batches.ts';
import { Died, Objects } from './memory-store.ts';
import { commitMany, openLog, planBatch } from './table.ts';

/**
 * A clean-up takes versions out of the log and no fact out of the world: `history`, the newest snapshot,
 * every look into the past stay as they were, whoever dies, freezes or cleans up beside it. Method: the
 * product's own code over objects in memory; one process is stopped, or killed, at each of its calls in turn.
 */

const ALL = { keepSinceMs: Number.POSITIVE_INFINITY, dryRun: false };

/** 25 versions, log checkpoints at 9 and 19. */
async function table(versions = 25): Promise<Objects> {
  const objects = new Objects();
  const store = objects.view();
  await commitMany(openLog(store), store, versions);
  return objects;
}

async function historyOf(objects: Objects): Promise<LedgerVersion[]> {
  const versions: LedgerVersion[] = [];
  for await (const version of openLog(objects.view()).history()) versions.push(version);
  return versions;
}

function versionsOf(objects: Objects): number[] {
  return [
    ...readLogListing(objects.paths('_delta_log/').map((path) => ({ path, sizeBytes: 0, modifiedMs: 0 })))
      .versions,
  ];
}

function from(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

describe('what goes and what stays', () => {
  test('folds and deletes up to the newest log checkpoint; the second time there is nothing to do', async () => {
    const objects = await table();
    const before = await historyOf(objects);
    const snapshot = await openLog(objects.view()).snapshot();
    expect(await openLog(objects.view()).cleanUp({ ...ALL, dryRun: true })).toMatchObject({
      versionsFolded: 19,
      versionsDeleted: 19,
    });
    expect(versionsOf(objects)).toEqual(from(0, 24));
    expect(await openLog(objects.view()).cleanUp(ALL)).toMatchObject({
      versionsFolded: 19,
      versionsDeleted: 19,
      logCheckpointsDeleted: 1,
      firstVersion: 19,
      heldBy: 'newest',
    });
    expect(versionsOf(objects)).toEqual(from(19, 24));
    expect(await historyOf(objects)).toEqual(before);
    expect(await openLog(objects.view()).snapshot()).toEqual(snapshot);
    const again = await openLog(objects.view()).cleanUp(ALL);
    expect(again).toMatchObject({ versionsFolded: 0, versionsDeleted: 0, bytesDeleted: 0, firstVersion: 19 });
    expect(objects.paths('_tidemark/ledger/')).toEqual(['_tidemark/ledger/00000000000000000000.jsonl']);
  });

  test('goes on from the ledger’s end, file by file', async () => {
    const objects = await table();
    await openLog(objects.view()).cleanUp(ALL);
    await commitMany(openLog(objects.view()), objects.view(), 10, 'more');
    const before = await historyOf(objects);
    expect(await openLog(objects.view()).cleanUp(ALL)).toMatchObject({
      versionsFolded: 10,
      firstVersion: 29,
    });
    expect(objects.paths('_tidemark/ledger/')).toHaveLength(2);
    expect(await historyOf(objects)).toEqual(before);
  });

  test('leaves what is younger by the store’s clock', async () => {
    const objects = await table();
    const store = objects.view();
    const young = async (version: number) => (await store.stat(versionPath(version)))?.modifiedMs ?? 0;
    const cleaned = (keepSinceMs: number) => openLog(objects.view()).cleanUp({ keepSinceMs, dryRun: true });
    expect(await cleaned(await young(0))).toMatchObject({
      versionsFolded: 0,
      firstVersion: 0,
      heldBy: 'young',
    });
    expect(await cleaned(await young(12))).toMatchObject({
      versionsFolded: 9,
      firstVersion: 9,
      heldBy: 'young',
    });
    expect(await cleaned(await young(18))).toMatchObject({ firstVersion: 9 });
    expect(await cleaned(await young(19))).toMatchObject({ firstVersion: 19 });
  });

  test('takes an older log checkpoint where the newest is damaged, or says other than the versions', async () => {
    for (const damage of ['torn', 'wrong'] as const) {
      const objects = await table();
      const store = objects.view();
      if (damage === 'torn') await store.put(logCheckpointPath(19), Buffer.from('no Parquet'));
      else {
        const snapshot = await openLog(store).snapshotAt(19);
        if (snapshot === undefined) throw new Error('there is a table');
        const txns = new Map([...snapshot.txns].filter(([appId]) => appId !== 'tidemark/t/0'));
        await writeLogCheckpoint(store, { ...snapshot, txns }, 0);
      }
      expect(await openLog(objects.view()).cleanUp(ALL), damage).toMatchObject({ firstVersion: 9 });
    }
  });

  test('points _last_checkpoint at a log checkpoint that stays', async () => {
    for (const pointer of [undefined, '{"version":9,"size":3}']) {
      const objects = await table();
      const store = objects.view();
      await store.delete('_delta_log/_last_checkpoint');
      if (pointer !== undefined) await store.put('_delta_log/_last_checkpoint', Buffer.from(pointer));
      await openLog(store).cleanUp(ALL);
      expect(await readLastCheckpoint(store)).toBe(19);
    }
  });

  test('stops at a version whose dead letters are not published, and goes on when they are', async () => {
    const objects = await table(12);
    const store = objects.view();
    const log = openLog(store);
    const planned = await planBatch(log, store, 'letters', 0);
    const letters = new Objects();
    await letters.view().put('letters.parquet', Buffer.alloc(102));
    const entry = { ...range(0, 24n, 26n), accounting: { ...range(0, 0n, 0n).accounting, deadLetters: 2 } };
    const batch = makeBatch({
      ...planned,
      partitions: [entry],
      deadLetterFiles: [dataFile('letters.parquet', 2)],
      files: [],
    });
    expect(await commit(log, BATCH, batch, letters.view())).toMatchObject({ kind: 'committed' });
    await commitMany(log, store, 20, 'more');
    const letterLog = openLog(letters.view());
    const cleaned = () => {
      const main = openLog(objects.view());
      return main.cleanUp(ALL, () => holdUnpublished(letterLog, main, 'products'));
    };
    expect(await cleaned()).toMatchObject({
      firstVersion: 9,
      heldBy: 'deadLetters',
    });
    expect(await publishLetters(letterLog, log, 'products')).toMatchObject({ kind: 'committed' });
    expect(await cleaned()).toMatchObject({ firstVersion: 29 });
    const snapshot = await openLog(objects.view()).snapshot();
    expect(snapshot?.txns.get(DEAD_LETTERS_APP_ID)).toBe(12n);
    expect((await letterLog.snapshot())?.txns.get(publishedAppId(snapshot?.metaData.id ?? ''))).toBe(12n);
    expect(await carriedLetterPaths(openLog(objects.view()))).toEqual(new Set(['letters.parquet']));
  });

  test('does nothing while a RESTORE is to be repaired, also to what it had folded', async () => {
    const objects = await table();
    const store = objects.view();
    const restore = serializeActions([
      { commitInfo: { operation: 'RESTORE', operationParameters: { version: '3' } } },
    ]);
    await store.put(versionPath(25), Buffer.from(restore));
    expect(await openLog(objects.view()).cleanUp(ALL)).toMatchObject({
      versionsFolded: 0,
      heldBy: 'restore',
    });
    expect(versionsOf(objects)).toEqual(from(0, 25));
    expect(await openLog(objects.view()).snapshotAt(3)).toBeDefined();
  });

  test('of a log with a hole only what is behind it is folded and deleted', async () => {
    const objects = await table();
    await objects.view().delete(versionPath(10));
    expect(await openLog(objects.view()).cleanUp(ALL)).toMatchObject({ firstVersion: 19, versionsFolded: 8 });
    expect(versionsOf(objects)).toEqual([...from(0, 9), ...from(19, 24)]);
  });
});

describe('whoever dies or freezes', () => {
  test('killed at every call, the next clean-up goes on; the table is whole at every moment', {
    timeout: 120_000,
  }, async () => {
    const first = await table();
    const before = await historyOf(first);
    const snapshot = await openLog(first.view()).snapshot();
    let died = true;
    for (let at = 0; died; at++) {
      const objects = first.copy();
      const dying = objects.view(({ index }) => {
        if (index === at) throw new Died();
      });
      died = await openLog(dying)
        .cleanUp(ALL)
        .then(() => false)
        .catch((error: unknown) => error instanceof Died);
      expect(await openLog(objects.view()).snapshot()).toEqual(snapshot);
      expect(await historyOf(objects)).toEqual(before);
      await openLog(objects.view()).cleanUp(ALL);
      expect(versionsOf(objects)).toEqual(from(19, 24));
      expect(await historyOf(objects)).toEqual(before);
    }
  });

  test('frozen at every call while another one commits and cleans up, it takes nothing that is needed', {
    timeout: 120_000,
  }, async () => {
    const first = await table();
    for (let at = 0, froze = true; froze; at++) {
      froze = false;
      const objects = first.copy();
      let before: LedgerVersion[] = [];
      const frozen = openLog(
        objects.view(async ({ index }) => {
          if (index !== at) return;
          froze = true;
          await commitMany(openLog(objects.view()), objects.view(), 10, 'meanwhile');
          before = await historyOf(objects);
          await openLog(objects.view()).cleanUp(ALL);
        }),
      );
      await frozen.cleanUp(ALL);
      if (!froze) break;
      expect(await historyOf(objects)).toEqual(before);
      expect((await openLog(objects.view()).snapshot())?.tableVersion).toBe(34);
      expect(versionsOf(objects)).toEqual(from(29, 34));
    }
  });

  test('a writer frozen at every call over commits and a clean-up: its batch is in the table once, or it says not', {
    timeout: 120_000,
  }, async () => {
    const first = await table(8);
    for (let at = 0, froze = true; froze; at++) {
      froze = false;
      const objects = first.copy();
      const batch = await planBatch(openLog(objects.view()), objects.view(), 'frozen', 2, 1);
      const frozen = openLog(
        objects.view(async ({ index }) => {
          if (index !== at) return;
          froze = true;
          // Its own partition is read by others, too, so that it is overtaken where it had not put yet.
          const others = openLog(objects.view());
          await commitMany(others, objects.view(), 3, 'meanwhile');
          const same = await planBatch(others, objects.view(), 'same', 2, 1);
          if (same.partitions[0]?.startingOffset === undefined) await commit(others, BATCH, same);
          await commitMany(others, objects.view(), 20, 'later');
          await openLog(objects.view()).cleanUp(ALL);
        }),
      );
      const outcome = await commit(frozen, BATCH, batch);
      const history = await historyOf(objects);
      const holders = history.filter(({ commitInfo }) => commitInfo?.batchId === 'frozen');
      const told = outcome.kind === 'committed' || outcome.kind === 'alreadyCommitted';
      expect(
        holders.map(({ tableVersion }) => tableVersion),
        `frozen at ${at}: ${outcome.kind}`,
      ).toEqual(told ? [outcome.record.tableVersion] : []);
      const offsets = history.flatMap(({ adds }) => adds).filter(({ path }) => /^(frozen|same)\./.test(path));
      expect(offsets).toHaveLength(1);
      expect((await openLog(objects.view()).snapshot())?.txns.get('tidemark/t/1')).toBe(2n);
    }
  });

  test('two clean-ups, frozen into each other at every pair of calls, make one ledger', {
    timeout: 120_000,
  }, async () => {
    const first = await table(12);
    const before = await historyOf(first);
    for (let at = 0, froze = true; froze; at++) {
      froze = false;
      const objects = first.copy();
      const other = openLog(objects.view());
      const frozen = openLog(
        objects.view(async ({ index }) => {
          if (index !== at) return;
          froze = true;
          await other.cleanUp(ALL);
        }),
      );
      await frozen.cleanUp(ALL);
      expect(await historyOf(objects)).toEqual(before);
      expect(objects.paths('_tidemark/ledger/')).toHaveLength(1);
    }
  });
});
