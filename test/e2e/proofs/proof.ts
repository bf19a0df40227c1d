/**
 * What the proofs share. Each is an e2e test of one promise: small and seeded under `npm test`, at full size,
 * with absolute limits, under `npm run prove -- NAME`, which keeps what `report` prints in
 * `docs/proofs/NAME.md`.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, inject } from 'vitest';
import { temporalExecutable } from '../../../src/dev/temporal-server.ts';
import {
  type ReadersEnvironment,
  readersEnvironment,
  readTable,
  readTruth,
} from '../../readers/environment.ts';
import { countRecords, temporalNamespace } from '../setup/harness.ts';
import type { Sections } from '../setup/place.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

export const isFullSize = process.env.TIDEMARK_PROOF === 'full';
export const sized = <T>(small: T, full: T): T => (isFullSize ? full : small);

/** A line of the proof's output. */
export function report(line: string): void {
  console.log(line);
  const file = process.env.TIDEMARK_PROOF_OUTPUT;
  if (file !== undefined) appendFileSync(file, `${line}\n`);
}

/** What one case of a proof has shown; lost and duplicate are counted, and have to be 0. */
export interface CaseFigures {
  readonly case: string;
  /** Those that met their moment. */
  readonly faults: number;
  readonly records: number;
  readonly lost: number;
  readonly duplicate: number;
  /** Of the slowest. */
  readonly recoverySeconds?: number;
}

/**
 * Keeps the figures of a full-size proof in `docs/proofs/NAME.json`, for the page that sums all proofs up.
 */
export function keepFigures(name: string, cases: readonly CaseFigures[]): void {
  if (isFullSize)
    writeFileSync(join(ROOT, 'docs/proofs', `${name}.json`), `${JSON.stringify({ cases }, null, 2)}\n`);
}

/** Uniform in [0, 1), the same for the same seed. The seed is printed, and `SEED` repeats it. */
export function seededRandom(): () => number {
  return randomOf(seedOfRun());
}

export function seedOfRun(): number {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  report(`seed ${seed} (repeat with SEED=${seed})`);
  return seed;
}

/** Uniform in [0, 1). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Python with Spark, delta-rs, Polars, DuckDB and librdkafka, or a note and undefined where it is not to be
 * had.
 */
export async function readers(): Promise<ReadersEnvironment | undefined> {
  const environment = await readersEnvironment();
  if (!('missing' in environment)) return environment;
  report(`independent readers are missing: ${environment.missing}`);
  return undefined;
}

/**
 * Demands of the table, as delta-rs reads it, each offset of an independent read_committed consumer once.
 * @returns how many, and that none is lost or there twice
 */
export async function expectEveryOffsetOnce(
  environment: ReadersEnvironment,
  topic: string,
  location: string,
  brokers = inject('kafkaBrokers'),
): Promise<Pick<CaseFigures, 'records' | 'lost' | 'duplicate'>> {
  const truth = await readTruth(environment, brokers, [topic]);
  const table = await readTable(environment, 'delta-rs', location);
  const partitions = Object.entries(truth.offsets[topic] ?? {});
  const distinct = partitions.reduce((sum, [p]) => sum + (table.offsets?.[topic]?.[p]?.distinct ?? 0), 0);
  const figures = { records: truth.count, lost: truth.count - distinct, duplicate: table.count - distinct };
  report(
    `delta-rs against an independent consumer: ${truth.count} records, ${table.count} rows, ${figures.lost} lost, ${figures.duplicate} duplicate`,
  );
  expect(figures).toMatchObject({ lost: 0, duplicate: 0 });
  for (const [partition, { checksum }] of partitions)
    expect(table.offsets?.[topic]?.[partition]?.checksum).toBe(checksum);
  return figures;
}

/** Of offsets and of sums, as `canonical.py` has them. */
export function offsetsChecksum(offsets: readonly number[]): string {
  return createHash('sha256')
    .update(offsets.toSorted((a, b) => a - b).join(','))
    .digest('hex');
}

export function decimalSum(numbers: readonly number[]): string {
  return `${numbers.reduce((sum, n) => sum + BigInt(n), 0n)}.000000`;
}

export const CRAWL_SCHEMA = `id STRING NOT NULL, site STRING, url STRING, title STRING, price DOUBLE, stock BIGINT,
in_stock BOOLEAN, rating DOUBLE, tags ARRAY<STRING>, seller STRUCT<name: STRING, since: BIGINT>, description STRING,
crawl_ts TIMESTAMP, fetched_at TIMESTAMP`;

/** A pipeline over crawler records; `extra` goes over its sections. */
export function crawlPipeline(
  topics: readonly string[],
  location: string,
  extra: { table?: object; limits?: object; compaction?: object } = {},
): Sections {
  return {
    source: { bootstrapServers: inject('kafkaBrokers'), subscribe: topics },
    records: {
      format: 'json',
      mode: 'failFast',
      schema: CRAWL_SCHEMA,
      timestamps: { crawl_ts: 'epochMillis' },
    },
    ...extra,
    table: { location, ...extra.table },
  };
}

/**
 * Produces crawler records with librdkafka (`bench/peers/crawl_producer.py`) and proves that they are there.
 */
export async function produceCrawl(
  environment: ReadersEnvironment,
  topic: string,
  records: number,
  partitions: number,
  codec: string,
): Promise<void> {
  const brokers = inject('kafkaBrokers');
  const script = join(ROOT, 'bench/peers/crawl_producer.py');
  const before = await countRecords(brokers, topic).catch(() => 0n);
  const child = spawn(environment.python, [script, topic, String(records), String(partitions), codec], {
    env: { ...process.env, KAFKA_BROKERS: brokers },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [exitCode] = await once(child, 'close');
  const produced = (await countRecords(brokers, topic)) - before;
  if (exitCode !== 0 || produced !== BigInt(records)) {
    throw new Error(`crawl_producer.py ended with ${exitCode} and ${produced} of ${records} records`);
  }
}

/** What the `temporal` CLI prints, of the test's server. */
export async function temporal(...args: readonly string[]): Promise<string> {
  const executable = await temporalExecutable();
  const server = ['--address', inject('temporalAddress'), '--namespace', temporalNamespace()];
  const env = { ...process.env, PATH: `${dirname(executable)}${delimiter}${process.env.PATH}` };
  return (await promisify(execFile)(executable, [...args, ...server], { env })).stdout;
}
