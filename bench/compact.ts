/**
 * `npm run bench:compact -- [options]`: a table of many small files becomes four large ones, by Tidemark's
 * workflow and by what one would use instead, in turns, each on a copy of its own. Rows are compared by an
 * independent reader. The last line of `-o json` is one JSON object.
 */
import { cp, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { findOrStartKafka } from '../src/dev/kafka-server.ts';
import { findOrStartTemporal } from '../src/dev/temporal-server.ts';
import { parseDdl } from '../src/records/ddl.ts';
import type { ReadersEnvironment } from '../test/readers/environment.ts';
import { type Measured, wholeNumber } from './measured.ts';
import { checkRows, liveFiles, parquetFiles, peersEnvironment, runPeer } from './peers.ts';
import { asTable, type SystemResult, summarize } from './report.ts';
import { SHAPES } from './shapes.ts';
import { TidemarkRun } from './tidemark.ts';
import { fillTopic } from './topics.ts';

const TARGET_FILES = 4;
const PARTITIONS = 4;
/** Offsets of one of the drain's batches, each of which leaves as many files as the others. */
const BATCH_RECORDS = 2_000_000;
const SHAPE = 'crawler';
const PEERS = { duckdb: 'duckdb', deltaRs: 'delta-rs', spark: 'spark' } as const;

interface Options {
  readonly records: number;
  readonly files: number;
  readonly rounds: number;
  readonly only?: readonly string[];
  readonly output: 'text' | 'json';
}

type Round = Measured & { readonly startSeconds?: number };

const options = new Command('npm run bench:compact --')
  .option('--records <n>', 'rows of the table', wholeNumber, 1_000_000)
  .option('--files <n>', 'that it lies in', wholeNumber, 200)
  .option('--rounds <n>', 'of each system', wholeNumber, 3)
  .addOption(new Option('--only <systems...>', 'of the four').choices(['tidemark', ...Object.keys(PEERS)]))
  .addOption(new Option('-o, --output <format>').choices(['text', 'json']).default('text'))
  .parse()
  .opts<Options>();
const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-'));
const starting = [findOrStartKafka(), findOrStartTemporal()] as const;
try {
  const [kafka, temporal] = await Promise.all(starting);
  const summary = summarize({ ...options }, await measure(kafka.bootstrapServers, temporal));
  process.stderr.write(`${asTable(summary)}\n`);
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(summary)}\n`);
} finally {
  for (const server of await Promise.allSettled(starting))
    if (server.status === 'fulfilled') await server.value.stop();
  await rm(folder, { recursive: true, force: true });
}

async function measure(
  brokers: string,
  temporal: { readonly address: string; readonly namespace: string },
): Promise<SystemResult[]> {
  const environment = await peersEnvironment();
  const topic = `bench-compact-${Date.now()}`;
  const shape = SHAPES[SHAPE];
  if (shape === undefined) throw new Error(`there is no shape ${SHAPE}`);
  const { records, files, rounds } = options;
  note(`${records} rows in ${files} files`);
  await fillTopic(brokers, shape, { topic, records, partitions: PARTITIONS, codec: 'lz4' });
  const source = { bootstrapServers: brokers.split(','), subscribe: [topic] };
  const pipelineFor = (location: string) => ({
    source,
    records: { mode: 'deadLetter', schema: shape.schema },
    table: {
      ...{ location, compression: 'snappy' },
      coalesce: Math.ceil(files / Math.ceil(records / BATCH_RECORDS)),
    },
    limits: { maxOffsetsPerBatch: BATCH_RECORDS },
  });
  // A table belongs to one pipeline, so that all runs have its name, and the table comes back to its place.
  const start = async () => {
    const run = new TidemarkRun(topic, { brokers, temporal, folder, workers: 1 });
    return { run, startSeconds: await run.start(pipelineFor(run.table)) };
  };

  const original = join(folder, 'original');
  const { run: drained } = await start();
  await drained.drain();
  await drained.stop();
  await rename(drained.table, original);
  const columns = [...parseDdl(shape.schema).fields.map(({ name }) => name), '_partition', '_offset'];
  const listing = join(folder, 'files.json');
  const rowsOf = async (paths: readonly string[]) =>
    'missing' in environment ? undefined : await checkRows(environment, paths, columns, listing);
  const before = JSON.stringify(await rowsOf(await liveFiles(original)));
  const requireSame = async (name: string, paths: readonly string[]) => {
    const after = JSON.stringify(await rowsOf(paths));
    if (after !== before) throw new Error(`${name} has other rows: ${after}, not ${before}`);
  };

  const results = new Map<string, { rounds: Round[]; missing: string | undefined }>();
  const resultOf = (name: string) =>
    results.get(name) ?? results.set(name, { rounds: [], missing: undefined }).get(name);
  for (let round = 1; round <= rounds; round++) {
    const { run, startSeconds } = await start();
    try {
      await cp(original, run.table, { recursive: true });
      const { receipt, ...measured } = await run.compact({ targetFiles: TARGET_FILES });
      const paths = await liveFiles(run.table);
      if (paths.length !== TARGET_FILES) throw new Error(`${paths.length} files are left`);
      await requireSame('tidemark', paths);
      const bytesWritten = receipt.bytesAdded;
      keep('tidemark', round, { ...measured, rows: records, bytesWritten, startSeconds });
    } finally {
      await run.stop();
      await rm(run.table, { recursive: true, force: true });
    }
    for (const [name, engine] of Object.entries(PEERS)) {
      if (!(options.only?.includes(name) ?? true)) continue;
      if ('missing' in environment) {
        const result = resultOf(name);
        if (result !== undefined) result.missing = environment.missing;
      } else keep(name, round, await peer(environment, engine));
    }
  }
  return [...results].map(([name, result]) => ({ name, ...result }));

  function keep(name: string, round: number, measured: Round): void {
    resultOf(name)?.rounds.push(measured);
    note(
      `round ${round}, ${name}: ${measured.seconds.toFixed(2)} s, ${measured.cpuSeconds.toFixed(1)} CPU s`,
    );
  }

  async function peer(environment: ReadersEnvironment, engine: string): Promise<Round> {
    const table = join(folder, 'copy');
    const out = join(folder, 'out');
    await cp(original, table, { recursive: true });
    try {
      await writeFile(listing, JSON.stringify(await liveFiles(table)));
      const measured = await runPeer(environment, 'compact.py', [engine, table, out, listing]);
      await requireSame(engine, await (engine === PEERS.deltaRs ? liveFiles(table) : parquetFiles(out)));
      return measured;
    } finally {
      for (const path of [table, out]) await rm(path, { recursive: true, force: true });
    }
  }
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}
