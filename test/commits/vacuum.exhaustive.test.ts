import { expect, test } from 'vitest';
import { type Batch, decideCommit } from '../../src/commits/batch.ts';
import type { CommitFacts } from '../../src/commits/facts.ts';
import { findGarbage, type Needed } from '../../src/commits/garbage.ts';
import { cutOffOf } from '../../src/commits/pipeline-state.ts';
import { decideVacuum, type Vacuum } from '../../src/commits/vacuum.ts';
import type { Action, Add } from '../../src/delta/actions.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import type { ToCommit } from '../../src/delta/version.ts';
import { emptyAccounting } from '../../src/records/accounting.ts';
import { dataFile, makeBatch, NOW_MS, range } from './batches.ts';

/**
 * Every interleaving of two writers and a vacuum, or a writer and two vacuums, with a compaction, a
 * publication and a reader, each of which may stop for good, or for as long as it likes, between any two of
 * its steps. The judge: every file that the newest version, a letter to be published or a reader of a version
 * that was the newest after the cut-off needs is there. With each rule taken away the search must find what
 * that rule prevents.
 */

interface World {
  readonly log: readonly Version[];
  readonly files: ReadonlyMap<string, StoredFile>;
  /** Main versions up to this are published; their letters' files are the dead-letter table's. */
  readonly published: number;
  readonly nowMs: number;
  readonly writers: readonly Writer[];
  readonly vacuums: readonly Vacuuming[];
  readonly reader: { readonly tableVersion: number; readonly openedMs: number } | undefined;
  readonly compacted: boolean;
}

interface Version {
  readonly id: string;
  readonly actions: readonly Action[];
  readonly letters: readonly string[];
}

interface StoredFile {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly isLetter: boolean;
}

type Writer =
  | { readonly at: 'begins' | 'done' }
  | { readonly at: 'decides'; readonly batch: Batch; readonly writes: number }
  | { readonly at: 'puts'; readonly batch: Batch; readonly writes: number; readonly toPut: ToCommit };

type Vacuuming =
  | { readonly at: 'begins' }
  | { readonly at: 'done'; readonly vacuum: Vacuum }
  | { readonly at: 'decides' | 'finds'; readonly vacuum: Vacuum; readonly planned: World }
  | { readonly at: 'puts'; readonly vacuum: Vacuum; readonly planned: World; readonly toPut: ToCommit }
  | { readonly at: 'deletes'; readonly vacuum: Vacuum; readonly garbage: readonly string[] };

/** The product; a mutant replaces one of these. */
interface Rules {
  readonly decideVacuum: typeof decideVacuum;
  readonly commitsTheCutOff: boolean;
  readonly readsAnew: boolean;
  readonly needs: (needed: Needed) => Needed;
}

const PRODUCT: Rules = { decideVacuum, commitsTheCutOff: true, readsAnew: true, needs: (needed) => needed };

interface Config {
  readonly writers: number;
  readonly vacuums: number;
}
const TWO_WRITERS: Config = { writers: 2, vacuums: 1 };
const TWO_VACUUMS: Config = { writers: 1, vacuums: 2 };

test.each([TWO_WRITERS, TWO_VACUUMS])(
  '%o: no interleaving takes what is needed',
  {
    timeout: 600_000,
  },
  (config) => {
    const { states, found } = explore(PRODUCT, config);
    console.log(`${JSON.stringify(config)}: ${states} states`);
    expect(found?.join('\n')).toBeUndefined();
    expect(states).toBeGreaterThan(1000);
  },
);

const MUTANTS: readonly { name: string; rules: Partial<Rules>; finds: RegExp }[] = [
  { name: 'the cut-off in the log', rules: { commitsTheCutOff: false }, finds: /^MISSING/m },
  { name: 'reading the newest versions after it', rules: { readsAnew: false }, finds: /^MISSING/m },
  {
    name: 'leaving what was removed after the cut-off',
    rules: { needs: (needed) => ({ ...needed, removed: new Set() }) },
    finds: /^READER/m,
  },
  {
    name: 'leaving letters that are to be published',
    rules: { needs: (needed) => ({ ...needed, carried: new Set() }) },
    finds: /^LETTERS/m,
  },
  {
    name: 'never lowering the cut-off',
    rules: {
      decideVacuum: (snapshot, vacuum, facts) =>
        decideVacuum(snapshot && withoutCutOff(snapshot), vacuum, facts),
    },
    finds: /^(MISSING|LOWERED)/m,
  },
];

test.each(MUTANTS)('without $name, some interleaving does', { timeout: 600_000 }, ({ rules, finds }) => {
  const found = [TWO_WRITERS, TWO_VACUUMS].map((config) => explore({ ...PRODUCT, ...rules }, config).found);
  expect(found.map((path) => path?.at(-1) ?? '').join('\n')).toMatch(finds);
});

function withoutCutOff(snapshot: Snapshot): Snapshot {
  return { ...snapshot, txns: new Map([...snapshot.txns].filter(([appId]) => appId !== 'tidemark/vacuum')) };
}

function firstWorld({ writers, vacuums }: Config): World {
  const partitions = [range(0, undefined, 0n), range(1, undefined, 0n)];
  const batch = makeBatch({ batchId: 'first', partitions });
  const decision = decideCommit(undefined, batch, factsOf(new Map(), NOW_MS));
  if (decision.kind !== 'commit') throw new Error(decision.kind);
  return {
    log: [{ id: 'first', actions: decision.actions, letters: [] }],
    files: new Map(),
    published: 0,
    nowMs: NOW_MS,
    writers: Array.from({ length: writers }, () => ({ at: 'begins' })),
    vacuums: Array.from({ length: vacuums }, () => ({ at: 'begins' })),
    reader: undefined,
    compacted: false,
  };
}

function factsOf(files: World['files'], nowMs: number): CommitFacts {
  const stats = (isLetter: boolean) => new Map([...files].filter(([, file]) => file.isLetter === isLetter));
  return {
    nowMs,
    txnId: 'txn',
    newTableId: 'table',
    versionsSincePlan: [],
    fileStats: stats(false),
    letterStats: stats(true),
  };
}

const snapshots = new Map<string, Snapshot>();

function snapshotOf(log: readonly Version[]): Snapshot {
  const key = log.map(({ id }) => id).join(' ');
  const known = snapshots.get(key);
  if (known !== undefined) return known;
  const snapshot = replay(
    undefined,
    log.map(({ actions }, tableVersion) => ({ tableVersion, actions })),
  );
  snapshots.set(key, snapshot);
  return snapshot;
}

interface Step {
  readonly label: string;
  readonly world: World;
}

function steps(world: World, rules: Rules): Step[] {
  return [
    ...world.writers.flatMap((writer, index) => writerSteps(world, writer, index)),
    ...world.vacuums.flatMap((vacuum, index) => vacuumSteps(world, vacuum, index, rules)),
    ...compactionSteps(world),
    ...publicationSteps(world),
    ...readerSteps(world),
  ];
}

/** Each drains a partition of its own: a row and a dead letter. */
function writerSteps(world: World, writer: Writer, index: number): Step[] {
  const next = (state: Writer, on: World = world): World => ({
    ...on,
    writers: on.writers.toSpliced(index, 1, state),
  });
  switch (writer.at) {
    case 'done':
      return [];
    case 'begins':
      return [{ label: `writer ${index} writes`, world: writeFiles(world, next, index, 1) }];
    case 'decides': {
      const { batch, writes } = writer;
      const decision = decideCommit(snapshotOf(world.log), batch, factsOf(world.files, world.nowMs));
      const label = `writer ${index} decides: ${decision.kind}`;
      if (decision.kind === 'commit')
        return [{ label, world: next({ ...writer, at: 'puts', toPut: decision }) }];
      const isOver = decision.kind !== 'expired' || writes === 2;
      return [{ label, world: isOver ? next({ at: 'done' }) : writeFiles(world, next, index, writes + 1) }];
    }
    case 'puts': {
      const { batch, writes, toPut } = writer;
      if (toPut.tableVersion < world.log.length)
        return [{ label: `writer ${index} is late`, world: next({ at: 'decides', batch, writes }) }];
      const letters = batch.deadLetterFiles.map(({ path }) => path);
      const version = { id: `${batch.batchId}-${writes}`, actions: toPut.actions, letters };
      return [
        {
          label: `writer ${index} puts`,
          world: next({ at: 'done' }, { ...world, log: [...world.log, version] }),
        },
      ];
    }
  }
}

function writeFiles(
  world: World,
  next: (state: Writer, on: World) => World,
  index: number,
  writes: number,
): World {
  const snapshot = snapshotOf(world.log);
  const name = `w${index}-${writes}`;
  const entry = { ...range(index, 0n, 2n), accounting: { ...emptyAccounting(), rows: 1, deadLetters: 1 } };
  const batch = makeBatch({
    batchId: `w${index}`,
    plannedOn: { tableId: snapshot.metaData.id, tableVersion: snapshot.tableVersion, epoch: 0n },
    partitions: [entry],
    files: [dataFile(`${name}.parquet`, 1)],
    deadLetterFiles: [dataFile(`${name}-letter.parquet`, 1)],
  });
  const nowMs = world.nowMs + 1;
  const files = new Map(world.files);
  for (const { path, sizeBytes } of batch.files)
    files.set(path, { sizeBytes, modifiedMs: nowMs, isLetter: false });
  for (const { path, sizeBytes } of batch.deadLetterFiles)
    files.set(path, { sizeBytes, modifiedMs: nowMs, isLetter: true });
  return next({ at: 'decides', batch, writes }, { ...world, files, nowMs });
}

function vacuumSteps(world: World, state: Vacuuming, index: number, rules: Rules): Step[] {
  const next = (now: Vacuuming, on: World = world): World => ({
    ...on,
    vacuums: on.vacuums.toSpliced(index, 1, now),
  });
  const name = `vacuum ${index}`;
  switch (state.at) {
    case 'done':
      return [];
    case 'begins': {
      const { metaData, tableVersion } = snapshotOf(world.log);
      const nowMs = world.nowMs + 1;
      const vacuum = {
        batchId: name,
        pipeline: 'products',
        run: name,
        origin: { build: 'b', specification: 's' },
        tableId: metaData.id,
        tableVersion,
        cutOffMs: nowMs,
      };
      const at = rules.commitsTheCutOff ? 'decides' : 'finds';
      return [{ label: `${name} plans`, world: next({ at, vacuum, planned: world }, { ...world, nowMs }) }];
    }
    case 'decides': {
      const facts = { nowMs: world.nowMs, txnId: 'txn', versionsSincePlan: [] };
      const decision = rules.decideVacuum(snapshotOf(world.log), state.vacuum, facts);
      const after: Vacuuming =
        decision.kind === 'commit' ? { ...state, at: 'puts', toPut: decision } : { ...state, at: 'finds' };
      return [{ label: `${name} decides: ${decision.kind}`, world: next(after) }];
    }
    case 'puts': {
      const { toPut, vacuum, planned } = state;
      if (toPut.tableVersion < world.log.length)
        return [{ label: `${name} is late`, world: next({ at: 'decides', vacuum, planned }) }];
      const log = [...world.log, { id: `${name}:${vacuum.cutOffMs}`, actions: toPut.actions, letters: [] }];
      return [{ label: `${name} puts`, world: next({ at: 'finds', vacuum, planned }, { ...world, log }) }];
    }
    case 'finds': {
      const { vacuum } = state;
      const garbage = garbageOf(
        rules.readsAnew ? world : { ...state.planned, files: world.files },
        vacuum.cutOffMs,
        rules,
      );
      return [{ label: `${name} finds ${garbage}`, world: next({ at: 'deletes', vacuum, garbage }) }];
    }
    case 'deletes': {
      const [path, ...garbage] = state.garbage;
      if (path === undefined)
        return [{ label: `${name} is done`, world: next({ at: 'done', vacuum: state.vacuum }) }];
      const files = new Map(world.files);
      files.delete(path);
      return [{ label: `${name} deletes ${path}`, world: next({ ...state, garbage }, { ...world, files }) }];
    }
  }
}

function garbageOf(world: World, cutOffMs: number, { needs }: Rules): string[] {
  const snapshot = snapshotOf(world.log);
  const entries = (isLetter: boolean) =>
    [...world.files]
      .filter(([, file]) => file.isLetter === isLetter)
      .map(([path, file]) => ({ path, ...file }));
  const removed = new Set(
    [...snapshot.tombstones].filter(([, r]) => (r.deletionTimestamp ?? 0) >= cutOffMs).map(([path]) => path),
  );
  const carried = new Set(world.log.slice(world.published + 1).flatMap(({ letters }) => letters));
  const published = new Map(publishedLetters(world).map((path) => [path, true]));
  const ofTable = needs({ live: snapshot.files, removed, carried: new Set() });
  const ofLetters = needs({ live: published, removed: new Set(), carried });
  return [
    ...findGarbage(entries(false), ofTable, cutOffMs).garbage,
    ...findGarbage(entries(true), ofLetters, cutOffMs).garbage,
  ].map(({ path }) => path);
}

function publishedLetters({ log, published }: World): string[] {
  return log.slice(0, published + 1).flatMap(({ letters }) => letters);
}

/** Replaces all files by one, once. */
function compactionSteps(world: World): Step[] {
  const live = [...snapshotOf(world.log).files.values()];
  if (world.compacted || live.length === 0) return [];
  const nowMs = world.nowMs + 1;
  const add: Add = {
    path: 'c.parquet',
    size: 1,
    partitionValues: {},
    modificationTime: nowMs,
    dataChange: false,
  };
  const actions: Action[] = [
    { commitInfo: { tidemark: 'compact' } },
    ...live.map(({ path }) => ({ remove: { path, deletionTimestamp: nowMs, dataChange: false } })),
    { add },
  ];
  const files = new Map(world.files).set('c.parquet', { sizeBytes: 1, modifiedMs: nowMs, isLetter: false });
  const log = [
    ...world.log,
    { id: `compacts ${live.map(({ path }) => path)} at ${nowMs}`, actions, letters: [] },
  ];
  return [{ label: 'compaction', world: { ...world, log, files, nowMs, compacted: true } }];
}

function publicationSteps(world: World): Step[] {
  const newest = world.log.findLastIndex(({ letters }) => letters.length > 0);
  if (newest <= world.published) return [];
  return [{ label: `publishes up to ${newest}`, world: { ...world, published: newest } }];
}

function readerSteps(world: World): Step[] {
  if (world.reader !== undefined) return [];
  const reader = { tableVersion: world.log.length - 1, openedMs: world.nowMs };
  return [{ label: `a reader opens ${reader.tableVersion}`, world: { ...world, reader } }];
}

function verdictOn(world: World): string | undefined {
  const isGone = (path: string) => !world.files.has(path);
  const live = [...snapshotOf(world.log).files.keys()].find(isGone);
  if (live !== undefined) return `MISSING: the live file ${live}`;
  const letter = world.log.flatMap(({ letters }) => letters).find(isGone);
  if (letter !== undefined) return `LETTERS: ${letter} of a committed batch`;
  const { reader, vacuums } = world;
  const cutOff = Math.max(...vacuums.map((v) => ('vacuum' in v ? v.vacuum.cutOffMs : 0)));
  if (reader !== undefined && reader.openedMs >= cutOff) {
    const held = [...snapshotOf(world.log.slice(0, reader.tableVersion + 1)).files.keys()].find(isGone);
    if (held !== undefined) return `READER: ${held} of version ${reader.tableVersion}`;
  }
  const cutOffs = world.log.map((_, at) => cutOffOf(snapshotOf(world.log.slice(0, at + 1))) ?? 0);
  return cutOffs.every((one, at) => one >= (cutOffs[at - 1] ?? 0)) ? undefined : 'LOWERED: the cut-off';
}

function keyOf(world: World): string {
  const files = [...world.files].map(([path, { modifiedMs }]) => `${path}:${modifiedMs}`).sort();
  const writers = world.writers.map((w) =>
    [w.at, 'writes' in w ? w.writes : '', 'toPut' in w ? w.toPut.tableVersion : ''].join(),
  );
  const vacuums = world.vacuums.map((v) =>
    [
      v.at,
      'vacuum' in v ? `${v.vacuum.cutOffMs}@${v.vacuum.tableVersion}` : '',
      'toPut' in v ? v.toPut.tableVersion : '',
      'garbage' in v ? v.garbage.join('+') : '',
    ].join(),
  );
  const log = world.log.map(({ id }) => id);
  const { published, nowMs, reader, compacted } = world;
  return JSON.stringify([log, files, writers, vacuums, published, nowMs, reader, compacted]);
}

function explore(rules: Rules, config: Config): { states: number; found: string[] | undefined } {
  snapshots.clear();
  const first = firstWorld(config);
  const seen = new Map<string, readonly string[]>([[keyOf(first), []]]);
  for (
    let level: { path: readonly string[]; world: World }[] = [{ path: [], world: first }];
    level.length > 0;
  ) {
    const next: typeof level = [];
    for (const { path, world } of level) {
      for (const step of steps(world, rules)) {
        const key = keyOf(step.world);
        if (seen.has(key)) continue;
        seen.set(key, path);
        const here = [...path, step.label];
        const problem = verdictOn(step.world);
        if (problem !== undefined) return { states: seen.size, found: [...here, problem] };
        next.push({ path: here, world: step.world });
      }
    }
    level = next;
  }
  return { states: seen.size, found: undefined };
}
