/**
 * Promise: `tidemark compact` merges a drained table's files without changing a row, whether its worker is
 * killed in the middle or a drain commits meanwhile; a dry run changes nothing. Method: real servers, a real
 * worker, the CLI; rows are read over the log by `tidemark query`.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import type { CompactionReceipt } from '../../src/client.ts';
import { disagreements, produce, tidemark, uniqueName, waitUntil } from './setup/harness.ts';
import { it, type Place } from './setup/place.ts';

const DRAINS = 6;
const RECORDS = 300;
const CHECK = (name: string) =>
  `SELECT count(*) c, sum(n) s, count(DISTINCT n) d, sum(hash(t, tags, day)) h FROM "${name}"`;

describe('tidemark compact', () => {
  it('plans, then merges, then finds nothing to do; the rows stay the same', async ({ served }) => {
    const { name, env, drainSome } = await drainedTable(served);
    for (let i = 0; i < DRAINS; i++) await drainSome(i);
    const before = await sql(CHECK(name), name, env);
    expect(before).toMatchObject([{ c: DRAINS * RECORDS, d: DRAINS * RECORDS }]);

    const dryRun = await compact([name, '--target-files', '1', '--dry-run'], env);
    expect(dryRun).toMatchObject({
      outcome: 'planned',
      tablePartitions: 2,
      filesAfter: 2,
      rows: DRAINS * RECORDS,
    });
    expect(await files(name, env)).toHaveLength(dryRun.filesBefore);

    const done = await compact([name, '--target-files', '1'], env);
    expect(done).toMatchObject({ outcome: 'compacted', filesBefore: dryRun.filesBefore, filesAfter: 2 });
    expect(done.tableVersion).toBe(dryRun.tableVersion + 1);
    expect(await files(name, env)).toHaveLength(2);
    expect(await sql(CHECK(name), name, env)).toEqual(before);

    const again = await compact([name, '--target-files', '1'], env);
    expect(again).toMatchObject({ outcome: 'nothingToDo', tableVersion: done.tableVersion });

    await drainSome(DRAINS);
    expect(await sql(CHECK(name), name, env)).toMatchObject([{ c: (DRAINS + 1) * RECORDS }]);
  });

  it('goes on after its worker was killed in the middle, and nothing is doubled', async ({ own }) => {
    const { name, env, drainSome } = await drainedTable(own);
    const first = await own.worker();
    for (let i = 0; i < DRAINS; i++) await drainSome(i);
    const before = await sql(CHECK(name), name, env);

    const compacting = compact([name, '--target-files', '1'], env);
    const runs = join(own.location, '_tidemark', 'runs');
    await waitUntil(async () => (await filesBelow(runs)).some((path) => path.includes('compaction-')));
    await first.stop('SIGKILL');
    expect(await sql(CHECK(name), name, env)).toEqual(before);
    await own.worker();

    expect(await compacting).toMatchObject({ outcome: 'compacted', filesAfter: 2 });
    expect(await sql(CHECK(name), name, env)).toEqual(before);
    expect(await disagreements(name, env)).toEqual([]);
  });

  it('tells a mistake in its options by the exit code and what to do', async ({ served }) => {
    const { name, env } = await drainedTable(served);
    for (const args of [
      ['--target-files', '0'],
      ['--target-file-size', 'big'],
      ['--target-files', '1', '--target-file-size', '1MiB'],
    ]) {
      const { exitCode, stderr } = await tidemark(['compact', name, ...args], env);
      expect(exitCode).toBe(2);
      expect(stderr).toContain('fix:');
    }
    const { exitCode, stderr } = await tidemark(['compact', name], env);
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('TABLE_NOT_FOUND'),
    });
  });
});

/** A pipeline of its own; `drainSome(i)` produces a batch of records for two days and drains it. */
async function drainedTable(place: Place) {
  const { brokers, env } = place;
  const topic = await place.topic('compact', [], { partitions: 2 });
  const name = await place.pipeline(uniqueName('compact'), {
    source: { subscribe: [topic] },
    records: {
      format: 'json',
      mode: 'failFast',
      schema: 'n BIGINT NOT NULL, t TIMESTAMP, day STRING, tags ARRAY<STRUCT<name: STRING, weight: DOUBLE>>',
    },
    table: { partitionBy: ['day'] },
  });
  const drainSome = async (i: number) => {
    const messages = Array.from({ length: RECORDS }, (_, k) => {
      const n = i * RECORDS + k;
      const tags = n % 7 === 0 ? null : [{ name: `tag ${n % 5}`, weight: n / 3 }];
      const value = JSON.stringify({ n, t: new Date(n * 1000).toISOString(), day: `day ${n % 2}`, tags });
      return { value, partition: n % 2 };
    });
    await produce(brokers, topic, messages, { codec: 'ZSTD' });
    const { exitCode, stderr } = await tidemark(['drain', name], env);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  };
  return { name, env, drainSome };
}

type Env = Readonly<Record<string, string>>;

async function compact(args: readonly string[], env: Env): Promise<CompactionReceipt> {
  const { exitCode, stdout, stderr } = await tidemark(['compact', ...args, '-o', 'json'], env);
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout);
}

async function sql(text: string, name: string, env: Env): Promise<unknown> {
  const { exitCode, stdout, stderr } = await tidemark(['query', name, text, '-o', 'json'], env);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  return JSON.parse(stdout);
}

async function files(name: string, env: Env): Promise<unknown[]> {
  const { stdout } = await tidemark(['files', name, '-o', 'json'], env);
  return JSON.parse(stdout);
}

async function filesBelow(folder: string): Promise<string[]> {
  return await readdir(folder, { recursive: true }).catch(() => []);
}
