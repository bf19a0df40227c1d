/**
 * `DeltaLog` as it is, used by two drains of one topic that overlap, die, freeze and lose answers, with a
 * vacuum and a topic that is made again meanwhile, all by a seed. Files hold the names of their records, so
 * that a naive reader of the final log can say what was lost.
 */

import { randomUUID } from 'node:crypto';
import { BATCH, type Batch } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import type { DataFile } from '../../src/commits/data-files.ts';
import { epochOf, offsetAppId, topicIdAppId, topicIdHash } from '../../src/commits/pipeline-state.ts';
import { publishLetters } from '../../src/commits/publish.ts';
import { REPAIR } from '../../src/commits/repair.ts';
import { DeltaLog } from '../../src/delta/log.ts';
import type { Snapshot } from '../../src/delta/snapshot.ts';
import { Failure } from '../../src/errors.ts';
import type { TopicDescription } from '../../src/kafka/source.ts';
import { emptyAccounting } from '../../src/records/accounting.ts';
import { acceptTopic, seenTable } from '../../src/repair/answers.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { makeBatch, TOPIC } from '../commits/batches.ts';
import {
  type Chances,
  Crash,
  type Objects,
  type Random,
  Scheduler,
  simulatedStore,
} from './simulated-store.ts';

const PARTITIONS = [0, 1];
const LENGTH = 9;
const LETTERS_EVERY = 3;

/** One rule of the product taken away, from outside. */
export interface Sabotage {
  readonly name: string;
  /** What happens meanwhile, besides two drains. */
  readonly event?: 'vacuum' | 'recreate';
  /** What a commit is told of the table. */
  readonly lie?: (snapshot: Snapshot, batch: Batch) => Snapshot;
  readonly store?: (store: ObjectStore) => ObjectStore;
  readonly lettersFirst?: boolean;
  readonly vacuumWithoutTxn?: boolean;
}

export interface Verdict {
  readonly lost: number;
  readonly duplicate: number;
  readonly wrong: number;
}

const CHANCES: Chances = { crash: 0.01, loseAnswer: 0.05, freeze: 0.03 };

/**
 * One run with everything that its seed brings, then one more drain by the product as it is: what is there?
 */
export async function simulate(random: Random, sabotage: Omit<Sabotage, 'name'>): Promise<Verdict> {
  const world = new World(random, sabotage);
  const events =
    sabotage.event === undefined ? {} : { [sabotage.event]: () => world[sabotage.event ?? 'vacuum']() };
  await world.scheduler.run({
    a: () => world.drain('a', 2 + Math.floor(random() * 3)),
    b: () => world.drain('b', 2 + Math.floor(random() * 3)),
    ...events,
  });
  const last = new World(random, {}, world);
  await last.scheduler.run({ last: () => last.drain('last', LENGTH) });
  return last.verdict();
}

class World {
  readonly scheduler: Scheduler;
  private readonly main: Objects;
  private readonly letters: Objects;
  private readonly random: Random;
  private readonly sabotage: Omit<Sabotage, 'name'>;
  /** Of the topic, from 0 on; and where in the table's log each began. */
  private generation: number;
  private readonly beganAt: number[];

  constructor(random: Random, sabotage: Omit<Sabotage, 'name'>, before?: World) {
    this.random = random;
    this.sabotage = sabotage;
    const chances = before === undefined ? CHANCES : { crash: 0, loseAnswer: 0, freeze: 0 };
    this.scheduler = new Scheduler(random, chances);
    this.scheduler.now = before?.scheduler.now ?? this.scheduler.now;
    this.main = before?.main ?? new Map();
    this.letters = before?.letters ?? new Map();
    this.generation = before?.generation ?? 0;
    this.beganAt = before?.beganAt ?? [0];
  }

  /**
   * Run after run until one has reached the topic's end, or none can: each begins with nothing but the table,
   * as after a crash.
   */
  async drain(actor: string, limit: number): Promise<void> {
    for (let attempt = 0; attempt < 300; attempt++) {
      const reached = await this.drainOnce(actor, limit).catch((error: unknown) => {
        if (error instanceof Crash || error instanceof Failure) return false;
        throw error;
      });
      if (reached) return;
    }
  }

  private async drainOnce(actor: string, limit: number): Promise<boolean> {
    const log = this.openLog(actor);
    for (;;) {
      if (!this.sabotage.lettersFirst) await publishLetters(this.openLetters(actor), log, 'products');
      const batch = await this.write(actor, limit, await log.snapshot());
      if (batch === 'other topic') return false;
      if (batch === undefined) return true;
      await this.commit(actor, batch);
    }
  }

  /** An activity: begun again after a crash, or where it failed, with the same files. */
  private async commit(actor: string, batch: Batch): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        if (this.sabotage.lettersFirst) await this.publishFirst(actor, batch);
        const log = this.openLog(actor, batch);
        await commit(log, BATCH, batch, this.store(this.letters, 'letters', actor));
        return;
      } catch (error) {
        const again = error instanceof Crash || (error instanceof Failure && error.retryable);
        if (!again || attempt === 5) throw error;
      }
    }
  }

  private async write(
    actor: string,
    limit: number,
    snapshot: Snapshot | undefined,
  ): Promise<Batch | 'other topic' | undefined> {
    const { generation } = this;
    const known = snapshot?.txns.get(topicIdAppId('t'));
    if (known !== undefined && known !== topicIdHash(identityOf(generation))) return 'other topic';
    const partitions = PARTITIONS.flatMap((kafkaPartition) => {
      const startingOffset = snapshot?.txns.get(offsetAppId('t', kafkaPartition));
      const from = Number(startingOffset ?? 0n);
      const until = Math.min(LENGTH, from + limit);
      if (startingOffset !== undefined && from >= until) return [];
      const letters = offsets(from, until).filter(isLetter).length;
      const accounting = { ...emptyAccounting(), rows: until - from - letters, deadLetters: letters };
      return [
        {
          topic: 't',
          kafkaPartition,
          startingOffset,
          readFrom: BigInt(from),
          endingOffset: BigInt(until),
          accounting,
        },
      ];
    });
    if (partitions.length === 0) return undefined;
    const read = partitions.flatMap(({ kafkaPartition, readFrom, endingOffset }) =>
      offsets(Number(readFrom), Number(endingOffset)).map((offset) => ({
        name: `${generation}/${kafkaPartition}/${offset}`,
        offset,
      })),
    );
    const file = (objects: Objects, root: string, of: typeof read) =>
      this.writeFile(
        this.store(objects, root, actor),
        of.map(({ name }) => name),
      );
    const files = await file(
      this.main,
      'main',
      read.filter(({ offset }) => !isLetter(offset)),
    );
    const deadLetterFiles = await file(
      this.letters,
      'letters',
      read.filter(({ offset }) => isLetter(offset)),
    );
    // The last look at what was read, as a write task has it.
    if (generation !== this.generation) return 'other topic';
    return makeBatch({
      batchId: randomUUID(),
      plannedOn: {
        tableId: snapshot?.metaData.id,
        tableVersion: snapshot?.tableVersion ?? -1,
        epoch: epochOf(snapshot),
      },
      topics: [{ topic: 't', identity: identityOf(generation) }],
      partitions,
      files,
      deadLetterFiles,
    });
  }

  private async writeFile(store: ObjectStore, records: readonly string[]): Promise<DataFile[]> {
    if (records.length === 0) return [];
    const path = `${randomUUID()}.parquet`;
    const writer = await store.create(path);
    await writer.write(Buffer.from(records.join('\n')));
    const { sizeBytes } = await writer.finish();
    const stats = JSON.stringify({ numRecords: records.length });
    return [{ path, sizeBytes, rowCount: records.length, partitionValues: {}, stats }];
  }

  /** The topic is deleted and made again, and a person accepts it. */
  async recreate(): Promise<void> {
    await this.sometime(LENGTH * 12);
    // Without a table there is nothing to accept.
    while (!this.main.has(versionPath(0))) await this.scheduler.turn('event').catch(swallowFaults);
    this.generation++;
    const partition = { logStartOffset: 0n, lastStableOffset: BigInt(LENGTH), highWatermark: BigInt(LENGTH) };
    const topic: TopicDescription = {
      topic: 't',
      identity: identityOf(this.generation),
      compacted: false,
      partitions: PARTITIONS.map((kafkaPartition) => ({ kafkaPartition, ...partition })),
    };
    for (;;) {
      const log = this.openLog('recreate');
      const snapshot = await log.snapshot().catch(swallowFaults);
      if (snapshot === undefined) continue;
      const moves = acceptTopic(snapshot, topic, new Set(PARTITIONS), 'earliest', 'read_committed');
      const repair = {
        answer: 'accept-topic',
        batchId: randomUUID(),
        pipeline: 'products',
        who: 'me',
        reason: 'simulated',
      } as const;
      const outcome = await commit(log, REPAIR, { ...repair, seen: seenTable(snapshot), ...moves }).catch(
        swallowFaults,
      );
      if (outcome?.kind === 'committed') return void this.beganAt.push(outcome.record.tableVersion);
      const now = await log.snapshot().catch(swallowFaults);
      if (epochOf(now) > 0n) return void this.beganAt.push(this.acceptedAt());
    }
  }

  /** Deletes what no version names and is older than now; first it says so in the log. */
  async vacuum(): Promise<void> {
    await this.sometime(LENGTH * 12);
    const cutOff = this.scheduler.now;
    const store = this.store(this.main, 'main', 'vacuum');
    const log = this.openLog('vacuum');
    try {
      while (!this.sabotage.vacuumWithoutTxn) {
        const version = ((await log.snapshot())?.tableVersion ?? -1) + 1;
        if (version === 0) return;
        const txn = JSON.stringify({ txn: { appId: 'tidemark/vacuum', version: cutOff } });
        if ((await store.putIfAbsent(versionPath(version), Buffer.from(`${txn}\n`))) === 'created') break;
      }
      const live = (await log.snapshot())?.files;
      for (const { path, modifiedMs } of await store.list(''))
        if (path.endsWith('.parquet') && !path.startsWith('_') && modifiedMs < cutOff && !live?.has(path))
          await store.delete(path);
    } catch (error) {
      swallowFaults(error);
    }
  }

  /** What a naive reader of both logs finds, against what the topic held. */
  verdict(): Verdict {
    const rows = this.readAll(this.main, (offset) => !isLetter(offset));
    const letters = this.readAll(this.letters, isLetter);
    return {
      lost: rows.lost + letters.lost,
      duplicate: rows.duplicate + letters.duplicate,
      wrong: rows.wrong + letters.wrong,
    };
  }

  private readAll(objects: Objects, expected: (offset: number) => boolean): Verdict {
    const found = new Map<string, number>();
    let [lost, wrong] = [0, 0];
    for (const { path, tableVersion } of addedFiles(objects)) {
      const content = objects.get(path)?.content.toString();
      if (content === undefined) lost++;
      for (const record of content?.split('\n') ?? []) {
        found.set(record, (found.get(record) ?? 0) + 1);
        // Of a topic that had gone when its version was committed.
        const end = this.beganAt[Number.parseInt(record, 10) + 1];
        if (objects === this.main && end !== undefined && tableVersion > end) wrong++;
      }
    }
    for (const kafkaPartition of PARTITIONS)
      for (const offset of offsets(0, LENGTH).filter(expected))
        if (!found.has(`${this.generation}/${kafkaPartition}/${offset}`)) lost++;
    const duplicate = [...found.values()].reduce((sum, count) => sum + count - 1, 0);
    return { lost, duplicate, wrong };
  }

  /** Letters are made readable before the commit that they belong to. */
  private async publishFirst(actor: string, { deadLetterFiles }: Batch): Promise<void> {
    const store = this.store(this.letters, 'letters', actor);
    const added = new Set(addedFiles(this.letters).map(({ path }) => path));
    const files = deadLetterFiles.filter(({ path }) => !added.has(path));
    if (files.length === 0) return;
    const actions = files
      .map(({ path, sizeBytes: size }) => JSON.stringify({ add: { path, size } }))
      .join('\n');
    for (let version = 0; ; version++)
      if ((await store.putIfAbsent(versionPath(version), Buffer.from(actions))) === 'created') return;
  }

  private async sometime(turns: number): Promise<void> {
    for (let turn = Math.floor(this.random() * turns); turn > 0; turn--)
      await this.scheduler.turn('event').catch(swallowFaults);
  }

  private acceptedAt(): number {
    const versions = [...this.main.keys()].filter((path) => /_delta_log\/\d+\.json$/.test(path)).sort();
    return versions.findIndex((path) => this.main.get(path)?.content.includes('"accept"'));
  }

  private store(objects: Objects, root: string, actor: string): ObjectStore {
    const store = simulatedStore(objects, root, actor, this.scheduler);
    return this.sabotage.store?.(store) ?? store;
  }

  private openLog(actor: string, batch?: Batch): DeltaLog {
    const { lie } = this.sabotage;
    const options = { now: () => this.scheduler.now };
    const store = this.store(this.main, 'main', actor);
    return lie === undefined || batch === undefined
      ? new DeltaLog(store, options)
      : new DeceivedLog(store, options, (snapshot) => lie(snapshot, batch));
  }

  private openLetters(actor: string): DeltaLog {
    return new DeltaLog(this.store(this.letters, 'letters', actor), { now: () => this.scheduler.now });
  }
}

/** Decides on what it is told, not on what is there. */
class DeceivedLog extends DeltaLog {
  private readonly lie: (snapshot: Snapshot) => Snapshot;

  constructor(store: ObjectStore, options: { now: () => number }, lie: (snapshot: Snapshot) => Snapshot) {
    super(store, options);
    this.lie = lie;
  }

  override async snapshot(): Promise<Snapshot | undefined> {
    const truth = await super.snapshot();
    return truth && this.lie(truth);
  }
}

function addedFiles(objects: Objects): { path: string; tableVersion: number }[] {
  const live = new Map<string, number>();
  for (const [path, { content }] of [...objects].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const version = /^_delta_log\/(\d{20})\.json$/.exec(path)?.[1];
    if (version === undefined) continue;
    for (const line of content.toString().trim().split('\n')) {
      const { add, remove } = JSON.parse(line);
      if (add !== undefined) live.set(decodeURIComponent(add.path), Number(version));
      if (remove !== undefined) live.delete(decodeURIComponent(remove.path));
    }
  }
  return [...live].map(([path, tableVersion]) => ({ path, tableVersion }));
}

function offsets(from: number, until: number): number[] {
  return Array.from({ length: Math.max(0, until - from) }, (_, index) => from + index);
}

function isLetter(offset: number): boolean {
  return offset % LETTERS_EVERY === LETTERS_EVERY - 1;
}

function identityOf(generation: number) {
  return { clusterId: TOPIC.identity?.clusterId ?? '', topicId: generation.toString(16).padStart(32, '0') };
}

function versionPath(version: number): string {
  return `_delta_log/${String(version).padStart(20, '0')}.json`;
}

function swallowFaults(error: unknown): undefined {
  if (error instanceof Crash || error instanceof Failure) return undefined;
  throw error;
}
