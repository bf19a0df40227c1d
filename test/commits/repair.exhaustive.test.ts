import { expect, test } from 'vitest';
import { decideCommit } from '../../src/commits/batch.ts';
import { readBatchRecord } from '../../src/commits/batch-record.ts';
import { committedOffsetOf, epochOf, topicIdAppId } from '../../src/commits/pipeline-state.ts';
import { decideRepair, type Repair } from '../../src/commits/repair.ts';
import type { Snapshot } from '../../src/delta/snapshot.ts';
import {
  type Config,
  firstWorld,
  keyOf,
  liveFiles,
  logKey,
  numbers,
  type Product,
  restoredBy,
  rowName,
  stepsOf,
  type Version,
  type World,
} from './repair-world.ts';

/**
 * Every interleaving of drains × people who answer × crashes × lost answers × what happens to topic and
 * table, for small cases. The judge knows each record by its identity, the topic's incarnation and the
 * offset: each is in the table at most once, and none is missing but those that a person gave up. That the
 * search can find anything is shown the other way round, by lying to the decisions.
 */

const FEWER = [[2, 1], [2]] as const;
const base = { ids: true, crashes: 1, lostAnswers: 0, events: [] } as const;

const CONFIGS = {
  accept: {
    ...base,
    name: 'recreated with fewer partitions',
    drains: [3, 2],
    people: 1,
    ends: FEWER,
    events: ['recreate'],
  },
  acceptWithoutIds: {
    ...base,
    name: 'the same without topic ids',
    drains: [3, 2],
    people: 1,
    ids: false,
    ends: FEWER,
    events: ['recreate'],
  },
  twoPeople: {
    ...base,
    name: 'two people accept',
    drains: [3],
    people: 2,
    ends: FEWER,
    crashes: 0,
    lostAnswers: 1,
    events: ['recreate'],
  },
  asMany: {
    ...base,
    name: 'two people accept a topic with as many records',
    drains: [3],
    people: 2,
    ends: [
      [2, 1],
      [2, 1],
    ],
    crashes: 0,
    lostAnswers: 1,
    events: ['recreate'],
  },
  twice: {
    ...base,
    name: 'recreated twice',
    drains: [3],
    people: 2,
    crashes: 0,
    ends: [[2, 1], [1], [2, 2]],
    events: ['recreate', 'recreate'],
  },
  lost: {
    ...base,
    name: 'the beginning is deleted',
    drains: [3, 2],
    people: 1,
    ends: [[2, 1]],
    events: ['expire'],
  },
  restore: { ...base, name: 'RESTORE', drains: [3, 2], people: 1, ends: [[2, 1]], events: ['restore'] },
  restoreTwoPeople: {
    ...base,
    name: 'RESTORE, two people',
    drains: [2],
    people: 2,
    crashes: 0,
    lostAnswers: 1,
    ends: [[2, 1]],
    events: ['restore'],
  },
  restoreTwice: {
    ...base,
    name: 'two RESTOREs',
    drains: [1],
    people: 1,
    crashes: 0,
    ends: [[2, 1]],
    events: ['restore', 'restore', 'append'],
  },
  recreateAndRestore: {
    ...base,
    name: 'recreated, and RESTORE',
    drains: [3],
    people: 1,
    ends: FEWER,
    events: ['recreate', 'restore'],
  },
} satisfies Record<string, Config>;

const PRODUCT: Product = { decideCommit, decideRepair };

test.each(Object.values(CONFIGS))('$name: no interleaving goes wrong', { timeout: 120_000 }, (config) => {
  const { states, found, ends } = explore(config, PRODUCT);
  console.log(`${config.name}: ${states} states, ${[...ends].join(', ')}`);
  expect(found?.join('\n')).toBeUndefined();
  expect(ends).toContain('all of the topic in the table');
});

type Lie = (snapshot: Snapshot, repair: Repair) => Repair;

const LIES = {
  epoch: (snapshot, repair) => ({ ...repair, seen: { ...repair.seen, epoch: epochOf(snapshot) } }),
  id: ({ txns }, repair) => ({
    ...repair,
    topics: repair.topics.map((move) => ({ ...move, before: txns.get(topicIdAppId(move.topic)) })),
  }),
  offsets: (snapshot, repair) => ({
    ...repair,
    moves: repair.moves.map((move) => ({
      ...move,
      before: committedOffsetOf(snapshot, move.topic, move.kafkaPartition),
    })),
  }),
  restore: ({ unrepairedRestore }, repair) => ({ ...repair, seen: { ...repair.seen, unrepairedRestore } }),
} satisfies Record<string, Lie>;

/** As if these were not compared with what the person saw. */
function without(...lies: (keyof typeof LIES)[]): Product {
  return {
    decideCommit,
    decideRepair: (snapshot, repair, facts) =>
      decideRepair(
        snapshot,
        lies.reduce((told, lie) => (snapshot === undefined ? told : LIES[lie](snapshot, told)), repair),
        facts,
      ),
  };
}

const MUTANTS: { name: string; config: Config; product: Product; finds: RegExp }[] = [
  {
    name: 'the epoch in a drain',
    config: CONFIGS.acceptWithoutIds,
    product: {
      ...PRODUCT,
      decideCommit: (snapshot, batch, facts) =>
        decideCommit(
          snapshot,
          { ...batch, plannedOn: { ...batch.plannedOn, epoch: epochOf(snapshot) } },
          facts,
        ),
    },
    finds: /EXTRA|DUPLICATE|LOST/,
  },
  {
    name: 'an epoch that repairs raise',
    config: CONFIGS.acceptWithoutIds,
    product: {
      ...PRODUCT,
      decideRepair: (...args) => {
        const decision = decideRepair(...args);
        if (decision.kind !== 'commit') return decision;
        const actions = decision.actions.filter((a) => !('txn' in a && a.txn.appId === 'tidemark/epoch'));
        return { ...decision, actions };
      },
    },
    finds: /EXTRA|DUPLICATE|LOST/,
  },
  {
    name: 'epoch and topic id in an accept',
    config: CONFIGS.asMany,
    product: without('epoch', 'id'),
    finds: /DUPLICATE|TILING/,
  },
  {
    name: 'epoch, topic id and offsets in an accept',
    config: CONFIGS.twoPeople,
    product: without('epoch', 'id', 'offsets'),
    finds: /DUPLICATE|TILING/,
  },
  {
    name: 'the offsets in a skip',
    config: CONFIGS.lost,
    product: without('offsets'),
    finds: /DUPLICATE|TILING/,
  },
  {
    name: 'epoch, RESTORE and offsets in a restore',
    config: CONFIGS.restoreTwoPeople,
    product: without('epoch', 'restore', 'offsets'),
    finds: /DUPLICATE|TILING|EXTRA/,
  },
  {
    name: 'the look for the own batchId',
    config: CONFIGS.twoPeople,
    product: {
      ...PRODUCT,
      decideRepair: (snapshot, repair, facts) =>
        decideRepair(snapshot, repair, { ...facts, versionsSincePlan: [] }),
    },
    finds: /ANSWER/,
  },
];

test.each(MUTANTS)(
  'without $name, some interleaving goes wrong',
  { timeout: 120_000 },
  ({ config, product, finds }) => {
    expect(explore(config, product).found?.at(-1)).toMatch(finds);
  },
);

test.each(['epoch', 'id'] as const)(
  'in an accept, epoch and topic id cover for each other: without only %s nothing breaks',
  (lie) => {
    expect(explore(CONFIGS.asMany, without(lie)).found).toBeUndefined();
  },
);

/** Breadth first, so that what it finds is shortest: the steps that lead there, and the verdict. */
function explore(config: Config, product: Product) {
  const first = firstWorld(config);
  const verdicts = new Map<string, string | undefined>();
  const judge = (world: World) => {
    const key = logKey(world.log);
    if (!verdicts.has(key)) verdicts.set(key, tableVerdict(world));
    return verdicts.get(key) ?? answerVerdict(world);
  };
  const seen = new Map<string, { label: string; from: string } | undefined>([[keyOf(first), undefined]]);
  const ends = new Set<string>();
  for (let level = [{ from: keyOf(first), world: first }]; level.length > 0; ) {
    const next: typeof level = [];
    for (const { from, world } of level) {
      if (isComplete(config, world)) ends.add('all of the topic in the table');
      for (const { label, world: after } of stepsOf(config, world, product)) {
        const key = keyOf(after);
        if (seen.has(key)) continue;
        seen.set(key, { label, from });
        const problem = judge(after);
        if (problem !== undefined) return { states: seen.size, found: [...pathTo(key, seen), problem], ends };
        next.push({ from: key, world: after });
      }
    }
    level = next;
  }
  return { states: seen.size, found: undefined, ends };
}

function pathTo(
  key: string,
  seen: ReadonlyMap<string, { label: string; from: string } | undefined>,
): string[] {
  const via = seen.get(key);
  return via === undefined ? [] : [...pathTo(via.from, seen), via.label];
}

/** What the table must hold after a version, by the log's own story, told again from its beginning. */
interface Story {
  readonly incarnation: number;
  readonly position: readonly (number | undefined)[];
  readonly rows: ReadonlySet<string>;
}

function tableVerdict({ log, files }: World): string | undefined {
  const stories: Story[] = [];
  for (const [index, version] of log.entries()) {
    const story = tellOn(log, stories, index, version);
    if (typeof story === 'string') return story;
    stories.push(story);
  }
  // Until it is repaired, nobody may build on a RESTORE; then rows and offsets belong together again.
  if (
    log.findLastIndex(({ kind }) => kind === 'restore') > log.findLastIndex(({ kind }) => kind === 'answer')
  ) {
    return undefined;
  }
  return rowVerdict(liveFiles(log), files, stories.at(-1)?.rows ?? new Set());
}

function tellOn(
  log: readonly Version[],
  stories: readonly Story[],
  index: number,
  version: Version,
): Story | string {
  const before = stories.at(-1) ?? {
    incarnation: 0,
    position: [undefined, undefined],
    rows: new Set<string>(),
  };
  const position = [...before.position];
  if (version.kind === 'answer' && version.repair?.answer === 'restore') {
    return (
      stories[
        restoredBy(
          log,
          log.findLastIndex(({ kind }, i) => kind === 'restore' && i < index),
        )
      ] ?? before
    );
  }
  if (version.kind === 'answer') {
    for (const { kafkaPartition, before: start, after, lost } of version.repair?.moves ?? []) {
      if (asNumber(start) !== position[kafkaPartition])
        return `TILING: an answer moves ${kafkaPartition} from ${start}`;
      if (lost !== undefined && lost !== (after ?? 0n) - (start ?? 0n))
        return `LOST: ${lost} offsets do not add up`;
      position[kafkaPartition] = asNumber(after);
    }
    const incarnation =
      version.repair?.answer === 'accept-topic' ? (version.incarnation ?? 0) : before.incarnation;
    return { incarnation, position, rows: before.rows };
  }
  if (version.kind !== 'drain' && version.kind !== 'table') return before;
  if (log[index - 1]?.kind === 'restore') return 'LOST: a batch on a RESTORE';
  const rows = new Set(before.rows);
  for (const { kafkaPartition, startingOffset, readFrom, endingOffset } of ledgerOf(version)) {
    if (asNumber(startingOffset) !== position[kafkaPartition])
      return `TILING: ${kafkaPartition} goes on at ${startingOffset}`;
    for (const offset of numbers(Number(readFrom), Number(endingOffset))) {
      rows.add(rowName(before.incarnation, kafkaPartition, offset));
    }
    position[kafkaPartition] = Number(endingOffset);
  }
  return { incarnation: before.incarnation, position, rows };
}

function ledgerOf({ actions: [first] }: Version) {
  const commitInfo = first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined;
  return readBatchRecord({ tableVersion: 0, commitInfo })?.partitions ?? [];
}

function rowVerdict(
  live: ReadonlySet<string>,
  files: World['files'],
  expected: ReadonlySet<string>,
): string | undefined {
  const seen = new Set<string>();
  for (const row of [...live].flatMap((path) => files.get(path) ?? [])) {
    if (seen.has(row)) return `DUPLICATE: ${row}`;
    if (!expected.has(row)) return `EXTRA: ${row}`;
    seen.add(row);
  }
  const lost = [...expected].find((row) => !seen.has(row));
  return lost === undefined ? undefined : `LOST: ${lost}`;
}

/** Who is told that the table changed under an answer must not find that very answer in the log. */
function answerVerdict({ people, log }: World): string | undefined {
  const committed = log.flatMap(({ repair }) => repair?.batchId ?? []);
  const wrong = people
    .flatMap(({ told }) => told)
    .find((told) => {
      const [batchId = '', kind] = told.split(':');
      return (kind === 'changed') === committed.includes(batchId);
    });
  return wrong === undefined ? undefined : `ANSWER: ${wrong}`;
}

/**
 * After all that could happen, every record of the topic as it is now, and that was not given up, is a row.
 */
function isComplete(
  { ends }: Config,
  { log, files, incarnation, logStart, events, attempts }: World,
): boolean {
  if (events.length > 0 || attempts.length > 0) return false;
  const rows = new Set([...liveFiles(log)].flatMap((path) => files.get(path) ?? []));
  return (ends[incarnation] ?? []).every((end, p) =>
    numbers(Math.min(logStart, end), end).every((offset) => rows.has(rowName(incarnation, p, offset))),
  );
}

function asNumber(offset: bigint | undefined): number | undefined {
  return offset === undefined ? undefined : Number(offset);
}
