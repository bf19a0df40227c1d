import { expect, test } from 'vitest';
import { type BatchPartition, decideCommit } from '../../src/commits/batch.ts';
import type { CommitFacts } from '../../src/commits/facts.ts';
import { epochOf, offsetAppId, topicIdAppId } from '../../src/commits/pipeline-state.ts';
import { decidePublication } from '../../src/commits/publication.ts';
import type { Snapshot } from '../../src/delta/snapshot.ts';
import { toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { judgeOf } from './commit-judge.ts';
import { type Config, initialWorld, type Loop, steps, worldKey } from './commit-world.ts';

/**
 * Every interleaving of two writers × crashes × lost answers × two partitions, for small cases, with a naive
 * model as the judge. That the search can find anything is shown the other way round: with each rule taken
 * away, it must find what that rule prevents. The rules are taken away here, by lying to the decision; the
 * product has no such switch.
 */

const BOTH = [
  { goal: [2, 1], limit: 3 },
  { goal: [2, 1], limit: 1 },
] as const;
const COARSE = [
  { goal: [2, 1], limit: 3 },
  { goal: [2, 1], limit: 2 },
] as const;
const APART = [
  { goal: [2, 0], limit: 2 },
  { goal: [0, 1], limit: 1 },
] as const;
/** `EXHAUSTIVE=more` tries another crash and lost answer each: minutes instead of seconds. */
const more = process.env.EXHAUSTIVE === 'more' ? 1 : 0;
const base = { table: true, ids: true, crashes: 1 + more, lostAnswers: more, events: [] } as const;

const CONFIGS = {
  twoWriters: { ...base, name: 'two writers', writers: BOTH, lostAnswers: 1 + more, events: ['append'] },
  creation: {
    ...base,
    name: 'two writers create the table',
    writers: BOTH,
    lostAnswers: 1 + more,
    table: false,
  },
  recreation: { ...base, name: 'topic recreated and accepted', writers: COARSE, events: ['accept'] },
  recreationWithoutIds: {
    ...base,
    name: 'the same without topic ids',
    writers: COARSE,
    ids: false,
    events: ['accept'],
  },
  restore: { ...base, name: 'RESTORE', writers: COARSE, lostAnswers: 1 + more, events: ['restore'] },
  vacuum: { ...base, name: 'vacuum', writers: COARSE, events: ['vacuum'] },
  foreignVacuum: { ...base, name: 'VACUUM by others', writers: COARSE, events: ['foreignVacuum'] },
  drop: {
    ...base,
    name: 'table dropped, made again',
    writers: APART,
    lostAnswers: 1 + more,
    events: ['drop'],
  },
  alter: { ...base, name: 'a column dropped', writers: COARSE, events: ['alter'] },
  lettersWithCrash: { ...base, name: 'dead letters, a crash', writers: COARSE, letters: true },
  lettersWithLostAnswer: {
    ...base,
    name: 'dead letters, a lost answer',
    writers: COARSE,
    letters: true,
    crashes: more,
    lostAnswers: 1 + more,
  },
  miscount: { ...base, name: 'an offset miscounted', writers: COARSE, miscounts: true },
} satisfies Record<string, Config>;

const PRODUCT: Loop = {
  decide: decideCommit,
  decidePublication,
  decidesAgain: true,
  readsBack: true,
  publisherDecidesAgain: true,
  publisherReadsBack: true,
  follows: 'all',
  publishes: 'always',
};

test.each(Object.values(CONFIGS))('$name: no interleaving goes wrong', { timeout: 120_000 }, (config) => {
  const { states, found } = explore(config, PRODUCT);
  console.log(`${config.name}: ${states} states`);
  expect(found?.join('\n')).toBeUndefined();
  expect(states).toBeGreaterThan(5);
});

type Lie = (
  snapshot: Snapshot | undefined,
  batch: Parameters<typeof decideCommit>[1],
  facts: CommitFacts,
) => Parameters<typeof decideCommit>;

const LIES = {
  /** The table is the plan's. */
  tableId: (s, b, f) => [
    s,
    b.plannedOn.tableId === undefined ? b : { ...b, plannedOn: { ...b.plannedOn, tableId: s?.metaData.id } },
    f,
  ],
  /** The epoch is the plan's. */
  epoch: (s, b, f) => [s, { ...b, plannedOn: { ...b.plannedOn, epoch: epochOf(s) } }, f],
  /** There was no RESTORE. */
  restore: (s, b, f) => [
    s && { ...s, unrepairedRestore: undefined },
    b,
    { ...f, versionsSincePlan: f.versionsSincePlan.filter((v) => v.commitInfo?.operation !== 'RESTORE') },
  ],
  /** No version holds this batch. */
  batchId: (s, b, f) => [
    s,
    b,
    { ...f, versionsSincePlan: f.versionsSincePlan.filter((v) => v.commitInfo?.batchId !== b.batchId) },
  ],
  /** Rule 2 looks at the newest version only. */
  newestOnly: (s, b, f) => [s, b, { ...f, versionsSincePlan: f.versionsSincePlan.slice(-1) }],
  /** Every offset is where the plan saw it. */
  offsets: (s, b, f) => [
    withTxns(
      s,
      b.partitions.map((p) => [offsetAppId(p.topic, p.kafkaPartition), p.startingOffset]),
    ),
    b,
    f,
  ],
  /** A planned "absent" fits any offset. */
  absent: (s, b, f) => [
    withTxns(
      s,
      b.partitions
        .filter((p) => p.startingOffset === undefined)
        .map((p) => [offsetAppId(p.topic, p.kafkaPartition), undefined]),
    ),
    { ...b, plannedOn: { ...b.plannedOn, tableId: s?.metaData.id } },
    f,
  ],
  /** The table knows no topic ids. */
  topicIds: (s, b, f) => [
    withTxns(
      s,
      b.topics.map(({ topic }) => [topicIdAppId(topic), undefined]),
    ),
    b,
    f,
  ],
  /** All files are there, fresh, and no vacuum ever was. */
  files: (s, b, f) => [
    withTxns(s, [['tidemark/vacuum', undefined]]),
    b,
    {
      ...f,
      fileStats: new Map(
        b.files.map((file) => [file.path, { sizeBytes: file.sizeBytes, modifiedMs: f.nowMs }]),
      ),
    },
  ],
  /** No vacuum ever was. */
  vacuumed: (s, b, f) => [withTxns(s, [['tidemark/vacuum', undefined]]), b, f],
  /** All files that exist are young. */
  age: (s, b, f) => [
    s,
    b,
    {
      ...f,
      fileStats: new Map([...f.fileStats].map(([path, stat]) => [path, { ...stat, modifiedMs: f.nowMs }])),
    },
  ],
  /** The table has the batch's columns. */
  schema: (s, b, f) => [
    s && { ...s, metaData: { ...s.metaData, schemaString: toDeltaSchemaString(b.schema) } },
    b,
    f,
  ],
  /** What is missing were gaps. */
  accounting: (s, b, f) => [s, { ...b, partitions: b.partitions.map(fillUp) }, f],
} satisfies Record<string, Lie>;

const MUTANTS: { name: string; config: Config; loop: Loop; finds: RegExp }[] = [
  mutant('rule 1, table id', CONFIGS.drop, ['tableId'], /RECEIPT/),
  mutant('rule 1, table id, and rule 4', CONFIGS.drop, ['tableId', 'files'], /MISSING/),
  mutant(
    'rule 1, epoch (brokers without ids)',
    CONFIGS.recreationWithoutIds,
    ['epoch'],
    /LOST|EXTRA|DUPLICATE/,
  ),
  mutant(
    'rule 1, epoch and rule 3, topic ids',
    CONFIGS.recreation,
    ['epoch', 'topicIds'],
    /LOST|EXTRA|DUPLICATE/,
  ),
  mutant('rule 1, RESTORE', CONFIGS.restore, ['restore'], /LOST/),
  mutant('rule 2', CONFIGS.twoWriters, ['batchId'], /RECEIPT/),
  mutant('rule 2, newest version only', CONFIGS.twoWriters, ['newestOnly'], /RECEIPT/),
  mutant('rule 3', CONFIGS.twoWriters, ['offsets'], /TILING|DUPLICATE/),
  mutant('rules 2 and 3', CONFIGS.twoWriters, ['batchId', 'offsets'], /TILING|DUPLICATE/),
  mutant('rule 3, absent fits any', CONFIGS.creation, ['absent'], /TILING|DUPLICATE/),
  mutant('rule 4, newer than the vacuum', CONFIGS.vacuum, ['vacuumed'], /MISSING/),
  mutant('rule 4, younger than 6 days', CONFIGS.foreignVacuum, ['age'], /MISSING/),
  mutant('rule 4', CONFIGS.vacuum, ['files'], /MISSING/),
  mutant('rule 5', CONFIGS.alter, ['schema'], /SCHEMA/),
  mutant('rule 6', CONFIGS.miscount, ['accounting'], /ACCOUNTING/),
  {
    name: 'a lost race puts the same again',
    config: CONFIGS.twoWriters,
    loop: { ...PRODUCT, decidesAgain: false },
    finds: /TILING|DUPLICATE/,
  },
  {
    name: 'a lost answer puts the same again',
    config: CONFIGS.twoWriters,
    loop: { ...PRODUCT, readsBack: false },
    finds: /TILING|DUPLICATE/,
  },
  {
    name: 'the order: letters after their commit',
    config: CONFIGS.lettersWithCrash,
    loop: { ...PRODUCT, publishes: 'before its commit' },
    finds: /LEADS/,
  },
  {
    name: 'publishing before the plan',
    config: CONFIGS.lettersWithCrash,
    loop: { ...PRODUCT, publishes: 'never' },
    finds: /UNPUBLISHED/,
  },
  {
    name: 'all versions that carry letters, to the published one',
    config: CONFIGS.lettersWithCrash,
    loop: { ...PRODUCT, follows: 'newest' },
    finds: /UNPUBLISHED/,
  },
  {
    name: 'the published version, and a look at the files that are there',
    config: CONFIGS.lettersWithCrash,
    loop: {
      ...PRODUCT,
      follows: 'all, ever',
      decidePublication: (snapshot, publication, facts) =>
        decidePublication(withoutPast(snapshot), { ...publication, published: undefined }, facts),
    },
    finds: /TWICE/,
  },
  {
    name: 'a new decision after another publisher was first',
    config: CONFIGS.lettersWithCrash,
    loop: { ...PRODUCT, publisherDecidesAgain: false },
    finds: /TWICE/,
  },
  {
    name: 'reading back a publication whose answer was lost',
    config: CONFIGS.lettersWithLostAnswer,
    loop: { ...PRODUCT, publisherReadsBack: false },
    finds: /TWICE/,
  },
];

test.each(MUTANTS)(
  'without $name, some interleaving goes wrong',
  { timeout: 120_000 },
  ({ config, loop, finds }) => {
    const { found } = explore(config, loop);
    expect(found?.at(-1)).toMatch(finds);
  },
);

test('epoch and topic ids cover for each other: without only the ids nothing breaks', {
  timeout: 120_000,
}, () => {
  expect(explore(CONFIGS.recreation, without(['topicIds'])).found).toBeUndefined();
});

function mutant(name: string, config: Config, lies: (keyof typeof LIES)[], finds: RegExp) {
  return { name, config, loop: without(lies), finds };
}

/** The product, lied to: as if the rules behind `lies` were not there. */
function without(lies: (keyof typeof LIES)[]): Loop {
  const decide: typeof decideCommit = (...truth) => {
    let told = truth;
    for (const lie of lies) told = LIES[lie](...told);
    return decideCommit(...told);
  };
  return { ...PRODUCT, decide };
}

function withoutPast(snapshot: Snapshot | undefined): Snapshot | undefined {
  return snapshot && { ...snapshot, txns: new Map(), files: new Map() };
}

function withTxns(
  snapshot: Snapshot | undefined,
  changes: readonly (readonly [string, bigint | undefined])[],
): Snapshot | undefined {
  if (snapshot === undefined) return undefined;
  const txns = new Map(snapshot.txns);
  for (const [appId, version] of changes) {
    if (version === undefined) txns.delete(appId);
    else txns.set(appId, version);
  }
  return { ...snapshot, txns };
}

function fillUp(entry: BatchPartition): BatchPartition {
  const offsets = Number(entry.endingOffset - (entry.startingOffset ?? entry.readFrom));
  return { ...entry, accounting: { ...entry.accounting, gaps: offsets - entry.accounting.rows } };
}

/** Breadth first, so that what it finds is shortest: the steps that lead there, and the verdict. */
function explore(config: Config, loop: Loop): { states: number; found: string[] | undefined } {
  const first = initialWorld(config);
  const judge = judgeOf(config.writers.map(({ goal }) => goal));
  const seen = new Map<string, { readonly label: string; readonly from: string } | undefined>([
    [worldKey(first), undefined],
  ]);
  for (let level = [{ from: worldKey(first), world: first }]; level.length > 0; ) {
    const next: typeof level = [];
    for (const { from, world } of level) {
      for (const step of steps(config, world, loop)) {
        const key = worldKey(step.world);
        if (seen.has(key)) continue;
        seen.set(key, { label: step.label, from });
        const problem = judge(step.world);
        if (problem !== undefined) return { states: seen.size, found: [...pathTo(key, seen), problem] };
        next.push({ from: key, world: step.world });
      }
    }
    level = next;
  }
  return { states: seen.size, found: undefined };
}

function pathTo(
  key: string,
  seen: ReadonlyMap<string, { label: string; from: string } | undefined>,
): string[] {
  const via = seen.get(key);
  return via === undefined ? [] : [...pathTo(via.from, seen), via.label];
}
