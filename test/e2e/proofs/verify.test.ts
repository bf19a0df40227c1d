/**
 * Promise: `tidemark verify` reads ten million rows in a thousand files within a minute and 500 MiB on two
 * cores, says that all is well where it is, and finds one byte, one file and one row that is there twice.
 * Method: real drains of a crawl; the verb as a process, whose memory is summed over it and its children;
 * then a copy of a file by another writer, a turned byte, a deleted file. Small under `npm test`; the limits
 * are judged at full size.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, expect, inject } from 'vitest';
import { uniqueName, withAdmin } from '../setup/harness.ts';
import { it } from '../setup/place.ts';
import { crawlPipeline, isFullSize, produceCrawl, readers, report, sized } from './proof.ts';

const SECONDS = 60;
const MEMORY_MIB = 500;
const RECORDS = sized(20_000, 10_000_000);
const FILES = sized(20, 1_000);
/** Write tasks per batch, each of which ends in a file. */
const TASKS = 4;
const CLI = resolve(import.meta.dirname, '../../../src/cli/main.ts');

const topics: string[] = [];
// Gigabytes that nobody reads again.
afterAll(() => withAdmin(inject('kafkaBrokers'), (admin) => admin.deleteTopics({ topics })));

it('ten million rows in a thousand files', { timeout: 3_600_000 }, async ({ own, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  topics.push(uniqueName('verify'), uniqueName('verify'));
  await Promise.all(topics.map((topic) => produceCrawl(python, topic, RECORDS / 2, TASKS / 2, 'lz4')));
  const { location, env } = own;
  const limits = { maxOffsetsPerBatch: (RECORDS / FILES) * TASKS };
  const name = await own.pipeline(
    uniqueName('verify'),
    crawlPipeline(topics, location, { table: { coalesce: TASKS }, limits }),
  );
  const worker = await own.worker();
  const { totals } = await (await own.client()).drain(name);
  expect(totals).toMatchObject({ rows: RECORDS });
  report(`drained ${totals.rows} rows into ${totals.files} files`);
  await worker.stop();

  report('table | rows | files | MiB | disagreements | seconds | peak MiB of both processes');
  const whole = await verify('as drained', name, env);
  expect(whole.exitCode).toBe(0);
  expect(whole.result).toMatchObject({
    outcome: 'agrees',
    rows: { rows: RECORDS, located: RECORDS },
    files: { live: totals.files, files: totals.files },
    kafka: { topics: 2 },
  });
  expect(whole.result.files.pagesChecked).toBe(whole.result.files.pages);
  const quick = await verify('as drained, --quick', name, env, ['--quick']);
  expect(quick.result).toMatchObject({ outcome: 'agrees', rows: null });

  const [copied = '', turned = '', deleted = ''] = dataFiles(location);
  addCopy(location, copied);
  turnByte(join(location, turned));
  unlinkSync(join(location, deleted));
  const damaged = await verify('with three corruptions', name, env);
  expect(damaged.exitCode).toBe(4);
  const found = (check: string) => damaged.result.found.filter((one) => one.check === check);
  expect(found('duplicateRows')).toContainEqual(
    expect.objectContaining({ problem: expect.stringContaining(copied) }),
  );
  expect(found('checksum')).toEqual([expect.objectContaining({ file: turned })]);
  expect(found('fileMissing')).toEqual([expect.objectContaining({ file: deleted })]);

  if (!isFullSize) return;
  expect(totals.files).toBeGreaterThanOrEqual(FILES);
  for (const { seconds, peakMiB } of [whole, quick, damaged]) {
    expect(seconds).toBeLessThan(SECONDS);
    expect(peakMiB).toBeLessThan(MEMORY_MIB);
  }
});

interface Result {
  readonly outcome: string;
  readonly rows: { readonly rows: number } | null;
  readonly files: {
    readonly files: number;
    readonly bytes: number;
    readonly rows: number;
    readonly pages: number;
    readonly pagesChecked: number;
  };
  readonly disagreements: number;
  readonly found: readonly { readonly check: string }[];
}

async function verify(what: string, name: string, env: Record<string, string>, args: readonly string[] = []) {
  const startedAtMs = performance.now();
  const child = spawn(process.execPath, [CLI, 'verify', name, '-o', 'json', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let peakBytes = 0;
  const timer = setInterval(() => {
    peakBytes = Math.max(peakBytes, residentBytes(child.pid ?? 0));
  }, 100);
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  const [exitCode] = (await once(child, 'close')) as [number];
  clearInterval(timer);
  const result = JSON.parse(stdout) as Result;
  const [seconds, peakMiB] = [(performance.now() - startedAtMs) / 1000, peakBytes / 2 ** 20];
  const { files, disagreements } = result;
  const figures = [
    files.rows,
    files.files,
    (files.bytes / 2 ** 20).toFixed(0),
    disagreements,
    seconds.toFixed(1),
    peakMiB.toFixed(0),
  ];
  report([what, ...figures].join(' | '));
  return { exitCode, result, seconds, peakMiB };
}

/**
 * Of a process and all below it; pages that they share, such as Node's own code, count once. Linux only:
 * elsewhere 0.
 */
function residentBytes(pid: number): number {
  try {
    const [, kibibytes] = /^Pss: +(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
    return children.reduce((sum, child) => sum + residentBytes(Number(child)), Number(kibibytes) * 1024);
  } catch {
    return 0;
  }
}

function dataFiles(location: string): string[] {
  return readdirSync(location, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.parquet') && !path.startsWith('_'))
    .sort();
}

/** As another writer's append: the same rows under another name. */
function addCopy(location: string, path: string): void {
  const copy = `copy-${path}`;
  copyFileSync(join(location, path), join(location, copy));
  const log = join(location, '_delta_log');
  const versions = readdirSync(log)
    .filter((file) => /^\d{20}\.json$/.test(file))
    .sort();
  const line = versions
    .flatMap((file) => readFileSync(join(log, file), 'utf8').split('\n'))
    .find((text) => text.startsWith('{"add"') && text.includes(path));
  const next = String(versions.length).padStart(20, '0');
  writeFileSync(join(log, `${next}.json`), `${(line ?? '').replace(path, copy)}\n`);
}

function turnByte(file: string): void {
  const bytes = readFileSync(file);
  const at = Math.floor(statSync(file).size / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}
