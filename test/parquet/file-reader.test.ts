/**
 * Goal: footers and log checkpoints are read exactly; damaged bytes end in TABLE_CORRUPT by name, never in a
 * hang, an unhandled rejection or a crash. Method: files of our own and of DuckDB; every truncation and
 * thousands of seeded damages of a small file.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { readFooter, readParquetRows } from '../../src/parquet/file-reader.ts';
import { encodeParquetRows, type RowField } from '../../src/parquet/row-writer.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { writeRows } from './rows.ts';

/** Only what `readFooter` may use: not the whole object. */
function storeOf(bytes: Buffer | undefined) {
  const ranges: number[] = [];
  const store: Pick<ObjectStore, 'root' | 'stat' | 'readRange'> = {
    root: '/table',
    stat: async () => bytes && { sizeBytes: bytes.length, modifiedMs: 1 },
    readRange: async (_, start, end) => {
      ranges.push(end - start);
      return bytes?.subarray(start, end);
    },
  };
  return { store: store as ObjectStore, ranges };
}

describe('readFooter', () => {
  test('tells rows, row groups and key-value metadata, from the tail alone', async () => {
    const schema = parseDdl('a STRING, b BIGINT');
    const rows = Array.from({ length: 3000 }, (_, i) => ({ a: `${i}`.repeat(40), b: BigInt(i) }));
    const { bytes } = await writeRows(schema, rows, 'none', 1000);
    const { store, ranges } = storeOf(bytes);
    const footer = await readFooter(store, 'file.parquet');
    expect(footer.rowCount).toBe(3000);
    expect(footer.rowGroups.map(({ rowCount }) => rowCount)).toEqual([1000, 1000, 1000]);
    expect(footer.schema.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(bytes.length).toBeGreaterThan(300_000);
    expect(ranges).toEqual([64 * 1024]);
  });

  test('a footer larger than the first read is read whole', async () => {
    const schema = { fields: Array.from({ length: 1500 }, (_, i) => column(`column_${i}`)) };
    const { bytes } = await writeRows(
      schema,
      [Object.fromEntries(schema.fields.map(({ name }) => [name, 1n]))],
      'none',
    );
    const { store, ranges } = storeOf(bytes);
    expect((await readFooter(store, 'file.parquet')).schema).toHaveLength(1500);
    expect(ranges).toHaveLength(2);
  });
  const column = (name: string) =>
    ({ name, nullable: true, type: { kind: 'primitive', name: 'long' } }) as const;

  test('a missing file and one cut short fail by name', async () => {
    const { bytes } = await writeRows(parseDdl('a STRING'), [{ a: 'x' }], 'none');
    for (const damaged of [
      undefined,
      Buffer.alloc(0),
      bytes.subarray(0, -1),
      bytes.subarray(0, 20),
      Buffer.alloc(100),
    ]) {
      const reading = readFooter(storeOf(damaged).store, 'part-1.parquet');
      await expect(reading).rejects.toMatchObject({
        code: 'TABLE_CORRUPT',
        message: expect.stringContaining('/table/part-1.parquet'),
      });
    }
  });

  test("a failure of the store stays the store's", async () => {
    const failure = new Failure('STORAGE_FAILED', 'The disk is gone.', 'Bring it back.');
    const { store } = storeOf(Buffer.alloc(100));
    const broken = Object.assign(store, { readRange: () => Promise.reject(failure) });
    await expect(readFooter(broken, 'file.parquet')).rejects.toBe(failure);
  });
});

const CHECKPOINT: RowField[] = [
  {
    name: 'txn',
    type: {
      struct: [
        { name: 'appId', type: 'string' },
        { name: 'version', type: 'long' },
      ],
    },
  },
  {
    name: 'add',
    type: {
      struct: [
        { name: 'path', type: 'string' },
        { name: 'partitionValues', type: { map: 'string' } },
        { name: 'size', type: 'long' },
        { name: 'dataChange', type: 'boolean' },
      ],
    },
  },
  { name: 'metaData', type: { struct: [{ name: 'partitionColumns', type: { list: 'string' } }] } },
  { name: 'protocol', type: { struct: [{ name: 'minReaderVersion', type: 'integer' }] } },
];

const ACTIONS = [
  { protocol: { minReaderVersion: 1 } },
  { metaData: { partitionColumns: ['day', 'site'] } },
  { txn: { appId: 'tidemark/t/0', version: 2n ** 63n - 1n } },
  {
    add: {
      path: 'a.parquet',
      partitionValues: { day: '2026-01-01', site: null },
      size: 2n ** 53n + 1n,
      dataChange: true,
    },
  },
  { add: { path: 'b.parquet', partitionValues: {}, size: 1n, dataChange: false } },
];

describe('readParquetRows and encodeParquetRows', () => {
  test.each(['zstd', 'snappy', 'gzip', 'none'] as const)(
    'actions come back exactly: %s',
    async (compression) => {
      const rows = await readParquetRows(await encodeParquetRows(CHECKPOINT, ACTIONS, compression));
      const present = rows.map((row) =>
        Object.fromEntries(Object.entries(row).filter(([, value]) => value != null)),
      );
      expect(present).toEqual(ACTIONS);
    },
  );

  test('thousands of actions in little memory, several row groups', async () => {
    const adds = function* () {
      for (let i = 0; i < 30_000; i++) {
        yield {
          add: {
            path: `part-${i}.parquet`,
            partitionValues: { day: `${i % 30}`, note: 'x'.repeat(600) },
            size: BigInt(i),
          },
        };
      }
    };
    const bytes = await encodeParquetRows(CHECKPOINT, adds());
    const rows = (await readParquetRows(bytes)) as {
      add: { path: string; size: bigint; partitionValues: object };
    }[];
    expect(rows).toHaveLength(30_000);
    expect(rows[29_999]?.add).toMatchObject({ path: 'part-29999.parquet', size: 29_999n });
    const { store } = storeOf(bytes);
    expect((await readFooter(store, 'checkpoint')).rowGroups.length).toBeGreaterThan(1);
  });

  test('a text keeps the byte order mark that it begins with: a checkpoint holds partition values', async () => {
    const rows = ['\ufeffx', '\ufeff', 'x\ufeff', '\ufeff\ufeffx', ''].map((v) => ({ v }));
    expect(await readParquetRows(await encodeParquetRows([{ name: 'v', type: 'string' }], rows))).toEqual(
      rows,
    );
  });

  test('values that the type cannot hold are a bug, not a wrong file', async () => {
    const fields: RowField[] = [{ name: 'v', type: 'long' }];
    await expect(encodeParquetRows(fields, [{ v: 2 ** 53 }])).rejects.toThrow('safe integer');
    await expect(encodeParquetRows([{ name: 'v', type: 'integer' }], [{ v: 2 ** 31 }])).rejects.toThrow(
      '32 bits',
    );
    await expect(encodeParquetRows([{ name: 'v', type: 'binary' }], [{ v: 'text' }])).rejects.toThrow(
      'bytes',
    );
    await expect(encodeParquetRows([{ name: 'v', type: 'string' }], [{ v: 1 }])).rejects.toThrow('string');
  });

  test('a file of another writer, with dictionaries, zstd and data pages of its own', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-reader-'));
    try {
      const path = join(folder, 'file.parquet');
      const duckdb = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
      await duckdb.run(
        `COPY (SELECT {'path': 'p' || i % 5, 'partitionValues': MAP {'d': i::VARCHAR}, 'size': i + 9007199254740992} AS add
               FROM range(5000) t(i)) TO '${path}' (COMPRESSION zstd, PARQUET_VERSION v2)`,
      );
      duckdb.closeSync();
      const rows = await readParquetRows(readFileSync(path));
      expect(rows).toHaveLength(5000);
      expect(rows[4999]).toEqual({
        add: { path: 'p4', partitionValues: { d: '4999' }, size: 9007199254740992n + 4999n },
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('every truncation is corrupt', async () => {
    const bytes = await encodeParquetRows(CHECKPOINT, ACTIONS);
    for (let length = 0; length < bytes.length; length++) {
      await expect(readParquetRows(bytes.subarray(0, length)), `${length} bytes`).rejects.toMatchObject({
        code: 'TABLE_CORRUPT',
      });
    }
  });

  test('damaged bytes are read or refused by name, and nothing else happens', async () => {
    const bytes = await encodeParquetRows(CHECKPOINT, ACTIONS, 'gzip');
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    const damage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(damage, async (changes) => {
        const damaged = Buffer.from(bytes);
        for (const [at, value] of changes) damaged[at] = value;
        try {
          await readParquetRows(damaged);
        } catch (error) {
          expect(error).toMatchObject({ code: 'TABLE_CORRUPT' });
          refused++;
        }
      }),
      { numRuns: 3000 },
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
    expect(refused).toBeGreaterThan(500);
  }, 60_000);
});
