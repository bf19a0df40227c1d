/**
 * Goal: whatever became of an offset is told, with the version, run, build and file that made it, also after
 * a compaction. Method: a real table whose offsets have every fate that a table can tell of.
 */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { encodePath } from '../../src/delta/actions.ts';
import { letterSlices } from '../../src/letters/stored-letters.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { traceOffset } from '../../src/trace/trace.ts';
import { tracePath, traceVersion } from '../../src/trace/version-trace.ts';
import { ORIGIN } from '../commits/batches.ts';
import { StagingStore } from '../storage/staging-store.ts';
import { records, UNFIT, World } from '../verify/world.ts';

test('rows, letters, retried letters, what is not read: before and after a compaction', {
  timeout: 120_000,
}, async () => {
  using world = new World();
  await world.drain(records(10));
  await world.drain([...records(5, 10), UNFIT, UNFIT]);
  await world.publish();
  await world.retry(16, JSON.stringify({ n: 7 }));

  const row = await traced(world, 3n);
  expect(row.occurrences).toMatchObject([
    {
      origin: { tableVersion: 0, kind: 'drain', workflowId: 'drain-products', runId: '1', ...ORIGIN },
      outcome: { kind: 'row', place: { rowGroup: 0, row: 3 } },
      steps: [],
      isCurrent: true,
    },
  ]);
  expect((await traced(world, 15n)).occurrences).toMatchObject([
    { outcome: { kind: 'deadLetter', letter: { reason: 'wrongType', path: 'n' } }, retried: undefined },
  ]);
  expect((await traced(world, 16n)).occurrences).toMatchObject([
    {
      outcome: { kind: 'row', place: { row: 0 } },
      retried: { tableVersion: 2, kind: 'retry' },
      letter: { reason: 'wrongType' },
    },
  ]);
  expect(await traced(world, 17n)).toMatchObject({ occurrences: [], committedOffset: 17n });

  await world.compact();
  const [compacted] = [...(await world.snapshot()).files.keys()];
  const after = await traced(world, 16n);
  expect(after.occurrences).toMatchObject([
    {
      outcome: { kind: 'row', place: { file: compacted, row: 15 } },
      steps: [
        {
          tableVersion: 3,
          kind: 'compact',
          workflowId: 'compact-orders',
          isCertain: true,
          dataChange: false,
        },
      ],
    },
  ]);
  const path = await tracePath(world.log.history(), compacted ?? '');
  expect(path).toMatchObject({
    addedIn: { origin: { tableVersion: 3 }, removed: { length: 3 } },
    removedIn: null,
    file: { rows: 16 },
  });
});

test('files of a store that is no disk: copies, given back, also where one fails', {
  timeout: 60_000,
}, async () => {
  using world = new World();
  await world.drain(records(10));
  await world.drain(records(5, 10));
  const store = new StagingStore(world.store, world.folder, 1);
  expect((await traced(world, 12n, store)).occurrences).toMatchObject([
    { outcome: { kind: 'row', place: { row: 2 } } },
  ]);
  expect(store).toMatchObject({ held: 0, copied: 1 });
  const full = traced(world, 12n, new StagingStore(world.store, world.folder, 0));
  await expect(full).rejects.toMatchObject({ code: 'STORAGE_FULL' });
});

test('a row that another writer has taken out, and a reading that a RESTORE took back', {
  timeout: 120_000,
}, async () => {
  using world = new World();
  await world.drain(records(10));
  const [[path, add] = []] = [...(await world.snapshot()).files];
  const left = await world.write(records(9), 0, { topic: 't', kafkaPartition: 0, batchId: 'd', epoch: 0n });
  const [file] = left.files;
  const added = {
    add: {
      path: encodePath(file?.path ?? ''),
      partitionValues: {},
      size: file?.sizeBytes ?? 0,
      modificationTime: 1,
      dataChange: true,
      stats: file?.stats ?? '',
    },
  };
  await world.commitForeign([{ remove: { path: add?.path ?? '', dataChange: true } }, added], {
    operation: 'DELETE',
  });
  expect((await traced(world, 9n)).occurrences).toMatchObject([
    {
      outcome: { kind: 'rowTakenOut' },
      steps: [{ tableVersion: 1, kind: 'DELETE', writer: 'other-writer:1.0', dataChange: true }],
    },
  ]);
  expect((await traced(world, 8n)).occurrences).toMatchObject([
    { outcome: { kind: 'row', place: { file: file?.path } } },
  ]);
  // A delete is no disagreement: it is named.
  expect(await world.verify()).toMatchObject({
    outcome: 'agrees',
    rows: { takenOut: 1 },
    others: [{ operation: 'DELETE', rowsRemoved: 10, rowsAdded: 9 }],
  });

  const second = await world.drain(records(5, 10));
  const live = (await world.snapshot()).files;
  const last = [...live].find(([name]) => name !== file?.path && name !== path);
  await world.commitForeign([{ remove: { path: last?.[1].path ?? '', dataChange: true } }], {
    operation: 'RESTORE',
    operationParameters: { version: String(second - 1) },
  });
  expect((await traced(world, 12n)).occurrences).toMatchObject([
    { isCurrent: false, outcome: { kind: 'restoredAway' } },
  ]);
});

test('a row that retention has dropped: in which version, or in which of them', {
  timeout: 60_000,
}, async () => {
  using world = new World('schema: "n BIGINT, at TIMESTAMP"', ', partitionBy: ["day(at)"]');
  const at = (day: string, count: number) =>
    Array.from({ length: count }, (_, n) => JSON.stringify({ n, at: `${day}T12:00:00Z` }));
  await world.drain([...at('2026-03-01', 2), ...at('2026-03-02', 2), ...at('2026-03-03', 2)]);
  const first = await world.retain('2026-03-02T00:00:00Z');
  expect((await traced(world, 0n)).occurrences).toMatchObject([
    {
      outcome: { kind: 'retainedAway', tableVersions: [first] },
      steps: [{ tableVersion: first, kind: 'retain', workflowId: 'vacuum-orders', isCertain: false }],
    },
  ]);
  expect((await traced(world, 2n)).occurrences).toMatchObject([{ outcome: { kind: 'row' } }]);
  const second = await world.retain('2026-03-03T00:00:00Z');
  expect((await traced(world, 2n)).occurrences).toMatchObject([
    { outcome: { kind: 'retainedAway', tableVersions: [first, second] } },
  ]);
  expect((await traced(world, 5n)).occurrences).toMatchObject([{ outcome: { kind: 'row' } }]);
});

test('where the ledger counts and tells no offsets, what it may be', { timeout: 60_000 }, async () => {
  using world = new World('schema: "n BIGINT", mode: dropMalformed');
  await world.drain([...records(4), UNFIT].map((value) => value));
  const fate = await traced(world, 4n);
  expect(fate.occurrences).toMatchObject([{ outcome: { kind: 'counted', as: ['dropped'] } }]);
});

test('a version is told with its ranges, files and maker', { timeout: 60_000 }, async () => {
  using world = new World();
  const version = await world.drain(records(3));
  for await (const one of world.log.history())
    expect(traceVersion(one)).toMatchObject({
      origin: { tableVersion: version, ...ORIGIN },
      ranges: [{ topic: 't', kafkaPartition: 0, startingOffset: null, endingOffset: '3', rows: 3 }],
      added: [{ rows: 3 }],
      removed: [],
    });
});

async function traced(world: World, offset: bigint, store: ObjectStore = world.store) {
  const spillFolder = mkdtempSync(join(world.folder, 'spill-'));
  const scan = { spillFolder, memoryLimitBytes: 128 * 1024 ** 2, threads: 1 };
  const letters = async () => {
    const found = [];
    for (const path of (await world.letterLog.snapshot())?.files.keys() ?? [])
      for await (const slice of letterSlices(world.letterStore, path))
        for (const letter of await slice.read(['offset', 'epoch', 'reason', 'path', 'message']))
          if (letter.offset === offset) found.push(letter);
    return found;
  };
  return await traceOffset(
    { store, log: world.log },
    await world.snapshot(),
    { topic: 't', kafkaPartition: 0, offset },
    letters,
    scan,
  );
}
