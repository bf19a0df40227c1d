import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { expect } from 'vitest';
import { Tidemark } from '../../../src/client.ts';
import {
  type PartitionReport,
  type ReadersEnvironment,
  readTable,
  readTruth,
} from '../../readers/environment.ts';
import { produce, recreateTopic, tidemark } from '../setup/harness.ts';
import type { HeldPut } from '../setup/holds.ts';
import type { Place } from '../setup/place.ts';
import { type CaseFigures, decimalSum, offsetsChecksum, report } from './proof.ts';

/** An attempt that freezes, and what its table goes through while it does. */
export interface Zombie {
  readonly what: string;
  /**
   * Where its worker is held: at a version of the table or of its dead letters, or at the end of a write
   * task.
   */
  readonly held: { readonly in: 'log' | 'letters' | 'task'; readonly moment: HeldPut['moment'] };
  /** @default drain */
  readonly run?: 'compact';
  /** Held in a second worker as well. */
  readonly stacked?: true;
  /** The run is ended while its attempt is frozen, so that nobody repeats the attempt. */
  readonly terminated?: true;
  /** After a retry on another worker, where there is one. */
  readonly meanwhile?: (table: ZombieTable) => Promise<unknown>;
  /** Of its pipeline; for ever where absent. */
  readonly keepLog?: string;
  /** Its put succeeds, behind the versions that were cleaned out of the log. */
  readonly leavesStray?: true;
  /** What a worker's log says of it: the one that wakes, or the one that took over. */
  readonly says?: { readonly who: 'woken' | 'successor'; readonly text: RegExp };
}

export interface Setting {
  readonly own: Place;
  readonly client: Client;
  readonly python: ReadersEnvironment;
}

/** The log is cleaned up to its newest log checkpoint. */
const LOG_CHECKPOINT_INTERVAL = 10;

/** Records of a topic that was made again are told from those before it. */
const GENERATION = 1_000_000_000;

/** One pipeline with one topic of one partition, whose records are numbered, and the run that freezes. */
export class ZombieTable {
  readonly zombie: Zombie;
  /** Of topic and pipeline. */
  readonly name: string;
  readonly location: string;
  private readonly setting: Setting;
  private readonly tidemark: Tidemark;
  private run: WorkflowHandle | undefined;
  private topics = 1;
  private inTopic = 0;
  private readonly rows: number[] = [];
  private readonly letterOffsets: number[] = [];
  private readonly deletedTopics: PartitionReport[] = [];

  static async create(zombie: Zombie, setting: Setting): Promise<ZombieTable> {
    const table = new ZombieTable(zombie, await setting.own.topic('zombie'), setting);
    await setting.own.pipeline(table.name, {
      source: { subscribe: [table.name] },
      records: { schema: 'n BIGINT', maxDeadLetters: '100%' },
      table: { location: table.location },
      ...(zombie.keepLog && { vacuum: { keepLog: zombie.keepLog } }),
    });
    return table;
  }

  private constructor(zombie: Zombie, name: string, setting: Setting) {
    this.zombie = zombie;
    this.name = name;
    this.setting = setting;
    this.location = join(setting.own.folder, name, 'table');
    this.tidemark = new Tidemark(setting.client);
  }

  get held(): HeldPut {
    const path = {
      log: [`${this.location}/_delta_log/`],
      letters: [`${this.location}.dead_letters/_delta_log/`],
      task: [`${this.location}/_tidemark/runs/`, '/task-'],
    };
    return { path: path[this.zombie.held.in], moment: this.zombie.held.moment };
  }

  /** Every tenth record is a dead letter where letters are what it is about. */
  async produce(count: number): Promise<void> {
    const messages = Array.from({ length: count }, () => {
      const offset = this.inTopic++;
      const n = offset + this.topics * GENERATION;
      const isLetter = this.zombie.held.in === 'letters' && offset % 10 === 0;
      if (isLetter) this.letterOffsets.push(offset);
      else this.rows.push(n);
      return { value: JSON.stringify({ n: isLetter ? 'no number' : n }), partition: 0 };
    });
    await produce(this.setting.own.brokers, this.name, messages);
  }

  async drain(): Promise<void> {
    expect((await this.tidemark.drain(this.name)).outcome).toBe('complete');
  }

  async compact(): Promise<void> {
    await this.tidemark.compact({ pipeline: this.name, targetFiles: 1 });
  }

  /** Deletes what no version names, however young. */
  async vacuum(): Promise<void> {
    await this.tidemark.vacuum({ pipeline: this.name, olderThan: '1s', force: true });
  }

  /** Until the version that is in hand somewhere is gone. */
  async cleanLog(): Promise<void> {
    const inHand = this.versions().at(-1);
    for (let drain = 0; drain < LOG_CHECKPOINT_INTERVAL + 2; drain++) {
      await this.produce(1);
      await this.drain();
    }
    await sleep(1_000);
    // Files that are young stay, and with them the temporary one that the frozen put is about to link.
    await this.tidemark.vacuum({ pipeline: this.name });
    expect(this.versions()).not.toContain(inHand);
  }

  async startRun(): Promise<void> {
    const { run = 'drain' } = this.zombie;
    this.run = await this.setting.client.workflow.start(run, {
      workflowId: `${run}-${this.name}`,
      taskQueue: 'tidemark',
      args: [{ pipeline: this.name, ...(run === 'compact' && { targetFiles: 1 }) }],
    });
  }

  async runEnds(): Promise<void> {
    await this.run?.result();
  }

  async terminateRun(): Promise<void> {
    await this.run?.terminate();
  }

  /** As many records again, with the same offsets, in a topic that has another id. */
  async makeTopicAnew(): Promise<void> {
    this.deletedTopics.push(await this.truth());
    const count = this.inTopic;
    await recreateTopic(this.setting.own.brokers, this.name, 1);
    this.topics++;
    this.inTopic = 0;
    await this.produce(count);
    const accept = ['repair', this.name, 'accept-topic', this.name, '--from', 'earliest', '--yes'];
    const accepted = await tidemark([...accept, '--reason', 'made again'], this.setting.own.env);
    expect(accepted).toMatchObject({ exitCode: 0 });
    await this.drain();
  }

  /** The committed versions with their content's hash, those of the dead letters too. */
  versions(): readonly string[] {
    return [this.location, `${this.location}.dead_letters`].flatMap((location) => {
      const folder = join(location, '_delta_log');
      const files = filesIn(folder).filter((file) => /^\d{20}\.json$/.test(file));
      return files.map((file) => `${file} ${sha256(readFileSync(join(folder, file)))}`);
    });
  }

  /** What write tasks have ended with. */
  taskFiles(): readonly string[] {
    return filesIn(this.location).filter((file) => file.includes('/task-'));
  }

  /**
   * Whether the attempt that was frozen has come to its end: by the log of its worker, a write task by one
   * more than these files.
   */
  hasWoken(log: string, taskFilesBefore: readonly string[]): boolean {
    const { says, held } = this.zombie;
    if (held.in === 'task') return this.taskFiles().length > taskFilesBefore.length;
    return says?.who !== 'woken' || says.text.test(this.linesOf(log));
  }

  /** Every offset of an independent consumer is one row, or one dead letter. */
  async check(logs: Readonly<Record<'woken' | 'successor', string>>): Promise<CaseFigures> {
    const { what, says, held } = this.zombie;
    if (says !== undefined) expect(this.linesOf(logs[says.who])).toMatch(says.text);
    // The attempt that woke has finished its task, too, beside the four that were committed.
    if (held.in === 'task') expect(this.taskFiles()).toHaveLength(5);

    const truth = [...this.deletedTopics, await this.truth()].flatMap(offsetsOf);
    expect(truth.length).toBe(this.rows.length + this.letterOffsets.length);
    const rowOffsets = truth.filter((offset) => !this.letterOffsets.includes(offset));
    const table = await readTable(this.setting.python, 'delta-rs', this.location);
    const [lost, duplicate] = [rowOffsets.length - table.count, table.count - rowOffsets.length].map((n) =>
      Math.max(0, n),
    ) as [number, number];
    const kinds = this.letterOffsets.length > 0 ? `, ${this.letterOffsets.length} dead letters` : '';
    report(
      `${what}: ${truth.length} records, ${table.count} rows${kinds}, ${lost} lost, ${duplicate} duplicate`,
    );
    // Also where as many are lost as are there twice.
    expect(table.offsets?.[this.name]?.['0']?.checksum).toBe(offsetsChecksum(rowOffsets));
    expect(table.sums.n).toBe(decimalSum(this.rows));
    if (this.letterOffsets.length > 0) await this.checkLetters();
    return { case: what, faults: this.zombie.stacked ? 2 : 1, records: truth.length, lost, duplicate };
  }

  private async checkLetters(): Promise<void> {
    const letters = await readTable(this.setting.python, 'delta-rs', `${this.location}.dead_letters`);
    expect(letters).toMatchObject({
      count: this.letterOffsets.length,
      sums: { offset: decimalSum(this.letterOffsets) },
    });
  }

  private async truth(): Promise<PartitionReport> {
    const { offsets } = await readTruth(this.setting.python, this.setting.own.brokers, [this.name]);
    const found = offsets[this.name]?.['0'];
    if (found === undefined) throw new Error(`${this.name} has no records`);
    return found;
  }

  private linesOf(log: string): string {
    return log
      .split('\n')
      .filter((line) => line.includes(`-${this.name}`))
      .join('\n');
  }
}

function filesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort() : [];
}

/** Of a topic without gaps, which these are. */
function offsetsOf({ count, first, last }: PartitionReport): number[] {
  expect(last - first + 1).toBe(count);
  return Array.from({ length: count }, (_, i) => first + i);
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
