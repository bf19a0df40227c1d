import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Action, encodePath } from '../../src/delta/actions.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import type { LogVersion } from '../../src/delta/version.ts';

/**
 * A snapshot is what the log says, in whatever steps it was read. The judge is a naive replay: the last word
 * on each path and appId wins.
 */

const PROTOCOL: Action = { protocol: { minReaderVersion: 1, minWriterVersion: 2 } };
const META_DATA = {
  id: 'id',
  format: { provider: 'parquet', options: {} },
  schemaString: '{"type":"struct","fields":[]}',
  partitionColumns: [],
  configuration: {},
};
const TABLE: readonly Action[] = [PROTOCOL, { metaData: META_DATA }];

const path = fc.constantFrom('a', 'b c', 'd=%20/e');
const action: fc.Arbitrary<Action> = fc.oneof(
  path.map(
    (p): Action => ({
      add: { path: encodePath(p), partitionValues: {}, size: 1, modificationTime: 1, dataChange: true },
    }),
  ),
  path.map((p): Action => ({ remove: { path: encodePath(p), dataChange: true } })),
  fc.record({
    txn: fc.record({
      appId: fc.constantFrom('x', 'y'),
      version: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    }),
  }),
  fc.constantFrom<Action>(
    { commitInfo: { operation: 'RESTORE' } },
    { commitInfo: { tidemark: 'drain' } },
    { commitInfo: {} },
  ),
);
const versions = fc
  .array(fc.array(action, { maxLength: 4 }), { maxLength: 8 })
  .map((lists): LogVersion[] =>
    [TABLE, ...lists].map((actions, tableVersion) => ({ tableVersion, actions })),
  );

describe('replay', () => {
  test('is what the log says, read at once or in any steps, and changes no earlier snapshot', () => {
    fc.assert(
      fc.property(versions, fc.array(fc.nat(8)), (log, cuts) => {
        const expected = naive(log);
        expect(comparable(replay(undefined, log))).toEqual(expected);
        const ends = [
          ...new Set([...cuts.filter((cut) => cut > 0 && cut < log.length), log.length]),
        ].toSorted((a, b) => a - b);
        const steps: { snapshot: Snapshot; text: string }[] = [];
        let from = 0;
        for (const end of ends) {
          const snapshot = replay(steps.at(-1)?.snapshot, log.slice(from, end));
          steps.push({ snapshot, text: textOf(snapshot) });
          from = end;
        }
        expect(comparable(steps.at(-1)?.snapshot)).toEqual(expected);
        for (const { snapshot, text } of steps) expect(textOf(snapshot)).toBe(text);
      }),
    );
  });

  test('takes a file for the same however its path is encoded', () => {
    const add = { path: 'p=a%2Bb/x', partitionValues: {}, size: 1, modificationTime: 1, dataChange: true };
    const removed = [{ remove: { path: 'p=a+b/x', dataChange: true } }];
    const snapshot = replay(undefined, [
      { tableVersion: 0, actions: [...TABLE, { add }] },
      { tableVersion: 1, actions: removed },
    ]);
    expect(snapshot.files.size).toBe(0);
  });

  test.each([
    [[PROTOCOL], 'metaData'],
    [[{ metaData: META_DATA }], 'protocol'],
  ])('a log without a part of the table is corrupt', (actions, missing) => {
    expect(() => replay(undefined, [{ tableVersion: 3, actions: actions as Action[] }])).toThrow(missing);
  });
});

describe('what is beyond reader 1 and writer 2 is refused by name', () => {
  const protocol = (minReaderVersion: number, minWriterVersion: number, features: object = {}): Action[] => [
    { protocol: { minReaderVersion, minWriterVersion, ...features } },
    { metaData: META_DATA },
  ];
  const metaData = (change: object): Action[] => [PROTOCOL, { metaData: { ...META_DATA, ...change } }];

  test.each([
    [protocol(2, 5), 'columnMapping'],
    [protocol(1, 3), 'checkConstraints'],
    [protocol(1, 4), 'changeDataFeed, generatedColumns'],
    [
      protocol(3, 7, {
        readerFeatures: ['deletionVectors'],
        writerFeatures: ['deletionVectors', 'rowTracking'],
      }),
      'deletionVectors, rowTracking',
    ],
    [protocol(9, 9), 'protocol reader 9, writer 9'],
    [
      metaData({ configuration: { 'delta.setTransactionRetentionDuration': '1 day' } }),
      'delta.setTransactionRetentionDuration = 1 day',
    ],
    [metaData({ configuration: { 'delta.columnMapping.mode': 'name' } }), 'delta.columnMapping.mode = name'],
    [metaData({ format: { provider: 'orc', options: {} } }), 'the file format orc'],
    [
      metaData({ schemaString: '{"fields":[{"name":"a","metadata":{"delta.invariants":"{}"}}]}' }),
      'delta.invariants',
    ],
    [
      metaData({ schemaString: '{"fields":[{"name":"a","metadata":{"delta.generationExpression":"1"}}]}' }),
      'delta.generationExpression',
    ],
  ])('%#', (actions, name) => {
    const unsupported = { code: 'TABLE_UNSUPPORTED', message: expect.stringContaining(name) };
    expect(() => replay(undefined, [{ tableVersion: 0, actions }])).toThrow(
      expect.objectContaining(unsupported),
    );
  });

  test('delta.appendOnly is honoured: nothing of ours removes a row', () => {
    const actions = metaData({ configuration: { 'delta.appendOnly': 'true' } });
    expect(replay(undefined, [{ tableVersion: 0, actions }]).tableVersion).toBe(0);
  });
});

function naive(log: readonly LogVersion[]) {
  const [files, tombstones, txns] = [new Set<string>(), new Set<string>(), new Map<string, bigint>()];
  let restore: number | undefined;
  for (const { tableVersion, actions } of log) {
    for (const one of actions) {
      if ('add' in one) [files.add(decodeURI(one.add.path)), tombstones.delete(decodeURI(one.add.path))];
      if ('remove' in one)
        [files.delete(decodeURI(one.remove.path)), tombstones.add(decodeURI(one.remove.path))];
      if ('txn' in one) txns.set(one.txn.appId, one.txn.version);
      if ('commitInfo' in one && one.commitInfo.operation === 'RESTORE') restore = tableVersion;
      if ('commitInfo' in one && one.commitInfo.tidemark === 'drain') restore = undefined;
    }
  }
  return {
    tableVersion: log.length - 1,
    files: [...files].toSorted(),
    tombstones: [...tombstones].toSorted(),
    txns,
    restore,
  };
}

function comparable(snapshot: Snapshot | undefined) {
  return {
    tableVersion: snapshot?.tableVersion,
    files: [...(snapshot?.files.keys() ?? [])].toSorted(),
    tombstones: [...(snapshot?.tombstones.keys() ?? [])].toSorted(),
    txns: new Map(snapshot?.txns),
    restore: snapshot?.unrepairedRestore,
  };
}

function textOf(snapshot: Snapshot): string {
  return JSON.stringify({ ...comparable(snapshot), txns: [...snapshot.txns].map(String) });
}
