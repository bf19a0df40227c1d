/**
 * Goal: a pipeline file means what its page says: defaults, units, paths, names. Method: parse texts and
 * compare whole specifications; for "no option is ever ignored", change every published option and see the
 * specification change.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadPipeline, loadPipelineFile, pipelineNames } from '../../src/pipeline/load.ts';
import { specificationHash } from '../../src/pipeline/specification-hash.ts';
import { resolveSecret, type SecretReference } from '../../src/secret.ts';
import { allOptions } from './options.ts';
import { briefly, parse, problemsOf, VALID, withLines, withOption } from './parse.ts';

const MINIMAL = {
  name: 'products',
  source: {
    bootstrapServers: ['127.0.0.1:9092'],
    topics: { kind: 'subscribe', topics: ['orders'] },
    startingOffsets: 'earliest',
    startingTimestampStrategy: 'error',
    failOnDataLoss: true,
    isolation: 'read_committed',
  },
  records: {
    format: 'json',
    mode: 'failFast',
    maxDeadLetterShare: 0.01,
    rest: false,
    schema: 'id STRING NOT NULL,\nat TIMESTAMP,\ntags ARRAY<STRING>',
    timestamps: {},
    kafkaColumns: ['topic', 'partition', 'offset', 'timestamp'],
  },
  table: {
    location: '/pipelines/tables/orders',
    partitionBy: [],
    targetFileBytes: 134_217_728,
    compression: 'zstd',
  },
  limits: {
    maxOffsetsPerBatch: 2_000_000,
    maxFilesPerBatch: 10_000,
    maxRecordBytes: 67_108_864,
    maxNesting: 512,
    maxRecordBatchBytes: 268_435_456,
  },
  compaction: { targetFileBytes: 134_217_728, minInputFiles: 8, olderThanMs: 0 },
  vacuum: { olderThanMs: 604_800_000, keepLogMs: 2_592_000_000 },
};

describe('parsePipeline', () => {
  it('fills in the defaults', () => expect(parse(VALID)).toEqual(MINIMAL));

  it('takes lists as lists and as one text with commas', () => {
    const listed = parse(withOption('subscribe', 'subscribe: [a, b]'));
    expect(parse(withOption('subscribe', 'subscribe: a, b'))).toEqual(listed);
    expect(
      parse(withOption('bootstrapServers', 'bootstrapServers: "h1:1, [::1]:2"')).source.bootstrapServers,
    ).toEqual(['h1:1', '[::1]:2']);
  });

  it('takes offsets beyond 2^53 without rounding, as YAML and as JSON text', () => {
    const yaml = parse(withLines('source', 'startingOffsets: {orders: {0: 9007199254740993, "1": -2}}'));
    const json = parse(withLines('source', `startingOffsets: '{"orders":{"0":9007199254740993,"1":-2}}'`));
    expect(yaml.source.startingOffsets).toEqual({ orders: { '0': '9007199254740993', '1': '-2' } });
    expect(json).toEqual(yaml);
  });

  it('takes assigned partitions, as YAML and as JSON text', () => {
    const yaml = parse(withOption('subscribe', 'assign: {orders: [0, 2]}'));
    expect(yaml.source.topics).toEqual({ kind: 'assign', partitions: { orders: [0, 2] } });
    expect(parse(withOption('subscribe', `assign: '{"orders":[0,2]}'`))).toEqual(yaml);
  });

  it('takes a pattern of topics as it stands', () => {
    const { topics } = parse(withOption('subscribe', 'subscribePattern: crawl\\\\..*')).source;
    expect(topics).toEqual({ kind: 'subscribePattern', pattern: 'crawl\\\\..*' });
  });

  it('takes starting times as ISO 8601 and as milliseconds, one for all or one per partition, the first before the other', () => {
    const all = parse(withLines('source', 'startingTimestamp: 2026-11-22T00:00:00Z')).source;
    expect(all.startingTimestamps).toBe(Date.UTC(2026, 10, 22));
    const each = withLines('source', `startingOffsetsByTimestamp: '{"orders":{"0":1000,"1":"2026-11-22"}}'`);
    const times = { orders: { '0': 1000, '1': Date.UTC(2026, 10, 22) } };
    expect(parse(each).source.startingTimestamps).toEqual(times);
    expect(
      parse(each.replace('  subscribe', '  startingTimestamp: 5\n  subscribe')).source.startingTimestamps,
    ).toBe(5);
  });

  it('takes a share as percent and as a number', () => {
    const share = (text: string) =>
      parse(withLines('records', `maxDeadLetters: ${text}`).replace('failFast', 'deadLetter')).records
        .maxDeadLetterShare;
    expect([share('1%'), share('0.5 %'), share('0.25'), share('0')]).toEqual([0.01, 0.005, 0.25, 0]);
  });

  it('keeps the expressions of clean in their order', () => {
    const { clean } = parse(withLines('records', 'clean: {where: a > 1, columns: {z: "1", a: "2"}}')).records;
    expect(clean).toEqual({
      where: 'a > 1',
      columns: [
        { name: 'z', expression: '1', type: '' },
        { name: 'a', expression: '2', type: '' },
      ],
    });
  });

  it('resolves partition terms, Kafka columns too', () => {
    const { table } = parse(withLines('table', 'partitionBy: [id, day(at), "day( _timestamp )"]'));
    expect(table.partitionBy).toEqual([
      { kind: 'column', source: 'id', column: 'id' },
      { kind: 'day', source: 'at', column: 'at_day' },
      { kind: 'day', source: '_timestamp', column: '_timestamp_day' },
    ]);
  });

  it('takes columns in backquotes wherever one is named, as in DDL', () => {
    const odd = `${VALID.replace('at TIMESTAMP', '`@timestamp` TIMESTAMP').replace('table:', 'table:\n  partitionBy: "day( `@timestamp` )"\n  retention: {partition: day(@timestamp), olderThan: 1d}')}`;
    const named = odd.replace(
      'records:',
      'records:\n  timestamps: {"`@timestamp`": epochMillis}\n  truncateTimestamps: ["`@timestamp`"]\n  from: {"`@timestamp`": "`a.b`"}',
    );
    const { records, table } = parse(named);
    const term = { kind: 'day', source: '@timestamp', column: '@timestamp_day' };
    expect(table).toMatchObject({ partitionBy: [term], retention: { partition: term } });
    expect(records).toMatchObject({
      timestamps: { '@timestamp': 'epochMillis' },
      truncateTimestamps: ['@timestamp'],
      from: { '@timestamp': '`a.b`' },
    });
  });

  it('finds the partition column that says how old rows are, however its term is spelled', () => {
    const { retention } = parse(withRetention('" day( at ) "', '90d')).table;
    expect(retention).toEqual({
      partition: { kind: 'day', source: 'at', column: 'at_day' },
      olderThanMs: 7_776_000_000,
    });
    const hashes = [
      ['hour(at)', '90d'],
      ['day(at)', '90d'],
      ['day(at)', '91d'],
    ].map(([partition = '', age = '']) => specificationHash(parse(withRetention(partition, age))));
    expect(new Set(hashes).size).toBe(3);
    expect(parse(withLines('table', 'partitionBy: day(at)')).table).not.toHaveProperty('retention');
  });

  it.each([
    ['./tables/orders', '/pipelines/tables/orders'],
    ['../orders', '/orders'],
    ['/data/orders', '/data/orders'],
    ['file:///data/orders%20new', '/data/orders new'],
  ])('location %s is %s', (given, location) => {
    expect(parse(withOption('location', `location: ${given}`)).table.location).toBe(location);
  });

  it('reads units, schedules and compaction', () => {
    const { table, schedule, compaction } = parse(
      `${withLines('table', 'targetFileSize: 64 MB', 'coalesce: 4')}schedule: {every: 1h30m}\ncompaction: {targetFiles: 3, olderThan: 2d, cron: "0 3 * * *"}\n`,
    );
    expect(table).toMatchObject({ targetFileBytes: 64_000_000, coalesce: 4 });
    expect(schedule).toEqual({ everyMs: 5_400_000 });
    expect(compaction).toMatchObject({
      targetFiles: 3,
      olderThanMs: 172_800_000,
      schedule: { cron: '0 3 * * *' },
    });
  });

  it('takes an option without a value as left out', () => {
    expect(parse(`${VALID}schedule:\nlimits:\n`)).toEqual(MINIMAL);
  });
});

/** For each published option a line that says something else than the default, or than VALID. */
const OTHERWISE: Readonly<Record<string, string>> = {
  'source.bootstrapServers': withOption('bootstrapServers', 'bootstrapServers: other:9092'),
  'source.subscribe': withOption('subscribe', 'subscribe: [other]'),
  'source.assign': withOption('subscribe', 'assign: {orders: [0]}'),
  'source.subscribePattern': withOption('subscribe', 'subscribePattern: orders'),
  'source.startingOffsets': withLines('source', 'startingOffsets: latest'),
  'source.startingTimestamp': withLines('source', 'startingTimestamp: 0'),
  'source.startingOffsetsByTimestamp': withLines('source', 'startingOffsetsByTimestamp: {orders: {0: 0}}'),
  'source.startingOffsetsByTimestampStrategy': withLines(
    'source',
    'startingTimestamp: 0',
    'startingOffsetsByTimestampStrategy: latest',
  ),
  'source.failOnDataLoss': withLines('source', 'failOnDataLoss: false'),
  'source.isolation': withLines('source', 'isolation: read_uncommitted'),
  'records.mode': withOption('mode', 'mode: permissive'),
  'records.maxDeadLetters': withLines('records', 'maxDeadLetters: 2%').replace('failFast', 'deadLetter'),
  'records.rest': withLines('records', 'rest: true'),
  'records.clean.where': withLines('records', 'clean: {where: id > 1}'),
  'records.clean.columns': withLines('records', 'clean: {columns: {n: id}}'),
  'records.schema': VALID.replace('at TIMESTAMP', 'at DATE'),
  'records.timestamps': withLines('records', 'timestamps: {at: epochMillis}'),
  'records.tombstones': withLines('records', 'kafkaColumns: [key]', 'tombstones: row').replace(
    'id STRING NOT NULL',
    'id STRING',
  ),
  'records.from': withLines('records', 'from: {at: payload.ts}'),
  'records.truncateTimestamps': withLines('records', 'truncateTimestamps: [at]'),
  'records.quotedNumbers': withLines('records', 'quotedNumbers: true'),
  'records.kafkaColumns': withLines('records', 'kafkaColumns: [offset]'),
  'table.location': withOption('location', 'location: ./elsewhere'),
  'table.partitionBy': withLines('table', 'partitionBy: id'),
  'table.targetFileSize': withLines('table', 'targetFileSize: 1MiB'),
  'table.coalesce': withLines('table', 'coalesce: 2'),
  'table.compression': withLines('table', 'compression: snappy'),
  'table.retention.partition': withRetention('hour(at)', '90d'),
  'table.retention.olderThan': withRetention('day(at)', '1h'),
  'limits.maxOffsetsPerBatch': withLines('limits', 'maxOffsetsPerBatch: 5'),
  'limits.maxFilesPerBatch': withLines('limits', 'maxFilesPerBatch: 5'),
  'limits.maxRecordBytes': withLines('limits', 'maxRecordBytes: 1MiB'),
  'limits.maxNesting': withLines('limits', 'maxNesting: 5'),
  'limits.maxRecordBatchBytes': withLines('limits', 'maxRecordBatchBytes: 1MiB'),
  'schedule.every': withLines('schedule', 'every: 5m'),
  'schedule.cron': withLines('schedule', 'cron: "5 * * * *"'),
  'compaction.targetFileSize': withLines('compaction', 'targetFileSize: 1MiB'),
  'compaction.targetFiles': withLines('compaction', 'targetFiles: 2'),
  'compaction.minInputFiles': withLines('compaction', 'minInputFiles: 2'),
  'compaction.olderThan': withLines('compaction', 'olderThan: 1h'),
  'compaction.every': withLines('compaction', 'every: 5m'),
  'compaction.cron': withLines('compaction', 'cron: "5 * * * *"'),
  'vacuum.olderThan': withLines('vacuum', 'olderThan: 8h'),
  'vacuum.keepLog': withLines('vacuum', 'keepLog: 0'),
  'vacuum.every': withLines('vacuum', 'every: 1d'),
  'vacuum.cron': withLines('vacuum', 'cron: "5 * * * *"'),
};

function withRetention(partition: string, olderThan: string): string {
  return withLines(
    'table',
    'partitionBy: ["hour(at)", "day(at)"]',
    `retention: {partition: ${partition}, olderThan: ${olderThan}}`,
  );
}

/** Options that have one value only. */
const ONE_VALUE = ['records.format'];

describe('no option is ever ignored', () => {
  it('every option is tried here', () => {
    const names = allOptions().map(({ name }) => name);
    expect([...Object.keys(OTHERWISE), ...ONE_VALUE].sort()).toEqual(names.sort());
  });

  it.each(Object.entries(OTHERWISE))('%s changes the specification and its hash', (_, text) => {
    expect(parse(text)).not.toEqual(parse(VALID));
    expect(specificationHash(parse(text))).not.toBe(specificationHash(parse(VALID)));
  });
});

describe('specificationHash', () => {
  it('does not depend on the order of keys', () => {
    const specification = parse(VALID);
    const turned = Object.fromEntries(Object.entries(specification).reverse()) as typeof specification;
    expect(specificationHash(turned)).toBe(specificationHash(specification));
    expect(specificationHash(specification)).toMatch(/^[0-9a-f]{64}$/);
  });

  it('does not depend on a secret, nor does the specification hold it: both know the reference alone', async () => {
    const password: SecretReference = { env: 'KAFKA_PASSWORD' };
    const specification = parse(VALID, { KAFKA_PASSWORD: 'old' });
    const referring = { ...specification, source: { ...specification.source, sasl: { password } } };
    const before = { stored: JSON.stringify(referring), hash: specificationHash(referring) };
    for (const secret of ['old s3cret', 'new s3cret']) {
      expect(await resolveSecret(password, { KAFKA_PASSWORD: secret })).toBe(secret);
      expect({ stored: JSON.stringify(referring), hash: specificationHash(referring) }).toEqual(before);
    }
    expect(before.stored).toContain('{"password":{"env":"KAFKA_PASSWORD"}}');
    expect(before.stored).not.toContain('s3cret');
    expect(before.hash).not.toBe(specificationHash(specification));
  });

  it.each(['sasl', 'ssl'])(
    'meets no secret by way of a variable: source.%s is refused, and not shown',
    (option) => {
      const text = withLines('source', `${option}: {password: "\${KAFKA_PASSWORD}"}`);
      const problems = problemsOf(text, { KAFKA_PASSWORD: 's3cret' });
      expect(briefly(problems)).toEqual([`2:3 source.${option} is not supported yet.`]);
      expect(JSON.stringify(problems)).not.toContain('s3cret');
    },
  );
});

describe('loadPipeline', () => {
  let root = '';
  let folder = '';
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tidemark-pipelines-'));
    folder = join(root, 'pipelines');
    await mkdir(folder);
    // Valid and within reach, so that only its name keeps it out.
    await writeFile(join(root, 'outside.yaml'), VALID);
    await writeFile(join(folder, 'orders.yaml'), VALID);
    await writeFile(join(folder, 'notes.txt'), '');
  });
  afterAll(() => rm(root, { recursive: true }));

  it('finds NAME.yaml in the folder and resolves the location from there', async () => {
    const specification = await loadPipeline('orders', { folder, environment: {} });
    expect(specification.name).toBe('orders');
    expect(specification.table.location).toBe(join(folder, 'tables/orders'));
    expect(await loadPipelineFile(join(folder, 'orders.yaml'), {})).toEqual(specification);
    expect(await pipelineNames(folder)).toEqual(['orders']);
  });

  it('names the nearest pipeline, or what there is', async () => {
    const missing = (name: string) => loadPipeline(name, { folder, environment: {} });
    await expect(missing('order')).rejects.toMatchObject({
      code: 'PIPELINE_NOT_FOUND',
      fix: 'Did you mean orders?',
    });
    await expect(missing('xyz')).rejects.toMatchObject({ fix: expect.stringContaining('It has: orders.') });
  });

  it('names a missing folder', async () => {
    const loading = loadPipeline('orders', { folder: join(folder, 'nowhere'), environment: {} });
    await expect(loading).rejects.toMatchObject({
      code: 'PIPELINE_NOT_FOUND',
      message: expect.stringContaining('nowhere'),
    });
  });

  it.each(['../outside', 'a/b', '', '.hidden', 'x'.repeat(101), 'a\0b'])(
    'refuses the name %j',
    async (name) => {
      const loading = loadPipeline(name, { folder, environment: {} });
      await expect(loading).rejects.toMatchObject({ code: 'PIPELINE_NOT_FOUND' });
    },
  );

  it('the example is valid', async () => {
    const path = resolve(import.meta.dirname, '../../examples/products.yaml');
    expect((await loadPipelineFile(path, {})).table.partitionBy).toHaveLength(1);
  });
});

describe('an expression of records.clean', () => {
  it('that is wrong is told with its place in the file, like any other mistake', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-clean-'));
    const path = join(folder, 'orders.yaml');
    const clean = '  clean:\n    where: "id"\n    columns:\n      cents: "prize * 100"\n';
    await writeFile(path, VALID.replace('table:', `${clean}table:`));
    const failure = await loadPipelineFile(path, {}).catch((error: unknown) => error);
    await rm(folder, { recursive: true });
    expect(failure).toMatchObject({ code: 'CLEAN_INVALID' });
    const at = (text: string) =>
      VALID.slice(0, VALID.indexOf('table:')).split('\n').length +
      clean.slice(0, clean.indexOf(text)).split('\n').length -
      1;
    const { message } = failure as Error;
    expect(message).toContain(
      `${path}:${at('"id"')}:12  records.clean.where: it must be true or false, not STRING`,
    );
    expect(message).toContain(
      `${path}:${at('"prize')}:14  records.clean.columns.cents: there is no column prize`,
    );
  }, 60_000);
});
