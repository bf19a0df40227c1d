import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { BATCH } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import { COMPACTION } from '../../src/commits/compaction.ts';
import { versionPath } from '../../src/delta/log-files.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { ORIGIN } from '../commits/batches.ts';
import { INSTALL_TIMEOUT_MS, readersEnvironment } from '../readers/environment.ts';
import { commitMany, makeFolder, openLog, planBatch, writeFile } from './table.ts';

/**
 * Other readers find in our tables what we committed, and we find in delta-rs's tables the files that
 * delta-rs finds. Skipped where the readers are not to be had.
 */
let python = '';

describe('with delta-rs, Polars and DuckDB', { timeout: 60_000 }, () => {
  beforeAll(async () => {
    const environment = await readersEnvironment();
    if ('missing' in environment) console.log(`independent readers are missing: ${environment.missing}`);
    else ({ python } = environment);
  }, INSTALL_TIMEOUT_MS);
  beforeEach(({ skip }) => skip(python === '', 'independent readers are missing'));

  test('our table reads alike: after commits, a compaction, and from a log checkpoint alone', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    await commitMany(log, store, 8);
    await compactAll(log, store);
    await commitMany(log, store, 3, 'more');
    // Offsets were moved over nothing but markers: no file, a version all the same.
    const markers = await planBatch(log, store, 'markers', 0);
    const [range] = markers.partitions;
    if (range === undefined) throw new Error('there is a range');
    const accounting = { ...range.accounting, markers: 1 };
    await commit(log, BATCH, { ...markers, partitions: [{ ...range, endingOffset: 23n, accounting }] });
    await expectReadAlike(folder.path, { version: 12, ids: 22, offset: '23' });
    for (let version = 0; version < 9; version++) await store.delete(versionPath(version));
    await expectReadAlike(folder.path, { version: 12, ids: 22, offset: '23' });
  });

  test('partition values and folders of every kind of character', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    const values = ['a b', 'x%y', 'a%20b', 'ü:1', 'p=q', 'a+b', '#?&', 'plain', null];
    for (const [i, day] of values.entries()) {
      const batch = await planBatch(log, store, `b${i}`, 1);
      const path = `day=${day === null ? '__HIVE_DEFAULT_PARTITION__' : encodeURIComponent(day)}/${i} ü.parquet`;
      const files = [await writeFile(store, path, i, i + 1, { day })];
      const type = { kind: 'primitive', name: 'string' } as const;
      const schema = { fields: [...batch.schema.fields, { name: 'day', type, nullable: true }] };
      expect((await commit(log, BATCH, { ...batch, schema, partitionColumns: ['day'], files })).kind).toBe(
        'committed',
      );
    }
    const found = readers('read', folder.path);
    const expected = values.map((day, i) => [day, i]);
    const order = (rows: unknown[][]) => rows.toSorted((a, b) => Number(a[1]) - Number(b[1]));
    expect(order(found.deltaRs)).toEqual(expected);
    expect(order(found.polars)).toEqual(expected);
    expect(found.files).toEqual([...((await log.snapshot())?.files.keys() ?? [])].toSorted());
  });

  test('of delta-rs’s tables we see the same version and live files', async () => {
    await using folder = await makeFolder();
    const tables = readers('write', folder.path) as unknown as Record<
      string,
      { version: number; files: string[] }
    >;
    expect(Object.keys(tables).length).toBe(6);
    for (const [name, { version, files }] of Object.entries(tables)) {
      const snapshot = await openLog(new LocalStore(join(folder.path, name))).snapshot();
      expect({ name, version: snapshot?.tableVersion }).toEqual({ name, version });
      expect({ name, files: [...(snapshot?.files.keys() ?? [])].toSorted() }).toEqual({ name, files });
    }
  });

  test('delta-rs appends to our table: our next batch goes on over it', async () => {
    await using folder = await makeFolder();
    const store = new LocalStore(folder.path);
    const log = openLog(store);
    await commitMany(log, store, 1);
    const batch = await planBatch(log, store, 'next');
    const append = `import pyarrow as pa, deltalake; deltalake.write_deltalake('${folder.path}', pa.table({'id': [100]}), mode='append')`;
    execFileSync(python, ['-c', append]);
    expect(await commit(log, BATCH, batch)).toMatchObject({ kind: 'committed', record: { tableVersion: 2 } });
    const found = readers('read', folder.path);
    expect(found.deltaRs.flat().toSorted()).toEqual([0, 1, 100, 2, 3]);
  });
});

async function expectReadAlike(
  location: string,
  expected: { version: number; ids: number; offset: string },
): Promise<void> {
  const { version, ids, offset } = expected;
  const found = readers('read', location);
  const rows = Array.from({ length: ids }, (_, id) => [id]);
  const byId = (some: unknown[][]) => some.toSorted((a, b) => Number(a[0]) - Number(b[0]));
  expect(found).toMatchObject({ version, offset, duckdb: [ids, (ids * (ids - 1)) / 2] });
  expect(byId(found.deltaRs)).toEqual(rows);
  expect(byId(found.polars)).toEqual(rows);
  const snapshot = await openLog(new LocalStore(location)).snapshot();
  expect(found.files).toEqual([...(snapshot?.files.keys() ?? [])].toSorted());
}

async function compactAll(log: ReturnType<typeof openLog>, store: LocalStore): Promise<void> {
  const snapshot = await log.snapshot();
  if (snapshot === undefined) throw new Error('there is a table');
  const inputs = [...snapshot.files.keys()].map((path) => ({ path, rowCount: 2 }));
  const outputs = [await writeFile(store, 'compacted.parquet', 0, inputs.length * 2)];
  const { id: tableId } = snapshot.metaData;
  const plan = {
    batchId: 'c',
    pipeline: 'products',
    run: 'c',
    origin: ORIGIN,
    tableId,
    tableVersion: snapshot.tableVersion,
  };
  expect((await commit(log, COMPACTION, { ...plan, inputs, outputs })).kind).toBe('committed');
}

interface Found {
  readonly version: number;
  readonly offset: string;
  readonly deltaRs: unknown[][];
  readonly polars: unknown[][];
  readonly duckdb: [number, number];
  readonly files: string[];
}

function readers(mode: 'read' | 'write', location: string): Found {
  const program = fileURLToPath(new URL('./readers.py', import.meta.url));
  return JSON.parse(execFileSync(python, [program, mode, location], { encoding: 'utf8' })) as Found;
}
