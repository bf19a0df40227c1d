// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a pipeline file has them
/**
 * Promise: `tidemark doctor` finds each planted fault by name, with its fix and exit code, says nothing of
 * what is well, and leaves nothing behind. Method: real servers and files wherever the fault can be made with
 * them; a store that overwrites, clocks, a full disk and an old Node are put in place through `examine`.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import type { Check } from '../../src/doctor/checks.ts';
import { examine } from '../../src/doctor/examine.ts';
import type { Machine } from '../../src/doctor/machine.ts';
import { loadPipeline } from '../../src/pipeline/load.ts';
import { ForwardingStore } from '../../src/storage/forwarding-store.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import type { ObjectStore, StoreSpace } from '../../src/storage/object-store.ts';
import {
  createTopic,
  environment,
  produce,
  spawnWorker,
  temporalClient,
  temporalNamespace,
  temporaryFolder,
  tidemark,
  uniqueName,
  type WorkerProcess,
  waitUntil,
  writePipeline,
} from './setup/harness.ts';

const HOUR_MS = 3_600_000;
const brokers = () => inject('kafkaBrokers');
/** Of its own: workers of other tests are remembered for minutes. */
const namespace = uniqueName('doctor');
let topic = '';

let worker: WorkerProcess | undefined;

beforeAll(async () => {
  topic = await createTopic(brokers(), { name: uniqueName('doctor'), partitions: 2 });
  await produce(brokers(), topic, [{ partition: 0, value: '{"id":"a"}' }]);
  worker = spawnWorker(environment('.'));
  await worker.ready();
});
afterAll(() => worker?.stop('SIGKILL'));

interface Place {
  readonly folder: string;
  readonly name: string;
  readonly env: Record<string, string>;
}

async function pipeline(extra: Record<string, unknown> = {}): Promise<Place> {
  const folder = await temporaryFolder();
  const name = await writePipeline(folder, 'items', {
    source: { bootstrapServers: brokers(), subscribe: [topic] },
    records: { schema: 'id STRING' },
    table: { location: './tables/items' },
    ...extra,
  });
  return { folder, name, env: environment(folder) };
}

async function diagnose({ name, env }: Place): Promise<{ exitCode: number | null; checks: Check[] }> {
  const { exitCode, stdout } = await tidemark(['doctor', name, '-o', 'json'], env);
  return { exitCode, checks: JSON.parse(stdout).checks };
}

/** Only what is wrong, and what could not be looked at for that. */
const wrong = (checks: readonly Check[]) =>
  checks.filter(({ verdict }) => verdict === 'warn' || verdict === 'fail');
const named = (checks: readonly Check[], name: string) => checks.find((check) => check.name === name);

it('finds nothing where all is well, and leaves nothing behind', async () => {
  const place = await pipeline();
  const before = await readdir(place.folder, { recursive: true });
  const { exitCode, checks } = await diagnose(place);
  expect(wrong(checks)).toEqual([]);
  expect(checks.every(({ verdict }) => verdict === 'ok')).toBe(true);
  expect(exitCode).toBe(0);
  expect(await readdir(place.folder, { recursive: true })).toEqual(before);
  const text = await tidemark(['doctor', place.name], place.env);
  expect(text.stdout).toMatch(/^ok {4}topics +doctor-\w+: 2 partitions, each with a leader$/m);
  expect(text.stdout).toMatch(/^\d+ ok$/m);
});

describe('finds, by name and with its fix:', () => {
  it.each<[string, Record<string, string>, Record<string, unknown>, Partial<Check>, number]>([
    [
      'no Temporal',
      { TEMPORAL_ADDRESS: '127.0.0.1:1' },
      {},
      { name: 'Temporal', code: 'TEMPORAL_UNREACHABLE', fix: expect.stringContaining('tidemark dev') },
      3,
    ],
    [
      'a namespace that is not there',
      { TEMPORAL_NAMESPACE: 'nowhere' },
      {},
      {
        name: 'Temporal',
        text: expect.stringContaining('no namespace nowhere'),
        fix: expect.stringContaining('namespace create'),
      },
      3,
    ],
    [
      'no Kafka',
      {},
      { source: { bootstrapServers: '127.0.0.1:1', subscribe: ['x'] } },
      { name: 'Kafka', code: 'KAFKA_UNREACHABLE', fix: expect.stringContaining('source.bootstrapServers') },
      3,
    ],
    [
      'a topic that is not there',
      {},
      { source: { bootstrapServers: '${KAFKA_BROKERS}', subscribe: ['items-nowhere'] } },
      { name: 'topics', code: 'TOPIC_NOT_FOUND', fix: expect.stringContaining('source.subscribe') },
      2,
    ],
    [
      'a location that nobody can write to',
      {},
      { table: { location: '/proc/items' } },
      { name: 'location', code: 'LOCATION_NOT_WRITABLE', fix: expect.stringContaining('table.location') },
      3,
    ],
    [
      'a pipeline file with mistakes',
      {},
      { table: { location: './tables/items', partitionBy: ['di'] } },
      {
        name: 'pipeline',
        code: 'CONFIGURATION_INVALID',
        text: expect.stringContaining('there is no column di'),
      },
      2,
    ],
    [
      'no schedule where the file has one',
      {},
      { schedule: { every: '10m' } },
      {
        name: 'schedules',
        verdict: 'warn',
        text: expect.stringContaining('the file says every 10m'),
        fix: 'tidemark schedule apply items',
      },
      0,
    ],
  ])('%s', async (_, env, extra, expected, exitCode) => {
    const place = await pipeline(extra);
    const found = await diagnose({ ...place, env: { ...place.env, ...env } });
    expect(named(found.checks, expected.name ?? '')).toMatchObject({ verdict: 'fail', ...expected });
    expect(found.exitCode).toBe(exitCode);
  });

  it("somebody else's table, for which a person has to decide", async () => {
    const place = await pipeline();
    const log = join(place.folder, 'tables/items/_delta_log');
    await mkdir(log, { recursive: true });
    const metaData = {
      id: 'x',
      format: { provider: 'parquet', options: {} },
      schemaString: JSON.stringify({
        type: 'struct',
        fields: [{ name: 'id', type: 'string', nullable: true, metadata: {} }],
      }),
      partitionColumns: [],
      configuration: { 'tidemark.pipeline': 'others' },
      createdTime: 1,
    };
    const actions = [
      { protocol: { minReaderVersion: 1, minWriterVersion: 2 } },
      { metaData },
      { commitInfo: { timestamp: 1, operation: 'CREATE TABLE' } },
    ];
    await writeFile(
      join(log, `${'0'.repeat(20)}.json`),
      actions.map((one) => JSON.stringify(one)).join('\n'),
    );
    const { exitCode, checks } = await diagnose(place);
    expect(named(checks, 'table')).toMatchObject({
      verdict: 'fail',
      code: 'TABLE_NOT_OURS',
      fix: expect.stringContaining('repair'),
    });
    expect(exitCode).toBe(4);
  });

  it('no worker, and one that polls a single queue', async () => {
    const client = await temporalClient();
    await client.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
    });
    const place = await pipeline();
    const there = { ...place, env: { ...place.env, TEMPORAL_NAMESPACE: namespace } };
    let found = await diagnose(there);
    await waitUntil(async () => {
      found = await diagnose(there);
      return (
        named(found.checks, 'Temporal')?.verdict === 'ok' &&
        named(found.checks, 'worker')?.code === 'WORKER_NOT_RUNNING'
      );
    });
    expect(named(found.checks, 'worker')).toMatchObject({
      verdict: 'fail',
      text: expect.stringContaining('tidemark and tidemark-heavy'),
      fix: expect.stringContaining('tidemark worker'),
    });
    expect(found.exitCode).toBe(3);

    const connection = await NativeConnection.connect({ address: inject('temporalAddress') });
    const worker = await Worker.create({
      connection,
      namespace,
      taskQueue: 'tidemark-heavy',
      activities: { writeFiles: async () => {} },
    });
    const running = worker.run();
    try {
      await waitUntil(async () => {
        found = await diagnose(there);
        return named(found.checks, 'worker')?.text.includes('begin and then wait') === true;
      });
    } finally {
      worker.shutdown();
      await running;
      await connection.close();
    }
    expect(named(found.checks, 'worker')).toMatchObject({
      code: 'WORKER_NOT_RUNNING',
      text: expect.stringMatching(
        /queue tidemark for workflows, nor the task queue tidemark for light activities/,
      ),
      fix: expect.stringContaining('polls all of them'),
    });
  });

  it('records from the future', async () => {
    const future = await createTopic(brokers(), { name: uniqueName('future'), partitions: 1 });
    await produce(brokers(), future, [
      { partition: 0, value: '{}', timestamp: String(Date.now() + HOUR_MS / 2) },
    ]);
    const { checks } = await diagnose(
      await pipeline({ source: { bootstrapServers: brokers(), subscribe: [future] } }),
    );
    expect(named(checks, 'clock of records')).toMatchObject({
      verdict: 'warn',
      text: expect.stringContaining(`offset 0 of ${future}-0`),
      fix: expect.stringContaining('clock'),
    });
  });
});

describe('finds on a machine that is not right:', () => {
  async function examined(machine: Partial<Machine>, nodeVersion = '24.21.0'): Promise<Check[]> {
    const { folder, name } = await pipeline();
    vi.stubEnv('TEMPORAL_ADDRESS', inject('temporalAddress'));
    vi.stubEnv('TEMPORAL_NAMESPACE', temporalNamespace());
    const context = {
      pipelinesFolder: folder,
      environment: process.env,
      loadPipeline: (one: string) => loadPipeline(one, { folder, environment: process.env }),
    };
    const real: Machine = {
      now: Date.now,
      openStore: (location) => new LocalStore(location),
    };
    const checks = await examine(context, name, { ...real, ...machine }, nodeVersion);
    vi.unstubAllEnvs();
    expect(await readdir(folder)).toEqual(['items.yaml']);
    return checks;
  }
  const storeWith = (location: string, faults: (store: ObjectStore) => Partial<ObjectStore>): ObjectStore => {
    const store = new LocalStore(location);
    return Object.assign(new ForwardingStore(store), faults(store));
  };

  it('a store that overwrites', async () => {
    const checks = await examined({
      openStore: (location) =>
        storeWith(location, (store) => ({
          putIfAbsent: async (path, content) => {
            await store.put(path, content);
            return 'created';
          },
        })),
    });
    expect(named(checks, 'location')).toMatchObject({
      verdict: 'fail',
      text: expect.stringContaining('4 of 4 attempts'),
      fix: expect.stringContaining('hard links'),
    });
    expect(named(checks, 'dead letters')).toMatchObject({ verdict: 'fail' });
  });

  it('a store that looks first and then writes: only attempts at once find that', async () => {
    const checks = await examined({
      openStore: (location) =>
        storeWith(location, (store) => ({
          putIfAbsent: async (path, content) => {
            if ((await store.stat(path)) !== undefined) return 'exists';
            await store.put(path, content);
            return 'created';
          },
        })),
    });
    expect(named(checks, 'location')).toMatchObject({
      verdict: 'fail',
      text: expect.stringContaining('does not refuse to overwrite'),
    });
  });

  it('clocks that are apart', async () => {
    const slow = await examined({ now: () => Date.now() - HOUR_MS });
    expect(named(slow, 'clock of the store')).toMatchObject({
      verdict: 'warn',
      text: expect.stringMatching(/It is 1h ahead of/),
      fix: expect.stringContaining('NTP'),
    });
    expect(named(slow, 'clock of records')).toMatchObject({ verdict: 'warn' });
    const fast = await examined({ now: () => Date.now() + HOUR_MS });
    expect(named(fast, 'clock of the store')).toMatchObject({
      verdict: 'warn',
      text: expect.stringContaining('behind'),
    });
  });

  it('a full disk, one without room for more files, and one that will be full', async () => {
    const found = async (space: StoreSpace | undefined) => {
      const openStore = (location: string) => storeWith(location, () => ({ space: async () => space }));
      return named(await examined({ openStore }), 'disk');
    };
    const disk = (freeBytes: number, freeFiles: number) => found({ freeBytes, freeFiles, at: '/there' });
    expect(await disk(2 ** 20, 1e6)).toMatchObject({
      verdict: 'fail',
      code: 'STORAGE_FULL',
      text: expect.stringContaining('Only 1 MiB'),
      fix: expect.stringContaining('Free space'),
    });
    expect(await disk(2 ** 40, 10)).toMatchObject({ verdict: 'fail', code: 'STORAGE_FULL' });
    expect(await disk(2 ** 29, 1e6)).toMatchObject({
      verdict: 'warn',
      text: expect.stringContaining('/there'),
    });
    expect(await disk(2 ** 40, 1e6)).toMatchObject({ verdict: 'ok' });
    expect(await found(undefined)).toMatchObject({
      verdict: 'ok',
      text: expect.stringContaining('is not known'),
    });
  });

  it('an old Node', async () => {
    const found = named(await examined({}, '22.12.0'), 'Node');
    expect(found).toMatchObject({
      verdict: 'fail',
      code: 'PREREQUISITE_MISSING',
      text: expect.stringContaining('22.12.0'),
      fix: expect.stringContaining('Node 24'),
    });
  });
});
