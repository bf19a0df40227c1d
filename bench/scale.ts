/**
 * `npm run bench:scale -- [options]`: how Tidemark alone grows with threads, workers, Kafka partitions and
 * records; what a drain of few records takes; and whether a batch takes longer on a table of many versions.
 * The last line of `-o json` is one JSON object.
 */

import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command, Option } from 'commander';
import { BATCH } from '../src/commits/batch.ts';
import { commit } from '../src/commits/commit.ts';
import { epochOf, offsetAppId } from '../src/commits/pipeline-state.ts';
import { DeltaLog } from '../src/delta/log.ts';
import { findOrStartKafka } from '../src/dev/kafka-server.ts';
import { findOrStartTemporal } from '../src/dev/temporal-server.ts';
import { formatCount } from '../src/format.ts';
import { emptyAccounting } from '../src/records/accounting.ts';
import { fromDeltaSchemaString } from '../src/records/delta-schema.ts';
import { LocalStore } from '../src/storage/local-store.ts';
import { table } from '../src/terminal/output.ts';
import { type Measured, median, wholeNumber } from './measured.ts';
import { SHAPES, type Shape } from './shapes.ts';
import { TidemarkRun } from './tidemark.ts';
import { fillTopic } from './topics.ts';

const SHAPE = SHAPES.crawler as Shape;
const CODEC = 'lz4';
const PARTITIONS = 4;
const LATENCY_RECORDS = [1, 1_000, 100_000];
const VERSIONS = [10, 1_000, 10_000];
/** Of the batch that is measured at each of them. */
const VERSION_RECORDS = 100_000;

interface Options {
  readonly records: number;
  readonly rounds: number;
  readonly only?: readonly string[];
  readonly output: 'text' | 'json';
}

interface Setting {
  readonly records: number;
  readonly partitions?: number;
  readonly workers?: number | TidemarkRun;
  readonly heavyTasks?: number;
}

interface Row {
  readonly measure: string;
  readonly setting: string;
  readonly records: number;
  /** Medians. */
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMemoryMiB: number;
}

const CASES = {
  async threads() {
    for (const heavyTasks of [1, 2]) await whole('threads', `${heavyTasks}`, { records, heavyTasks });
  },
  async workers() {
    for (const workers of [1, 2])
      await whole('workers of one thread', `${workers}`, { records, workers, heavyTasks: 1 });
  },
  async partitions() {
    for (const partitions of [1, 4, 64, 1_000])
      await whole('Kafka partitions', formatCount(partitions), { records, partitions });
  },
  async records() {
    for (const count of [records / 10, records, records * 10])
      await whole('records', formatCount(count), { records: count });
  },
  latency,
  versions,
} as const;

const { records, rounds, only, output } = new Command('npm run bench:scale --')
  .option('--records <n>', 'of a drain, unless it is about their number', wholeNumber, 1_000_000)
  .option('--rounds <n>', 'of each', wholeNumber, 3)
  .addOption(new Option('--only <measures...>').choices(Object.keys(CASES)))
  .addOption(new Option('-o, --output <format>').choices(['text', 'json']).default('text'))
  .parse()
  .opts<Options>();
const rows: Row[] = [];
const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-'));
const starting = [findOrStartKafka(), findOrStartTemporal()] as const;
try {
  await Promise.all(starting);
  for (const [name, measure] of Object.entries(CASES)) if (only?.includes(name) ?? true) await measure();
  process.stderr.write(`${asTable()}\n`);
  if (output === 'json') process.stdout.write(`${JSON.stringify({ records, rounds, rows })}\n`);
} finally {
  for (const server of await Promise.allSettled(starting))
    if (server.status === 'fulfilled') await server.value.stop();
  await rm(folder, { recursive: true, force: true });
}

/** Whole topics by fresh workers. */
async function whole(measure: string, setting: string, how: Setting): Promise<void> {
  const topic = nameOf(measure, setting);
  await fill(topic, how.records, how.partitions);
  const measured: Measured[] = [];
  for (let round = 1; round <= rounds; round++) {
    const run = await start(`${topic}-${round}`, topic, how);
    try {
      measured.push(await run.drain());
    } finally {
      await run.stop();
      await rm(run.table, { recursive: true, force: true });
    }
  }
  keep(measure, setting, how.records, measured);
}

/** Small drains one after the other, by a worker that has done one before: as a schedule has them. */
async function latency(): Promise<void> {
  const topic = nameOf('latency', '');
  await fill(topic, PARTITIONS);
  const run = await start(topic, topic, {});
  try {
    await run.drain();
    for (const count of LATENCY_RECORDS) {
      const measured: Measured[] = [];
      for (let round = 0; round <= rounds; round++) {
        await fill(topic, count);
        measured.push(await run.drain());
      }
      keep('latency', `a drain of ${formatCount(count)}`, count, measured.slice(1));
    }
  } finally {
    await run.stop();
  }
}

/**
 * The same batch by tables of different age, in turns; their versions are committed as batches of one record
 * are.
 */
async function versions(): Promise<void> {
  const tables: AgedTable[] = [];
  try {
    for (const tableVersion of VERSIONS) {
      const topic = nameOf('version', `${tableVersion}`);
      await fill(topic, 1, 1);
      // One worker for all three.
      const run = await start(topic, topic, tables[0] === undefined ? {} : { workers: tables[0].run });
      tables.push({ tableVersion, topic, run, measured: [] });
      await run.drain();
      await commitUpTo(tableVersion, topic, run.table);
    }
    await promisify(execFile)('sync'); // else the batches' own syncs wait for thousands of files that were just made
    // The first two read what has come meanwhile, and warm up.
    for (let round = -1; round <= rounds; round++) {
      for (const { topic, run, measured } of tables) {
        await fill(topic, VERSION_RECORDS, 1);
        const drained = await run.drain();
        if (round > 0) measured.push(drained);
      }
    }
    for (const { tableVersion, measured } of tables)
      keep('table version', formatCount(tableVersion), VERSION_RECORDS, measured);
  } finally {
    for (const { run } of tables) await run.stop();
  }
}

interface AgedTable {
  readonly tableVersion: number;
  readonly topic: string;
  readonly run: TidemarkRun;
  readonly measured: Measured[];
}

async function commitUpTo(tableVersion: number, topic: string, location: string): Promise<void> {
  const store = new LocalStore(location);
  const log = new DeltaLog(store, { now: Date.now });
  let snapshot = await log.snapshot();
  const count = tableVersion - (snapshot?.tableVersion ?? 0);
  note(`committing ${formatCount(count)} versions`);
  await fill(topic, count, 1);
  const [original] = [...(snapshot?.files.values() ?? [])].filter(({ stats }) =>
    stats?.includes('"numRecords":1,'),
  );
  if (snapshot === undefined || original === undefined)
    throw new Error('the first drain has written one row');
  for (; snapshot.tableVersion < tableVersion; snapshot = (await log.snapshot()) ?? snapshot) {
    const path = `version-${snapshot.tableVersion + 1}.parquet`;
    await copyFile(store.address(original.path), store.address(path));
    const startingOffset = snapshot.txns.get(offsetAppId(topic, 0)) ?? 0n;
    const file = {
      path,
      sizeBytes: original.size,
      rowCount: 1,
      partitionValues: {},
      stats: original.stats ?? '{}',
    };
    await commit(log, BATCH, {
      ...{ batchId: path, pipeline: topic, run: 'bench', compression: 'snappy' },
      origin: { build: 'bench', specification: '' },
      plannedOn: {
        tableId: snapshot.metaData.id,
        tableVersion: snapshot.tableVersion,
        epoch: epochOf(snapshot),
      },
      schema: fromDeltaSchemaString(snapshot.metaData.schemaString),
      ...{ partitionColumns: [], files: [file], deadLetterFiles: [] },
      topics: [{ topic, identity: undefined }],
      partitions: [
        {
          ...{ topic, kafkaPartition: 0, startingOffset, readFrom: startingOffset },
          ...{ endingOffset: startingOffset + 1n, accounting: { ...emptyAccounting(), rows: 1 } },
        },
      ],
    });
  }
}

async function start(
  name: string,
  topic: string,
  { workers = 1, heavyTasks }: Partial<Setting>,
): Promise<TidemarkRun> {
  const [kafka, temporal] = await Promise.all(starting);
  const run = new TidemarkRun(name, {
    ...{ brokers: kafka.bootstrapServers, temporal, folder, workers },
    ...(heavyTasks !== undefined && { heavyTasks }),
  });
  await run.start({
    source: { bootstrapServers: kafka.bootstrapServers.split(','), subscribe: [topic] },
    records: { schema: SHAPE.schema },
    table: { location: run.table, compression: 'snappy' },
  });
  return run;
}

async function fill(topic: string, count: number, partitions = PARTITIONS): Promise<void> {
  const [kafka] = await Promise.all(starting);
  await fillTopic(kafka.bootstrapServers, SHAPE, { topic, records: count, partitions, codec: CODEC });
}

function nameOf(measure: string, setting: string): string {
  return `${measure}-${setting}-${Date.now()}`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
}

function keep(measure: string, setting: string, count: number, measured: readonly Measured[]): void {
  const of = (figure: (one: Measured) => number) => median(measured.map(figure));
  const row = {
    ...{ measure, setting, records: count },
    seconds: of(({ seconds }) => seconds),
    cpuSeconds: of(({ cpuSeconds }) => cpuSeconds),
    peakMemoryMiB: Math.max(...measured.map(({ peakMemoryMiB }) => peakMemoryMiB)),
  };
  rows.push(row);
  note(`${measure} ${setting}: ${measured.map(({ seconds }) => seconds.toFixed(2)).join(', ')} s`);
}

function asTable(): string {
  const headings = ['measure', 'setting', 'seconds', 'records/s', 'CPU s', 'peak MiB'];
  const cells = rows.map(({ measure, setting, records: count, seconds, cpuSeconds, peakMemoryMiB }) => [
    ...[measure, setting, seconds.toFixed(2), formatCount(Math.round(count / seconds))],
    ...[cpuSeconds.toFixed(1), peakMemoryMiB.toFixed(0)],
  ]);
  return table(headings, cells, headings.slice(2));
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}
