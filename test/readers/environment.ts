import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cached, run } from '../../src/dev/cache.ts';
import { fetchJars } from '../../src/dev/maven.ts';
import { askScripts, SCRIPTS_SOCKET } from './scripts-server.ts';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
/** Bring what pyspark lacks; everything else it has, often in another version. */
const SPARK_ARTIFACTS = [
  'org.apache.spark:spark-sql-kafka-0-10_2.13:4.1.1',
  'io.delta:delta-spark_2.13:4.2.0',
];
/** What the first test that needs the readers has to wait at most. */
export const INSTALL_TIMEOUT_MS = 20 * 60_000;

/** Where the independent readers run: Spark, delta-rs, Polars, DuckDB, librdkafka. */
export interface ReadersEnvironment {
  readonly python: string;
  readonly sparkJars: string;
}

/**
 * The readers' Python and jars, from the cache or installed into it once.
 * Where they cannot be had the result says why; with `TIDEMARK_READERS=required` that is an error.
 */
export async function readersEnvironment(): Promise<ReadersEnvironment | { readonly missing: string }> {
  try {
    return await installed();
  } catch (error) {
    if (process.env.TIDEMARK_READERS === 'required') throw error;
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}

async function installed(): Promise<ReadersEnvironment> {
  const requirements = here('./requirements.txt');
  const key = createHash('sha256')
    .update(await readFile(requirements))
    .update(SPARK_ARTIFACTS.join())
    .digest('hex')
    .slice(0, 12);
  const venv = await cached(`readers-${key}`, async (folder) => {
    console.error('Installing the independent readers with pip and Maven (some 600 MB, once)...');
    await must('python3', ['-m', 'venv', folder]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    await must(join(folder, 'bin', 'python'), [...pip, '-r', requirements]);
    await fetchJars(SPARK_ARTIFACTS, folder);
    await dropWhatSparkHas(folder);
  });
  return { python: join(venv, 'bin', 'python'), sparkJars: join(venv, 'libs') };
}

async function must(command: string, args: readonly string[]): Promise<string> {
  const { ok, output } = await run(command, args, { timeoutMs: INSTALL_TIMEOUT_MS });
  if (!ok) throw new Error(`${command} ${args.join(' ')}:\n${output.split('\n').slice(-8).join('\n')}`);
  return output;
}

async function dropWhatSparkHas(venv: string): Promise<void> {
  const find = 'import os, pyspark; print(os.path.join(os.path.dirname(pyspark.__file__), "jars"))';
  const spark = (await must(join(venv, 'bin', 'python'), ['-c', find])).trim();
  const had = new Set((await readdir(spark)).map(artifactOf));
  for (const jar of await readdir(join(venv, 'libs'))) {
    if (had.has(artifactOf(jar))) await rm(join(venv, 'libs', jar));
  }
}

/** `lz4-java-1.10.2.jar` → `lz4-java` */
function artifactOf(jar: string): string {
  return jar.replace(/-\d[^-]*(-[^-]+)?\.jar$/, '');
}

/** The newest DuckDB that has a Delta extension in the registry, with it: another than the readers' own. */
const DUCKDB_WITH_DELTA = '1.5.5';

/** A folder for PYTHONPATH, or why there is none. */
export async function deltaExtension({
  python,
}: ReadersEnvironment): Promise<{ readonly folder: string } | { readonly missing: string }> {
  try {
    const version = DUCKDB_WITH_DELTA;
    const folder = await cached(`duckdb-delta-${version}`, async (folder) => {
      const packages = [`duckdb==${version}`, `duckdb-extension-delta==${version}`];
      const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', folder];
      await must(python, [...pip, ...packages]);
    });
    return { folder };
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}

/** What a reader says of a table or topic; see `canonical.py`. */
export interface ReaderReport {
  readonly reader: string;
  readonly count: number;
  readonly sums: Readonly<Record<string, string | null>>;
  readonly checksum: string;
  readonly columns: Readonly<Record<string, string>>;
  readonly offsets: OffsetsReport | null;
  readonly seconds: number;
}

/** By topic and partition. */
export type OffsetsReport = Readonly<Record<string, Readonly<Record<string, PartitionReport>>>>;

export interface PartitionReport {
  readonly count: number;
  readonly distinct: number;
  readonly first: number;
  readonly last: number;
  /** Of the offsets, ascending. */
  readonly checksum: string;
}

export type Reader = 'spark' | 'delta-rs' | 'polars' | 'duckdb';

/** @param source the table's folder; for DuckDB a file with the output of `tidemark files -o json` */
export function readTable(
  environment: ReadersEnvironment,
  reader: Reader,
  source: string,
): Promise<ReaderReport> {
  return script(environment, 'read_table.py', [reader, source]);
}

/**
 * Cells of the matrix, see `matrix.py`; `extension` is the folder of `deltaExtension`, for the reader that
 * needs it.
 */
export function readMatrixWith<Cell>(
  environment: ReadersEnvironment,
  request: string,
  readers: readonly string[],
  extension?: string,
): Promise<Cell[]> {
  const extra = extension === undefined ? {} : { PYTHONPATH: extension };
  return script(environment, 'matrix.py', [request, ...readers], '', extra);
}

export interface SparkTopicRequest {
  readonly topics: readonly string[];
  /** DDL */
  readonly schema: string;
  readonly timestamps?: Readonly<Record<string, string>>;
  readonly kafkaColumns?: readonly string[];
  /** Columns of the partition terms `day(...)`. */
  readonly days?: readonly string[];
}

/** Spark's own reading of the topics, comparable with `readTable`. */
export function readTopicWithSpark(
  environment: ReadersEnvironment,
  brokers: string,
  request: SparkTopicRequest,
): Promise<ReaderReport> {
  return script(environment, 'spark_topic.py', [JSON.stringify(request)], brokers);
}

/** What Spark's `from_json` makes of the first record of each partition; see `spark_defects.py`. */
export function readDefectsWithSpark(
  environment: ReadersEnvironment,
  brokers: string,
  request: { readonly topic: string; readonly schema: string },
): Promise<Record<string, SparkFate>> {
  return script(environment, 'spark_defects.py', [JSON.stringify(request)], brokers);
}

export interface SparkFate {
  /** Its columns, null ones left out. */
  readonly permissive: Readonly<Record<string, unknown>> | null;
  /** Whether `_corrupt_record` has the text. */
  readonly corrupt: boolean;
  readonly failFast: 'row' | 'failure';
}

/** What an independent read_committed consumer finds, comparable with `ReaderReport.offsets`. */
export function readTruth(
  environment: ReadersEnvironment,
  brokers: string,
  topics: readonly string[],
): Promise<{ count: number; offsets: Record<string, Record<string, PartitionReport & { values: string }>> }> {
  return script(environment, 'kafka_truth.py', topics, brokers);
}

/** What scripts have to be told besides their arguments. */
type ScriptEnv = Readonly<Record<string, string>>;

async function script<T>(
  environment: ReadersEnvironment,
  name: string,
  args: readonly string[],
  brokers = '',
  extra: ScriptEnv = {},
): Promise<T> {
  const env = { SPARK_JARS: environment.sparkJars, KAFKA_BROKERS: brokers, ...extra };
  const socket = process.env[SCRIPTS_SOCKET];
  // A PYTHONPATH is another Python's.
  const output =
    socket !== undefined && extra.PYTHONPATH === undefined
      ? await askScripts(socket, { script: name, args, env })
      : await runScript(environment, name, args, env);
  return JSON.parse(output.trim().split('\n').at(-1) ?? '');
}

async function runScript(
  environment: ReadersEnvironment,
  name: string,
  args: readonly string[],
  env: ScriptEnv,
): Promise<string> {
  const child = spawn(environment.python, [here(`./${name}`), ...args], {
    env: { ...process.env, ...env, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const [exitCode] = await once(child, 'close');
  if (exitCode !== 0)
    throw new Error(`${name} ${args.join(' ')} ended with ${exitCode}:\n${stderr.slice(-3000)}`);
  return stdout;
}
