/**
 * Promise: letters are decoded again under whatever mode and `clean` the pipeline has by now. Method: a
 * letter of mode deadLetter, retried by other specifications, through the process that cleans; the judge is
 * the file it ends in.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LetterSet } from '../../src/commits/letters.ts';
import { LocalCleanWorkplace } from '../../src/duckdb/clean-workplace.ts';
import { describeClean } from '../../src/duckdb/describe-clean.ts';
import { openParquetFile } from '../../src/parquet/file-reader.ts';
import { parsePipeline } from '../../src/pipeline/load.ts';
import { tableSchemas } from '../../src/records/table-schema.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { LetterFiles } from '../../src/tasks/letter-files.ts';
import type { WriteProgress } from '../../src/tasks/orders.ts';
import { RecordSink } from '../../src/tasks/record-sink.ts';
import { retryTask } from '../../src/tasks/retry-task.ts';
import { TableFiles } from '../../src/tasks/table-files.ts';

const root = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
const [store, letterStore] = [new LocalStore(join(root, 't')), new LocalStore(join(root, 't.dead_letters'))];
afterAll(() => rmSync(root, { recursive: true }));

/** Fits once `n` is a STRING; the second is no JSON. */
const VALUES = ['{"n": "7", "_corrupt_record": "mine"}', '{"n": '];

test.each([
  ['clean looks at _corrupt_record', 'n STRING', ''],
  ['the schema declares it', 'n STRING, _corrupt_record STRING', ''],
  ['beside unknown fields', 'n STRING', ', rest: true'],
])('mode permissive: %s', async (_, schema, more) => {
  const ranges = [{ path: await letterFile(), startRow: 0, endRow: VALUES.length }];
  const clean = `clean: {where: "_corrupt_record IS NULL", columns: {twice: "n || n"}}`;
  const parsed = pipeline(`schema: "${schema}", mode: permissive, ${clean}${more}`);
  const specification = { ...parsed, records: await describeClean(parsed.records, []) };
  const cleanWorkplace = await LocalCleanWorkplace.open((folder) => new LocalStore(folder));
  const plan = {
    batchId: 'r',
    pipeline: 'p',
    tableId: 't',
    epoch: '0',
    tableVersion: 0,
    previousRetry: null,
  };
  const told: WriteProgress[] = [];
  try {
    const { files, ...result } = await retryTask({
      store,
      letterStore,
      specification,
      cleanWorkplace,
      plan: { ...plan, ranges },
      retried: new LetterSet(),
      onProgress: (now) => told.push(now),
    });
    // Finished, cleaned, published: many files must not look like a task that has stalled.
    expect(told.map(({ fileSteps }) => fileSteps)).toEqual([undefined, 1, 2, 3]);
    expect(result).toMatchObject({ letters: 2, stillDefective: 1, filtered: 0, retried: [{ offsets: '0' }] });
    const file = await openParquetFile(store, files[0]?.path ?? '');
    const rows = await file.read<{ n: string; twice: string; _corrupt_record: string | null }>(
      ['n', 'twice', '_corrupt_record'],
      0,
      1,
    );
    expect(rows).toEqual([{ n: '7', twice: '77', _corrupt_record: null }]);
  } finally {
    await cleanWorkplace.close();
  }
});

function pipeline(records: string) {
  return parsePipeline(
    `source: {bootstrapServers: "127.0.0.1:1", subscribe: t}
records: {${records}}
table: {location: ${store.root}}
`,
    join(root, 'p.yaml'),
    {},
  );
}

async function letterFile(): Promise<string> {
  const specification = pipeline('schema: "n BIGINT"');
  const schemas = tableSchemas(specification.records, []);
  const options = { ...schemas, table: specification.table, maxFiles: 1, keyValueMetadata: {}, task: 0 };
  const origin = { epoch: 0n, run: 'r', batch: 'b' };
  const letters = new LetterFiles({ store: letterStore, origin, task: 0 });
  const sink = new RecordSink(specification, schemas, new TableFiles({ store, ...options }), letters);
  sink.begin('t', 0);
  for (const [offset, value] of VALUES.entries()) {
    const record = Buffer.from(`${value}\0`);
    sink.record(offset, 0, record, 0, value.length, -1, -1, value.length, record.length);
  }
  const [file] = await letters.finish();
  return file?.path ?? '';
}
