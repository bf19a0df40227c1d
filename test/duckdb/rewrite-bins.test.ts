/**
 * Goal: whatever happens to the process that rewrites files, the store holds finished files or none, scratch
 * space is given back, and nobody waits for ever. Method: the real process over real files; killed,
 * cancelled, orphaned.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { rewriteBins, type TableBin } from '../../src/duckdb/rewrite-bins.ts';
import type { RewriteProgress } from '../../src/duckdb/run-rewrite-process.ts';
import { readParquetRows } from '../../src/parquet/file-reader.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { writeRows } from '../parquet/rows.ts';
import { StagingStore } from '../storage/staging-store.ts';

const SCHEMA = parseDdl('id BIGINT, text STRING');
const ROWS = Array.from({ length: 2000 }, (_, i) => ({ id: BigInt(i), text: `row ${i}` }));
const MODULE = new URL('../../src/duckdb/rewrite-bins.ts', import.meta.url).href;

let folder: string;
let scratch: string;
let store: LocalStore;
let tmpdirBefore: string | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
  scratch = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
  tmpdirBefore = process.env.TMPDIR;
  process.env.TMPDIR = scratch;
  store = new LocalStore(folder);
  for (const name of ['a', 'b']) {
    writeFileSync(join(folder, `${name}.parquet`), (await writeRows(SCHEMA, ROWS, 'snappy')).bytes);
  }
});
afterEach(() => {
  if (tmpdirBefore === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = tmpdirBefore;
  rmSync(folder, { recursive: true });
  rmSync(scratch, { recursive: true, force: true });
});

describe('rewriteBins', { timeout: 60_000 }, () => {
  test('makes one durable file per bin and tells what is in it', async () => {
    const bins = [bin(['a.parquet', 'b.parquet'], 'p=1/x.parquet'), bin(['b.parquet'], 'y.parquet')];
    const [first, second] = await rewriteBins(store, bins, () => {}, new AbortController().signal);
    expect(first).toMatchObject({ path: 'p=1/x.parquet', rowCount: 4000, inputRowCounts: [2000, 2000] });
    expect(second).toMatchObject({ path: 'y.parquet', rowCount: 2000, inputRowCounts: [2000] });
    expect(await store.stat('p=1/x.parquet')).toEqual({
      sizeBytes: first?.sizeBytes,
      modifiedMs: first?.modifiedMs,
    });
    expect(await readParquetRows(readFileSync(join(folder, 'y.parquet')))).toEqual(ROWS);
    expect(readdirSync(scratch)).toEqual([]);
  });

  test('killed while it works: fails by name, leaves nothing', async () => {
    const running = rewriteBins(store, [endless()], () => {}, new AbortController().signal);
    process.kill(await rewriting(process.pid), 'SIGKILL');
    await expect(running).rejects.toMatchObject({
      code: 'REWRITE_FAILED',
      message: expect.stringContaining('SIGKILL'),
    });
    expectUntouched();
  });

  test('cancelled: ends the process, leaves nothing, and ends with the reason', async () => {
    const controller = new AbortController();
    const running = rewriteBins(store, [endless()], () => {}, controller.signal);
    const child = await rewriting(process.pid);
    const reason = new Error('cancelled by the test');
    controller.abort(reason);
    await expect(running).rejects.toBe(reason);
    expect(isAlive(child)).toBe(false);
    expectUntouched();
  });

  test('a missing input fails by its name', async () => {
    const running = rewriteBins(
      store,
      [bin(['a.parquet', 'gone.parquet'], 'x.parquet')],
      () => {},
      AbortSignal.timeout(30_000),
    );
    await expect(running).rejects.toMatchObject({ message: expect.stringContaining('gone.parquet') });
    expectUntouched();
  });

  test('inputs of a store that is no disk are copies, given back, also after a failure or a kill', async () => {
    const elsewhere = mkdtempSync(join(folder, '.copies-'));
    const staging = new StagingStore(store, elsewhere);
    writeFileSync(join(folder, 'damaged.parquet'), 'no Parquet');
    const bins = [bin(['a.parquet', 'b.parquet'], 'x.parquet'), bin(['b.parquet'], 'y.parquet')];
    const [first] = await rewriteBins(staging, bins, () => {}, new AbortController().signal);
    expect(first).toMatchObject({ path: 'x.parquet', inputRowCounts: [2000, 2000] });
    expect(staging).toMatchObject({ held: 0, copied: 2 });

    const failing = [bin(['a.parquet', 'damaged.parquet'], 'z.parquet')];
    await expect(rewriteBins(staging, failing, () => {}, new AbortController().signal)).rejects.toThrow(
      'damaged.parquet',
    );
    expect(staging).toMatchObject({ held: 0, copied: 4 });

    const controller = new AbortController();
    const running = rewriteBins(staging, [endless()], () => {}, controller.signal);
    await rewriting(process.pid);
    controller.abort();
    await expect(running).rejects.toThrow();
    expect(staging).toMatchObject({ held: 0, copied: 5 });
    const full = rewriteBins(
      new StagingStore(store, elsewhere, 1),
      bins,
      () => {},
      new AbortController().signal,
    );
    await expect(full).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(readdirSync(scratch)).toEqual([]);
    expect(readdirSync(staging.copiesFolder)).toEqual([]);
  });

  test('a bin that fails ends the others at once', async () => {
    writeFileSync(join(folder, 'damaged.parquet'), 'no Parquet');
    const bins = [
      endless(),
      bin(['a.parquet'], 'y.parquet'),
      bin(['a.parquet', 'damaged.parquet'], 'x.parquet'),
    ];
    const running = rewriteBins(store, bins, () => {}, AbortSignal.timeout(6_000));
    await expect(running).rejects.toMatchObject({ message: expect.stringContaining('damaged.parquet') });
    expect(readdirSync(scratch)).toEqual([]);
  });

  test('says that it lives while it works', async () => {
    const seen: RewriteProgress[] = [];
    const controller = new AbortController();
    const running = rewriteBins(store, [endless()], (progress) => seen.push(progress), controller.signal);
    while (seen.length < 2) await sleep(50);
    controller.abort();
    await expect(running).rejects.toThrow();
    expect(seen[0]).toMatchObject({ bins: 1, binsDone: 0 });
  });

  test('the worker is killed: its rewrite process ends by itself and takes its scratch along', async () => {
    const script = `
      import { readFileSync } from 'node:fs';
      import { rewriteBins } from ${JSON.stringify(MODULE)};
      import { LocalStore } from ${JSON.stringify(new URL('../storage/local-store.ts', MODULE).href)};
      const bin = JSON.parse(readFileSync(process.argv[1], 'utf8'));
      await rewriteBins(new LocalStore(process.argv[2]), [bin], () => {}, new AbortController().signal);`;
    const order = join(scratch, 'order.json');
    writeFileSync(order, JSON.stringify(endless()));
    const args = ['--input-type=module-typescript', '-e', script, order, folder];
    const env = { ...process.env, TMPDIR: scratch };
    const worker = spawn(process.execPath, args, { stdio: 'ignore', env });
    const child = await rewriting(worker.pid ?? 0);
    worker.kill('SIGKILL');
    await once(worker, 'exit');
    for (let waited = 0; isAlive(child) && waited < 10_000; waited += 50) await sleep(50);
    expect(isAlive(child)).toBe(false);
    rmSync(order);
    expectUntouched();
  });
});

function bin(inputs: readonly string[], output: string): TableBin {
  return { inputs, output, schema: SCHEMA, compression: 'zstd' };
}

/** So many inputs that it takes much longer than any of these tests waits. */
function endless(): TableBin {
  return bin(Array<string>(50_000).fill('a.parquet'), 'x.parquet');
}

function expectUntouched(): void {
  expect(readdirSync(folder).sort()).toEqual(['a.parquet', 'b.parquet']);
  expect(readdirSync(scratch)).toEqual([]);
}

/** The rewrite process of this parent, once it is at work. Linux. */
async function rewriting(parent: number): Promise<number> {
  for (;;) {
    await sleep(20);
    const children = childrenOf(parent).filter((pid) =>
      readText(`/proc/${pid}/cmdline`).includes('rewrite-process'),
    );
    const atWork = readdirSync(scratch, { recursive: true }).some((path) => String(path).endsWith('spill'));
    if (children[0] === undefined || !atWork) continue;
    await sleep(300);
    return children[0];
  }
}

function childrenOf(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  const texts = threads.map((thread) => readText(`/proc/${pid}/task/${thread}/children`));
  return texts.join(' ').split(' ').filter(Boolean).map(Number);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  const state = /\) (.)/.exec(readText(`/proc/${pid}/stat`))?.[1];
  return state !== undefined && state !== 'Z';
}
