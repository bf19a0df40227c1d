import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CrawlCodec } from '../src/dev/crawler.ts';
import { parseDdl } from '../src/records/ddl.ts';
import type { ReadersEnvironment } from '../test/readers/environment.ts';
import type { Measured } from './measured.ts';
import { checkRows, liveFiles, parquetFiles, peersEnvironment, runPeer } from './peers.ts';
import type { SystemResult } from './report.ts';
import { SHAPES, type Shape } from './shapes.ts';
import { TidemarkRun } from './tidemark.ts';
import { fillTopic } from './topics.ts';

export interface BenchOptions {
  readonly records: number;
  readonly rounds: number;
  readonly codec: CrawlCodec;
  readonly partitions: number;
  readonly workers: number;
  readonly shape: string;
  readonly only?: readonly string[];
}

/** One topic, drained by each system in every round. */
export class DrainBench {
  readonly #options: BenchOptions;
  readonly #shape: Shape;
  readonly #folder: string;
  readonly #brokers: string;
  readonly #temporal: { readonly address: string; readonly namespace: string };
  readonly #topic = `bench-${Date.now()}`;
  readonly #checksums = new Map<string, string>();
  #environment: ReadersEnvironment | { readonly missing: string } = { missing: 'not looked for' };
  #shapeFile = '';

  constructor(
    options: BenchOptions,
    folder: string,
    brokers: string,
    temporal: { readonly address: string; readonly namespace: string },
  ) {
    this.#options = options;
    this.#shape = SHAPES[options.shape] as Shape;
    this.#folder = folder;
    this.#brokers = brokers;
    this.#temporal = temporal;
  }

  async prepare(): Promise<void> {
    const { records, partitions, codec } = this.#options;
    const shape = this.#shape;
    this.#environment = await peersEnvironment();
    note(`${records} records (${shape.summary}), ${partitions} partitions, ${codec}`);
    const { bytes } = await fillTopic(this.#brokers, shape, {
      topic: this.#topic,
      records,
      partitions,
      codec,
    });
    this.#shapeFile = join(this.#folder, 'shape.json');
    const forPeers = {
      schema: shape.schema.replaceAll('\n', ' '),
      fields: parseDdl(shape.schema).fields,
      broken: shape.brokenOf !== undefined,
      recordBytes: Math.ceil(bytes / records),
    };
    await writeFile(this.#shapeFile, JSON.stringify(forPeers));
  }

  /** All systems in turns, so that what the machine does beside meets all of them. */
  async run(): Promise<SystemResult[]> {
    const { rounds, only } = this.#options;
    const systems = [
      { name: 'tidemark', round: (n: number) => this.#tidemark(n) },
      { name: 'python', round: () => this.#peer('python', 'python_drain.py', liveFiles) },
      { name: 'spark', round: () => this.#peer('spark', 'spark_drain.py', parquetFiles) },
    ].filter(({ name }) => only?.includes(name) ?? true);
    const results = systems.map(({ name }) => ({
      name,
      rounds: [] as RoundOf[],
      missing: undefined as string | undefined,
    }));
    for (let round = 1; round <= rounds; round++) {
      for (const [index, system] of systems.entries()) {
        const result = results[index] as (typeof results)[number];
        if (system.name !== 'tidemark' && 'missing' in this.#environment) {
          result.missing = this.#environment.missing;
          continue;
        }
        const measured = await system.round(round);
        result.rounds.push(measured);
        note(
          `round ${round}, ${system.name}: ${measured.seconds.toFixed(2)} s, ${measured.cpuSeconds.toFixed(1)} CPU s, ` +
            `${measured.peakMemoryMiB.toFixed(0)} MiB`,
        );
      }
    }
    return results;
  }

  async #tidemark(round: number): Promise<RoundOf> {
    const { workers } = this.#options;
    const run = new TidemarkRun(`${this.#topic}-${round}`, {
      brokers: this.#brokers,
      temporal: this.#temporal,
      folder: this.#folder,
      workers,
    });
    try {
      const startSeconds = await run.start({
        source: { bootstrapServers: this.#brokers.split(','), subscribe: [this.#topic] },
        records: { mode: 'deadLetter', schema: this.#shape.schema },
        table: { location: run.table, compression: 'snappy' },
      });
      const measured = await run.drain();
      await this.#requireRows('tidemark', await liveFiles(run.table));
      return { ...measured, startSeconds };
    } finally {
      await run.stop();
      await rm(run.table, { recursive: true, force: true });
    }
  }

  async #peer(name: string, script: string, filesOf: (table: string) => Promise<string[]>): Promise<RoundOf> {
    const table = join(this.#folder, name);
    const environment = this.#environment as ReadersEnvironment;
    const measured = await runPeer(environment, script, [this.#topic, table, this.#shapeFile], this.#brokers);
    await this.#requireRows(name, await filesOf(table));
    for (const path of [table, `${table}_checkpoint`]) await rm(path, { recursive: true, force: true });
    return measured;
  }

  /** Every record that is one must be there once, with the values that all others have. */
  async #requireRows(name: string, files: readonly string[]): Promise<void> {
    if ('missing' in this.#environment) return;
    const { records } = this.#options;
    const columns = [
      ...parseDdl(this.#shape.schema).fields.map((field) => field.name),
      '_partition',
      '_offset',
    ];
    const listing = join(this.#folder, 'files.json');
    const { count, checksum } = await checkRows(this.#environment, files, columns, listing);
    const expected = records - (this.#shape.brokenOf?.(records) ?? 0);
    if (count !== expected) throw new Error(`${name} has written ${count} of ${expected} rows`);
    this.#checksums.set(name, checksum);
    const all = new Set(this.#checksums.values());
    if (all.size > 1) throw new Error(`the rows differ: ${JSON.stringify([...this.#checksums])}`);
  }
}

type RoundOf = Measured & { readonly startSeconds?: number };

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}
