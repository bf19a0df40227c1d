/**
 * Promises: dead letters are published once, in order, never before the table's commit; a repair takes back
 * and brings back exactly what the restored version had; what cannot be published is refused by name, until a
 * person gives it up. Method: every case against the pure decision and, for the loop around it, real logs on
 * a disk.
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BATCH, type Batch } from '../../src/commits/batch.ts';
import { type CarriedVersion, gatherCarried } from '../../src/commits/carried-letters.ts';
import { commit } from '../../src/commits/commit.ts';
import type { DataFile } from '../../src/commits/data-files.ts';
import { DEAD_LETTERS_APP_ID, publishedAppId } from '../../src/commits/pipeline-state.ts';
import {
  decidePublication,
  type Forget,
  hasOthersLetters,
  type Publication,
  type PublicationDecision,
} from '../../src/commits/publication.ts';
import { findLettersInTheWay, publishLetters } from '../../src/commits/publish.ts';
import { REPAIR } from '../../src/commits/repair.ts';
import type { Add } from '../../src/delta/actions.ts';
import type { DeltaLog } from '../../src/delta/log.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import { emptyAccounting } from '../../src/records/accounting.ts';
import { seenTable } from '../../src/repair/answers.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { makeFolder, openLog, planBatch, storeWith, writeFile } from '../delta/table.ts';
import { factsFor, NOW_MS } from './batches.ts';

const MAIN = 'main-table';

describe('the decision', () => {
  test('makes the table with the first letters, and is done once they are there', () => {
    const first = publish(undefined, [carried(1n, undefined, 'a')], 1n);
    expect(pathsOf(first)).toEqual({ added: ['a'], removed: [] });
    expect(publishedUpTo(first)).toBe(1n);
    expect(decide(first, publication(undefined, [carried(1n, undefined, 'a')], 1n))).toEqual({
      kind: 'published',
    });
  });

  test('never appends twice what it gathered before others published', () => {
    const first = publish(undefined, [carried(1n, undefined, 'a')], 1n);
    const late = publication(undefined, [carried(3n, 1n, 'b'), carried(1n, undefined, 'a')], 3n);
    expect(decide(first, late)).toEqual({ kind: 'superseded' });
  });

  test('publishes what several versions carry in their order', () => {
    const versions = [carried(7n, 3n, 'c'), carried(3n, 1n, 'b1', 'b2'), carried(1n, undefined, 'a')];
    expect(pathsOf(publish(undefined, versions, 7n)).added).toEqual(['a', 'b1', 'b2', 'c']);
  });

  test('refuses files that are gone or have another size', () => {
    const lost = publication(undefined, [carried(1n, undefined, 'a')], 1n);
    expect(decide(undefined, lost, new Map())).toEqual({ kind: 'lost', files: ['a'] });
    const other = new Map([['a', { sizeBytes: 9, modifiedMs: NOW_MS }]]);
    expect(decide(undefined, lost, other)).toEqual({ kind: 'lost', files: ['a'] });
  });

  test('refuses a table of another pipeline that is no dead-letter table, whatever its columns', () => {
    const letters = publish(undefined, [carried(1n, undefined, 'a')], 1n);
    const other = { ...letters, txns: new Map([[DEAD_LETTERS_APP_ID, 1n]]) };
    const next = { ...publication(undefined, [carried(2n, undefined, 'b')], 2n), pipeline: 'other' };
    expect(decide(other, next)).toMatchObject({ kind: 'notOurs' });
  });

  test('goes on for the pipeline that has adopted the table it lies beside', () => {
    const first = publish(undefined, [carried(1n, undefined, 'a')], 1n);
    const next = { ...publication(1n, [carried(2n, 1n, 'b')], 2n), pipeline: 'other' };
    const adopted = apply(first, next);
    expect(pathsOf(adopted).added).toEqual(['a', 'b']);
    expect(adopted.metaData).toEqual({
      ...first.metaData,
      configuration: { ...first.metaData.configuration, 'tidemark.pipeline': 'other' },
    });
  });

  test('refuses to withdraw letters from a table that others have rewritten', () => {
    const two = publish(undefined, [carried(2n, 1n, 'b'), carried(1n, undefined, 'a')], 2n);
    const files = new Map([...two.files].filter(([path]) => path !== 'b'));
    const back = repaired(2n, [carried(4n, 1n), carried(1n, undefined, 'a')], 4n, [
      carried(2n, 1n, 'b'),
      carried(1n, undefined, 'a'),
    ]);
    expect(decide({ ...two, files }, back)).toEqual({ kind: 'rewritten', files: ['b'] });
  });
});

describe('a person who gives letters up', () => {
  const forget = (...files: string[]) => ({ files: new Set(files), who: 'somebody', reason: 'deleted' });

  test('publishes the others, up to the target, and names what it did without', () => {
    const next = publication(undefined, [carried(2n, 1n, 'b', 'c'), carried(1n, undefined, 'a')], 2n);
    const stats = new Map([...everyFile(next)].filter(([path]) => path === 'b'));
    const decision = decide(undefined, next, stats, forget('a', 'c'));
    expect(commitInfoOf(decision)).toMatchObject({
      tidemark: 'publish',
      totals: { files: 1, withdrawnFiles: 0 },
      forgotten: ['a', 'c'],
      who: 'somebody',
      reason: 'deleted',
    });
    const snapshot = applied(undefined, decision);
    expect(pathsOf(snapshot)).toEqual({ added: ['b'], removed: [] });
    expect(publishedUpTo(snapshot)).toBe(2n);
    expect(pathsOf(publish(snapshot, [carried(3n, 2n, 'd')], 3n)).added).toEqual(['b', 'd']);
  });

  test('gives up no file that was not shown, and none that is there after all', () => {
    const next = publication(undefined, [carried(1n, undefined, 'a', 'b')], 1n);
    const onlyA = new Map([...everyFile(next)].filter(([path]) => path === 'a'));
    expect(decide(undefined, next, onlyA, forget('a'))).toEqual({ kind: 'lost', files: ['b'] });
    const decision = decide(undefined, next, onlyA, forget('a', 'b'));
    expect(commitInfoOf(decision)).toMatchObject({ forgotten: ['b'] });
    expect(pathsOf(applied(undefined, decision)).added).toEqual(['a']);
  });

  test('never moves the published version back, nor past what others published meanwhile', () => {
    const first = publish(undefined, [carried(1n, undefined, 'a')], 1n);
    const same = publication(undefined, [carried(1n, undefined, 'a')], 1n);
    expect(decide(first, same, new Map(), forget('a'))).toEqual({ kind: 'published' });
    const late = publication(undefined, [carried(2n, 1n, 'b'), carried(1n, undefined, 'a')], 2n);
    expect(decide(first, late, new Map(), forget('a', 'b'))).toEqual({ kind: 'superseded' });
  });

  test('leaves letters in a rewritten table, and withdraws and adds the others', () => {
    const behind = [carried(2n, 1n, 'b', 'c'), carried(1n, undefined, 'a')];
    const two = publish(undefined, behind, 2n);
    const rewritten = new Map([...two.files].filter(([path]) => path !== 'b'));
    const snapshot = { ...two, files: rewritten };
    const back = repaired(
      2n,
      [carried(5n, 4n, 'd'), carried(4n, 1n), carried(1n, undefined, 'a')],
      5n,
      behind,
    );
    expect(decide(snapshot, back, everyFile(back), forget('a', 'd'))).toEqual({
      kind: 'rewritten',
      files: ['b'],
    });
    const decision = decide(snapshot, back, everyFile(back), forget('b'));
    expect(commitInfoOf(decision)).toMatchObject({ forgotten: ['b'] });
    expect(pathsOf(applied(snapshot, decision))).toEqual({ added: ['a', 'd'], removed: ['c'] });
    // A retry then trusts only files that the main table names: the letters that stay are not its own any
    // more.
    expect(hasOthersLetters(applied(snapshot, decision), back.mainTableId)).toBe(true);
    expect(hasOthersLetters(two, back.mainTableId)).toBe(false);
  });

  test('adds nothing a second time that the table has already', () => {
    const one = publish(undefined, [carried(1n, undefined, 'a')], 1n);
    const next = publication(1n, [carried(2n, 1n, 'a', 'b')], 2n);
    expect(decide(one, next)).toEqual({ kind: 'rewritten', files: ['a'] });
    const decision = decide(one, next, everyFile(next), forget('a'));
    expect(commitInfoOf(decision)).toMatchObject({ totals: { files: 1 }, forgotten: ['a'] });
  });
});

describe('a repair of the main table', () => {
  // 1 carries a, 2 carries b, 4 went back to 1, 5 carries c, 7 went back to 2.
  const history = new Map(
    [
      carried(1n, undefined, 'a'),
      carried(2n, 1n, 'b'),
      carried(4n, 1n),
      carried(5n, 4n, 'c'),
      carried(7n, 2n),
    ].map((version) => [version.tableVersion, version]),
  );
  const desired = new Map<bigint, string[]>([
    [1n, ['a']],
    [2n, ['a', 'b']],
    [4n, ['a']],
    [5n, ['a', 'c']],
    [7n, ['a', 'b']],
  ]);

  test.each(pathsThrough([...desired.keys()]))(
    'published at %s: the files are the restored version’s',
    async (...stops) => {
      let snapshot: Snapshot | undefined;
      for (const target of stops) {
        const published = snapshot?.txns.get(publishedAppId(MAIN));
        const gathered = await gatherCarried(target, published, async (version) => {
          const found = history.get(version);
          if (found === undefined) throw new Error(`no version ${version}`);
          return found;
        });
        snapshot = apply(snapshot, {
          pipeline: 'products',
          mainTableId: MAIN,
          published,
          target,
          ...gathered,
        });
        expect([...snapshot.files.keys()].sort()).toEqual(desired.get(target));
      }
    },
  );
});

describe('on real logs', () => {
  test('a batch carries its letters; publishing appends them once, whoever asks, also after a lost answer', async () => {
    await using folder = await makeFolder();
    const { main, letters, mainLog } = stores(folder.path);
    expect(await publishLetters(openLog(letters), mainLog, 'products')).toEqual({
      kind: 'nothingToPublish',
    });
    for (const name of ['one', 'two', 'three']) {
      const batch = await withLetters(await planBatch(mainLog, main, name), letters, name === 'two' ? 0 : 1);
      expect(await commit(mainLog, BATCH, batch, letters)).toMatchObject({ kind: 'committed' });
    }
    expect((await mainLog.snapshot())?.txns.get(DEAD_LETTERS_APP_ID)).toBe(2n);
    let fault = true;
    const shaky = storeWith(letters.root, (real) => ({
      async putIfAbsent(path, content) {
        const result = await real.putIfAbsent(path, content);
        if (fault) throw new Error('no answer');
        return result;
      },
    }));
    await publishLetters(openLog(shaky), mainLog, 'products');
    fault = false;
    const again = await Promise.all([1, 2].map(() => publishLetters(openLog(letters), mainLog, 'products')));
    expect(again).toEqual([{ kind: 'nothingToPublish' }, { kind: 'nothingToPublish' }]);
    const snapshot = await openLog(letters).snapshot();
    expect([...(snapshot?.files.keys() ?? [])].sort()).toEqual([
      'one-letters.parquet',
      'three-letters.parquet',
    ]);
    expect(snapshot).toMatchObject({
      tableVersion: 0,
      protocol: { minReaderVersion: 1, minWriterVersion: 2 },
    });
    expect(snapshot?.metaData.configuration).toMatchObject({
      'tidemark.pipeline': 'products',
      'delta.enableExpiredLogCleanup': 'false',
    });
  });

  test('publishers at once: each letter once', async () => {
    await using folder = await makeFolder();
    const { main, letters, mainLog } = stores(folder.path);
    for (let i = 0; i < 5; i++) {
      await commit(
        mainLog,
        BATCH,
        await withLetters(await planBatch(mainLog, main, `b${i}`), letters, 1),
        letters,
      );
      await Promise.all([1, 2, 3].map(() => publishLetters(openLog(letters), openLog(main), 'products')));
    }
    const snapshot = await openLog(letters).snapshot();
    expect([snapshot?.files.size, snapshot?.tableVersion]).toEqual([5, 4]);
  });

  test('letters go on after the table is adopted, and the pipeline before it publishes no more', async () => {
    await using folder = await makeFolder();
    const { main, letters, mainLog } = stores(folder.path);
    await commit(
      mainLog,
      BATCH,
      await withLetters(await planBatch(mainLog, main, 'one'), letters, 1),
      letters,
    );
    await publishLetters(openLog(letters), mainLog, 'products');
    await commit(
      mainLog,
      BATCH,
      await withLetters(await planBatch(mainLog, main, 'two'), letters, 1),
      letters,
    );
    const snapshot = await mainLog.snapshot();
    if (snapshot === undefined) throw new Error('no table');
    const { kind } = await commit(mainLog, REPAIR, {
      answer: 'adopt',
      batchId: 'adopted',
      pipeline: 'renamed',
      who: 'somebody',
      reason: '',
      seen: seenTable(snapshot),
      moves: [],
      topics: [],
      markers: [],
      owns: 'again',
    });
    expect(kind).toBe('committed');
    await expect(publishLetters(openLog(letters), mainLog, 'products')).rejects.toMatchObject({
      code: 'TABLE_NOT_OURS',
    });
    expect(await publishLetters(openLog(letters), mainLog, 'renamed')).toMatchObject({
      kind: 'committed',
    });
    expect((await openLog(letters).snapshot())?.files.size).toBe(2);
  });

  test('letters whose files are gone stop by name, and a batch whose letters are gone is written again', async () => {
    await using folder = await makeFolder();
    const { main, letters, mainLog } = stores(folder.path);
    const batch = await withLetters(await planBatch(mainLog, main, 'one'), letters, 1);
    await commit(mainLog, BATCH, batch, letters);
    await rm(join(letters.root, 'one-letters.parquet'));
    await expect(publishLetters(openLog(letters), mainLog, 'products')).rejects.toMatchObject({
      code: 'DEAD_LETTERS_LOST',
    });
    const next = await withLetters(await planBatch(mainLog, main, 'two'), letters, 1);
    await rm(join(letters.root, 'two-letters.parquet'));
    expect(await commit(mainLog, BATCH, next, letters)).toMatchObject({ kind: 'expired' });
  });

  test('one deleted file: the others are published, later letters follow, the main table is as it was', async () => {
    await using folder = await makeFolder();
    const { main, letters, mainLog } = stores(folder.path);
    for (const name of ['one', 'two'])
      await commit(
        mainLog,
        BATCH,
        await withLetters(await planBatch(mainLog, main, name), letters, 3),
        letters,
      );
    await rm(join(letters.root, 'one-letters.parquet'));
    const { lost, rewritten } = await findLettersInTheWay(openLog(letters), mainLog, 'products');
    expect([lost, rewritten]).toMatchObject([
      [{ path: 'one-letters.parquet', stats: '{"numRecords":3}' }],
      [],
    ]);

    const forget = { files: new Set(['one-letters.parquet']), who: 'somebody', reason: '' };
    expect(await publishLetters(openLog(letters), mainLog, 'products', forget)).toEqual({
      kind: 'committed',
      record: { mainTableVersion: 1n, tableVersion: 0, forgotten: ['one-letters.parquet'] },
    });
    expect((await mainLog.snapshot())?.tableVersion).toBe(1);
    expect(await lettersAfterNext(main, letters, mainLog)).toEqual([
      'three-letters.parquet',
      'two-letters.parquet',
    ]);
  });

  test('the whole folder deleted, with what was published: all of it is given up at once', async () => {
    await using folder = await makeFolder();
    const { main, letters, mainLog } = stores(folder.path);
    for (const name of ['one', 'two']) {
      await commit(
        mainLog,
        BATCH,
        await withLetters(await planBatch(mainLog, main, name), letters, 1),
        letters,
      );
      if (name === 'one') await publishLetters(openLog(letters), mainLog, 'products');
    }
    await rm(letters.root, { recursive: true });
    await expect(publishLetters(openLog(letters), mainLog, 'products')).rejects.toMatchObject({
      code: 'DEAD_LETTERS_LOST',
      fix: expect.stringContaining('tidemark repair products forget-letters'),
    });
    const { lost } = await findLettersInTheWay(openLog(letters), mainLog, 'products');
    const files = new Set(lost.map(({ path }) => path));
    const forget = { files, who: 'somebody', reason: '' };
    const outcomes = await Promise.all(
      [1, 2, 3].map(() => publishLetters(openLog(letters), openLog(main), 'products', forget)),
    );
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual([
      'committed',
      'nothingToPublish',
      'nothingToPublish',
    ]);
    expect([...files].sort()).toEqual(['one-letters.parquet', 'two-letters.parquet']);
    expect(await lettersAfterNext(main, letters, mainLog)).toEqual(['three-letters.parquet']);
  });
});

/** The dead-letter table's files after one more batch and an ordinary publication. */
async function lettersAfterNext(main: LocalStore, letters: LocalStore, mainLog: DeltaLog): Promise<string[]> {
  const store = new LocalStore(letters.root);
  const batch = await withLetters(await planBatch(mainLog, main, 'three'), store, 1);
  expect(await commit(mainLog, BATCH, batch, store)).toMatchObject({ kind: 'committed' });
  expect(await publishLetters(openLog(store), mainLog, 'products')).toMatchObject({
    record: { forgotten: [] },
  });
  return [...((await openLog(store).snapshot())?.files.keys() ?? [])].sort();
}

function stores(root: string) {
  const main = new LocalStore(join(root, 'table'));
  return { main, letters: new LocalStore(join(root, 'table.dead_letters')), mainLog: openLog(main) };
}

/** The batch with `count` more offsets that are dead letters. */
async function withLetters(batch: Batch, store: LocalStore, count: number): Promise<Batch> {
  if (count === 0) return batch;
  const deadLetterFiles: DataFile[] = [await writeFile(store, `${batch.batchId}-letters.parquet`, 0, count)];
  const partitions = batch.partitions.map((partition) => ({
    ...partition,
    endingOffset: partition.endingOffset + BigInt(count),
    accounting: { ...emptyAccounting(), ...partition.accounting, deadLetters: count },
  }));
  return { ...batch, partitions, deadLetterFiles };
}

function carried(tableVersion: bigint, previous: bigint | undefined, ...paths: string[]): CarriedVersion {
  const files = paths.map(
    (path): Add => ({ path, partitionValues: {}, size: 10, modificationTime: NOW_MS, dataChange: true }),
  );
  return { tableVersion, previous, files };
}

function publication(
  published: bigint | undefined,
  ahead: readonly CarriedVersion[],
  target: bigint,
): Publication {
  return { pipeline: 'products', mainTableId: MAIN, published, target, ahead, behind: [] };
}

function repaired(
  published: bigint,
  ahead: readonly CarriedVersion[],
  target: bigint,
  behind: readonly CarriedVersion[],
): Publication {
  return { ...publication(published, ahead, target), behind };
}

function publish(snapshot: Snapshot | undefined, ahead: readonly CarriedVersion[], target: bigint): Snapshot {
  return apply(snapshot, publication(snapshot?.txns.get(publishedAppId(MAIN)), ahead, target));
}

function apply(snapshot: Snapshot | undefined, next: Publication): Snapshot {
  return applied(snapshot, decide(snapshot, next));
}

function applied(snapshot: Snapshot | undefined, decision: PublicationDecision): Snapshot {
  if (decision.kind !== 'commit') throw new Error(`decided ${decision.kind}`);
  return replay(snapshot, [decision]);
}

function commitInfoOf(decision: PublicationDecision): unknown {
  if (decision.kind !== 'commit') throw new Error(`decided ${decision.kind}`);
  const [first] = decision.actions;
  return first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined;
}

function decide(
  snapshot: Snapshot | undefined,
  next: Publication,
  fileStats = everyFile(next),
  forget?: Forget,
): PublicationDecision {
  const { nowMs, txnId, newTableId } = factsFor([]);
  return decidePublication(snapshot, next, { nowMs, txnId, newTableId, fileStats }, forget);
}

function everyFile({ ahead, behind }: Publication) {
  const files = [...ahead, ...behind].flatMap((version) => version.files);
  return new Map(files.map(({ path, size }) => [path, { sizeBytes: size, modifiedMs: NOW_MS }]));
}

function pathsOf(snapshot: Snapshot) {
  return { added: [...snapshot.files.keys()], removed: [...snapshot.tombstones.keys()] };
}

function publishedUpTo(snapshot: Snapshot): bigint | undefined {
  return snapshot.txns.get(publishedAppId(MAIN));
}

/** Every way to publish at some of the versions and not at others: a publisher may come late to any. */
function pathsThrough(targets: readonly bigint[]): bigint[][] {
  return Array.from({ length: 2 ** targets.length - 1 }, (_, bits) =>
    targets.filter((_, index) => (bits + 1) & (1 << index)),
  );
}
