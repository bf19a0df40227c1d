/**
 * Goal: `verify` finds what is wrong with a table by its name and its place, and nothing where nothing is.
 * Method: a real table with letters and a retry, into which one corruption is planted each time, by the means
 * that would make it: bytes on the disk, lines of the log, versions of another writer.
 */
import {
  copyFileSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Add, encodePath } from '../../src/delta/actions.ts';
import { ledgerLine, ledgerPath } from '../../src/delta/ledger.ts';
import { versionPath } from '../../src/delta/log-files.ts';
import type { Check, Disagreement } from '../../src/verify/disagreements.ts';
import { StagingStore } from '../storage/staging-store.ts';
import { records, UNFIT, World } from './world.ts';

interface Corruption {
  readonly name: string;
  readonly plant: (world: World) => Promise<unknown>;
  /** What has to be found, each with its place. */
  readonly expected: readonly (Partial<Disagreement> & { readonly check: Check })[];
}

const CORRUPTIONS: readonly Corruption[] = [
  {
    name: 'a data file is gone',
    plant: async (world) => unlinkSync(world.store.address(await fileOf(world, 1))),
    expected: [{ check: 'fileMissing', tableVersion: 1, file: expect.stringContaining('.parquet') }],
  },
  {
    name: 'a data file is cut off',
    plant: async (world) => truncateSync(world.store.address(await fileOf(world, 1)), 500),
    expected: [
      { check: 'fileSize', tableVersion: 1 },
      { check: 'footer', tableVersion: 1 },
    ],
  },
  {
    name: 'a byte of a page is turned over',
    plant: async (world) => flip(world.store.address(await fileOf(world, 1)), 300),
    expected: [{ check: 'checksum', tableVersion: 1, rowGroup: 0, column: expect.any(String) }],
  },
  {
    name: 'a byte of a compacted file is turned over',
    plant: async (world) => {
      await world.compact();
      const [path = ''] = (await world.snapshot()).files.keys();
      flip(world.store.address(path), 300);
    },
    expected: [{ check: 'checksum', tableVersion: 6, file: expect.stringContaining('compacted-') }],
  },
  {
    name: 'a file is replaced by another of the same size',
    plant: async (world) => replaceBySameSize(world, await fileOf(world, 1), await fileOf(world, 3)),
    expected: [
      { check: 'duplicateRows', topic: 't', kafkaPartition: 1, startingOffset: '0', endingOffset: '60' },
      {
        check: 'missingRows',
        tableVersion: 1,
        topic: 't',
        kafkaPartition: 0,
        startingOffset: '60',
        endingOffset: '120',
      },
    ],
  },
  {
    name: 'the log tells a wrong number of rows',
    plant: (world) => alterStats(world, 1, (stats) => ({ ...stats, numRecords: 59 })),
    expected: [
      { check: 'rowCount', tableVersion: 1 },
      { check: 'totals', tableVersion: 1 },
    ],
  },
  {
    name: 'the log tells a minimum above a row',
    plant: (world) =>
      alterStats(world, 1, (stats) => ({ ...stats, minValues: { ...stats.minValues, n: 61 } })),
    expected: [{ check: 'statistics', tableVersion: 1, column: 'n' }],
  },
  {
    name: 'the log tells a maximum below a cut text',
    plant: (world) =>
      alterStats(world, 1, (stats) => ({ ...stats, maxValues: { ...stats.maxValues, text: 'text 98' } })),
    expected: [{ check: 'statistics', tableVersion: 1, column: 'text' }],
  },
  {
    name: 'the log tells a maximum a millisecond before a row',
    plant: (world) =>
      alterStats(world, 1, (stats) => ({
        ...stats,
        maxValues: {
          ...stats.maxValues,
          at: new Date(Date.parse(String(stats.maxValues.at)) - 2).toISOString(),
        },
      })),
    expected: [{ check: 'statistics', tableVersion: 1, column: 'at' }],
  },
  {
    name: 'the log tells a wrong number of nulls',
    plant: (world) =>
      alterStats(world, 1, (stats) => ({ ...stats, nullCount: { ...stats.nullCount, price: 1 } })),
    expected: [{ check: 'statistics', tableVersion: 1, column: 'price' }],
  },
  {
    name: "a version's ledger entry is gone",
    plant: (world) => alterCommitInfo(world, 1, (info) => ({ ...info, ledger: [] })),
    expected: [
      { check: 'txn', tableVersion: 1, topic: 't', kafkaPartition: 0 },
      {
        check: 'ledgerGap',
        tableVersion: 2,
        topic: 't',
        kafkaPartition: 0,
        startingOffset: '60',
        endingOffset: '120',
      },
      { check: 'totals', tableVersion: 1 },
    ],
  },
  {
    name: 'a ledger entry does not add up',
    plant: (world) =>
      alterCommitInfo(world, 1, (info) => ({
        ...info,
        ledger: entries(info).map((entry) => ({ ...entry, rows: 58 })),
      })),
    expected: [
      { check: 'accounting', tableVersion: 1, topic: 't', startingOffset: '60', endingOffset: '120' },
      { check: 'totals', tableVersion: 1 },
    ],
  },
  {
    name: 'a batch is committed twice',
    plant: async (world) => {
      const lines = readFileSync(world.store.address(versionPath(1)), 'utf8');
      const { tableVersion } = await world.snapshot();
      const copy = await copyOf(world, await fileOf(world, 1));
      const twice = lines.replaceAll(encodePath(await fileOf(world, 1)), encodePath(copy));
      writeFileSync(world.store.address(versionPath(tableVersion + 1)), twice);
    },
    expected: [
      {
        check: 'ledgerOverlap',
        tableVersion: 6,
        topic: 't',
        kafkaPartition: 0,
        startingOffset: '60',
        endingOffset: '182',
      },
      { check: 'txnSetBack', tableVersion: 6 },
    ],
  },
  {
    name: 'another writer adds a copy of a file',
    plant: async (world) => {
      const path = await fileOf(world, 1);
      const copy = await copyOf(world, path);
      await world.commitForeign([{ add: { ...(await addOf(world, path)), path: encodePath(copy) } }], {
        operation: 'WRITE',
      });
    },
    expected: [
      { check: 'duplicateRows', topic: 't', kafkaPartition: 0, startingOffset: '60', endingOffset: '120' },
    ],
  },
  {
    name: 'a dead-letter file is lost after it was published',
    plant: async (world) =>
      unlinkSync(
        world.letterStore.address([...((await world.letterLog.snapshot())?.files.keys() ?? [])][0] ?? ''),
      ),
    expected: [{ check: 'fileMissing', table: 'deadLetters' }],
  },
  {
    name: 'a dead-letter file is lost before it was published',
    plant: async (world) => {
      const version = await world.drain([UNFIT]);
      const carried = /"path":"([^"]+)"/.exec(
        readFileSync(world.store.address(versionPath(version)), 'utf8').split('deadLetters":[')[1] ?? '',
      );
      unlinkSync(world.letterStore.address(carried?.[1] ?? ''));
    },
    expected: [{ check: 'fileMissing', table: 'deadLetters', tableVersion: 6 }],
  },
  {
    name: 'dead letters are published twice',
    plant: async (world) => {
      const [path, add] = [...((await world.letterLog.snapshot())?.files ?? [])][0] ?? [];
      copyFileSync(world.letterStore.address(path ?? ''), world.letterStore.address('again.parquet'));
      const version = ((await world.letterLog.snapshot())?.tableVersion ?? 0) + 1;
      writeFileSync(
        world.letterStore.address(versionPath(version)),
        `${JSON.stringify({ add: { ...add, path: 'again.parquet' } })}\n`,
      );
    },
    expected: [
      {
        check: 'duplicateRows',
        table: 'deadLetters',
        topic: 't',
        kafkaPartition: 0,
        startingOffset: '180',
        endingOffset: '182',
      },
    ],
  },
  {
    name: 'an offset is set back',
    plant: async (world) => {
      await world.commitForeign([{ txn: { appId: 'tidemark/t/0', version: 60n } }], { operation: 'WRITE' });
    },
    expected: [
      { check: 'txnSetBack', tableVersion: 6, topic: 't', kafkaPartition: 0 },
      { check: 'txn', tableVersion: 6, topic: 't', kafkaPartition: 0 },
    ],
  },
  {
    name: 'an OPTIMIZE loses a row and says so in its numbers',
    plant: async (world) => {
      await optimize(world, 59, 59);
    },
    expected: [
      { check: 'rewriteRows', tableVersion: 6 },
      {
        check: 'missingRows',
        topic: 't',
        kafkaPartition: 0,
        startingOffset: '60',
        endingOffset: '120',
        tableVersion: 1,
      },
      { check: 'rowBalance' },
    ],
  },
  {
    name: 'an OPTIMIZE loses a row and hides it',
    plant: async (world) => {
      await optimize(world, 59, 60);
    },
    expected: [
      { check: 'rowCount', tableVersion: 6 },
      { check: 'missingRows', tableVersion: 1, startingOffset: '60', endingOffset: '120' },
    ],
  },
  {
    name: 'a version below a log checkpoint is gone',
    plant: async (world) => {
      for (let i = 0; i < 8; i++) await world.drain(records(1), 2);
      unlinkSync(world.store.address(versionPath(2)));
    },
    expected: [{ check: 'logHole', tableVersion: 2, file: versionPath(2) }],
  },
  {
    name: 'a log checkpoint leaves a file out',
    plant: async (world) => {
      for (let i = 0; i < 8; i++) await world.drain(records(1), 2);
      // As if the file had been added behind the log checkpoint's back: readers begin at version 9.
      const copy = await copyOf(world, await fileOf(world, 1));
      world.alter(1, (line) =>
        line.includes('"add"')
          ? line.replaceAll(encodePath(copy.replace('copy-', '')), encodePath(copy))
          : line,
      );
    },
    expected: [{ check: 'logCheckpoint' }],
  },
  {
    name: 'rows appear that nobody has committed',
    plant: async (world) => {
      const written = await world.write(records(3), 5_000, {
        topic: 't',
        kafkaPartition: 0,
        batchId: 'x',
        epoch: 0n,
      });
      const path = await fileOf(world, 1);
      renameSync(world.store.address(written.files[0]?.path ?? ''), world.store.address(path));
    },
    expected: [{ check: 'fileSize' }, { check: 'rowCount' }, { check: 'strayRows' }, { check: 'rowBalance' }],
  },
  {
    name: 'a RESTORE that nobody repaired',
    plant: async (world) => {
      const before = (await world.snapshot()).files;
      const [last] = [...before].filter(([path]) => path !== undefined).slice(-1);
      await world.commitForeign([{ remove: { path: last?.[1].path ?? '', dataChange: true } }], {
        operation: 'RESTORE',
        operationParameters: { version: '4' },
      });
    },
    expected: [{ check: 'restoreUnrepaired', tableVersion: 6 }],
  },
];

test('an untouched table agrees with itself, quick or not', { timeout: 120_000 }, async () => {
  using world = await table();
  expect(await world.verify()).toMatchObject({
    outcome: 'agrees',
    found: [],
    rows: { rows: 241, located: 241, strays: 0, takenOut: 0 },
  });
  expect(await world.verify(true)).toMatchObject({ outcome: 'agrees', found: [], rows: null });
});

test('files of a store that is no disk: some copies at a time, given back, also where one fails', {
  timeout: 120_000,
}, async () => {
  using world = new World();
  for (let batch = 0; batch < 12; batch++) await world.drain(records(5, 5 * batch));
  const staging = new StagingStore(world.store, world.folder, 10);
  expect(await world.verify(false, staging)).toMatchObject({
    outcome: 'agrees',
    rows: { rows: 60, located: 60 },
  });
  expect(staging).toMatchObject({ held: 0, heldMax: 10, copied: 12 });
  const full = new StagingStore(world.store, world.folder, 9);
  await expect(world.verify(false, full)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  expect(full.held).toBe(0);
});

test('a cleaned-up log agrees, also with a version that a frozen process has put back', {
  timeout: 120_000,
}, async () => {
  using world = await table();
  for (let i = 0; i < 8; i++) await world.drain(records(1, i), 2);
  const lines: string[] = [];
  for await (const version of world.log.history())
    if (version.tableVersion <= 5) lines.push(ledgerLine(version));
  await world.store.putIfAbsent(ledgerPath(0), Buffer.from(lines.join('')));
  for (let version = 0; version <= 5; version++) unlinkSync(world.store.address(versionPath(version)));
  writeFileSync(
    world.store.address(versionPath(3)),
    `${JSON.stringify({ txn: { appId: 'tidemark/t/0', version: 0 } })}\n`,
  );
  expect(await world.verify()).toMatchObject({ outcome: 'agrees', found: [], ledger: { firstVersion: 0 } });
});

describe('what is planted is found', { timeout: 120_000 }, () => {
  test.each(CORRUPTIONS)('$name', async ({ plant, expected }) => {
    using world = await table();
    await plant(world);
    const { outcome, found, byCheck } = await world.verify();
    expect(outcome).toBe('disagrees');
    for (const one of expected) {
      expect(found).toContainEqual(expect.objectContaining(one));
    }
    // The first kinds are the cause; what follows from it may be told as well, but nothing of another kind.
    expect(Object.keys(byCheck).length).toBeLessThanOrEqual(expected.length + 2);
  });
});

/**
 * Six versions: three drains of partition 0, the second of which is version 1, with letters; one of partition
 * 1; a retry.
 */
async function table(): Promise<World> {
  const world = new World();
  await world.drain(records(60));
  await world.drain(records(60, 60));
  await world.drain([...records(60, 120), UNFIT, UNFIT]);
  await world.drain(
    records(60, 60).map((value) => value.replace('text', 'tex1')),
    1,
  );
  await world.publish();
  await world.retry(181, JSON.stringify({ n: 7 }));
  await world.drain([], 0);
  return world;
}

async function fileOf(world: World, tableVersion: number): Promise<string> {
  const line = readFileSync(world.store.address(versionPath(tableVersion)), 'utf8')
    .split('\n')
    .find((text) => text.startsWith('{"add"'));
  return (JSON.parse(line ?? '') as { add: Add }).add.path;
}

async function addOf(world: World, path: string): Promise<Add> {
  const add = (await world.snapshot()).files.get(path);
  if (add === undefined) throw new Error(`${path} is live`);
  return add;
}

async function copyOf(world: World, path: string): Promise<string> {
  const copy = path.replace(/([^/]+)$/, 'copy-$1');
  copyFileSync(world.store.address(path), world.store.address(copy));
  return copy;
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] ?? 0) ^ 0x40;
  writeFileSync(file, bytes);
}

/** The log's numbers stay those of the first file, but for its size: as if both had the same. */
async function replaceBySameSize(world: World, path: string, by: string): Promise<void> {
  copyFileSync(world.store.address(by), world.store.address(path));
  const { size } = statSync(world.store.address(path));
  world.alter(1, (line) =>
    line.replace(/"size":\d+/, `"size":${size}`).replace(/"bytes":\d+/, `"bytes":${size}`),
  );
}

type Stats = {
  numRecords: number;
  minValues: Record<string, unknown>;
  maxValues: Record<string, unknown>;
  nullCount: Record<string, unknown>;
};

async function alterStats(
  world: World,
  tableVersion: number,
  change: (stats: Stats) => object,
): Promise<void> {
  world.alter(tableVersion, (line) => {
    const action = JSON.parse(line) as { add?: Add };
    if (action.add === undefined) return line;
    const stats = JSON.stringify(change(JSON.parse(action.add.stats ?? '{}') as Stats));
    return JSON.stringify({ add: { ...action.add, stats } });
  });
}

type Info = Record<string, unknown>;

async function alterCommitInfo(
  world: World,
  tableVersion: number,
  change: (info: Info) => Info,
): Promise<void> {
  world.alter(tableVersion, (line) => {
    const action = JSON.parse(line) as { commitInfo?: Info };
    return action.commitInfo === undefined ? line : JSON.stringify({ commitInfo: change(action.commitInfo) });
  });
}

function entries({ ledger }: Info): Record<string, unknown>[] {
  return ledger as Record<string, unknown>[];
}

/** Replaces the file of version 1 by one with `rows` of its 60, of which the log says `told`. */
async function optimize(world: World, rows: number, told: number): Promise<void> {
  const path = await fileOf(world, 1);
  const written = await world.write(records(rows, 60), 60, {
    topic: 't',
    kafkaPartition: 0,
    batchId: 'o',
    epoch: 0n,
  });
  const [file] = written.files;
  if (file === undefined) throw new Error('a file was written');
  const stats = JSON.stringify({ ...JSON.parse(file.stats), numRecords: told });
  await world.commitForeign(
    [
      { remove: { path, dataChange: false } },
      {
        add: {
          path: encodePath(file.path),
          partitionValues: {},
          size: file.sizeBytes,
          modificationTime: 1,
          dataChange: false,
          stats,
        },
      },
    ],
    { operation: 'OPTIMIZE' },
  );
}
