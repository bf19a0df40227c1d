/**
 * Promise: shapes of records that producers really send become rows: short and fine times, nested times,
 * fields that changed their type, deletes, odd names. Method: such records through `init`, a drain and
 * `tidemark query`, each the real way; then `verify`, the table's own proof.
 */
import type { Message } from 'kafkajs';
import { expect } from 'vitest';
import { disagreements, tidemark } from './setup/harness.ts';
import { it, type Place } from './setup/place.ts';

it('ISO 8601 without seconds, and with an hour alone for a zone', async ({ served }) => {
  const times = [
    '2024-05-01T10:00',
    '2024-05-01T10:00Z',
    '2024-05-01T10:00+02:00',
    '2018-03-27 12:05:29.914496+02',
    '2024-05-01T10:00:07Z',
  ];
  const { rows } = await table(
    served,
    times.map((at, id) => ({ id, at })),
    'SELECT id, "at" FROM $ ORDER BY id',
  );
  expect(rows.map(({ at }) => at)).toEqual([
    '2024-05-01T10:00:00.000Z',
    '2024-05-01T10:00:00.000Z',
    '2024-05-01T08:00:00.000Z',
    '2018-03-27T10:05:29.914496Z',
    '2024-05-01T10:00:07.000Z',
  ]);
});

it('times finer than a microsecond: init proposes to cut them, and the receipt counts them', async ({
  served,
}) => {
  const record = {
    ...{ id: 1, py: 1795955408.1182847, go_at: '2024-05-01T10:00:07.123456789Z' },
    ...{ net_at: '2024-05-01T10:00:07.0010031Z', text: 'x' },
  };
  const topic = await served.topic('finer', [
    { value: JSON.stringify({ ...record, ts: 1 }).replace('"ts":1', '"ts":1544712660300000001') },
  ]);
  const name = topic.replaceAll('.', '_');
  const wrote = await tidemark(
    ['init', name, '--topic', topic, '--bootstrap-servers', served.brokers, '--yes', '-o', 'json'],
    served.env,
  );
  expect(wrote).toMatchObject({ exitCode: 0 });
  const drained = await tidemark(['drain', name, '-o', 'json'], served.env);
  expect(JSON.parse(drained.stdout).totals).toMatchObject({
    rows: 1,
    deadLetters: 0,
    truncatedTimestamps: 3,
  });
  const [row] = await query(served, name, `SELECT * FROM "${name}"`);
  expect(row).toMatchObject({
    go_at: '2024-05-01T10:00:07.123456Z',
    net_at: '2024-05-01T10:00:07.001003Z',
    ts: '2018-12-13T14:51:00.300Z',
  });
});

it('a nested time partitions the table, and leaves the envelope', async ({ served }) => {
  const value = { payload: { op: 'c', ts_ms: 1713180693800, after: { id: 1 } } };
  const { rows, plan } = await table(served, [value], 'SELECT id, op, event_time, event_time_day FROM $', {
    records: {
      schema: 'id BIGINT, op STRING, event_time TIMESTAMP',
      timestamps: { event_time: 'epochMillis' },
      from: { id: 'payload.after.id', op: 'payload.op', event_time: 'payload.ts_ms' },
    },
    partitionBy: ['day(event_time)'],
  });
  expect(rows).toEqual([
    { id: 1, op: 'c', event_time: '2024-04-15T11:31:33.800Z', event_time_day: '2024-04-15' },
  ]);
  expect(plan.partitionColumns).toEqual(['event_time_day']);
});

it('a field that changed its type goes on in a column of its own, and its letters become rows', async ({
  served,
}) => {
  const topic = await served.topic(
    'drift',
    values([
      { id: 1, price: 10 },
      { id: 2, price: 11 },
      { id: 3, price: 10.5 },
    ]),
  );
  const name = topic.replaceAll('.', '_');
  const write = (records: object) =>
    served.pipeline(name, {
      source: { subscribe: [topic] },
      records: { maxDeadLetters: '100%', ...records },
    });
  await write({ schema: 'id BIGINT, price BIGINT' });
  await tidemark(['drain', name], served.env);
  await write({ schema: 'id BIGINT, price DOUBLE' });
  const refused = await tidemark(['drain', name], served.env);
  expect(refused).toMatchObject({ exitCode: 4 });
  expect(refused.stderr).toContain('records.from: {price_double: price, price: null}');
  await write({
    schema: 'id BIGINT, price BIGINT, price_double DOUBLE',
    from: { price_double: 'price', price: null },
  });
  await tidemark(['drain', name], served.env);
  const retried = await tidemark(['dead-letters', 'retry', name, '-o', 'json'], served.env);
  expect(retried).toMatchObject({ exitCode: 0 });
  expect(await query(served, name, `SELECT id, price, price_double FROM "${name}" ORDER BY id`)).toEqual([
    { id: 1, price: 10, price_double: null },
    { id: 2, price: 11, price_double: null },
    { id: 3, price: null, price_double: 10.5 },
  ]);
  expect(await disagreements(name, served.env, [])).toEqual([]);
});

it('a delete is a row with its key', async ({ served }) => {
  const messages = [
    { key: 'u0', value: '{"name":"n0"}' },
    { key: 'u0', value: null },
  ];
  const { rows, name } = await table(
    served,
    messages,
    'SELECT _offset, name, _key::VARCHAR AS k FROM $ ORDER BY _offset',
    {
      records: {
        schema: 'name STRING',
        tombstones: 'row',
        kafkaColumns: ['topic', 'partition', 'offset', 'key'],
      },
    },
  );
  expect(rows).toEqual([
    { _offset: 0, name: 'n0', k: 'u0' },
    { _offset: 1, name: null, k: 'u0' },
  ]);
  const verified = await tidemark(['verify', name, '--kafka-records', '-o', 'json'], served.env);
  expect(JSON.parse(verified.stdout)).toMatchObject({ outcome: 'agrees' });
});

it('a table is partitioned by @timestamp, which its file names in backquotes', async ({ served }) => {
  const days = ['2024-05-01', '2024-05-02'].map((day) => ({
    '@timestamp': `${day}T10:00:00.000Z`,
    message: 'm',
  }));
  const { rows } = await table(served, days, 'SELECT "@timestamp_day" AS day FROM $ ORDER BY day', {
    records: { schema: '`@timestamp` TIMESTAMP, message STRING' },
    partitionBy: ['day(`@timestamp`)'],
  });
  expect(rows).toEqual([{ day: '2024-05-01' }, { day: '2024-05-02' }]);
});

it('numbers in quotes are numbers where the file says so', async ({ served }) => {
  const record = { id: '9007199254740993', amount: '1.50', ns: '1544712660300000000' };
  const { rows } = await table(served, [record], 'SELECT id, amount::VARCHAR AS amount, ns FROM $', {
    records: {
      schema: 'id BIGINT, amount DECIMAL(10,2), ns TIMESTAMP',
      timestamps: { ns: 'epochNanos' },
      quotedNumbers: true,
    },
  });
  expect(rows).toMatchObject([{ amount: '1.50', ns: '2018-12-13T14:51:00.300Z' }]);
});

interface TableOptions {
  readonly records?: object;
  readonly partitionBy?: readonly string[];
}

/**
 * Drains the records and asks the table; `$` stands for it. What `verify` says of it is part of every case.
 */
async function table(
  place: Place,
  records: readonly (object | Message)[],
  sql: string,
  { records: given = { schema: 'id BIGINT, at TIMESTAMP' }, partitionBy }: TableOptions = {},
) {
  const topic = await place.topic('records', records.every(isMessage) ? records : values(records));
  const name = topic.replaceAll('.', '_');
  await place.pipeline(name, {
    source: { subscribe: [topic] },
    records: given,
    ...(partitionBy && { table: { partitionBy } }),
  });
  const plan = JSON.parse((await tidemark(['plan', name, '-o', 'json'], place.env)).stdout);
  expect(await tidemark(['drain', name], place.env)).toMatchObject({ exitCode: 0 });
  const rows = await query(place, name, sql.replace('$', `"${name}"`));
  expect(await disagreements(name, place.env, [])).toEqual([]);
  return { name, rows, plan };
}

function isMessage(record: object | Message): record is Message {
  return 'value' in record && 'key' in record;
}

function values(records: readonly object[]): Message[] {
  return records.map((record) => ({ value: JSON.stringify(record) }));
}

async function query(place: Place, name: string, sql: string): Promise<Record<string, unknown>[]> {
  const { stdout } = await tidemark(['query', name, sql, '-o', 'json'], place.env);
  return JSON.parse(stdout);
}
