import type { CommitFacts } from '../../src/commits/facts.ts';
import { type LetterId, LetterSet } from '../../src/commits/letters.ts';
import { epochOf, newestRetryOf, PIPELINE_PROPERTY } from '../../src/commits/pipeline-state.ts';
import { type decideRetry, type Retry, readRetryRecord } from '../../src/commits/retry.ts';
import { type Action, decodePath } from '../../src/delta/actions.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import type { ToCommit } from '../../src/delta/version.ts';
import { toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { dataFile, fresh, NOW_MS, ORIGIN, SCHEMA } from './batches.ts';

/**
 * A small world around `decideRetry`: a table of which offsets 0 to 3 became dead letters, 3 in a version of
 * its own, and runs that retry them. Letter 1 stays defective. One step is what nothing can come between: a
 * plan with its write, a decision on one read of the log, a put. A crashed attempt stays and may go on at any
 * time: a zombie.
 */
export interface Config {
  readonly name: string;
  /** Per run: its pass, cut into batches of offsets. */
  readonly runs: readonly (readonly (readonly number[])[])[];
  readonly crashes: number;
  /** Answers to a put that get lost, whether it happened or not. */
  readonly lostAnswers: number;
  readonly events: readonly EventName[];
}

/**
 * `restore` to the version before letter 3, its `repair`, then the topic drained `again`: letter 3 is a row
 * now.
 */
export type EventName = 'append' | 'restore' | 'repair' | 'again';

export interface Loop {
  readonly decide: typeof decideRetry;
  /** After a lost race or a lost answer: decide again, or put the same at the next version. */
  readonly decidesAgain: boolean;
}

export interface World {
  readonly log: readonly Version[];
  readonly runs: readonly RetryRun[];
  readonly attempts: readonly Attempt[];
  readonly crashes: number;
  readonly lostAnswers: number;
  readonly events: readonly EventName[];
}

interface Version {
  readonly id: string;
  readonly actions: readonly Action[];
  /** Offsets of the records whose rows its file holds. */
  readonly rows: readonly number[];
  readonly retriedBy?: number;
}

interface RetryRun {
  readonly state: 'planning' | 'committing' | 'done' | 'failed';
  readonly batch: number;
  readonly plans: number;
  /** Fixed when it begins, before it looks at the letters that there are. */
  readonly begun: { readonly epoch: bigint; readonly withdrawn: readonly number[] } | undefined;
  /** Versions that it was told hold its letters. */
  readonly own: readonly number[];
}

interface Attempt {
  readonly run: number;
  readonly retry: Retry;
  readonly rows: readonly number[];
  readonly toPut: ToCommit | undefined;
  readonly zombie: boolean;
}

export interface Step {
  readonly label: string;
  readonly world: World;
}

const DEFECTIVE = 1;
const letter = (offset: number): LetterId => ({
  topic: 't',
  kafkaPartition: 0,
  offset: BigInt(offset),
  epoch: 0n,
});

export function initialWorld({ runs, crashes, lostAnswers, events }: Config): World {
  snapshots.clear();
  const metaData = {
    id: 'table',
    format: { provider: 'parquet', options: {} },
    schemaString: toDeltaSchemaString(SCHEMA),
    partitionColumns: [],
    configuration: { [PIPELINE_PROPERTY]: 'products' },
  };
  const table: Action[] = [
    { commitInfo: { tidemark: 'drain' } },
    { protocol: { minReaderVersion: 1, minWriterVersion: 2 } },
    { metaData },
  ];
  return {
    log: [
      { id: 'table', actions: table, rows: [] },
      { id: 'letter 3', actions: [{ commitInfo: { tidemark: 'drain' } }], rows: [] },
    ],
    runs: runs.map(() => ({ state: 'planning', batch: 0, plans: 0, begun: undefined, own: [] })),
    attempts: [],
    crashes,
    lostAnswers,
    events,
  };
}

export function worldKey({ log, runs, attempts, crashes, lostAnswers, events }: World): string {
  const open = attempts.map(({ run, retry, toPut, zombie }) =>
    [
      run,
      retry.batchId,
      retry.previousRetry,
      retry.plannedOn.tableVersion,
      toPut?.tableVersion,
      zombie,
    ].join(),
  );
  const states = runs.map(({ state, batch, plans, begun, own }) =>
    [state, batch, plans, begun?.epoch, own].join(),
  );
  return [logKey(log), open.sort().join(' '), states.join(' '), crashes, lostAnswers, events].join('|');
}

export function steps(config: Config, world: World, loop: Loop): Step[] {
  return [
    ...world.runs.flatMap((run, index) => runSteps(config, world, run, index)),
    ...world.attempts.flatMap((attempt, index) => attemptSteps(world, attempt, index, loop)),
    ...world.events.flatMap((name) => eventStep(world, name)),
  ];
}

const snapshots = new Map<string, Snapshot>();

function logKey(log: readonly Version[]): string {
  return log.map(({ id }) => id).join(' ');
}

export function snapshotOf(log: readonly Version[]): Snapshot | undefined {
  if (log.length === 0) return undefined;
  const key = logKey(log);
  const last = log.length - 1;
  const snapshot =
    snapshots.get(key) ??
    replay(snapshotOf(log.slice(0, last)), [{ tableVersion: last, actions: log[last]?.actions ?? [] }]);
  snapshots.set(key, snapshot);
  return snapshot;
}

function runSteps(config: Config, world: World, run: RetryRun, index: number): Step[] {
  if (run.state === 'planning') return [planStep(config, world, run, index)];
  const mine = world.attempts.findIndex((attempt) => attempt.run === index && !attempt.zombie);
  const attempt = world.attempts[mine];
  if (run.state !== 'committing' || attempt === undefined || world.crashes === 0) return [];
  const attempts = [
    ...world.attempts.with(mine, { ...attempt, zombie: true }),
    { ...attempt, toPut: undefined },
  ];
  return [{ label: `run ${index} crashes`, world: { ...world, crashes: world.crashes - 1, attempts } }];
}

/**
 * As `planRetry` and `retryLetters` do it: what the chain of retries names is left out, and what is still
 * defective.
 */
function planStep(config: Config, world: World, planning: RetryRun, index: number): Step {
  const snapshot = snapshotOf(world.log) as Snapshot;
  const epoch = epochOf(snapshot);
  // The repair's publication withdraws the letter of which its RESTORE took the version.
  const begun = planning.begun ?? { epoch, withdrawn: epoch === 0n ? [] : [3] };
  const run = { ...planning, begun };
  const label = `run ${index} plans batch ${run.batch} on ${snapshot.tableVersion}`;
  const offsets = config.runs[index]?.[run.batch];
  if (snapshot.unrepairedRestore !== undefined || begun.epoch !== epoch)
    return { label, world: withRun(world, index, { ...run, state: 'failed' }) };
  if (offsets === undefined) return { label, world: withRun(world, index, { ...run, state: 'done' }) };
  const settled = chainOf(world.log, newestRetryOf(snapshot));
  const isOpen = (offset: number) => !settled.has(letter(offset)) && !begun.withdrawn.includes(offset);
  const rows = offsets.filter((offset) => offset !== DEFECTIVE && isOpen(offset));
  if (rows.length === 0) return { label, world: withRun(world, index, { ...run, batch: run.batch + 1 }) };
  const batchId = `run ${index} plan ${run.plans}`;
  const letters = new LetterSet();
  for (const offset of rows) letters.add(letter(offset));
  const retry: Retry = {
    batchId,
    pipeline: 'products',
    run: `run ${index}`,
    origin: ORIGIN,
    plannedOn: {
      tableId: snapshot.metaData.id,
      tableVersion: snapshot.tableVersion,
      epoch,
    },
    previousRetry: newestRetryOf(snapshot),
    schema: SCHEMA,
    partitionColumns: [],
    retried: letters.toSpans(),
    filtered: 0,
    files: [dataFile(batchId, rows.length)],
  };
  const committing: RetryRun = { ...run, state: 'committing', plans: run.plans + 1 };
  const attempt: Attempt = { run: index, retry, rows, toPut: undefined, zombie: false };
  const waiting = withRun(world, index, committing);
  return { label, world: { ...waiting, attempts: [...waiting.attempts, attempt] } };
}

/** The letters that a retry and those before it name. */
export function chainOf(log: readonly Version[], newest: bigint | undefined): LetterSet {
  const letters = new LetterSet();
  for (let at = newest; at !== undefined; ) {
    const retry = readRetryRecord({ tableVersion: Number(at), commitInfo: commitInfoOf(log[Number(at)]) });
    letters.addAll(retry?.retried ?? []);
    at = retry?.previousRetry;
  }
  return letters;
}

function attemptSteps(world: World, attempt: Attempt, index: number, loop: Loop): Step[] {
  const name = `${attempt.zombie ? 'zombie of ' : ''}${attempt.retry.batchId}`;
  if (attempt.toPut !== undefined) return putSteps(world, attempt, attempt.toPut, index, name, loop);
  const decision = loop.decide(snapshotOf(world.log), attempt.retry, factsOf(world, attempt.retry));
  const label = `${name} decides: ${decision.kind}`;
  if (decision.kind === 'commit') {
    const attempts = world.attempts.with(index, { ...attempt, toPut: decision });
    return [{ label, world: { ...world, attempts } }];
  }
  const without = { ...world, attempts: world.attempts.toSpliced(index, 1) };
  const run = world.runs[attempt.run];
  if (attempt.zombie || run === undefined) return [{ label, world: without }];
  if (decision.kind === 'alreadyCommitted')
    return [{ label, world: told(without, attempt, decision.record.tableVersion) }];
  const state = decision.kind === 'superseded' ? 'planning' : 'failed';
  return [{ label, world: withRun(without, attempt.run, { ...run, state }) }];
}

function factsOf({ log }: World, { plannedOn, files }: Retry): CommitFacts {
  const versions = log.map((version, tableVersion) => ({ tableVersion, commitInfo: commitInfoOf(version) }));
  return {
    nowMs: NOW_MS,
    txnId: 'txn',
    newTableId: 'none is made',
    versionsSincePlan: versions.slice(plannedOn.tableVersion + 1),
    letterStats: new Map(),
    fileStats: new Map(files.map(({ path, sizeBytes }) => [path, fresh(sizeBytes)])),
  };
}

function commitInfoOf(version: Version | undefined) {
  const first = version?.actions[0];
  return first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined;
}

function putSteps(
  world: World,
  attempt: Attempt,
  toPut: ToCommit,
  index: number,
  name: string,
  { decidesAgain }: Loop,
): Step[] {
  const label = `${name} puts ${toPut.tableVersion}`;
  const again = ({ log }: World): Attempt => ({
    ...attempt,
    toPut: decidesAgain ? undefined : { ...toPut, tableVersion: log.length },
  });
  if (toPut.tableVersion < world.log.length) {
    return [
      { label: `${label}: exists`, world: { ...world, attempts: world.attempts.with(index, again(world)) } },
    ];
  }
  const { retry, rows, run } = attempt;
  const version: Version = { id: retry.batchId, actions: toPut.actions, rows, retriedBy: run };
  const created = { ...world, log: [...world.log, version] };
  const settled = { ...created, attempts: world.attempts.toSpliced(index, 1) };
  const answered = attempt.zombie ? settled : told(settled, attempt, world.log.length);
  const lost = (after: World): World => ({
    ...after,
    lostAnswers: world.lostAnswers - 1,
    attempts: world.attempts.with(index, again(after)),
  });
  const outcomes = [{ label: `${label}: created`, world: answered }];
  if (world.lostAnswers === 0) return outcomes;
  return [
    ...outcomes,
    { label: `${label}: created, answer lost`, world: lost(created) },
    { label: `${label}: failed`, world: lost(world) },
  ];
}

function told(world: World, { run: index }: Attempt, tableVersion: number): World {
  const run = world.runs[index] as RetryRun;
  const own = [...run.own, tableVersion];
  return withRun(world, index, { ...run, state: 'planning', batch: run.batch + 1, own });
}

function eventStep(world: World, name: EventName): Step[] {
  const snapshot = snapshotOf(world.log) as Snapshot;
  const happen = (actions: readonly Action[], rows: readonly number[] = []): Step[] => {
    const log = [...world.log, { id: name, actions, rows }];
    const events = world.events.filter((other) => other !== name);
    // What a finished run has told of is taken back; it is nobody's mistake.
    const runs = world.runs.map((run) =>
      name === 'restore' && run.state === 'done' ? { ...run, state: 'failed' as const } : run,
    );
    return [{ label: name, world: { ...world, log, events, runs } }];
  };
  const restored = snapshot.unrepairedRestore !== undefined;
  const repaired = !world.events.includes('repair');
  switch (name) {
    case 'append':
      return happen([{ commitInfo: { operation: 'WRITE' } }]);
    case 'restore': {
      const removes = [...snapshot.files.values()].map(({ path }) => ({
        remove: { path, dataChange: true },
      }));
      return happen([{ commitInfo: { operation: 'RESTORE' } }, ...removes]);
    }
    case 'repair':
      return restored
        ? happen([
            { commitInfo: { tidemark: 'repair' } },
            { txn: { appId: 'tidemark/epoch', version: epochOf(snapshot) + 1n } },
            // As of the restored version: none.
            { txn: { appId: 'tidemark/retried', version: -1n } },
          ])
        : [];
    case 'again':
      return repaired && !world.events.includes('restore')
        ? happen([{ commitInfo: { tidemark: 'drain' } }, { add: addOf('again') }], [3])
        : [];
  }
}

function addOf(path: string) {
  const stats = JSON.stringify({ numRecords: 1 });
  return { path, partitionValues: {}, size: 1, modificationTime: 0, dataChange: true, stats };
}

function withRun(world: World, index: number, run: RetryRun): World {
  return { ...world, runs: world.runs.with(index, run) };
}

/** The naive model: what a user of the table would find wrong. Undefined where everything is right. */
export function verdict(config: Config, { log, runs }: World): string | undefined {
  const snapshot = snapshotOf(log) as Snapshot;
  const restored = snapshot.unrepairedRestore !== undefined;
  const rows: number[] = [];
  for (const { actions, rows: written } of log)
    if (actions.some((action) => 'add' in action && snapshot.files.has(decodePath(action.add.path))))
      rows.push(...written);
  if (new Set(rows).size !== rows.length) return `DUPLICATE: ${rows}`;
  if (rows.includes(DEFECTIVE)) return 'EXTRA: a defective letter';
  const named = chainOf(log, newestRetryOf(snapshot));
  const repaired = log.some(({ id }) => id === 'repair');
  const unnamed = rows.find((offset) => !named.has(letter(offset)) && !(repaired && offset === 3));
  if (unnamed !== undefined && !restored) return `OPEN: letter ${unnamed} is a row and not named`;
  for (const [index, { state, own }] of runs.entries()) {
    const mine = log.flatMap(({ retriedBy }, version) => (retriedBy === index ? [version] : []));
    if (own.some((version) => !mine.includes(version)))
      return `RECEIPT: run ${index} knows another's version`;
    if (state !== 'done' || restored) continue;
    if (mine.some((version) => !own.includes(version))) return `RECEIPT: run ${index} misses its version`;
    const passed = (config.runs[index] ?? []).flat().filter((offset) => offset !== DEFECTIVE);
    const missing = passed.find((offset) => !rows.includes(offset));
    if (missing !== undefined && !repaired) return `LOST: run ${index} is done without letter ${missing}`;
  }
  return undefined;
}
