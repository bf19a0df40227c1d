/**
 * Goal: plan, rewrite and commit leave a table with the same rows in fewer files; done twice they change
 * nothing more; against others they lose without harm. Method: the real activities over a real table on disk,
 * whose rows are read back by log and by SQL.
 */

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { commitCompaction } from '../../src/activities/commit-compaction.ts';
import type { Dependencies } from '../../src/activities/dependencies.ts';
import {
  type CompactionRound,
  type PlanCompactionInput,
  planCompaction,
} from '../../src/activities/plan-compaction.ts';
import { rewriteFiles } from '../../src/activities/rewrite-files.ts';
import { BATCH, type Batch } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import type { DataFile } from '../../src/commits/data-files.ts';
import type { Run } from '../../src/contract.ts';
import { DeltaLog } from '../../src/delta/log.ts';
import type { Value } from '../../src/duckdb/database.ts';
import { queryTable } from '../../src/duckdb/query-table.ts';
import { rewriteBins } from '../../src/duckdb/rewrite-bins.ts';
import { loadPipeline } from '../../src/pipeline/load.ts';
import { emptyAccounting } from '../../src/records/accounting.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { partitionFolder } from '../../src/records/table-partitioner.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { ORIGIN } from '../commits/batches.ts';
import { writeRows } from '../parquet/rows.ts';

const FILE_SCHEMA = parseDdl('id BIGINT, tags ARRAY<STRUCT<name: STRING, at: TIMESTAMP>>');
const TABLE_SCHEMA = parseDdl('id BIGINT, tags ARRAY<STRUCT<name: STRING, at: TIMESTAMP>>, country STRING');
const COUNTRIES = ['de', null, 'null', "it's = 100% a/b"];

let folder: string;
let store: LocalStore;
let log: DeltaLog;
let dependencies: Dependencies;
let nextOffset = 0n;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
  mkdirSync(join(folder, 'pipelines'));
  writeFileSync(
    join(folder, 'pipelines', 'products.yaml'),
    `source: {bootstrapServers: "127.0.0.1:9092", subscribe: [t]}
records:
  format: json
  mode: failFast
  kafkaColumns: []
  schema: "id BIGINT, tags ARRAY<STRUCT<name: STRING, at: TIMESTAMP>>, country STRING"
table: {location: ../table, partitionBy: [country]}
compaction: {minInputFiles: 3}
`,
  );
  store = new LocalStore(join(folder, 'table'));
  log = new DeltaLog(store, { now: Date.now });
  nextOffset = 0n;
  dependencies = {
    build: '0.1.0+test',
    loadPipeline: (name) => loadPipeline(name, { folder: join(folder, 'pipelines'), environment: {} }),
    openStore: () => store,
    openLog: () => log,
    rewriteBins,
    connectKafka: () => Promise.reject(new Error('no Kafka here')),
    runWriteThread: () => Promise.reject(new Error('no drain here')),
    runRetryThread: () => Promise.reject(new Error('no letters here')),
  };
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('compaction', { timeout: 60_000 }, () => {
  test('many small files become one per table partition; rows, partition values and statistics stay true', async () => {
    for (let i = 0; i < 5; i++) await drainBatch();
    const before = await tableRows();
    expect(before).toHaveLength(60);
    const { round, run } = await plan();
    expect(round).toMatchObject({
      filesToRemove: 20,
      filesToAdd: 4,
      rows: 60,
      tablePartitions: 4,
      isLast: true,
    });

    const result = await carryOut(run, round);
    expect(result).toMatchObject({
      kind: 'committed',
      files: 4,
      totals: { rows: 60, filesRemoved: 20, filesAdded: 4 },
    });
    expect(await tableRows()).toEqual(before);
    const snapshot = await log.snapshot();
    for (const { stats, partitionValues } of snapshot?.files.values() ?? []) {
      expect(JSON.parse(stats ?? '')).toMatchObject({ numRecords: 15, nullCount: { id: 0 } });
      expect(COUNTRIES).toContain(partitionValues.country);
    }
    expect((await plan()).round).toBeUndefined();
  });

  test('targetFiles leaves exactly that many files in each table partition', async () => {
    for (let i = 0; i < 5; i++) await drainBatch();
    const before = await tableRows();
    const { round, run } = await plan({ targetFiles: 2 });
    expect(await carryOut(run, round)).toMatchObject({ kind: 'committed', files: 8 });
    expect(await tableRows()).toEqual(before);
    const again = await plan({ targetFiles: 3 });
    expect(again).toMatchObject({ left: { belowTarget: 4 } });
    expect(again.round).toBeUndefined();
  });

  test('every step done twice has the effect of one: orphans at most', async () => {
    for (let i = 0; i < 4; i++) await drainBatch();
    const before = await tableRows();
    const { round, run } = await plan();
    await rewriteTasks(run, round);
    const tasks = await rewriteTasks(run, round);
    const commit = () =>
      inActivity(() => commitCompaction(dependencies, { run, plan: planOf(round), tasks }));
    const first = await commit();
    expect(first).toMatchObject({ kind: 'committed' });
    expect(await commit()).toEqual(first);
    // Another worker, whose log knows nothing yet.
    log = new DeltaLog(store, { now: Date.now });
    expect(await commit()).toEqual(first);
    expect(await tableRows()).toEqual(before);
  });

  test('two compactions of the same files: one wins, the other is told to plan again', async () => {
    for (let i = 0; i < 4; i++) await drainBatch();
    const before = await tableRows();
    const [one, other] = [await plan(), await plan()];
    const tasks = await rewriteTasks(other.run, other.round);
    expect(await carryOut(one.run, one.round)).toMatchObject({ kind: 'committed' });
    const lost = await inActivity(() =>
      commitCompaction(dependencies, { run: other.run, plan: planOf(other.round), tasks }),
    );
    expect(lost).toEqual({ kind: 'replan', files: 4 });
    expect(await tableRows()).toEqual(before);
  });

  test('a drain that commits meanwhile neither disturbs nor is disturbed', async () => {
    for (let i = 0; i < 4; i++) await drainBatch();
    const { round, run } = await plan();
    const tasks = await rewriteTasks(run, round);
    await drainBatch();
    const before = await tableRows();
    const result = await inActivity(() =>
      commitCompaction(dependencies, { run, plan: planOf(round), tasks }),
    );
    expect(result).toMatchObject({ kind: 'committed', files: 8 });
    expect(await tableRows()).toEqual(before);
  });

  test('an output that is gone before the commit is never named by it', async () => {
    for (let i = 0; i < 4; i++) await drainBatch();
    const before = await tableRows();
    const { round, run } = await plan();
    const live = new Set((await log.snapshot())?.files.keys());
    const tasks = await rewriteTasks(run, round);
    const outputs = dataFiles().filter((path) => !live.has(path));
    expect(outputs).toHaveLength(4);
    await store.delete(outputs[0] ?? '');
    const result = await inActivity(() =>
      commitCompaction(dependencies, { run, plan: planOf(round), tasks }),
    );
    expect(result).toMatchObject({ kind: 'expired' });
    expect(await tableRows()).toEqual(before);
  });

  test.each([
    [{ targetFiles: 0 }, 'USAGE'],
    [{ targetFiles: 1.5 }, 'USAGE'],
    [{ targetFileSize: '12 parsecs' }, 'USAGE'],
    [{ targetFiles: 1, targetFileSize: '1MiB' }, 'USAGE'],
    [{}, 'TABLE_NOT_FOUND'],
  ])('%j without a table: %s', async (options, code) => {
    await expect(plan(options)).rejects.toMatchObject({ code });
  });
});

async function plan(options: Partial<PlanCompactionInput> = {}) {
  return await planCompaction(dependencies, {
    pipeline: 'products',
    runId: 'compact-products.1',
    ...options,
  });
}

async function carryOut(run: Run, round: CompactionRound | undefined) {
  const tasks = await rewriteTasks(run, round);
  return await inActivity(() => commitCompaction(dependencies, { run, plan: planOf(round), tasks }));
}

async function rewriteTasks(run: Run, round: CompactionRound | undefined) {
  const results = [];
  for (const { index } of round?.tasks ?? []) {
    results.push(
      await inActivity(() => rewriteFiles(dependencies, { run, plan: planOf(round), task: index })),
    );
  }
  return results.map(({ task }) => task);
}

function planOf(round: CompactionRound | undefined) {
  if (round === undefined) throw new Error('nothing to do');
  return round.plan;
}

async function inActivity<T>(work: () => Promise<T>): Promise<T> {
  return await new MockActivityEnvironment().run(work);
}

/** Commits three rows for each country, as a drain would. */
async function drainBatch(): Promise<void> {
  const files: DataFile[] = [];
  const start = nextOffset;
  for (const country of COUNTRIES) {
    const rows = Array.from({ length: 3 }, () => ({
      id: nextOffset,
      tags: [{ name: `tag ${nextOffset}`, at: nextOffset++ }, null],
    }));
    const { bytes, stats } = await writeRows(FILE_SCHEMA, rows, 'snappy');
    const path = `${partitionFolder({ country })}/part-${start}-${files.length}.parquet`;
    const writer = await store.create(path);
    await writer.write(bytes);
    const { sizeBytes } = await writer.finish();
    files.push({ path, sizeBytes, rowCount: rows.length, partitionValues: { country }, stats });
  }
  const snapshot = await log.snapshot();
  const range = { topic: 't', kafkaPartition: 0, readFrom: start, endingOffset: nextOffset };
  const batch: Batch = {
    batchId: `batch-${start}`,
    pipeline: 'products',
    run: 'drain-products.1',
    origin: ORIGIN,
    plannedOn: { tableId: snapshot?.metaData.id, tableVersion: snapshot?.tableVersion ?? -1, epoch: 0n },
    schema: TABLE_SCHEMA,
    partitionColumns: ['country'],
    compression: 'zstd',
    topics: [{ topic: 't', identity: undefined }],
    partitions: [
      {
        ...range,
        startingOffset: snapshot === undefined ? undefined : start,
        accounting: { ...emptyAccounting(), rows: Number(nextOffset - start) },
      },
    ],
    files,
    deadLetterFiles: [],
  };
  expect(await commit(log, BATCH, batch)).toMatchObject({ kind: 'committed' });
}

async function tableRows(): Promise<Value[][]> {
  const snapshot = await new DeltaLog(store, { now: Date.now }).snapshot();
  const files = [...(snapshot?.files ?? [])].map(([path, { partitionValues }]) => ({
    file: store.address(path),
    partitionValues,
  }));
  const sql = 'FROM products ORDER BY id';
  const result = await queryTable({
    view: 'products',
    schema: TABLE_SCHEMA,
    partitionColumns: ['country'],
    files,
    sql,
  });
  const rows: Value[][] = [];
  for await (const row of result.rows) rows.push([...row]);
  result.close();
  return rows;
}

function dataFiles(): string[] {
  const paths = readdirSync(store.root, { recursive: true }).map(String);
  return paths.filter((path) => path.endsWith('.parquet') && !path.startsWith('_delta_log'));
}
