/**
 * Promise: `KINDS` says of every kind what its versions really hold, so that whoever walks the history may go
 * by it. Method: the decisions commit one version of each kind, and its actions are looked at.
 */
import { expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { decideCommit } from '../../src/commits/batch.ts';
import { decideCompaction } from '../../src/commits/compaction.ts';
import { publishedAppId } from '../../src/commits/pipeline-state.ts';
import { decidePublication } from '../../src/commits/publication.ts';
import { decideRepair, type Repair } from '../../src/commits/repair.ts';
import { decideRetention } from '../../src/commits/retention.ts';
import { decideRetry } from '../../src/commits/retry.ts';
import { decideVacuum } from '../../src/commits/vacuum.ts';
import type { Add } from '../../src/delta/actions.ts';
import { type CommitKind, KINDS, type KindTraits } from '../../src/delta/kinds.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import { committedVersion, type ToCommit } from '../../src/delta/version.ts';
import { seenTable, skipLost, withdrawTopic } from '../../src/repair/answers.ts';
import { dataFile, factsFor, makeBatch, NOW_MS, ORIGIN, range, SCHEMA } from './batches.ts';

const OLD = dataFile('old.parquet', 3, { day: '2024-03-01' });
const LETTERS = dataFile('letters.parquet', 2);
const entry = range(0, undefined, 3n);
const BATCH = makeBatch({
  partitionColumns: ['day'],
  partitions: [{ ...entry, endingOffset: 5n, accounting: { ...entry.accounting, deadLetters: 2 } }],
  files: [OLD],
  deadLetterFiles: [LETTERS],
});
const DRAIN = committed(
  decideCommit(undefined, BATCH, { ...factsFor([OLD]), letterStats: factsFor([LETTERS]).fileStats }),
);
const TABLE = replay(undefined, [DRAIN]);
const { tableVersion, metaData } = TABLE;
const CHANGE = { batchId: 'next', pipeline: 'products', run: 'run.1', origin: ORIGIN };
const PLANNED = { ...CHANGE, tableId: metaData.id, tableVersion };

const VERSIONS: Readonly<Record<CommitKind, ToCommit>> = {
  drain: DRAIN,
  retry: retry(),
  compact: compact(),
  vacuum: committed(decideVacuum(TABLE, { ...PLANNED, cutOffMs: NOW_MS }, factsFor([]))),
  retain: retain(),
  repair: committed(decideRepair(TABLE, answer('skip-lost'), factsFor([]))),
  accept: committed(decideRepair(TABLE, answer('accept-topic'), factsFor([]))),
  publish: publish(),
};

it.each(Object.entries(VERSIONS))('a version of the kind %s is what KINDS says', (kind, version) => {
  expect(committedVersion(version).commitInfo?.tidemark).toBe(kind);
  expect(traitsSeen(TABLE, version)).toEqual(KINDS[kind as CommitKind]);
});

it.each(Object.entries(VERSIONS))(
  'a version of the kind %s names the engine by the package’s version',
  (_, version) => {
    expect(committedVersion(version).commitInfo?.engineInfo).toBe(`tidemark/${manifest.version}`);
  },
);

function traitsSeen(table: Snapshot, version: ToCommit): KindTraits {
  const info = committedVersion(version).commitInfo ?? {};
  return { offsets: offsetsSeen(version), files: filesSeen(table, version), letters: lettersSeen(info) };
}

function offsetsSeen({ tableVersion, actions }: ToCommit): KindTraits['offsets'] {
  const { ledger, answer } = committedVersion({ tableVersion, actions }).commitInfo ?? {};
  const hasOffsets = actions.some((action) => 'txn' in action && /\/\d+$/.test(action.txn.appId));
  expect(Array.isArray(ledger)).toBe(hasOffsets);
  if (!hasOffsets) return 'kept';
  return answer === undefined ? 'counted' : 'answered';
}

function filesSeen(table: Snapshot, version: ToCommit): KindTraits['files'] {
  const { totals } = committedVersion(version).commitInfo ?? {};
  const adds = version.actions.flatMap((action) => ('add' in action ? [action.add] : []));
  const removes = version.actions.flatMap((action) => ('remove' in action ? [action.remove] : []));
  const isPublished = version.actions.some(
    (action) => 'txn' in action && action.txn.appId === publishedAppId(metaData.id),
  );
  if (isPublished) return 'published';
  if (adds.length + removes.length === 0) return 'kept';
  const isChange = [...adds, ...removes].map(({ dataChange }) => dataChange);
  if (removes.length === 0) {
    expect(isChange).not.toContain(false);
    expect(totals).toMatchObject({ rows: rowsOf(adds), files: adds.length });
    return 'appended';
  }
  if (adds.length === 0) {
    expect(isChange).not.toContain(false);
    return 'dropped';
  }
  expect(isChange).not.toContain(true);
  expect(rowsOf(adds)).toBe(rowsOf([...table.files.values()]));
  return 'rewritten';
}

function lettersSeen(info: Readonly<Record<string, unknown>>): KindTraits['letters'] {
  if ('deadLetters' in info) return 'carried';
  return 'retried' in info ? 'retried' : 'none';
}

function rowsOf(adds: readonly Add[]): number {
  return adds.reduce((sum, { stats }) => sum + JSON.parse(stats ?? '{}').numRecords, 0);
}

function retry(): ToCommit {
  const files = [dataFile('retried.parquet', 2)];
  const letters = { topic: 't', kafkaPartition: 0, epoch: 0n, spans: [{ from: 3n, until: 5n }] };
  const plan = {
    ...CHANGE,
    plannedOn: { tableId: metaData.id, tableVersion, epoch: 0n },
    previousRetry: undefined,
    schema: SCHEMA,
    partitionColumns: ['day'],
    retried: [letters],
    filtered: 0,
    files,
  };
  return committed(decideRetry(TABLE, plan, factsFor(files)));
}

function compact(): ToCommit {
  const outputs = [dataFile('compacted.parquet', 3, OLD.partitionValues)];
  const inputs = [{ path: OLD.path, rowCount: 3 }];
  return committed(decideCompaction(TABLE, { ...PLANNED, inputs, outputs }, factsFor(outputs)));
}

function retain(): ToCommit {
  const rule = { column: 'day', unit: 'day', cutOffMs: NOW_MS } as const;
  return committed(decideRetention(TABLE, { ...PLANNED, rule }, factsFor([])));
}

function answer(kind: Repair['answer']): Repair {
  const partition = { kafkaPartition: 0, logStartOffset: 7n, lastStableOffset: 9n, highWatermark: 9n };
  const topic = { topic: 't', identity: undefined, compacted: false, partitions: [partition] };
  const moves = kind === 'skip-lost' ? skipLost(TABLE, [topic]) : withdrawTopic(TABLE, 't');
  const who = { batchId: 'answer', pipeline: 'products', who: 'somebody', reason: 'a test' };
  return { answer: kind, ...who, seen: seenTable(TABLE), ...moves };
}

function publish(): ToCommit {
  const { deadLetters } = committedVersion(DRAIN).commitInfo ?? {};
  const carried = { tableVersion: 0n, previous: undefined, files: deadLetters as Add[] };
  const publication = {
    ...{ pipeline: 'products', mainTableId: metaData.id, published: undefined },
    ...{ target: 0n, ahead: [carried], behind: [] },
  };
  return committed(decidePublication(undefined, publication, factsFor([LETTERS])));
}

function committed(decision: { readonly kind: string }): ToCommit {
  if (decision.kind !== 'commit') throw new Error(`decided ${decision.kind}`);
  return decision as ToCommit;
}
