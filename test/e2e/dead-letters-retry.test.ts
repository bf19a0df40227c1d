/**
 * Promise: `tidemark dead-letters retry` makes each dead letter that fits today's specification a row once,
 * exactly as it would have come from Kafka, and leaves the others what they are; kill -9 of the worker at any
 * time and two retries at once change nothing about that. Method: real servers, a real worker, the CLI; a
 * topic whose records a first pipeline file cannot read and a second one can.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from 'kafkajs';
import { expect, onTestFinished } from 'vitest';
import type { RetryReceipt } from '../../src/contract.ts';
import { connectTemporal } from '../../src/temporal/client.ts';
import { disagreements, tidemark, uniqueName } from './setup/harness.ts';
import { type Place, test } from './setup/place.ts';

type Env = Readonly<Record<string, string>>;

/**
 * Of ten records in a row: five rows, three that need `epochMillis`, one that `clean` leaves out then, one
 * that is no JSON.
 */
function record(n: number): Message {
  const at = Date.UTC(2026, 10, 22) + n * 1000;
  const text = (value: unknown) => JSON.stringify({ n, day: `day ${n % 2}`, at: value });
  const value = n % 10 < 5 ? text(null) : n % 10 < 9 ? text(at) : `{"n": ${n}, "at": oops}`;
  const headers = n % 3 === 0 ? { source: 'crawler', raw: Buffer.from([0xff, n % 256]) } : {};
  return { value, key: n % 2 === 0 ? `key ${n}` : null, headers, partition: n % 2, timestamp: String(at) };
}
const isFixable = (n: number) => n % 10 >= 5 && n % 10 < 8;
const isFiltered = (n: number) => n % 10 === 8;

test('letters become rows as they would have come from Kafka, once; the others stay open', async ({
  served,
}) => {
  const { name, env, correct, topic } = await pipelineWith(served, 100);
  expect((await cli(['drain', name, '-o', 'json'], env)).totals).toMatchObject({ rows: 50, deadLetters: 50 });

  const list = await cli(['dead-letters', 'list', name, '-o', 'json', '--limit', '3'], env);
  expect(list).toMatchObject({
    open: 50,
    retried: 0,
    groups: [
      { place: 'at', open: 40 },
      { reason: 'syntax', open: 10 },
    ],
    matching: 50,
  });
  expect(list.letters).toHaveLength(3);

  // Nothing has changed: nothing is committed.
  const idle: RetryReceipt = await cli(['dead-letters', 'retry', name, '-o', 'json'], env);
  expect(idle.totals).toMatchObject({ letters: 50, rows: 0, stillDefective: 50, batches: 0 });

  await correct();
  const receipt: RetryReceipt = await cli(['dead-letters', 'retry', name, '-o', 'json'], env);
  expect(receipt.totals).toMatchObject({
    letters: 50,
    rows: 30,
    filtered: 10,
    stillDefective: 10,
    batches: 1,
  });
  expect(receipt.tableVersion).toBe(idle.tableVersion + 1);

  const again: RetryReceipt = await cli(['dead-letters', 'retry', name, '-o', 'json'], env);
  expect(again.totals).toMatchObject({ letters: 10, rows: 0, stillDefective: 10, batches: 0 });
  expect(again.tableVersion).toBe(receipt.tableVersion);

  const rows = await sql(
    `SELECT n, day, epoch_ms("at") AS at, _topic, _partition, _offset, epoch_ms(_timestamp) AS ts, hex(_key) AS key,
       list_transform(_headers, h -> {k: h.key, v: hex(h.value)}) AS headers FROM "${name}" WHERE "at" IS NOT NULL ORDER BY n`,
    name,
    env,
  );
  const expected = numbers(100)
    .filter(isFixable)
    .map((n) => expectedRow(n, topic));
  expect(rows).toEqual(expected);
  expect(
    await sql(`SELECT count(*)::INT AS c, count(DISTINCT n)::INT AS d FROM "${name}"`, name, env),
  ).toEqual([{ c: 80, d: 80 }]);
  expect(await cli(['dead-letters', 'list', name, '-o', 'json', '--open'], env)).toMatchObject({
    open: 10,
    retried: 40,
    matching: 10,
  });

  // No offset has moved: a drain has nothing to do.
  expect((await cli(['drain', name, '-o', 'json'], env)).totals).toMatchObject({ offsets: 0 });
  expect(await disagreements(name, env, [])).toEqual([]);
});

test('kill -9 and two retries at once: each letter is a row once', async ({ own }) => {
  const { name, env, correct } = await pipelineWith(own, 400);
  let worker = await own.worker();
  await cli(['drain', name, '-o', 'json'], env);
  await correct({ maxOffsetsPerBatch: 15 });

  const { TEMPORAL_ADDRESS = '', TEMPORAL_NAMESPACE = '' } = env;
  Object.assign(process.env, { TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE });
  const client = await connectTemporal();
  onTestFinished(() => client.connection.close());
  const handles = await Promise.all(
    ['one', 'other'].map((which) =>
      client.workflow.start('retryDeadLetters', {
        workflowId: `${which}-retry-${name}`,
        taskQueue: 'tidemark',
        args: [{ pipeline: name }],
      }),
    ),
  );
  let running = true;
  const ends = Promise.all(handles.map((handle) => handle.result() as Promise<RetryReceipt>)).finally(() => {
    running = false;
  });
  let kills = 0;
  for (; running && kills < 4; kills++) {
    await sleep(1500 + 700 * kills);
    if (!running) break;
    await worker.stop('SIGKILL');
    worker = await own.worker();
  }
  const receipts = await ends;
  expect(kills).toBeGreaterThan(0);

  const rows = receipts.reduce((sum, { totals }) => sum + totals.rows, 0);
  const filtered = receipts.reduce((sum, { totals }) => sum + totals.filtered, 0);
  console.log(`${kills} kills; rows by each: ${receipts.map(({ totals }) => totals.rows)}`);
  expect({ rows, filtered }).toEqual({ rows: 120, filtered: 40 });
  const found = (await sql(`SELECT n FROM "${name}" ORDER BY n`, name, env)) as { n: number }[];
  const expected = numbers(400).filter((n) => !isFiltered(n) && n % 10 !== 9);
  expect(found.map(({ n }) => n)).toEqual(expected);
  expect(await cli(['dead-letters', 'list', name, '-o', 'json'], env)).toMatchObject({
    open: 40,
    retried: 160,
  });
  expect(await disagreements(name, env, [])).toEqual([]);
});

/** A drained topic's pipeline, before and after it is corrected. */
async function pipelineWith(place: Place, records: number) {
  const topic = await place.topic('letters', numbers(records).map(record), { partitions: 2, codec: 'LZ4' });
  const name = uniqueName('letters');
  const write = (timestamps: object, clean: object, limits: object) =>
    place.pipeline(name, {
      source: { subscribe: [topic] },
      records: {
        format: 'json',
        schema: 'n BIGINT NOT NULL, day STRING, at TIMESTAMP',
        kafkaColumns: ['topic', 'partition', 'offset', 'timestamp', 'key', 'headers'],
        maxDeadLetters: '100%',
        ...timestamps,
        ...clean,
      },
      table: { partitionBy: ['day'] },
      ...limits,
    });
  await write({}, {}, {});
  const correct = (limits: object = {}) =>
    write({ timestamps: { at: 'epochMillis' } }, { clean: { where: 'n % 10 <> 8' } }, { limits });
  return { name, topic, env: place.env, correct };
}

function expectedRow(n: number, topic: string) {
  const { key, timestamp } = record(n);
  const hex = (text: Buffer) => text.toString('hex').toUpperCase();
  return {
    n,
    day: `day ${n % 2}`,
    at: Number(timestamp),
    _topic: topic,
    _partition: n % 2,
    _offset: Math.floor(n / 2),
    ts: Number(timestamp),
    key: key ? hex(Buffer.from(String(key))) : null,
    headers:
      n % 3 === 0
        ? [
            { k: 'source', v: hex(Buffer.from('crawler')) },
            { k: 'raw', v: hex(Buffer.from([0xff, n % 256])) },
          ]
        : null,
  };
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

// biome-ignore lint/suspicious/noExplicitAny: each caller knows what its verb prints
async function cli(args: readonly string[], env: Env): Promise<any> {
  const { exitCode, stdout, stderr } = await tidemark(args, env);
  expect(exitCode, `${args.join(' ')}\n${stderr}`).toBe(0);
  return JSON.parse(stdout);
}

async function sql(text: string, name: string, env: Env): Promise<unknown> {
  return await cli(['query', name, text, '-o', 'json'], env);
}
