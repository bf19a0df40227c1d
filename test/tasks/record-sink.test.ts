/**
 * Promise: a record that no table partition takes has the fate that the mode says, or is told by name.
 * Method: an empty text in a table partitioned by it, and a topic whose name is as long as Kafka lets it be
 * in one partitioned by `_topic`, of which the folder's name would be a byte too long.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parsePipeline } from '../../src/pipeline/load.ts';
import type { RecordMode } from '../../src/records/records-specification.ts';
import { tableSchemas } from '../../src/records/table-schema.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { LetterFiles } from '../../src/tasks/letter-files.ts';
import { RecordSink } from '../../src/tasks/record-sink.ts';
import { TableFiles } from '../../src/tasks/table-files.ts';
import { assembleRows } from '../records/assembly.ts';

const root = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
afterAll(() => rmSync(root, { recursive: true }));

const TOPIC = 't'.repeat(249);

test.each(['permissive', 'failFast'] as const)('a long topic, mode %s: RECORD_MALFORMED', (mode) => {
  expect(() => feed(mode, '_topic')).toThrow(expect.objectContaining({ code: 'RECORD_MALFORMED' }));
  expect(() => feed(mode, '_topic')).toThrow('_topic is too long for the name of a folder');
});

test.each(['_topic', 'text'])('a defect of %s is counted', (column) => {
  expect(feed('deadLetter', column)).toMatchObject({ rows: 0, deadLetters: 1 });
  expect(feed('dropMalformed', column)).toMatchObject({ rows: 0, dropped: 1 });
});

test("'' is a row of nulls in mode permissive, and stops failFast", () => {
  expect(feed('permissive', 'text')).toMatchObject({ rows: 1, deadLetters: 0 });
  expect(() => feed('failFast', 'text')).toThrow("text is ''");
});

test('in a retry it stays a letter, whatever the mode', () => {
  for (const mode of ['deadLetter', 'permissive', 'dropMalformed', 'failFast'] as const)
    expect(feed(mode, 'text', 'deadLetter')).toMatchObject({ rows: 0, deadLetters: 1 });
});

test.each(['deadLetter', 'permissive', 'dropMalformed', 'failFast'] as const)(
  'a tombstone is counted, or with `tombstones: row` a row of nulls with its key: mode %s',
  (mode) => {
    const counted = sinkOf(`schema: "text STRING", mode: ${mode}`);
    tombstone(counted.sink);
    expect(counted.sink).toMatchObject({ rows: 0, tombstones: 1, deadLetters: 0, dropped: 0 });
    const { sink, files } = sinkOf(
      `schema: "text STRING", mode: ${mode}, tombstones: row, kafkaColumns: [offset, key]`,
    );
    tombstone(sink);
    expect(sink).toMatchObject({ rows: 1, tombstones: 0, deadLetters: 0, dropped: 0 });
    const [row] = assembleRows(files.columnsOf('', () => ({})));
    expect(row).toMatchObject({ text: null, _offset: 7n, _key: `0x${Buffer.from('key').toString('hex')}` });
  },
);

function tombstone(sink: RecordSink): void {
  sink.begin('t', 0);
  const record = Buffer.from('key\0');
  sink.record(7, 0, record, -1, -1, 0, 3, 3, record.length);
}

function feed(mode: RecordMode, column: string, defects?: RecordMode): RecordSink {
  const { sink } = sinkOf(`schema: "text STRING, n BIGINT", mode: ${mode}`, column, defects);
  sink.begin(TOPIC, 0);
  const record = Buffer.from('{"n": 7, "text": ""}\0');
  sink.record(0, 0, record, 0, record.length - 1, -1, -1, record.length - 1, record.length);
  return sink;
}

function sinkOf(records: string, column?: string, defects?: RecordMode) {
  const specification = parsePipeline(
    `source: {bootstrapServers: "127.0.0.1:1", subscribe: t}
records: {${records}}
table: {location: ${join(root, 'table')}, partitionBy: [${column ?? ''}]}
`,
    join(root, 'long.yaml'),
    {},
  );
  const schemas = tableSchemas(specification.records, specification.table.partitionBy);
  const store = new LocalStore(specification.table.location);
  const options = { ...schemas, table: specification.table, maxFiles: 9, keyValueMetadata: {}, task: 0 };
  const letters = new LetterFiles({ store, origin: { epoch: 0n, run: 'r', batch: 'b' }, task: 0 });
  const files = new TableFiles({ store, ...options });
  return { sink: new RecordSink(specification, schemas, files, letters, defects), files };
}
