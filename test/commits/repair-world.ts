import type { Batch, decideCommit } from '../../src/commits/batch.ts';
import { ledgerToJson } from '../../src/commits/batch-record.ts';
import {
  committedOffsetOf,
  epochOf,
  offsetAppId,
  PIPELINE_PROPERTY,
  topicIdAppId,
  topicIdHash,
} from '../../src/commits/pipeline-state.ts';
import type { decideRepair, Repair } from '../../src/commits/repair.ts';
import { type Action, decodePath } from '../../src/delta/actions.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import type { ToCommit } from '../../src/delta/version.ts';
import type { TopicDescription } from '../../src/kafka/source.ts';
import { toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { acceptTopic, restoreOffsets, seenTable, skipLost, topicChange } from '../../src/repair/answers.ts';
import { dataFile, makeBatch, NOW_MS, range, SCHEMA } from './batches.ts';

/**
 * A small world around `decideRepair`: one table, one topic that is deleted and made again, loses its
 * beginning, or whose rows are restored away; drains that read it, and people who look at what is wrong and
 * answer. `stepsOf` names every possible next step. A step is what nothing can come between: one look, one
 * decision, one put.
 */
export interface Config {
  readonly name: string;
  /** How many offsets a batch of each drain holds at most. */
  readonly drains: readonly number[];
  readonly people: number;
  /** Whether brokers tell topic ids. */
  readonly ids: boolean;
  /** Log ends per partition, by the topic's incarnation. */
  readonly ends: readonly (readonly number[])[];
  readonly crashes: number;
  readonly lostAnswers: number;
  readonly events: readonly EventName[];
}

export type EventName = 'recreate' | 'expire' | 'restore' | 'append';

/** The decisions under test; a mutant lies to them. */
export interface Product {
  readonly decideCommit: typeof decideCommit;
  readonly decideRepair: typeof decideRepair;
}

export interface World {
  readonly log: readonly Version[];
  /** Rows of each file, by the record that each is: `incarnation/partition/offset`. */
  readonly files: ReadonlyMap<string, readonly string[]>;
  readonly incarnation: number;
  readonly logStart: number;
  readonly drains: readonly {
    readonly state: 'planning' | 'committing' | 'ended';
    readonly batches: number;
  }[];
  readonly people: readonly Person[];
  readonly attempts: readonly Attempt[];
  readonly crashes: number;
  readonly lostAnswers: number;
  readonly events: readonly EventName[];
}

export interface Version {
  readonly id: string;
  readonly kind: 'table' | 'drain' | 'answer' | 'restore' | 'append';
  readonly actions: readonly Action[];
  readonly batch?: Batch;
  /** Of an answer, and of the topic that its person saw. */
  readonly repair?: Repair;
  readonly incarnation?: number;
  /** Of a RESTORE. */
  readonly restored?: number;
}

export interface Person {
  readonly state: 'looking' | 'answering' | 'ended';
  readonly answers: number;
  /** What was told of each answer. */
  readonly told: readonly string[];
}

interface Attempt {
  readonly actor: number;
  readonly zombie: boolean;
  readonly what:
    | { readonly kind: 'drain'; readonly batch: Batch }
    | { readonly kind: 'answer'; readonly repair: Repair; readonly incarnation: number };
  /** Undefined: it decides next. */
  readonly toPut: ToCommit | undefined;
}

export interface Step {
  readonly label: string;
  readonly world: World;
}

export function firstWorld({ drains, people, ids, crashes, lostAnswers, events }: Config): World {
  snapshots.clear();
  return {
    log: [emptyTable(ids)],
    files: new Map(),
    incarnation: 0,
    logStart: 0,
    drains: drains.map(() => ({ state: 'planning', batches: 0 })),
    people: Array.from({ length: people }, () => ({ state: 'looking', answers: 0, told: [] })),
    attempts: [],
    crashes,
    lostAnswers,
    events,
  };
}

export function keyOf({ attempts, log, drains, people, ...world }: World): string {
  const under = attempts.map(({ actor, zombie, what, toPut }) =>
    [what.kind, actor, zombie, idOf(what), toPut?.tableVersion].join(),
  );
  const { incarnation, logStart, crashes, lostAnswers, events } = world;
  const actors = [
    ...drains.map((d) => [d.state, d.batches]),
    ...people.map((p) => [p.state, p.answers, p.told]),
  ];
  return [
    logKey(log),
    under.sort().join(' '),
    actors.map(String).join(' '),
    [incarnation, logStart, crashes, lostAnswers, events].join('/'),
  ].join('|');
}

/** The same name is the same content, in one search: both follow from the version that they were made on. */
function idOf(what: Attempt['what']): string {
  if (what.kind === 'answer')
    return `${what.repair.batchId}@${what.repair.seen.tableVersion}/${what.incarnation}`;
  return `${what.batch.batchId}@${what.batch.plannedOn.tableVersion}`;
}

export function logKey(log: readonly Version[]): string {
  return log.map(({ id }) => id).join(' ');
}

const snapshots = new Map<string, Snapshot>();

export function snapshotOf(log: readonly Version[]): Snapshot {
  const key = logKey(log);
  const known = snapshots.get(key);
  if (known !== undefined) return known;
  const last = log.length - 1;
  const base = last === 0 ? undefined : snapshotOf(log.slice(0, last));
  const snapshot = replay(base, [{ tableVersion: last, actions: log[last]?.actions ?? [] }]);
  snapshots.set(key, snapshot);
  return snapshot;
}

export function stepsOf(config: Config, world: World, product: Product): Step[] {
  return [
    ...world.drains.flatMap(({ state }, index) => (state === 'planning' ? [plan(config, world, index)] : [])),
    ...world.people.flatMap(({ state }, index) => (state === 'looking' ? [look(config, world, index)] : [])),
    ...world.attempts.flatMap((attempt, index) => attemptSteps(world, attempt, index, product)),
    ...world.attempts.flatMap((attempt, index) => crashSteps(world, attempt, index)),
    ...[...new Set(world.events)].flatMap((name) => eventSteps(config, world, name)),
  ];
}

/**
 * Plans and writes: a write that a recreation comes between asks for the topic's id afterwards, and is thrown
 * away.
 */
function plan(config: Config, world: World, index: number): Step {
  const snapshot = snapshotOf(world.log);
  const label = `drain ${index} plans on ${snapshot.tableVersion}`;
  const topic = topicNow(config, world);
  const batch = planBatch(config, world, index);
  if (
    snapshot.unrepairedRestore !== undefined ||
    topicChange(snapshot, topic) !== 'same' ||
    batch === undefined
  ) {
    return { label, world: withDrain(world, index, 'ended') };
  }
  const files = new Map(world.files);
  for (const { path } of batch.files) {
    const rows = batch.partitions.flatMap(({ kafkaPartition, readFrom, endingOffset }) =>
      numbers(Number(readFrom), Number(endingOffset)).map((o) =>
        rowName(world.incarnation, kafkaPartition, o),
      ),
    );
    files.set(path, rows);
  }
  const what = { kind: 'drain', batch } as const;
  const attempts = [...world.attempts, { actor: index, zombie: false, what, toPut: undefined }];
  return { label, world: { ...withDrain(world, index, 'committing'), files, attempts } };
}

function planBatch(config: Config, world: World, index: number): Batch | undefined {
  const snapshot = snapshotOf(world.log);
  let left = config.drains[index] ?? 0;
  const partitions = (config.ends[world.incarnation] ?? []).flatMap((end, kafkaPartition) => {
    const start = committedOffsetOf(snapshot, 't', kafkaPartition);
    if (Number(start ?? 0) < world.logStart) left = Number.NEGATIVE_INFINITY; // failOnDataLoss
    const take = Math.min(left, end - Number(start ?? 0));
    left -= Math.max(0, take);
    return take > 0 || start === undefined
      ? [range(kafkaPartition, start, (start ?? 0n) + BigInt(Math.max(0, take)))]
      : [];
  });
  if (partitions.length === 0 || left < 0) return undefined;
  const batchId = `d${index}b${world.drains[index]?.batches}`;
  const rowCount = partitions.reduce((sum, { accounting }) => sum + accounting.rows, 0);
  const { tableVersion, metaData } = snapshot;
  return {
    ...makeBatch(),
    batchId,
    plannedOn: { tableId: metaData.id, tableVersion, epoch: epochOf(snapshot) },
    topics: [topicNow(config, world)],
    partitions,
    files: rowCount === 0 ? [] : [dataFile(`${batchId}@${logKey(world.log)}`.replaceAll(' ', '_'), rowCount)],
  };
}

/** Sees what is wrong, and answers the first of it. */
function look(config: Config, world: World, index: number): Step {
  const label = `person ${index} looks at ${world.log.length - 1}`;
  const answered = answerTo(config, world);
  const person = world.people[index];
  if (answered === undefined || person === undefined || person.answers === 2) {
    return { label, world: withPerson(world, index, { state: 'ended' }) };
  }
  const repair: Repair = {
    batchId: `p${index}a${person.answers}`,
    pipeline: 'products',
    who: 'somebody',
    reason: '',
    seen: seenTable(snapshotOf(world.log)),
    ...answered,
  };
  const what = { kind: 'answer', repair, incarnation: world.incarnation } as const;
  const attempts = [...world.attempts, { actor: index, zombie: false, what, toPut: undefined }];
  const answering = withPerson(world, index, { state: 'answering', answers: person.answers + 1 });
  return { label: `${label}: ${repair.answer}`, world: { ...answering, attempts } };
}

function answerTo(
  config: Config,
  world: World,
): Pick<Repair, 'answer' | 'moves' | 'topics' | 'markers' | 'restored'> | undefined {
  const snapshot = snapshotOf(world.log);
  const topic = topicNow(config, world);
  if (snapshot.unrepairedRestore !== undefined) {
    const version = restoredBy(world.log, snapshot.unrepairedRestore);
    const restored = snapshotOf(world.log.slice(0, version + 1));
    return { answer: 'restore', ...restoreOffsets(snapshot, restored) };
  }
  if (topicChange(snapshot, topic) !== 'same') {
    const read = new Set(topic.partitions.map(({ kafkaPartition }) => kafkaPartition));
    return { answer: 'accept-topic', ...acceptTopic(snapshot, topic, read, 'earliest', 'read_committed') };
  }
  const skip = skipLost(snapshot, [topic]);
  return skip.moves.length === 0 ? undefined : { answer: 'skip-lost', ...skip };
}

/** A restored version may itself stand on a RESTORE that nobody repaired. */
export function restoredBy(log: readonly Version[], restore: number): number {
  const version = log[restore]?.restored ?? 0;
  const before = snapshotOf(log.slice(0, version + 1)).unrepairedRestore;
  return before === undefined ? version : restoredBy(log, before);
}

function attemptSteps(world: World, attempt: Attempt, index: number, product: Product): Step[] {
  const name = `${attempt.zombie ? 'zombie' : 'attempt'} of ${idOf(attempt.what)}`;
  if (attempt.toPut !== undefined) return putSteps(world, attempt, attempt.toPut, index, name);
  const decision = decide(world, attempt.what, product);
  const label = `${name} decides: ${decision.kind}`;
  if (decision.kind === 'commit') {
    return [
      {
        label,
        world: { ...world, attempts: world.attempts.toSpliced(index, 1, { ...attempt, toPut: decision }) },
      },
    ];
  }
  return [{ label, world: tell(world, attempt, index, decision.kind) }];
}

function decide(world: World, what: Attempt['what'], product: Product) {
  const snapshot = snapshotOf(world.log);
  const since = what.kind === 'drain' ? what.batch.plannedOn.tableVersion : what.repair.seen.tableVersion;
  const versions = world.log.map(({ actions: [first] }, tableVersion) => ({
    tableVersion,
    commitInfo: first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined,
  }));
  const facts = {
    nowMs: NOW_MS,
    txnId: 'txn',
    newTableId: 'none',
    versionsSincePlan: versions.slice(since + 1),
    fileStats: new Map(
      what.kind === 'drain'
        ? what.batch.files.map(({ path, sizeBytes }) => [path, { sizeBytes, modifiedMs: NOW_MS - 1 }])
        : [],
    ),
    letterStats: new Map(),
  };
  return what.kind === 'drain'
    ? product.decideCommit(snapshot, what.batch, facts)
    : product.decideRepair(snapshot, what.repair, facts);
}

function putSteps(world: World, attempt: Attempt, toPut: ToCommit, index: number, name: string): Step[] {
  const label = `${name} puts ${toPut.tableVersion}`;
  const again = (on: World, lost: number): World => ({
    ...on,
    lostAnswers: on.lostAnswers - lost,
    attempts: on.attempts.toSpliced(index, 1, { ...attempt, toPut: undefined }),
  });
  if (toPut.tableVersion < world.log.length) return [{ label: `${label}: exists`, world: again(world, 0) }];
  const { what } = attempt;
  const version: Version =
    what.kind === 'drain'
      ? { id: idOf(what), kind: 'drain', actions: toPut.actions, batch: what.batch }
      : {
          id: idOf(what),
          kind: 'answer',
          actions: toPut.actions,
          repair: what.repair,
          incarnation: what.incarnation,
        };
  const created = { ...world, log: [...world.log, version] };
  return [
    { label: `${label}: created`, world: tell(created, attempt, index, 'committed') },
    ...(world.lostAnswers === 0
      ? []
      : [
          { label: `${label}: created, answer lost`, world: again(created, 1) },
          { label: `${label}: failed`, world: again(world, 1) },
        ]),
  ];
}

/**
 * A drain that is superseded plans again, one that is refused ends. A person looks again, whatever was told.
 */
function tell(world: World, attempt: Attempt, index: number, kind: string): World {
  const without = { ...world, attempts: world.attempts.toSpliced(index, 1) };
  if (attempt.zombie) return without;
  if (attempt.what.kind === 'drain') {
    const goesOn = ['committed', 'alreadyCommitted', 'superseded'].includes(kind);
    const drain = world.drains[attempt.actor];
    const state = goesOn && (drain?.batches ?? 0) < 3 ? 'planning' : 'ended';
    return withDrain(without, attempt.actor, state);
  }
  const told = [...(world.people[attempt.actor]?.told ?? []), `${attempt.what.repair.batchId}:${kind}`];
  return withPerson(without, attempt.actor, { state: 'looking', told });
}

/**
 * The old attempt may go on at any time, or never; its actor begins again: the drain's with the same batch.
 */
function crashSteps(world: World, attempt: Attempt, index: number): Step[] {
  if (world.crashes === 0 || attempt.zombie) return [];
  const attempts = world.attempts.toSpliced(index, 1, { ...attempt, zombie: true });
  const crashed = { ...world, crashes: world.crashes - 1, attempts };
  const label = `${attempt.what.kind} ${attempt.actor} crashes`;
  if (attempt.what.kind === 'answer')
    return [{ label, world: withPerson(crashed, attempt.actor, { state: 'looking' }) }];
  return [{ label, world: { ...crashed, attempts: [...attempts, { ...attempt, toPut: undefined }] } }];
}

function eventSteps(config: Config, world: World, name: EventName): Step[] {
  const rest = { ...world, events: world.events.toSpliced(world.events.indexOf(name), 1) };
  const append = (version: Version): World => ({ ...rest, log: [...rest.log, version] });
  // Drains come back after what happened, as scheduled ones do.
  const revived = (on: World): World => ({
    ...on,
    drains: on.drains.map((drain) => (drain.state === 'ended' ? { ...drain, state: 'planning' } : drain)),
  });
  switch (name) {
    case 'recreate':
      return world.incarnation + 1 < config.ends.length
        ? [{ label: name, world: revived({ ...rest, incarnation: world.incarnation + 1, logStart: 0 }) }]
        : [];
    case 'expire':
      return [{ label: name, world: revived({ ...rest, logStart: 1 }) }];
    case 'append':
      return [
        {
          label: name,
          world: append({ id: name, kind: name, actions: [{ commitInfo: { operation: 'WRITE' } }] }),
        },
      ];
    case 'restore':
      return numbers(0, world.log.length - 1).flatMap((restored) => restoreTo(world, restored, append));
  }
}

function restoreTo(world: World, restored: number, append: (version: Version) => World): Step[] {
  const [now, then] = [snapshotOf(world.log), snapshotOf(world.log.slice(0, restored + 1))];
  const removes = [...now.files].flatMap(([path, add]) =>
    then.files.has(path) ? [] : [{ remove: { path: add.path, dataChange: true } }],
  );
  const adds = [...then.files].flatMap(([path, add]) => (now.files.has(path) ? [] : [{ add }]));
  if (removes.length + adds.length === 0) return [];
  const actions = [{ commitInfo: { operation: 'RESTORE' } }, ...removes, ...adds];
  const version: Version = { id: `restore@${restored}`, kind: 'restore', actions, restored };
  return [{ label: `RESTORE to ${restored}`, world: append(version) }];
}

/** Paths of the live files of a version, from its log's beginning. */
export function liveFiles(log: readonly Version[]): Set<string> {
  const live = new Set<string>();
  for (const action of log.flatMap(({ actions }) => actions)) {
    if ('add' in action) live.add(decodePath(action.add.path));
    if ('remove' in action) live.delete(decodePath(action.remove.path));
  }
  return live;
}

function topicNow({ ids, ends }: Config, { incarnation, logStart }: World): TopicDescription {
  return {
    topic: 't',
    identity: ids ? identityOf(incarnation) : undefined,
    compacted: false,
    partitions: (ends[incarnation] ?? []).map((end, kafkaPartition) => ({
      kafkaPartition,
      logStartOffset: BigInt(Math.min(logStart, end)),
      lastStableOffset: BigInt(end),
      highWatermark: BigInt(end),
    })),
  };
}

function identityOf(incarnation: number) {
  return { clusterId: 'cluster', topicId: `0${incarnation}`.repeat(16) };
}

function emptyTable(ids: boolean): Version {
  const metaData = {
    id: 'table',
    format: { provider: 'parquet', options: {} },
    schemaString: toDeltaSchemaString(SCHEMA),
    partitionColumns: [],
    configuration: { [PIPELINE_PROPERTY]: 'products' },
  };
  const ledger = ledgerToJson([range(0, undefined, 0n), range(1, undefined, 0n)]);
  return {
    id: 'table',
    kind: 'table',
    actions: [
      { commitInfo: { tidemark: 'drain', batchId: 'table', ledger } },
      { protocol: { minReaderVersion: 1, minWriterVersion: 2 } },
      { metaData },
      ...(ids ? [{ txn: { appId: topicIdAppId('t'), version: topicIdHash(identityOf(0)) } }] : []),
      ...[0, 1].map((p) => ({ txn: { appId: offsetAppId('t', p), version: 0n } })),
    ],
  };
}

export function rowName(incarnation: number, kafkaPartition: number, offset: number): string {
  return `${incarnation}/${kafkaPartition}/${offset}`;
}

export function numbers(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}

function withDrain(world: World, index: number, state: World['drains'][number]['state']): World {
  const batches = (world.drains[index]?.batches ?? 0) + (state === 'committing' ? 1 : 0);
  return { ...world, drains: world.drains.toSpliced(index, 1, { state, batches }) };
}

function withPerson(world: World, index: number, change: Partial<Person>): World {
  const person = world.people[index] ?? { state: 'ended', answers: 0, told: [] };
  return { ...world, people: world.people.toSpliced(index, 1, { ...person, ...change }) };
}
