/**
 * Promise: each dead letter becomes a row once, whatever two retries do at the same time. Method: the rules
 * one by one at their borders; then every interleaving of two runs x a crash x a lost answer x what others
 * may do, with a naive model as the judge. That the search can find anything is shown by taking each rule
 * away, by lying to the decision.
 */
import { describe, expect, test } from 'vitest';
import { decideCommit } from '../../src/commits/batch.ts';
import type { CommitFacts } from '../../src/commits/facts.ts';
import { lettersFromJson, lettersToJson } from '../../src/commits/letters.ts';
import { newestRetryOf } from '../../src/commits/pipeline-state.ts';
import { decideRetry, type Retry, readRetryRecord } from '../../src/commits/retry.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { dataFile, factsFor, makeBatch, ORIGIN, SCHEMA } from './batches.ts';
import { type Config, initialWorld, type Loop, steps, verdict, type World, worldKey } from './retry-world.ts';

const TABLE = tableSnapshot();

describe('decideRetry', () => {
  test('commits the rows, names the letters, moves no offset', () => {
    const decision = decide(makeRetry());
    expect(decision).toMatchObject({ kind: 'commit', tableVersion: 1 });
    if (decision.kind !== 'commit') return;
    const [first] = decision.actions;
    const txns = decision.actions.flatMap((action) => ('txn' in action ? [action.txn] : []));
    expect(txns).toEqual([{ appId: 'tidemark/retried', version: 1n }]);
    expect(first).toMatchObject({
      commitInfo: {
        tidemark: 'retry',
        batchId: 'retry-1',
        previousRetry: null,
        retried: [{ topic: 't', kafkaPartition: 0, epoch: '0', offsets: '3,5-6' }],
        ...ORIGIN,
        totals: { letters: 3, rows: 2, filtered: 1, files: 1 },
      },
    });
    const after = replay(TABLE, [{ tableVersion: 1, actions: decision.actions }]);
    expect(newestRetryOf(after)).toBe(1n);
    expect(after.txns.get('tidemark/t/0')).toBe(TABLE.txns.get('tidemark/t/0'));
    const commitInfo = first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined;
    expect(readRetryRecord({ tableVersion: 1, commitInfo })).toMatchObject({
      batchId: 'retry-1',
      retried: makeRetry().retried,
      previousRetry: undefined,
    });
  });

  test.each([
    ['the table is gone', {}, undefined, 'fenced'],
    ['another table', { plannedOn: { ...planned(), tableId: 'other' } }, TABLE, 'fenced'],
    ['another epoch', { plannedOn: { ...planned(), epoch: 1n } }, TABLE, 'fenced'],
    ['another pipeline', { pipeline: 'orders' }, TABLE, 'notOurs'],
    ['a RESTORE', {}, { ...TABLE, unrepairedRestore: 0 }, 'restored'],
    ['a retry since the plan', {}, withRetried(0n), 'superseded'],
    ['a repair that withdrew all retries', {}, withRetried(-1n), 'commit'],
    ['a planned retry withdrawn', { previousRetry: 0n }, withRetried(-1n), 'superseded'],
    [
      'a column that cannot be added',
      { schema: parseDdl('id BIGINT NOT NULL, day STRING, n INT NOT NULL') },
      TABLE,
      'schemaMismatch',
    ],
    ['a row more than letters', { filtered: 2 }, TABLE, 'accountingMismatch'],
    ['a letter more than rows', { filtered: 0 }, TABLE, 'accountingMismatch'],
    [
      'letters named twice',
      {
        retried: [
          {
            ...spans(),
            spans: [
              { from: 3n, until: 5n },
              { from: 4n, until: 5n },
            ],
          },
        ],
      },
      TABLE,
      'accountingMismatch',
    ],
    ['no letter', { retried: [], files: [], filtered: 0 }, TABLE, 'accountingMismatch'],
    ['only filtered letters', { files: [], filtered: 3 }, TABLE, 'commit'],
  ] as const)('%s: %s', (_, changes: Partial<Retry>, snapshot, kind) => {
    const retry = { ...makeRetry(), ...changes };
    expect(decideRetry(snapshot, retry, factsFor(retry.files)).kind).toBe(kind);
  });

  test('files that are gone or too old are written again', () => {
    const gone = decideRetry(TABLE, makeRetry(), factsFor([]));
    expect(gone.kind).toBe('expired');
  });

  test('a new nullable column comes with the rows that have it', () => {
    const schema = parseDdl('id BIGINT NOT NULL, day STRING, n INT');
    const decision = decide({ ...makeRetry(), schema });
    expect(decision).toMatchObject({ kind: 'commit' });
    expect(JSON.stringify(decision, (_, v) => (typeof v === 'bigint' ? String(v) : v))).toContain('metaData');
  });

  test('letters survive JSON', () => {
    const letters = [
      {
        topic: 'a-b',
        kafkaPartition: 7,
        epoch: 2n,
        spans: [
          { from: 0n, until: 1n },
          { from: 2n ** 60n, until: 2n ** 60n + 9n },
        ],
      },
    ];
    expect(lettersFromJson(JSON.parse(JSON.stringify(lettersToJson(letters))))).toEqual(letters);
  });
});

const WHOLE = [[0, 1, 2, 3]] as const;
const HALVES = [
  [0, 1],
  [2, 3],
] as const;
const base = { crashes: 1, lostAnswers: 1, events: [] } as const;
const CONFIGS = {
  same: { ...base, name: 'two runs, the same batches', runs: [HALVES, HALVES], events: ['append'] },
  overlapping: { ...base, name: 'two runs, other batches', runs: [WHOLE, HALVES] },
  restored: {
    ...base,
    name: 'RESTORE and its repair',
    runs: [WHOLE, HALVES],
    lostAnswers: 0,
    events: ['restore', 'repair', 'again'],
  },
} satisfies Record<string, Config>;

const PRODUCT: Loop = { decide: decideRetry, decidesAgain: true };

test.each(Object.values(CONFIGS))('$name: no interleaving goes wrong', { timeout: 60_000 }, (config) => {
  const { states, found } = explore(config, PRODUCT);
  console.log(`${config.name}: ${states} states`);
  expect(found?.join('\n')).toBeUndefined();
  expect(states).toBeGreaterThan(500);
});

type Lie = (...truth: Parameters<typeof decideRetry>) => Parameters<typeof decideRetry>;
const LIES = {
  newestRetry: (s, r, f) => [s, { ...r, previousRetry: s && newestRetryOf(s) }, f],
  batchId: (s, r, f) => [s, r, without(f, r.batchId)],
  epoch: (s, r, f) => [
    s,
    { ...r, plannedOn: { ...r.plannedOn, epoch: s?.txns.get('tidemark/epoch') ?? 0n } },
    f,
  ],
  /** That one stands unrepaired is seen. */
  restoreSincePlan: (s, r, f) => [
    s,
    r,
    { ...f, versionsSincePlan: f.versionsSincePlan.filter((v) => v.commitInfo?.operation !== 'RESTORE') },
  ],
  unrepairedRestore: (s, r, f) => [s && { ...s, unrepairedRestore: undefined }, r, f],
} satisfies Record<string, Lie>;

test.each([
  ['the newest retry is not compared', CONFIGS.overlapping, ['newestRetry'], /DUPLICATE/],
  ['an own version is not looked for', CONFIGS.same, ['batchId'], /RECEIPT/],
  ['neither', CONFIGS.same, ['batchId', 'newestRetry'], /DUPLICATE/],
  [
    'the epoch is not compared, nor a RESTORE since the plan noticed',
    CONFIGS.restored,
    ['epoch', 'restoreSincePlan'],
    /DUPLICATE/,
  ],
  ['a RESTORE is not noticed', CONFIGS.restored, ['restoreSincePlan', 'unrepairedRestore'], /OPEN/],
] as const)('where %s, some interleaving goes wrong', { timeout: 60_000 }, (_, config, lies, finds) => {
  const decide: typeof decideRetry = (...truth) => {
    let told = truth;
    for (const lie of lies) told = LIES[lie](...told);
    return decideRetry(...told);
  };
  expect(explore(config, { ...PRODUCT, decide }).found?.at(-1)).toMatch(finds);
});

test('where a lost race puts the same again, some interleaving goes wrong', { timeout: 60_000 }, () => {
  expect(explore(CONFIGS.same, { ...PRODUCT, decidesAgain: false }).found?.at(-1)).toMatch(/DUPLICATE/);
});

function without(facts: CommitFacts, batchId: string): CommitFacts {
  const others = facts.versionsSincePlan.filter(({ commitInfo }) => commitInfo?.batchId !== batchId);
  return { ...facts, versionsSincePlan: others };
}

/** Breadth first, so that what it finds is shortest: the steps that lead there, and the verdict. */
function explore(config: Config, loop: Loop): { states: number; found: string[] | undefined } {
  const first = initialWorld(config);
  const seen = new Set([worldKey(first)]);
  for (let level: { path: string[]; world: World }[] = [{ path: [], world: first }]; level.length > 0; ) {
    const next: typeof level = [];
    for (const { path, world } of level) {
      for (const { label, world: after } of steps(config, world, loop)) {
        const key = worldKey(after);
        if (seen.has(key)) continue;
        seen.add(key);
        const problem = verdict(config, after);
        if (problem !== undefined) return { states: seen.size, found: [...path, label, problem] };
        next.push({ path: [...path, label], world: after });
      }
    }
    level = next;
  }
  return { states: seen.size, found: undefined };
}

function tableSnapshot(): Snapshot {
  const batch = makeBatch();
  const decision = decideCommit(undefined, batch, factsFor(batch.files));
  if (decision.kind !== 'commit') throw new Error(decision.kind);
  return replay(undefined, [{ tableVersion: 0, actions: decision.actions }]);
}

function withRetried(version: bigint): Snapshot {
  return { ...TABLE, txns: new Map([...TABLE.txns, ['tidemark/retried', version]]) };
}

function planned(): Retry['plannedOn'] {
  return { tableId: TABLE.metaData.id, tableVersion: 0, epoch: 0n };
}

function spans() {
  return {
    topic: 't',
    kafkaPartition: 0,
    epoch: 0n,
    spans: [
      { from: 3n, until: 4n },
      { from: 5n, until: 7n },
    ],
  };
}

function makeRetry(): Retry {
  return {
    batchId: 'retry-1',
    pipeline: 'products',
    run: 'retry-products.1',
    origin: ORIGIN,
    plannedOn: planned(),
    previousRetry: undefined,
    schema: SCHEMA,
    partitionColumns: [],
    retried: [spans()],
    filtered: 1,
    files: [dataFile('retry-1.parquet', 2)],
  };
}

function decide(retry: Retry, snapshot: Snapshot | undefined = TABLE) {
  return decideRetry(snapshot, retry, factsFor(retry.files));
}
