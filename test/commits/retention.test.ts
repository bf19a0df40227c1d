/**
 * Promise: retention drops exactly the files of table partitions whose whole unit of time is over, and says
 * so in one version of its own. Method: cases by hand at the borders of each unit; for random moments, a
 * naive reading of the same rule is the judge.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BATCH, decideCommit } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import { decideCompaction } from '../../src/commits/compaction.ts';
import {
  decideRetention,
  findOldPartitions,
  RETENTION,
  type Retention,
  type RetentionRule,
  readRetentionRecord,
} from '../../src/commits/retention.ts';
import { type Add, encodePath, type PartitionValues, type Remove } from '../../src/delta/actions.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import type { TimeUnit } from '../../src/records/partition-term.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { makeFolder, openLog, planBatch } from '../delta/table.ts';
import { factsFor, makeBatch } from './batches.ts';

const HOUR_MS = 3_600_000;

describe('which table partitions are old', () => {
  /** The values of `values` that are old at `now`, where everything up to `now` may go. */
  function old(unit: TimeUnit, now: string, ...values: (string | null)[]): string[] {
    const rule = { column: 'at', unit, cutOffMs: Date.parse(now) };
    const { files } = findOldPartitions(filesOf(values.map((at) => ({ at }))), rule);
    return files.map(({ partitionValues }) => String(partitionValues.at));
  }

  test.each<[unit: TimeUnit, value: string, lastMoment: string, over: string]>([
    ['hour', '2024-03-15T05:00:00.000000Z', '2024-03-15T05:59:59.999Z', '2024-03-15T06:00:00Z'],
    ['hour', '2024-12-31T23:00:00.000000Z', '2024-12-31T23:59:59.999Z', '2025-01-01T00:00:00Z'],
    ['day', '2024-02-28', '2024-02-28T23:59:59.999Z', '2024-02-29T00:00:00Z'],
    ['day', '2023-02-28', '2023-02-28T23:59:59.999Z', '2023-03-01T00:00:00Z'],
    ['month', '2024-02-01', '2024-02-29T23:59:59.999Z', '2024-03-01T00:00:00Z'],
    ['month', '2024-12-01', '2024-12-31T23:59:59.999Z', '2025-01-01T00:00:00Z'],
    ['year', '2024-01-01', '2024-12-31T23:59:59.999Z', '2025-01-01T00:00:00Z'],
  ])('a %s, %s, stays until its last moment is over', (unit, value, lastMoment, over) => {
    expect(old(unit, lastMoment, value)).toEqual([]);
    expect(old(unit, over, value)).toEqual([value]);
  });

  test('null, an empty text and what is no time stay', () => {
    const values = [null, '', '__HIVE_DEFAULT_PARTITION__', 'yesterday', '2024', '20240301', '-1'];
    expect(old('day', '2030-01-01T00:00:00Z', ...values)).toEqual([]);
    const others = filesOf([{ other: '2000-01-01' }]);
    expect(findOldPartitions(others, rule('at', 'day', '2030-01-01T00:00:00Z')).files).toEqual([]);
  });

  test('a time is read as other engines write it, and however long ago it was', () => {
    const values = ['2024-03-15 05:00:00', '2024-03-15T05:00:00Z', '2024-03-15 05:00:00.000000'];
    expect(old('hour', '2024-03-15T05:59:59Z', ...values)).toEqual([]);
    expect(old('hour', '2024-03-15T06:00:00Z', ...values)).toEqual(values);
    expect(old('day', '1970-01-01T00:00:00Z', '0001-01-01', '0099-12-31', '1969-12-31')).toHaveLength(3);
    expect(old('day', '1969-12-31T23:59:59Z', '1969-12-31', '1970-01-01', '9999-12-31')).toEqual([]);
  });

  test('a unit whose middle a value of others names is over with the unit', () => {
    expect(old('month', '2024-05-31T23:59:59Z', '2024-05-17')).toEqual([]);
    expect(old('month', '2024-06-01T00:00:00Z', '2024-05-17')).toEqual(['2024-05-17']);
  });

  test('a random unit is old exactly when its end is not after the cut-off', () => {
    const moment = fc.integer({ min: Date.parse('1900-01-01'), max: Date.parse('2199-12-31') });
    const unit = fc.constantFrom<TimeUnit>('year', 'month', 'day', 'hour');
    fc.assert(
      fc.property(unit, moment, fc.integer({ min: -800 * 24, max: 800 * 24 }), (unit, at, hours) => {
        const cutOffMs = at + hours * HOUR_MS;
        const { value, endMs } = unitOf(unit, at);
        const { files } = findOldPartitions(filesOf([{ at: value }]), { column: 'at', unit, cutOffMs });
        expect(files).toHaveLength(endMs <= cutOffMs ? 1 : 0);
      }),
      { numRuns: 2000 },
    );
  });

  test('figures: table partitions with their other columns, oldest and newest, rows as far as files tell', () => {
    const snapshot = filesOf([
      { at: '2024-03-02', shop: 'a b' },
      { at: '2024-03-01', shop: 'a b' },
      { at: '2024-03-02', shop: 'c/d' },
      { at: '2024-03-02', shop: 'c/d' },
      { at: '2024-03-02', shop: null },
      { at: '2024-03-02', shop: '' },
      { at: '2024-03-03', shop: 'a b' },
      { at: null, shop: 'a b' },
    ]);
    const byDay = rule('at', 'day', '2024-03-03T12:00:00Z');
    expect(findOldPartitions(snapshot, byDay).dropped).toEqual({
      ...{ column: 'at', before: '2024-03-03', oldest: '2024-03-01', newest: '2024-03-02' },
      ...{ partitions: 4, files: 6, rows: 18, bytes: 60 },
    });
    const [[path, add] = []] = [...snapshot.files];
    const { stats: _, ...untold } = add as Add;
    const files = new Map([...snapshot.files, [path ?? '', untold]]);
    expect(findOldPartitions({ files }, byDay).dropped).toMatchObject({ files: 6, rows: null });
    expect(findOldPartitions({ files }, rule('at', 'hour', '2024-03-01T00:30:00Z')).dropped).toEqual({
      ...{ column: 'at', before: '2024-03-01T00:00:00.000000Z', oldest: null, newest: null },
      ...{ partitions: 0, files: 0, rows: 0, bytes: 0 },
    });
  });
});

describe('decideRetention', () => {
  test('takes the files out in one version that people and engines can read, and moves no offset', () => {
    const snapshot = tableSnapshot();
    const { commitInfo, removes, others } = committed(snapshot);
    expect(others).toEqual([]);
    expect(removes).toEqual([
      {
        ...{ path: 'day=2024-03-01/a%2520b.parquet', deletionTimestamp: 2000, dataChange: true },
        ...{ extendedFileMetadata: true, partitionValues: { day: '2024-03-01' }, size: 10 },
      },
    ]);
    expect(commitInfo).toMatchObject({
      ...{
        tidemark: 'retain',
        operation: 'DELETE',
        isBlindAppend: false,
        batchId: 'r',
        pipeline: 'products',
      },
      ...{
        run: 'vacuum-products.1',
        build: 'b',
        specification: 's',
        cutOff: String(PLANNED.rule.cutOffMs),
      },
      operationParameters: { predicate: `["(day < '2024-03-02')"]` },
      operationMetrics: { numRemovedFiles: '1', numDeletedRows: '3', numRemovedBytes: '10' },
      totals: { partitions: 1, files: 1, rows: 3, bytes: 10 },
    });
    const after = replayed(snapshot);
    expect([...after.files.keys()]).toEqual(['day=2024-03-02/c.parquet', 'day=null/d.parquet']);
    expect(after.txns).toEqual(snapshot.txns);
  });

  test('commits nothing where nothing is old; takes what came late with the next one', () => {
    const after = replayed(tableSnapshot());
    expect(decideRetention(after, PLANNED, FACTS)).toMatchObject({
      kind: 'nothingOld',
      dropped: { partitions: 0, oldest: null, before: '2024-03-02' },
    });
    const late = [{ add: add('day=2024-03-01/late.parquet', { day: '2024-03-01' }) }];
    const later = replay(after, [{ tableVersion: after.tableVersion + 1, actions: late }]);
    expect(committed(later, { ...PLANNED, batchId: 'next' }).removes).toMatchObject([
      { path: 'day=2024-03-01/late.parquet' },
    ]);
  });

  test('finds its own version, also where there is more to drop by then', () => {
    const { commitInfo } = committed(tableSnapshot());
    const versionsSincePlan = [{ tableVersion: 7, commitInfo }];
    const record = readRetentionRecord({ tableVersion: 7, commitInfo });
    expect(record).toMatchObject({ tableVersion: 7, batchId: 'r', dropped: { column: 'day', rows: 3 } });
    expect(decideRetention(tableSnapshot(), PLANNED, { ...FACTS, versionsSincePlan })).toEqual({
      kind: 'alreadyCommitted',
      record,
    });
    // The cut-off of the same vacuum has the same `batchId`.
    const cutOff = [{ tableVersion: 7, commitInfo: { tidemark: 'vacuum', batchId: 'r', cutOff: '1' } }];
    expect(decideRetention(tableSnapshot(), PLANNED, { ...FACTS, versionsSincePlan: cutOff }).kind).toBe(
      'commit',
    );
  });

  test('refuses another table, owner or partitioning, an unrepaired RESTORE, and a table that only grows', () => {
    const snapshot = tableSnapshot();
    const decide = (table: Snapshot | undefined, changed: Partial<Retention> = {}) =>
      decideRetention(table, { ...PLANNED, ...changed }, FACTS).kind;
    expect(decide(undefined)).toBe('fenced');
    expect(decide(snapshot, { tableId: 'other' })).toBe('fenced');
    expect(decide(snapshot, { pipeline: 'other' })).toBe('notOurs');
    expect(decide({ ...snapshot, unrepairedRestore: 3 })).toBe('restored');
    expect(decide(snapshot, { rule: { ...PLANNED.rule, column: 'crawl_ts_day' } })).toBe('schemaMismatch');
    const configuration = { ...snapshot.metaData.configuration, 'delta.appendOnly': 'true' };
    expect(decide({ ...snapshot, metaData: { ...snapshot.metaData, configuration } })).toBe('appendOnly');
  });

  test('a compaction that has read a dropped file is planned again', () => {
    const compaction = {
      ...{ batchId: 'c', pipeline: 'products', run: 'compact-products.1', origin: PLANNED.origin },
      ...{ tableId: 'table', tableVersion: 0, outputs: [] },
      inputs: [{ path: OLD, rowCount: 3 }],
    };
    const facts = factsFor([]);
    expect(decideCompaction(tableSnapshot(), compaction, facts).kind).not.toBe('replan');
    expect(decideCompaction(replayed(tableSnapshot()), compaction, facts)).toEqual({
      kind: 'replan',
      inputsGone: [OLD],
    });
  });
});

test('a lost answer, a lost race: one version in the log', async () => {
  await using folder = await makeFolder();
  const store = new LocalStore(folder.path);
  const log = openLog(store);
  const batch = await planBatch(log, store, 'b1');
  const files = batch.files.map((file) => ({ ...file, partitionValues: { id: '2024-03-01' } }));
  await commit(log, BATCH, { ...batch, files, partitionColumns: ['id'] });
  const snapshot = await log.snapshot();
  const retention = {
    ...PLANNED,
    tableId: snapshot?.metaData.id ?? '',
    rule: rule('id', 'day', '2024-03-02T00:00:00Z'),
  };
  const outcomes = await Promise.all([
    commit(log, RETENTION, retention),
    commit(openLog(store), RETENTION, retention),
    commit(openLog(store), RETENTION, retention),
  ]);
  expect(outcomes.map(({ kind }) => kind).sort()).toEqual([
    'alreadyCommitted',
    'alreadyCommitted',
    'committed',
  ]);
  expect((await log.snapshot())?.tableVersion).toBe(1);
  expect((await log.snapshot())?.files.size).toBe(0);
  expect(await commit(log, RETENTION, { ...retention, batchId: 'next', tableVersion: 1 })).toMatchObject({
    kind: 'nothingOld',
  });
});

const OLD = 'day=2024-03-01/a%20b.parquet';

const PLANNED: Retention = {
  batchId: 'r',
  pipeline: 'products',
  run: 'vacuum-products.1',
  origin: { build: 'b', specification: 's' },
  tableId: 'table',
  tableVersion: 0,
  rule: rule('day', 'day', '2024-03-02T10:00:00Z'),
};
const FACTS = { nowMs: 2000, txnId: 'txn', versionsSincePlan: [] };

function rule(column: string, unit: TimeUnit, cutOff: string): RetentionRule {
  return { column, unit, cutOffMs: Date.parse(cutOff) };
}

/**
 * A table partitioned by `day`, with a file of an old day, one of a day that is not over, and one of null.
 */
function tableSnapshot(): Snapshot {
  const batch = makeBatch({ files: [], partitions: [], partitionColumns: ['day'] });
  const decision = decideCommit(undefined, batch, factsFor([]));
  if (decision.kind !== 'commit') throw new Error(JSON.stringify(decision));
  const adds = [
    add(OLD, { day: '2024-03-01' }),
    add('day=2024-03-02/c.parquet', { day: '2024-03-02' }),
    add('day=null/d.parquet', { day: null }),
  ].map((add) => ({ add }));
  return replay(undefined, [{ tableVersion: 0, actions: [...decision.actions, ...adds] }]);
}

function committed(snapshot: Snapshot, retention = PLANNED) {
  const decision = decideRetention(snapshot, retention, FACTS);
  if (decision.kind !== 'commit') throw new Error(decision.kind);
  const [first, ...rest] = decision.actions;
  const commitInfo = first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined;
  const removes = rest.flatMap((action): Remove[] => ('remove' in action ? [action.remove] : []));
  return { commitInfo, removes, others: rest.filter((action) => !('remove' in action)) };
}

function replayed(snapshot: Snapshot): Snapshot {
  const decision = decideRetention(snapshot, PLANNED, FACTS);
  if (decision.kind !== 'commit') throw new Error(decision.kind);
  return replay(snapshot, [{ tableVersion: snapshot.tableVersion + 1, actions: decision.actions }]);
}

function filesOf(values: readonly PartitionValues[]): Pick<Snapshot, 'files'> {
  return { files: new Map(values.map((of, index) => [`${index}.parquet`, add(`${index}.parquet`, of)])) };
}

function add(path: string, partitionValues: PartitionValues): Add {
  return {
    ...{ path: encodePath(path), partitionValues, size: 10, modificationTime: 1, dataChange: true },
    stats: '{"numRecords":3}',
  };
}

/** As a calendar has it, without the code that is judged. */
function unitOf(unit: TimeUnit, ms: number): { value: string; endMs: number } {
  const iso = new Date(ms).toISOString();
  const [year, month] = [Number(iso.slice(0, 4)), Number(iso.slice(5, 7))];
  switch (unit) {
    case 'year':
      return { value: `${iso.slice(0, 4)}-01-01`, endMs: Date.parse(`${year + 1}-01-01`) };
    case 'month': {
      const next = month === 12 ? `${year + 1}-01` : `${year}-${String(month + 1).padStart(2, '0')}`;
      return { value: `${iso.slice(0, 7)}-01`, endMs: Date.parse(`${next}-01`) };
    }
    case 'day':
      return { value: iso.slice(0, 10), endMs: Date.parse(iso.slice(0, 10)) + 24 * HOUR_MS };
    case 'hour': {
      const value = `${iso.slice(0, 13)}:00:00.000000Z`;
      return { value, endMs: Date.parse(`${iso.slice(0, 13)}:00:00Z`) + HOUR_MS };
    }
  }
}
