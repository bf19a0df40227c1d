import { describe, expect, test } from 'vitest';
import { type Batch, type BatchDecision, decideCommit } from '../../src/commits/batch.ts';
import { readBatchRecord } from '../../src/commits/batch-record.ts';
import type { CommitFacts } from '../../src/commits/facts.ts';
import { topicIdHash } from '../../src/commits/pipeline-state.ts';
import type { Action } from '../../src/delta/actions.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import { emptyAccounting } from '../../src/records/accounting.ts';
import {
  dataFile,
  factsFor,
  fresh,
  makeBatch,
  NOW_MS,
  ORIGIN,
  RECREATED_TOPIC,
  range,
  rows,
  SIX_DAYS_MS,
} from './batches.ts';

/**
 * What a commit writes, and each rule at its borders. That the rules suffice, in every order of events, is
 * `commit.exhaustive.test.ts`.
 */

describe('the first commit', () => {
  const actions = committed(
    decideCommit(
      undefined,
      makeBatch({ partitions: [range(0, undefined, 3n), range(1, undefined, 0n)] }),
      factsFor([dataFile('batch-1.parquet', 3)]),
    ),
  );

  test('makes the table: protocol 1/2, its pipeline, its codec, no clean-up by others', () => {
    expect(actions).toContainEqual({ protocol: { minReaderVersion: 1, minWriterVersion: 2 } });
    const metaData = actions.flatMap((action) => ('metaData' in action ? [action.metaData] : []))[0];
    expect(metaData?.configuration).toEqual({
      'tidemark.pipeline': 'products',
      'delta.enableExpiredLogCleanup': 'false',
      'delta.parquet.compression.codec': 'zstd',
      'delta.parquet.format.version': '1.0.0',
    });
    expect(metaData?.id).toBe('table');
  });

  test('holds a txn for every partition, also one without a record, the topic’s id and the epoch', () => {
    expect(txnsOf(actions)).toEqual({
      'tidemark/epoch': 0n,
      'tidemark/t/id': topicIdHash({ clusterId: 'cluster', topicId: '0a'.repeat(16) }),
      'tidemark/t/0': 3n,
      'tidemark/t/1': 0n,
    });
  });

  test('holds one commitInfo that tells every range and reads back as it was', () => {
    const [first] = actions;
    const commitInfo = first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined;
    expect(commitInfo).toMatchObject({
      operation: 'STREAMING UPDATE',
      isBlindAppend: true,
      engineInfo: 'tidemark/0.1.0',
      ...ORIGIN,
    });
    expect(readBatchRecord({ tableVersion: 0, commitInfo })).toMatchObject({
      batchId: 'batch-1',
      run: 'drain-products.1',
      timestampMs: NOW_MS,
      partitions: [range(0, undefined, 3n), range(1, undefined, 0n)],
      totals: { offsets: 3, rows: 3, files: 1, bytes: 103 },
    });
  });

  test('the hash of a topic’s id is the first 8 bytes of SHA-256 without their top bit', () => {
    // printf 'c/t' | sha256sum begins with 816b916ddf23ac24.
    expect(topicIdHash({ clusterId: 'c', topicId: 't' })).toBe(0x016b916ddf23ac24n);
    for (let i = 0; i < 50; i++) expect(topicIdHash({ clusterId: 'c', topicId: `${i}` }) >= 0n).toBe(true);
  });
});

describe('a later commit', () => {
  test('writes what moved, and an id only for a topic that is new to the table', () => {
    const other = { topic: 'u', identity: { clusterId: 'cluster', topicId: '0c'.repeat(16) } };
    const { snapshot, batch } = laterBatch({
      topics: [...makeBatch().topics, other],
      partitions: [range(0, 3n, 5n), range(1, 2n, 2n), { ...range(0, undefined, 1n), topic: 'u' }],
    });
    const actions = committed(decideCommit(snapshot, batch, factsFor(batch.files)));
    expect(Object.keys(txnsOf(actions)).toSorted()).toEqual([
      'tidemark/t/0',
      'tidemark/u/0',
      'tidemark/u/id',
    ]);
    expect(actions.some((action) => 'metaData' in action || 'protocol' in action)).toBe(false);
  });

  test('without a row has no file and a txn all the same', () => {
    const accounting = { ...emptyAccounting(), markers: 1, aborted: 3 };
    const { snapshot, batch } = laterBatch({ partitions: [{ ...range(0, 3n, 7n), accounting }], files: [] });
    const actions = committed(decideCommit(snapshot, batch, factsFor([])));
    expect(txnsOf(actions)).toEqual({ 'tidemark/t/0': 7n });
    expect(actions.some((action) => 'add' in action)).toBe(false);
  });

  test('after accepted loss reads from further on, and accounts for what is lost', () => {
    const entry = range(0, 3n, 10n, 8n);
    const { snapshot, batch } = laterBatch({
      partitions: [{ ...entry, accounting: { ...rows(2), lost: 5 } }],
    });
    expect(decideCommit(snapshot, batch, factsFor(batch.files)).kind).toBe('commit');
    expect(decideCommit(snapshot, { ...batch, partitions: [entry] }, factsFor(batch.files)).kind).toBe(
      'accountingMismatch',
    );
  });

  test('names files as the store does, and encodes their paths', () => {
    const file = dataFile('day=a%20b/1 x.parquet', 1, { day: 'a b' });
    const { snapshot, batch } = laterBatch({ partitions: [range(0, 3n, 4n)], files: [file] });
    const adds = committed(decideCommit(snapshot, batch, factsFor([file]))).flatMap((a) =>
      'add' in a ? [a.add] : [],
    );
    expect(adds).toEqual([
      {
        path: 'day=a%2520b/1%20x.parquet',
        partitionValues: { day: 'a b' },
        size: 101,
        modificationTime: NOW_MS - 1000,
        dataChange: true,
        stats: '{"numRecords":1}',
      },
    ]);
  });
});

describe('rules', () => {
  const { snapshot, batch } = laterBatch({ partitions: [range(0, 3n, 5n)] });
  const decide = (
    changes: Partial<Batch>,
    facts: Partial<CommitFacts> = {},
    table: Partial<Snapshot> = {},
  ): BatchDecision =>
    decideCommit({ ...snapshot, ...table }, { ...batch, ...changes }, { ...factsFor(batch.files), ...facts });

  test('1: another table, another epoch, no table: fenced; another owner; a RESTORE; all before rule 2', () => {
    const versionsSincePlan = [
      { tableVersion: 1, commitInfo: { tidemark: 'drain', batchId: batch.batchId, ledger: [] } },
    ];
    expect(decide({ plannedOn: { ...batch.plannedOn, tableId: 'x' } }, { versionsSincePlan }).kind).toBe(
      'fenced',
    );
    expect(decide({ plannedOn: { ...batch.plannedOn, epoch: 1n } }, { versionsSincePlan }).kind).toBe(
      'fenced',
    );
    expect(decideCommit(undefined, batch, factsFor(batch.files)).kind).toBe('fenced');
    expect(decide({ pipeline: 'renamed' }, { versionsSincePlan })).toEqual({
      kind: 'notOurs',
      owner: 'products',
    });
    expect(decide({}, { versionsSincePlan }, { unrepairedRestore: 1 })).toEqual({
      kind: 'restored',
      tableVersion: 1,
    });
    const restored = [...versionsSincePlan, { tableVersion: 2, commitInfo: { operation: 'RESTORE' } }];
    expect(decide({}, { versionsSincePlan: restored })).toEqual({ kind: 'restored', tableVersion: 2 });
    expect(decide({}, { versionsSincePlan })).toMatchObject({
      kind: 'alreadyCommitted',
      record: { tableVersion: 1 },
    });
  });

  test('3: an offset that moved, one planned as absent, a topic made again, a table made meanwhile: superseded', () => {
    expect(decide({ partitions: [range(0, 2n, 5n)] })).toMatchObject({
      kind: 'superseded',
      partitions: [{ startingOffset: 2n, committedOffset: 3n }],
    });
    expect(decide({ partitions: [range(0, undefined, 5n)] }).kind).toBe('superseded');
    expect(decide({ topics: [RECREATED_TOPIC] })).toEqual({
      kind: 'superseded',
      partitions: [],
      topics: ['t'],
    });
    expect(decide({ topics: [{ topic: 't', identity: undefined }] }).kind).toBe('commit');
    expect(decideCommit(snapshot, makeBatch(), factsFor(makeBatch().files)).kind).toBe('superseded');
  });

  test('4: gone, of another size, older than the vacuum or than 6 days: expired', () => {
    const path = 'batch-2.parquet';
    const withStat = (stat: ReturnType<typeof fresh>) =>
      decide({}, { fileStats: new Map([[path, stat]]) }).kind;
    expect(decide({}, { fileStats: new Map() })).toMatchObject({ kind: 'expired', files: [{ path }] });
    expect([withStat(fresh(102)), withStat(fresh(101))]).toEqual(['commit', 'expired']);
    expect([withStat(fresh(102, SIX_DAYS_MS - 1)), withStat(fresh(102, SIX_DAYS_MS))]).toEqual([
      'commit',
      'expired',
    ]);
    const vacuumedAt = (ageMs: number) =>
      decide({}, {}, { txns: new Map([...snapshot.txns, ['tidemark/vacuum', BigInt(NOW_MS - ageMs)]]) }).kind;
    expect([vacuumedAt(1001), vacuumedAt(1000)]).toEqual(['commit', 'expired']);
  });

  test('5: unrelated metaData may change; what schema-fit refuses may not', () => {
    const metaData = {
      ...snapshot.metaData,
      configuration: { ...snapshot.metaData.configuration, x: 'y' },
      name: 'n',
    };
    expect(decide({}, {}, { metaData }).kind).toBe('commit');
    expect(decide({ partitionColumns: ['day'] })).toMatchObject({ kind: 'schemaMismatch' });
  });

  test('6: every offset has a fate, every row a file, every file a place of its own', () => {
    const [file] = batch.files;
    if (file === undefined) throw new Error('there is a file');
    const wrong: Partial<Batch>[] = [
      { partitions: [{ ...range(0, 3n, 5n), accounting: rows(1) }] },
      { partitions: [{ ...range(0, 3n, 5n), accounting: { ...rows(3), gaps: -1 } }] },
      { partitions: [{ ...range(0, 3n, 5n), readFrom: 2n }] },
      { partitions: [range(0, 3n, 5n), range(0, 3n, 3n)] },
      { files: [] },
      { files: [file, file] },
      { files: [{ ...file, stats: '{"numRecords":3}' }] },
      { files: [{ ...file, stats: '{}' }] },
    ];
    for (const change of wrong)
      expect(decide(change).kind, JSON.stringify(change, String)).toBe('accountingMismatch');
    const add = { path: file.path, partitionValues: {}, size: 1, modificationTime: 1, dataChange: true };
    expect(decide({}, {}, { files: new Map([[file.path, add]]) }).kind).toBe('accountingMismatch');
  });
});

/** The version after the first, for which nothing stands in the way. */
function laterBatch(changes: Partial<Batch>): { snapshot: Snapshot; batch: Batch } {
  const first = makeBatch();
  const actions = committed(decideCommit(undefined, first, factsFor(first.files)));
  const snapshot = replay(undefined, [{ tableVersion: 0, actions }]);
  const plannedOn = { tableId: 'table', tableVersion: 0, epoch: 0n };
  return { snapshot, batch: makeBatch({ batchId: 'batch-2', plannedOn, ...changes }) };
}

function committed(decision: BatchDecision): readonly Action[] {
  if (decision.kind !== 'commit')
    throw new Error(JSON.stringify(decision, (_, v) => (typeof v === 'bigint' ? `${v}` : v)));
  return decision.actions;
}

function txnsOf(actions: readonly Action[]): Record<string, bigint> {
  return Object.fromEntries(
    actions.flatMap((action) => ('txn' in action ? [[action.txn.appId, action.txn.version]] : [])),
  );
}
