import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ReadersEnvironment, readersEnvironment } from '../test/readers/environment.ts';
import type { Measured } from './measured.ts';

const PEERS = join(import.meta.dirname, 'peers');

/** Python with what the peers need, or why it cannot be had. */
export async function peersEnvironment(): Promise<ReadersEnvironment | { readonly missing: string }> {
  return await readersEnvironment();
}

/** Runs a peer's script to its end. @returns its last line of output, which is JSON */
export async function runPeer<Report = Measured & { readonly startSeconds?: number }>(
  { python, sparkJars }: ReadersEnvironment,
  script: string,
  args: readonly string[],
  brokers = '',
): Promise<Report> {
  const child = spawn(python, [join(PEERS, script), ...args], {
    env: { ...process.env, KAFKA_BROKERS: brokers, SPARK_JARS: sparkJars, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const [exitCode] = await once(child, 'close');
  if (exitCode !== 0) throw new Error(`${script} ended with ${exitCode}:\n${stderr.slice(-3000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

export interface Rows {
  readonly count: number;
  /** Equal for the same rows in any order. */
  readonly checksum: string;
}

/** What DuckDB finds in these Parquet files. */
export async function checkRows(
  environment: ReadersEnvironment,
  files: readonly string[],
  columns: readonly string[],
  listing: string,
): Promise<Rows> {
  await writeFile(listing, JSON.stringify(files));
  return await runPeer<Rows>(environment, 'check_rows.py', [listing, ...columns]);
}

/** The live files of a Delta table, by the JSON of its log. */
export async function liveFiles(table: string): Promise<string[]> {
  const log = join(table, '_delta_log');
  const live = new Set<string>();
  const versions = (await readdir(log)).filter((name) => /^\d{20}\.json$/.test(name)).sort();
  for (const version of versions) {
    for (const line of (await readFile(join(log, version), 'utf8')).split('\n').filter(Boolean)) {
      const { add, remove } = JSON.parse(line);
      if (add) live.add(decodeURIComponent(add.path));
      if (remove) live.delete(decodeURIComponent(remove.path));
    }
  }
  return [...live].map((path) => join(table, path));
}

/** The Parquet files directly in a folder. */
export async function parquetFiles(folder: string): Promise<string[]> {
  return (await readdir(folder))
    .filter((name) => name.endsWith('.parquet'))
    .map((name) => join(folder, name));
}
