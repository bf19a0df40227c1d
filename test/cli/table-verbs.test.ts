/**
 * Goal: files, query and status tell what the log says, in every format, with no server in reach. Method: a
 * table of two partitions, one file removed, made of our own Parquet files and a log written by hand; real
 * processes.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseDdl } from '../../src/records/ddl.ts';
import { toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { type Row, writeRows } from '../parquet/rows.ts';
import { run } from './run.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const FILE_SCHEMA = parseDdl('id BIGINT, title STRING');
const TABLE_SCHEMA = parseDdl('id BIGINT, title STRING, at_day DATE');
const BIG = 2n ** 53n + 1n;

let root = '';
let location = '';
const tidemark = (...args: string[]) =>
  run(args, { TIDEMARK_PIPELINES: root, TEMPORAL_ADDRESS: '127.0.0.1:1' });

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tidemark-table-'));
  location = join(root, 'table');
  await writeFile(
    join(root, 'orders.yaml'),
    `source: {bootstrapServers: "127.0.0.1:1", subscribe: orders}
records: {mode: failFast, schema: "id BIGINT, title STRING, at TIMESTAMP", kafkaColumns: []}
table: {location: ./table, partitionBy: day(at)}
`,
  );
  await writeFile(
    join(root, 'empty.yaml'),
    `source: {bootstrapServers: "127.0.0.1:1", subscribe: orders}
records: {mode: failFast, schema: "id BIGINT"}
table: {location: ./nothing-yet}
`,
  );
  await writeTable();
});
afterAll(() => rm(root, { recursive: true }));

async function writeTable(): Promise<void> {
  const gone = await addFile('at_day=2026-11-22/gone.parquet', '2026-11-22', [{ id: 9n, title: 'gone' }]);
  const first = await addFile('at_day=2026-11-22/a b.parquet', '2026-11-22', [
    { id: BIG, title: 'kept\n\x1b[31mred' },
    { id: 2n, title: null },
  ]);
  const second = await addFile('second.parquet', null, [{ id: 3n, title: 'no day' }]);
  const metaData = {
    id: 'a0e1c3e4-0000-4000-8000-000000000000',
    format: { provider: 'parquet', options: {} },
    schemaString: toDeltaSchemaString(TABLE_SCHEMA),
    partitionColumns: ['at_day'],
    configuration: { 'tidemark.pipeline': 'orders' },
  };
  const versions = [
    [
      { commitInfo: { timestamp: 1_790_000_000_000, operation: 'CREATE TABLE' } },
      { protocol: { minReaderVersion: 1, minWriterVersion: 2 } },
      { metaData },
      { txn: { appId: 'tidemark/orders/0', version: 1 } },
      gone,
    ],
    [
      { commitInfo: { timestamp: 1_790_000_060_000, operation: 'WRITE' } },
      { remove: { path: gone.add.path, dataChange: true, deletionTimestamp: 1 } },
      { txn: { appId: 'tidemark/orders/0', version: 4 } },
      { txn: { appId: 'tidemark/orders/1', version: 0 } },
      { txn: { appId: 'tidemark/withdrawn/0', version: -1 } },
      first,
      second,
    ],
  ];
  await mkdir(join(location, '_delta_log'), { recursive: true });
  for (const [version, actions] of versions.entries()) {
    const path = join(location, '_delta_log', `${String(version).padStart(20, '0')}.json`);
    await writeFile(path, actions.map((action) => `${JSON.stringify(action)}\n`).join(''));
  }
}

async function addFile(path: string, day: string | null, rows: readonly Row[]) {
  const { bytes } = await writeRows(FILE_SCHEMA, rows, 'zstd');
  await mkdir(dirname(join(location, path)), { recursive: true });
  await writeFile(join(location, path), bytes);
  return {
    add: {
      path: encodeURI(path),
      partitionValues: { at_day: day },
      size: bytes.length,
      modificationTime: 1_790_000_000_000,
      dataChange: true,
      stats: JSON.stringify({ numRecords: rows.length }),
    },
  };
}

describe('files', () => {
  it('lists the absolute paths of live files, one per line', async () => {
    const paths = [join(location, 'at_day=2026-11-22/a b.parquet'), join(location, 'second.parquet')];
    expect(await tidemark('files', 'orders')).toEqual({
      exitCode: 0,
      stdout: paths.map((path) => `${path}\n`).join(''),
      stderr: '',
    });
  });

  it('adds size, rows and partition values as JSON', async () => {
    const { stdout } = await tidemark('files', 'orders', '-o', 'json');
    const lines = (await tidemark('files', 'orders', '-o', 'jsonl')).stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(JSON.parse(stdout));
    expect(JSON.parse(stdout)).toMatchObject([
      { rows: 2, sizeBytes: expect.any(Number), partitionValues: { at_day: '2026-11-22' } },
      { rows: 1, partitionValues: { at_day: null } },
    ]);
  });

  it('without a table ends with 2 and says what makes it', async () => {
    const { exitCode, stdout, stderr } = await tidemark('files', 'empty');
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('error TABLE_NOT_FOUND');
    expect(stderr).toContain('tidemark drain empty');
  });
});

describe('query', () => {
  it('prints a table of live rows with partition values, control characters escaped', async () => {
    const { exitCode, stdout, stderr } = await tidemark(
      'query',
      'orders',
      'SELECT * FROM orders ORDER BY id DESC',
    );
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '3 rows\n' });
    expect(stdout.split('\n')).toEqual([
      '              id  title                at_day',
      '9007199254740993  kept\\n\\u001b[31mred  2026-11-22',
      '               3  no day               NULL',
      '               2  NULL                 2026-11-22',
      '',
    ]);
  });

  it('keeps all digits in JSON, and names twice-named columns apart', async () => {
    const sql = 'SELECT id, id, title FROM orders ORDER BY 1 DESC LIMIT 1';
    const row = '{"id":9007199254740993,"id_1":9007199254740993,"title":"kept\\n\\u001b[31mred"}';
    expect((await tidemark('query', 'orders', sql, '-o', 'jsonl')).stdout).toBe(`${row}\n`);
    expect((await tidemark('query', 'orders', sql, '-o', 'json')).stdout).toBe(`[\n${row}\n]\n`);
    const none = await tidemark('query', 'orders', 'SELECT 1 AS x WHERE false', '-o', 'json');
    expect(none.stdout).toBe('[]\n');
  });

  it.each([
    ['SELECT nope FROM orders', 'nope'],
    ["SELECT * FROM read_text('/etc/hostname')", 'Permission Error'],
    ['DROP VIEW orders', 'SELECT'],
  ])('%s ends with 2', async (sql, what) => {
    const { exitCode, stdout, stderr } = await tidemark('query', 'orders', sql);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(what);
  });
});

describe('status', () => {
  it('shows the table where neither Kafka nor Temporal can be reached, and says so', async () => {
    const { exitCode, stdout, stderr } = await tidemark('status', 'orders');
    expect({ exitCode, stderr }).toEqual({ exitCode: 3, stderr: '' });
    expect(stdout).toContain('Table: version 1, 2 files');
    expect(stdout).toContain('3 rows');
    expect(stdout).toMatch(/^orders +0 +4 +- +-$/m);
    expect(stdout).toMatch(/^orders +1 +0 +- +-$/m);
    expect(stdout).not.toContain('withdrawn');
    expect(stdout).toContain('Kafka: KAFKA_UNREACHABLE');
    expect(stdout).not.toContain('To repair');
    expect(stdout).toContain('Temporal: TEMPORAL_UNREACHABLE');
  });

  it('is one JSON object', async () => {
    const { stdout } = await tidemark('status', 'orders', '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({
      pipeline: 'orders',
      location,
      table: {
        tableVersion: 1,
        files: 2,
        rows: 3,
        recentCommits: [{ tableVersion: 1 }, { tableVersion: 0 }],
      },
      partitions: [
        { topic: 'orders', kafkaPartition: 0, committedOffset: '4', logEndOffset: null, lag: null },
        { topic: 'orders', kafkaPartition: 1, committedOffset: '0' },
      ],
      kafka: { code: 'KAFKA_UNREACHABLE', problem: expect.stringContaining('KAFKA_UNREACHABLE') },
      findings: [],
    });
  });

  it('works before the first drain', async () => {
    expect((await tidemark('status', 'empty')).stdout).toContain('Table: none yet');
  });
});

describe('trace', () => {
  it('tells what a version stands for, by an option that the program does not take for itself', async () => {
    const { exitCode, stdout } = await tidemark('trace', 'orders', '--table-version', '1', '-o', 'json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ origin: { tableVersion: 1 } });
    const missing = await tidemark('trace', 'orders', '--table-version', '7');
    expect(missing).toMatchObject({ exitCode: 2, stdout: '' });
  });
});
