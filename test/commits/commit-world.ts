import type { Batch, BatchDecision, BatchPartition, decideCommit } from '../../src/commits/batch.ts';
import { ledgerToJson } from '../../src/commits/batch-record.ts';
import type { CarriedVersion } from '../../src/commits/carried-letters.ts';
import type { DataFile } from '../../src/commits/data-files.ts';
import type { CommitFacts } from '../../src/commits/facts.ts';
import {
  DEAD_LETTERS_APP_ID,
  epochOf,
  offsetAppId,
  PIPELINE_PROPERTY,
  publishedAppId,
  topicIdAppId,
  topicIdHash,
} from '../../src/commits/pipeline-state.ts';
import { type decidePublication, filesToPublish } from '../../src/commits/publication.ts';
import { type Action, type Add, decodePath } from '../../src/delta/actions.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import type { ToCommit } from '../../src/delta/version.ts';
import { toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import {
  dataFile,
  makeBatch,
  NOW_MS,
  RECREATED_TOPIC,
  range,
  SCHEMA,
  SIX_DAYS_MS,
  TOPIC,
} from './batches.ts';

/**
 * A small world around `decideCommit`: a table's log, its files, two writers with their attempts, and what
 * may happen to them. `steps` names every possible next step, so that a search can try every interleaving.
 *
 * One step is what nothing can come between: one read of the log, one put. A crash takes an attempt away from
 * its writer, which starts another; the old one stays and may go on at any time, or never: a zombie.
 */
export interface Config {
  readonly name: string;
  /** Per writer: where it drains to in each partition, and how many offsets its batches hold at most. */
  readonly writers: readonly { readonly goal: readonly [number, number]; readonly limit: number }[];
  /** A table that an earlier run made without a row, or none. */
  readonly table: boolean;
  /** Whether the brokers tell topic ids. */
  readonly ids: boolean;
  readonly crashes: number;
  /** Answers to a put that get lost, whether it happened or not. */
  readonly lostAnswers: number;
  /** What others may do, each at most once. */
  readonly events: readonly EventName[];
  /** Some offsets are dead letters, which every writer publishes before it plans. */
  readonly letters?: boolean;
  /** The first writer's accounting misses an offset. */
  readonly miscounts?: boolean;
}

export type EventName = 'append' | 'restore' | 'accept' | 'vacuum' | 'foreignVacuum' | 'drop' | 'alter';

/** How the loop around the decision behaves; the mutants of `log.ts`. */
export interface Loop {
  readonly decide: typeof decideCommit;
  /** After a lost race: decide again, or put the same at the next version. */
  readonly decidesAgain: boolean;
  readonly decidePublication: typeof decidePublication;
  /** The same two, of a publication. */
  readonly publisherDecidesAgain: boolean;
  readonly publisherReadsBack: boolean;
  /**
   * Whose letters a publication takes: of all versions that carry some and are not published, or of the
   * newest alone.
   */
  readonly follows: 'all' | 'newest' | 'all, ever';
  /** Before a plan, or only where a batch of the writer's own went before. */
  readonly publishes: 'always' | 'before its commit' | 'never';
  /** After a lost answer: read back, or put the same at the next version. */
  readonly readsBack: boolean;
}

export interface World {
  readonly log: readonly Version[];
  readonly files: ReadonlyMap<string, StoredFile>;
  readonly writers: readonly Writer[];
  readonly attempts: readonly Attempt[];
  readonly nowMs: number;
  /** 0 until the topic is recreated and accepted, then 1. */
  readonly incarnation: number;
  readonly crashes: number;
  readonly lostAnswers: number;
  readonly events: readonly EventName[];
  /** What a vacuum has chosen and not yet deleted. */
  readonly doomed: readonly string[] | undefined;
  /** Of the dead-letter table. */
  readonly letterLog: readonly Version[];
  readonly publishers: readonly Publisher[];
  readonly letters: boolean;
}

export interface Version {
  readonly id: string;
  readonly actions: readonly Action[];
  readonly kind: 'table' | 'drain' | 'publish' | EventName;
  readonly batch?: Batch;
}

export interface StoredFile {
  readonly rows: readonly string[];
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly exists: boolean;
}

export interface Writer {
  readonly state: 'planning' | 'committing' | 'done' | 'failed';
  readonly batches: number;
  readonly writes: number;
  /** Versions that it was told hold its batches. */
  readonly own: readonly number[];
  /** Since its last plan. */
  readonly hasPublished: boolean;
}

interface Attempt {
  readonly writer: number;
  readonly batch: Batch;
  /** What it has decided to put; undefined: it decides next. */
  readonly toPut: ToCommit | undefined;
  readonly zombie: boolean;
}

/** One call of `publishLetters`. */
interface Publisher {
  readonly writer: number;
  /** The newest carrying version when it looked at the main table. */
  readonly target: bigint;
  /** What it has decided to put; undefined: it decides next. */
  readonly toPut: ToCommit | undefined;
  readonly zombie: boolean;
}

export interface Step {
  readonly label: string;
  readonly world: World;
}

export function initialWorld({
  writers,
  table,
  ids,
  crashes,
  lostAnswers,
  events,
  letters = false,
}: Config): World {
  snapshots.clear();
  decisions.clear();
  return {
    log: table ? [emptyTable(ids)] : [],
    files: new Map(),
    writers: writers.map(() => ({ state: 'planning', batches: 0, writes: 0, own: [], hasPublished: false })),
    attempts: [],
    nowMs: NOW_MS,
    incarnation: 0,
    crashes,
    lostAnswers,
    events,
    doomed: undefined,
    letterLog: [],
    publishers: [],
    letters,
  };
}

export function worldKey(world: World): string {
  const attempts = world.attempts.map(({ writer, batch, toPut, zombie }) =>
    [writer, batchName(batch), toPut?.tableVersion, zombie].join(),
  );
  const writers = world.writers.map(({ state, batches, writes, own, hasPublished }) =>
    [state, batches, writes, own, hasPublished].join(),
  );
  const publishers = world.publishers.map(({ writer, target, toPut, zombie }) =>
    [writer, target, toPut?.tableVersion, toPut && publicationId(toPut), zombie].join(),
  );
  const { nowMs, crashes, lostAnswers, events, doomed } = world;
  const rest = [nowMs, crashes, lostAnswers, events, doomed ?? 'none'].join('/');
  return [
    tableKey(world),
    attempts.sort().join(' '),
    writers.join(' '),
    publishers.sort().join(' '),
    rest,
  ].join('|');
}

/** The table: its log, and which files there are. */
export function tableKey({ log, files, incarnation, letterLog }: World): string {
  const there = [...files].map(([path, { exists, modifiedMs }]) => `${path}:${exists}:${modifiedMs}`);
  return `${incarnation}|${logKey(log)}|${logKey(letterLog)}|${there.sort().join(' ')}`;
}

export function steps(config: Config, world: World, loop: Loop): Step[] {
  return [
    ...world.writers.flatMap((writer, index) => writerSteps(config, world, writer, index, loop)),
    ...world.publishers.flatMap((publisher, index) => publisherSteps(world, publisher, index, loop)),
    ...world.attempts.flatMap((attempt, index) => attemptSteps(world, attempt, index, loop)),
    ...world.events.flatMap((name) => eventSteps(world, name)),
    ...deletionSteps(world),
  ];
}

/** The same name is the same content, in one search: a batch follows from what its plan saw. */
function batchName({ batchId, files, plannedOn }: Batch): string {
  return `${batchId}:${files[0]?.path}@${plannedOn.tableId}/${plannedOn.tableVersion}`;
}

const snapshots = new Map<string, Snapshot>();

export function snapshotOf(log: readonly Version[]): Snapshot | undefined {
  if (log.length === 0) return undefined;
  const key = logKey(log);
  const known = snapshots.get(key);
  if (known !== undefined) return known;
  const last = log.length - 1;
  const snapshot = replay(snapshotOf(log.slice(0, last)), [
    { tableVersion: last, actions: log[last]?.actions ?? [] },
  ]);
  snapshots.set(key, snapshot);
  return snapshot;
}

function logKey(log: readonly Version[]): string {
  return log.map(({ id }) => id).join(' ');
}

function writerSteps(config: Config, world: World, writer: Writer, index: number, loop: Loop): Step[] {
  if (writer.state === 'planning' && world.letters && !writer.hasPublished && loop.publishes === 'always')
    return publishSteps(world, writer, index);
  if (writer.state === 'planning')
    return [planStep(config, world, { ...writer, hasPublished: false }, index, loop)];
  const mine = world.attempts.findIndex((attempt) => attempt.writer === index && !attempt.zombie);
  const attempt = world.attempts[mine];
  if (writer.state !== 'committing' || attempt === undefined || world.crashes === 0) return [];
  const left = { ...attempt, zombie: true };
  const attempts = [...replaceAt(world.attempts, mine, left), { ...attempt, toPut: undefined }];
  return [{ label: `writer ${index} crashes`, world: { ...world, crashes: world.crashes - 1, attempts } }];
}

function planStep(config: Config, world: World, writer: Writer, index: number, loop: Loop): Step {
  const snapshot = snapshotOf(world.log);
  const label = `writer ${index} plans on ${world.log.length - 1}`;
  if (snapshot?.unrepairedRestore !== undefined) {
    return { label, world: withWriter(world, index, { ...writer, state: 'failed' }) };
  }
  const batch = planBatch(config, world, snapshot, writer, index);
  if (batch === undefined) return { label, world: withWriter(world, index, { ...writer, state: 'done' }) };
  const committing: Writer = { ...writer, state: 'committing', batches: writer.batches + 1, writes: 1 };
  const started = startAttempt(withWriter(world, index, committing), index, batch);
  return { label, world: loop.publishes === 'before its commit' ? leading(started, batch) : started };
}

function planBatch(
  config: Config,
  world: World,
  snapshot: Snapshot | undefined,
  writer: Writer,
  index: number,
) {
  const { goal, limit } = config.writers[index] ?? { goal: [0, 0], limit: 0 };
  let left = limit;
  const partitions = goal.flatMap((end, kafkaPartition) => {
    const start = snapshot?.txns.get(offsetAppId('t', kafkaPartition));
    const take = Math.min(left, Math.max(0, end - Number(start ?? 0)));
    left -= take;
    return take === 0 && start !== undefined
      ? []
      : [range(kafkaPartition, start, (start ?? 0n) + BigInt(take))];
  });
  if (partitions.length === 0) return undefined;
  const topic = config.ids ? topicOf(world.incarnation) : { topic: 't', identity: undefined };
  const batch = makeBatch({
    batchId: `w${index}b${writer.batches}`,
    plannedOn: {
      tableId: snapshot?.metaData.id,
      tableVersion: snapshot?.tableVersion ?? -1,
      epoch: epochOf(snapshot),
    },
    topics: [topic],
    partitions: config.miscounts && index === 0 ? partitions.map(missOne) : partitions,
  });
  return {
    ...batch,
    ...filesOf(config.letters ? batch.partitions.map(withLetters) : batch.partitions, batch.batchId, 1),
  };
}

/** The batch's files as its attempt number `write` names them. */
function filesOf(partitions: readonly BatchPartition[], batchId: string, write: number) {
  const sum = (term: 'rows' | 'deadLetters') =>
    partitions.reduce((total, { accounting }) => total + accounting[term], 0);
  const [rows, letters] = [sum('rows'), sum('deadLetters')];
  return {
    partitions,
    files: rows === 0 ? [] : [dataFile(`${batchId}-${write}`, rows)],
    deadLetterFiles: letters === 0 ? [] : [dataFile(`${batchId}-${write}-letters`, letters)],
  };
}

/**
 * Of partition 0 the offsets 1, 3, ..., of partition 1 the offsets 0, 2, ...: every batch size meets rows and
 * letters.
 */
export function isLetter(kafkaPartition: number, offset: number): boolean {
  return (kafkaPartition + offset) % 2 === 1;
}

function withLetters(entry: BatchPartition): BatchPartition {
  const offsets = offsetsOf(entry);
  const deadLetters = offsets.filter((offset) => isLetter(entry.kafkaPartition, offset)).length;
  return { ...entry, accounting: { ...entry.accounting, rows: offsets.length - deadLetters, deadLetters } };
}

function offsetsOf({ readFrom, accounting }: BatchPartition): number[] {
  return Array.from({ length: accounting.rows + accounting.deadLetters }, (_, i) => Number(readFrom) + i);
}

function missOne(entry: Batch['partitions'][number]): Batch['partitions'][number] {
  return { ...entry, endingOffset: entry.endingOffset + 1n };
}

/** Writes the batch's file, as of now and of the topic as it is now, and begins to commit. */
function startAttempt(world: World, writer: number, batch: Batch): World {
  const files = new Map(world.files);
  const write = (kept: (kafkaPartition: number, offset: number) => boolean, written: readonly DataFile[]) => {
    for (const { path, sizeBytes } of written) {
      const rows = batch.partitions.flatMap((entry) =>
        offsetsOf(entry)
          .filter((offset) => kept(entry.kafkaPartition, offset))
          .map((offset) => rowName(world.incarnation, entry.kafkaPartition, offset)),
      );
      files.set(path, { rows, sizeBytes, modifiedMs: world.nowMs, exists: true });
    }
  };
  write((partition, offset) => !world.letters || !isLetter(partition, offset), batch.files);
  write(isLetter, batch.deadLetterFiles);
  return {
    ...world,
    files,
    attempts: [...world.attempts, { writer, batch, toPut: undefined, zombie: false }],
  };
}

function attemptSteps(world: World, attempt: Attempt, index: number, loop: Loop): Step[] {
  const name = `${attempt.zombie ? 'zombie' : 'attempt'} of ${attempt.batch.batchId}`;
  if (attempt.toPut !== undefined) return putSteps(world, attempt, attempt.toPut, index, name, loop);
  const decision = decisionOn(world, attempt.batch, loop);
  return [
    { label: `${name} decides: ${decision.kind}`, world: afterDecision(world, attempt, index, decision) },
  ];
}

const decisions = new Map<string, BatchDecision>();

/** A decision is pure: many worlds differ only in what it does not look at. */
function decisionOn(world: World, batch: Batch, { decide }: Loop): BatchDecision {
  const key = `${tableKey(world)}|${world.nowMs}|${batchName(batch)}`;
  const decision = decisions.get(key) ?? decide(snapshotOf(world.log), batch, factsOf(world, batch));
  decisions.set(key, decision);
  return decision;
}

function factsOf(
  { log, files, nowMs }: World,
  { plannedOn, files: wanted, deadLetterFiles }: Batch,
): CommitFacts {
  const versions = log.map(({ actions }, tableVersion) => {
    const [first] = actions;
    return {
      tableVersion,
      commitInfo: first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined,
    };
  });
  const there = (paths: readonly DataFile[]) =>
    statsOf(
      files,
      paths.map(({ path }) => path),
    );
  return {
    nowMs,
    txnId: 'txn',
    newTableId: 'made-by-a-batch',
    versionsSincePlan: versions.slice(plannedOn.tableVersion + 1),
    letterStats: there(deadLetterFiles),
    fileStats: there(wanted),
  };
}

function statsOf(files: World['files'], paths: readonly string[]): Map<string, StoredFile> {
  return new Map(
    paths.flatMap((path) => {
      const file = files.get(path);
      return file?.exists ? [[path, file] as const] : [];
    }),
  );
}

/** Looks at the main table: a run publishes before it plans. */
function publishSteps(world: World, writer: Writer, index: number): Step[] {
  const mine = world.publishers.findIndex((publisher) => publisher.writer === index && !publisher.zombie);
  const publisher = world.publishers[mine];
  if (publisher !== undefined) {
    if (world.crashes === 0) return [];
    const publishers = replaceAt(world.publishers, mine, { ...publisher, zombie: true });
    const crashed = { ...world, crashes: world.crashes - 1, publishers };
    return [{ label: `writer ${index} crashes while it publishes`, world: crashed }];
  }
  const snapshot = snapshotOf(world.log);
  const target = snapshot?.txns.get(DEAD_LETTERS_APP_ID);
  if (target === undefined || snapshot?.unrepairedRestore !== undefined) {
    const done = withWriter(world, index, { ...writer, hasPublished: true });
    return [{ label: `writer ${index} has nothing to publish`, world: done }];
  }
  const publishers = [...world.publishers, { writer: index, target, toPut: undefined, zombie: false }];
  return [{ label: `writer ${index} publishes up to ${target}`, world: { ...world, publishers } }];
}

function publisherSteps(world: World, publisher: Publisher, index: number, loop: Loop): Step[] {
  const name = `${publisher.zombie ? 'zombie ' : ''}publisher of writer ${publisher.writer}`;
  const { toPut, target } = publisher;
  if (toPut !== undefined) return publicationPuts(world, publisher, toPut, index, name, loop);
  const snapshot = snapshotOf(world.letterLog);
  const mainTableId = snapshotOf(world.log)?.metaData.id ?? '';
  const published = snapshot?.txns.get(publishedAppId(mainTableId));
  const ahead = carriedVersions(world.log, target, untilOf(loop, published, target));
  const publication = { pipeline: 'products', mainTableId, published, target, ahead, behind: [] };
  const decision = loop.decidePublication(snapshot, publication, {
    nowMs: world.nowMs,
    txnId: 'txn',
    newTableId: 'letters',
    fileStats: statsOf(world.files, filesToPublish(publication)),
  });
  const publishers = replaceAt(world.publishers, index, {
    ...publisher,
    toPut: decision.kind === 'commit' ? decision : undefined,
  });
  const next =
    decision.kind === 'commit' ? { ...world, publishers } : afterPublishing(world, publisher, index);
  return [{ label: `${name} decides: ${decision.kind}`, world: next }];
}

function untilOf({ follows }: Loop, published: bigint | undefined, target: bigint): bigint | undefined {
  if (follows === 'newest') return target - 1n;
  return follows === 'all' ? published : undefined;
}

/** As `gatherCarried` does it, from what the versions themselves say. */
function carriedVersions(
  log: readonly Version[],
  target: bigint,
  until: bigint | undefined,
): CarriedVersion[] {
  const versions: CarriedVersion[] = [];
  for (let at: bigint | undefined = target; at !== undefined && at > (until ?? -1n); ) {
    const [first] = log[Number(at)]?.actions ?? [];
    const info = first !== undefined && 'commitInfo' in first ? first.commitInfo : {};
    const previous = info.previousDeadLetters as string | null;
    versions.push({
      tableVersion: at,
      files: info.deadLetters as Add[],
      previous: previous === null ? undefined : BigInt(previous),
    });
    at = versions.at(-1)?.previous;
  }
  return versions;
}

function publicationPuts(
  world: World,
  publisher: Publisher,
  toPut: ToCommit,
  index: number,
  name: string,
  loop: Loop,
): Step[] {
  const label = `${name} puts ${toPut.tableVersion}`;
  const again = (from: World, decides: boolean): World => ({
    ...from,
    publishers: replaceAt(from.publishers, index, {
      ...publisher,
      toPut: decides ? undefined : { ...toPut, tableVersion: from.letterLog.length },
    }),
  });
  if (toPut.tableVersion < world.letterLog.length)
    return [{ label: `${label}: exists`, world: again(world, loop.publisherDecidesAgain) }];
  const version: Version = { id: publicationId(toPut), actions: toPut.actions, kind: 'publish' };
  const created = { ...world, letterLog: [...world.letterLog, version] };
  const outcomes = [{ label: `${label}: created`, world: afterPublishing(created, publisher, index) }];
  if (world.lostAnswers === 0) return outcomes;
  const lost = (from: World) =>
    again({ ...from, lostAnswers: world.lostAnswers - 1 }, loop.publisherReadsBack);
  return [
    ...outcomes,
    { label: `${label}: created, answer lost`, world: lost(created) },
    { label: `${label}: failed`, world: lost(world) },
  ];
}

function afterPublishing(world: World, { writer: index, zombie }: Publisher, at: number): World {
  const without = { ...world, publishers: world.publishers.toSpliced(at, 1) };
  const writer = world.writers[index];
  return zombie || writer === undefined
    ? without
    : withWriter(without, index, { ...writer, hasPublished: true });
}

/** The same actions are the same version. */
function publicationId({ actions }: ToCommit): string {
  return actions
    .flatMap((action) =>
      'add' in action ? [action.add.path] : 'txn' in action ? [String(action.txn.version)] : [],
    )
    .join('+');
}

/** The wrong order: letters are in their table before the commit that carries them. */
function leading(world: World, { deadLetterFiles }: Batch): World {
  if (deadLetterFiles.length === 0) return world;
  const actions = deadLetterFiles.map(({ path, sizeBytes: size }) => ({
    add: { path, size, partitionValues: {}, modificationTime: NOW_MS, dataChange: true },
  }));
  const version: Version = {
    id: deadLetterFiles.map(({ path }) => path).join('+'),
    actions,
    kind: 'publish',
  };
  return { ...world, letterLog: [...world.letterLog, version] };
}

function afterDecision(world: World, attempt: Attempt, index: number, decision: BatchDecision): World {
  if (decision.kind === 'commit') {
    return { ...world, attempts: replaceAt(world.attempts, index, { ...attempt, toPut: decision }) };
  }
  const without = { ...world, attempts: world.attempts.toSpliced(index, 1) };
  const writer = world.writers[attempt.writer];
  if (attempt.zombie || writer === undefined) return without;
  switch (decision.kind) {
    case 'alreadyCommitted':
      return told(without, attempt, decision.record.tableVersion);
    case 'superseded':
      return withWriter(without, attempt.writer, { ...writer, state: 'planning' });
    case 'expired':
      return writeAgain(without, attempt, writer);
    default:
      return withWriter(without, attempt.writer, { ...writer, state: 'failed' });
  }
}

function writeAgain(world: World, { writer: index, batch }: Attempt, writer: Writer): World {
  if (writer.writes === 2) return withWriter(world, index, { ...writer, state: 'failed' });
  const again = withWriter(world, index, { ...writer, writes: 2 });
  return startAttempt(again, index, { ...batch, ...filesOf(batch.partitions, batch.batchId, 2) });
}

function told(world: World, { writer: index }: Attempt, tableVersion: number): World {
  const writer = world.writers[index];
  if (writer === undefined) return world;
  return withWriter(world, index, { ...writer, state: 'planning', own: [...writer.own, tableVersion] });
}

function putSteps(
  world: World,
  attempt: Attempt,
  toPut: ToCommit,
  index: number,
  name: string,
  loop: Loop,
): Step[] {
  const label = `${name} puts ${toPut.tableVersion}`;
  const next = (again: boolean, { log } = world): Attempt =>
    again ? { ...attempt, toPut: undefined } : { ...attempt, toPut: { ...toPut, tableVersion: log.length } };
  if (toPut.tableVersion < world.log.length) {
    const attempts = replaceAt(world.attempts, index, next(loop.decidesAgain));
    return [{ label: `${label}: exists`, world: { ...world, attempts } }];
  }
  const version: Version = {
    id: batchName(attempt.batch),
    actions: toPut.actions,
    kind: 'drain',
    batch: attempt.batch,
  };
  const created = { ...world, log: [...world.log, version] };
  const settled = { ...created, attempts: world.attempts.toSpliced(index, 1) };
  const lost = (after: World): World => ({
    ...after,
    lostAnswers: world.lostAnswers - 1,
    attempts: replaceAt(world.attempts, index, next(loop.readsBack, after)),
  });
  const outcomes = [
    {
      label: `${label}: created`,
      world: attempt.zombie ? settled : told(settled, attempt, world.log.length),
    },
  ];
  if (world.lostAnswers === 0) return outcomes;
  return [
    ...outcomes,
    { label: `${label}: created, answer lost`, world: lost(created) },
    { label: `${label}: failed`, world: lost(world) },
  ];
}

function eventSteps(world: World, name: EventName): Step[] {
  const snapshot = snapshotOf(world.log);
  if (snapshot === undefined) return [];
  const rest = { ...world, events: world.events.filter((other) => other !== name) };
  const happen = (after: World): Step[] => [{ label: name, world: after }];
  const append = (actions: readonly Action[], on: World = rest): World => ({
    ...on,
    log: [...on.log, { id: name, actions, kind: name }],
  });
  const putsUnderWay = world.attempts.some(({ toPut }) => toPut !== undefined);
  switch (name) {
    case 'append':
      return happen(append([{ commitInfo: { operation: 'WRITE' } }]));
    case 'restore':
      return restoreSteps(world, snapshot, append);
    case 'accept':
      return happen(
        append(acceptActions(world, snapshot), {
          ...rest,
          incarnation: 1,
          writers: world.writers.map(outdated),
        }),
      );
    case 'alter': {
      const schemaString = toDeltaSchemaString({ fields: SCHEMA.fields.slice(0, 1) });
      return happen(
        append([
          { commitInfo: { operation: 'ALTER' } },
          { metaData: { ...snapshot.metaData, schemaString } },
        ]),
      );
    }
    case 'vacuum': {
      const later = { ...rest, nowMs: world.nowMs + 2 };
      const cutOff = { txn: { appId: 'tidemark/vacuum', version: BigInt(later.nowMs - 1) } };
      return happen({
        ...append([{ commitInfo: { tidemark: 'vacuum' } }, cutOff], later),
        doomed: undefined,
        events: [...rest.events, 'foreignVacuum'],
      });
    }
    case 'foreignVacuum': {
      // Eight days later. A put that freezes for longer than the margin is the documented residual.
      const ours = world.log.some(({ kind }) => kind === 'vacuum');
      if (putsUnderWay && !ours) return [];
      const nowMs = ours ? world.nowMs : world.nowMs + SIX_DAYS_MS * 1.4;
      const old = (file: StoredFile) => file.modifiedMs < (ours ? nowMs - 1 : nowMs - SIX_DAYS_MS * 1.2);
      const doomed = [...world.files].filter(
        ([path, file]) => file.exists && old(file) && !snapshot.files.has(path),
      );
      return happen({ ...rest, nowMs, doomed: doomed.map(([path]) => path) });
    }
    case 'drop': {
      // A put under way is the documented residual.
      if (putsUnderWay) return [];
      const files = new Map([...world.files].map(([path, file]) => [path, { ...file, exists: false }]));
      return happen({
        ...rest,
        log: [],
        files,
        writers: world.writers.map((writer) => ({ ...outdated(writer), own: [] })),
      });
    }
  }
}

/** What a finished run has told of is no more; it is nobody's mistake. */
function outdated(writer: Writer): Writer {
  return writer.state === 'done' ? { ...writer, state: 'failed' } : writer;
}

function restoreSteps(
  world: World,
  snapshot: Snapshot,
  append: (actions: readonly Action[]) => World,
): Step[] {
  const earlier = snapshotOf(world.log.slice(0, -1));
  if (earlier === undefined) return [];
  const gone = [...snapshot.files.values()].filter((add) => !earlier.files.has(decodePath(add.path)));
  if (gone.length === 0) return [];
  const removes = gone.map(({ path }) => ({ remove: { path, dataChange: true } }));
  return [{ label: 'restore', world: append([{ commitInfo: { operation: 'RESTORE' } }, ...removes]) }];
}

function acceptActions({ log }: World, snapshot: Snapshot): Action[] {
  const offsets = [0, 1]
    .filter((p) => snapshot.txns.has(offsetAppId('t', p)))
    .map((p) => ({ txn: { appId: offsetAppId('t', p), version: 0n } }));
  const withIds = snapshot.txns.has(topicIdAppId('t'));
  const identity = RECREATED_TOPIC.identity;
  return [
    { commitInfo: { tidemark: 'accept', on: log.length } },
    { txn: { appId: 'tidemark/epoch', version: epochOf(snapshot) + 1n } },
    ...(withIds && identity !== undefined
      ? [{ txn: { appId: topicIdAppId('t'), version: topicIdHash(identity) } }]
      : []),
    ...offsets,
  ];
}

function deletionSteps(world: World): Step[] {
  if (world.doomed === undefined) return [];
  const files = new Map(world.files);
  for (const path of world.doomed) {
    const file = files.get(path);
    if (file !== undefined) files.set(path, { ...file, exists: false });
  }
  return [
    { label: `vacuum deletes ${world.doomed.join(', ')}`, world: { ...world, files, doomed: undefined } },
  ];
}

function emptyTable(ids: boolean): Version {
  const offsets = [0, 1].map((p) => ({ txn: { appId: offsetAppId('t', p), version: 0n } }));
  const identity = TOPIC.identity;
  const metaData = {
    id: 'made-before',
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
      { commitInfo: { tidemark: 'drain', batchId: 'made-before', ledger } },
      { protocol: { minReaderVersion: 1, minWriterVersion: 2 } },
      { metaData },
      ...(ids && identity !== undefined
        ? [{ txn: { appId: topicIdAppId('t'), version: topicIdHash(identity) } }]
        : []),
      ...offsets,
    ],
  };
}

export function rowName(incarnation: number, kafkaPartition: number, offset: number): string {
  return `${incarnation}/${kafkaPartition}/${offset}`;
}

function topicOf(incarnation: number) {
  return incarnation === 0 ? TOPIC : RECREATED_TOPIC;
}

function withWriter(world: World, index: number, writer: Writer): World {
  return { ...world, writers: replaceAt(world.writers, index, writer) };
}

function replaceAt<T>(items: readonly T[], index: number, item: T): T[] {
  return items.toSpliced(index, 1, item);
}
