/**
 * Promises: of a dirty topic every offset is a row, a dead letter or counted under a name; a dead letter's
 * bytes are the record's; letters of a committed batch are published even when the worker dies between the
 * two. Method: real servers, every mode over the same records, faults by signals; tables are read with SQL.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import type { Client } from '@temporalio/client';
import { describe, expect } from 'vitest';
import { Tidemark } from '../../src/client.ts';
import type { Receipt } from '../../src/contract.ts';
import { DeltaLog } from '../../src/delta/log.ts';
import { deadLettersLocation } from '../../src/records/dead-letters.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { tidemark as cli, temporaryFolder, uniqueName, waitUntil } from './setup/harness.ts';
import { it, type Place } from './setup/place.ts';

/** Offset by offset: what is wrong with it, and what becomes of it. */
const RECORDS: readonly { value: Buffer | string | null; reason?: string; path?: string }[] = [
  { value: '{"n":0,"site":"a"}' },
  { value: '{"n":1,', reason: 'unexpectedEnd' },
  { value: '{"n":"two","site":"a"}', reason: 'wrongType', path: 'n' },
  { value: null },
  { value: '', reason: 'emptyRecord' },
  { value: Buffer.from([0xff, 0x00, 0xfe]), reason: 'syntax' },
  { value: '{"n":6,"site":""}', reason: 'partitionValueEmpty', path: 'site' },
  { value: '[7]', reason: 'notAnObject' },
  {
    value: Buffer.concat([Buffer.from('{"site":"'), Buffer.from([0xc3]), Buffer.from('","n":8}')]),
    reason: 'invalidUtf8',
    path: 'site',
  },
  { value: '{"n":9,"site":"b"}' },
];
const LETTERS = RECORDS.flatMap((record, offset) =>
  record.reason === undefined ? [] : [{ ...record, offset }],
);
const ROWS = 2;

describe('every mode over the same dirty topic', () => {
  it('deadLetter: rows, letters and counts are the topic; the letters are the records, byte for byte', async ({
    served,
  }) => {
    const { name, env, location } = await dirtyPipeline(served, 'deadLetter');
    const { exitCode, stdout } = await cli(['drain', name, '-o', 'json'], env);
    expect(exitCode).toBe(5);
    const receipt = JSON.parse(stdout) as Receipt;
    expect(receipt).toMatchObject({
      outcome: 'complete',
      totals: { offsets: 10, rows: ROWS, deadLetters: LETTERS.length, tombstones: 1 },
      deadLetters: { location: deadLettersLocation(location), maxShare: 0.01, exceeded: true },
    });
    expect(receipt.deadLetters.share).toBeCloseTo(LETTERS.length / (ROWS + LETTERS.length));
    const letters = await rowsOf(
      deadLettersLocation(location),
      `SELECT "offset", hex(value) AS value, reason, path, hex(key) AS key, headers[1].key AS header, epoch,
       (timestamp IS NOT NULL) AS stamped FROM letters ORDER BY "offset"`,
    );
    expect(letters).toEqual(
      LETTERS.map(({ offset, value, reason, path = '' }) => ({
        offset: String(offset),
        value: Buffer.from(value ?? '')
          .toString('hex')
          .toUpperCase(),
        reason,
        path,
        key: Buffer.from(`key ${offset}`).toString('hex').toUpperCase(),
        header: 'origin',
        epoch: '0',
        stamped: true,
      })),
    );
    const status = JSON.parse((await cli(['status', name, '-o', 'json'], env)).stdout);
    expect(status.table.deadLetters).toMatchObject({ letters: LETTERS.length });
    const again = JSON.parse((await cli(['drain', name, '-o', 'json'], env)).stdout) as Receipt;
    expect(again).toMatchObject({ totals: { offsets: 0 }, deadLetters: { exceeded: false } });
  });

  it('permissive: a row for every value', async ({ served }) => {
    const totals = await drainedAs(served, 'permissive');
    expect(totals).toMatchObject({ rows: RECORDS.length - 1, deadLetters: 0, dropped: 0, tombstones: 1 });
  });

  it('dropMalformed: counted', async ({ served }) => {
    const totals = await drainedAs(served, 'dropMalformed');
    expect(totals).toMatchObject({ rows: ROWS, deadLetters: 0, dropped: LETTERS.length, tombstones: 1 });
  });

  it('failFast: the first one, by name', async ({ served }) => {
    const { name, env, location } = await dirtyPipeline(served, 'failFast');
    const { exitCode, stderr } = await cli(['drain', name], env);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('offset 1: ')]);
    expect(versions(location)).toBe(0);
  });
});

it('publishes before it plans what a killed worker had committed', async ({ own }) => {
  const { name, location } = await dirtyPipeline(own, 'deadLetter');
  const letters = deadLettersLocation(location);
  const { hook } = await dieAtLink(`${letters}/_delta_log/`);
  const killed = await own.worker(hook);
  const client = await own.temporal();
  const workflowId = await startDrain(client, name);
  await waitUntil(() => !isAlive(killed.pid));
  expect(versions(location)).toBe(1);
  await client.workflow.getHandle(workflowId).terminate();
  expect(versions(letters)).toBe(0);

  await own.worker();
  const receipt = await new Tidemark(client).drain(name);
  expect(receipt.totals.offsets).toBe(0);
  expect(versions(letters)).toBe(1);
  const published = await rowsOf(letters, 'SELECT "offset" FROM letters');
  expect(published).toHaveLength(LETTERS.length);
});

it('two runs at once: every letter once', async ({ own }) => {
  const { name, location } = await dirtyPipeline(own, 'deadLetter', { limits: { maxOffsetsPerBatch: 3 } });
  await Promise.all([own.worker(), own.worker()]);
  const client = await own.temporal();
  await Promise.all(
    ['one', 'two'].map((run) =>
      client.workflow.execute('drain', {
        taskQueue: 'tidemark',
        workflowId: `drain-${name}-${run}`,
        args: [{ pipeline: name }],
      }),
    ),
  );
  const published = await rowsOf(
    deadLettersLocation(location),
    'SELECT "offset" FROM letters ORDER BY "offset"',
  );
  expect(published.map(({ offset }) => Number(offset))).toEqual(LETTERS.map(({ offset }) => offset));
});

async function drainedAs(place: Place, mode: string): Promise<Receipt['totals']> {
  const { name, env, location } = await dirtyPipeline(place, mode);
  const { exitCode, stdout, stderr } = await cli(['drain', name, '-o', 'json'], env);
  expect([exitCode, stderr]).toEqual([0, expect.anything()]);
  expect(existsSync(deadLettersLocation(location))).toBe(false);
  return (JSON.parse(stdout) as Receipt).totals;
}

async function dirtyPipeline(place: Place, mode: string, more: object = {}) {
  const { env, location } = place;
  const messages = RECORDS.map(({ value }, offset) => ({
    key: `key ${offset}`,
    value: value === null ? null : Buffer.from(value),
    headers: { origin: 'test' },
    partition: 0,
  }));
  const topic = await place.topic('dirty', messages);
  const name = await place.pipeline(uniqueName('dirty'), {
    source: { subscribe: [topic] },
    records: {
      format: 'json',
      mode,
      schema: 'n BIGINT, site STRING',
      kafkaColumns: ['offset', 'key', 'headers'],
    },
    table: { partitionBy: ['site'] },
    ...more,
  });
  return { name, location, env };
}

async function startDrain(client: Client, name: string): Promise<string> {
  const workflowId = `drain-${name}-killed`;
  await client.workflow.start('drain', { taskQueue: 'tidemark', workflowId, args: [{ pipeline: name }] });
  return workflowId;
}

/** A module that ends its process by SIGKILL in the moment before a link below `folder`. */
async function dieAtLink(folder: string): Promise<{ hook: Record<string, string> }> {
  const place = await temporaryFolder();
  const file = join(place, 'die.mjs');
  const { writeFile } = await import('node:fs/promises');
  await writeFile(
    file,
    `import fs from 'node:fs';
     import { syncBuiltinESMExports } from 'node:module';
     const { link } = fs.promises;
     fs.promises.link = (from, to) => {
       if (String(to).startsWith(${JSON.stringify(folder)})) process.kill(process.pid, 'SIGKILL');
       return link(from, to);
     };
     syncBuiltinESMExports();`,
  );
  return { hook: { NODE_OPTIONS: `--import=${file}` } };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function versions(location: string): number {
  const log = join(location, '_delta_log');
  return existsSync(log) ? readdirSync(log).filter((file) => /^\d{20}\.json$/.test(file)).length : 0;
}

/** The live files of a Delta table as the view `letters`, read by DuckDB's own Parquet reader. */
async function rowsOf(location: string, sql: string): Promise<Record<string, unknown>[]> {
  const store = new LocalStore(location);
  const snapshot = await new DeltaLog(store, { now: Date.now }).snapshot();
  const files = [...(snapshot?.files.keys() ?? [])].map((path) => `'${store.address(path)}'`);
  const connection = await (await DuckDBInstance.create()).connect();
  await connection.run(`CREATE VIEW letters AS SELECT * FROM read_parquet([${files}])`);
  return (await connection.runAndReadAll(sql)).getRowObjectsJson();
}
