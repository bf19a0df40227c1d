/**
 * Goal: `repair` changes nothing unless it was told to and the answer fits, and ends with the right code.
 * Method: the command line over tables whose logs are written by hand; no Kafka in reach.
 */

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { BATCH } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { openLog, planBatch, writeFile as writeParquet } from '../delta/table.ts';
import { run } from './run.ts';

vi.setConfig({ testTimeout: 60_000 });

const roots: string[] = [];
let root = '';
const repair = (...args: string[]) => run(['repair', 'orders', ...args], { TIDEMARK_PIPELINES: root });
const log = () => join(root, 'table', '_delta_log');

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tidemark-repair-'));
  roots.push(root);
  await writeFile(
    join(root, 'orders.yaml'),
    `source: {bootstrapServers: "127.0.0.1:1", subscribe: orders}
records: {mode: failFast, schema: "id BIGINT", kafkaColumns: []}
table: {location: ./table}
`,
  );
});
afterAll(() => Promise.all(roots.map((folder) => rm(folder, { recursive: true }))));

it('says that there is nothing to repair where there is no table', async () => {
  const { exitCode, stdout } = await repair();
  expect([exitCode, stdout]).toEqual([0, expect.stringContaining('no table')]);
  expect((await repair('adopt', '--yes')).exitCode).toBe(2);
});

it.each([
  [['accept-topic'], 'takes the name of a topic'],
  [['accept-topic', 'orders'], '--from earliest, --from latest, or --deleted'],
  [['accept-topic', 'orders', '--from', 'now'], '--from earliest, --from latest, or --deleted'],
  [['adopt', 'orders'], 'takes no topic'],
  [['skip-lost', '--from', 'earliest'], 'is only for accept-topic'],
  [['undo'], 'accept-topic'],
  [['--yes'], '--yes needs an answer'],
])('refuses %j as a mistake', async (args, problem) => {
  await writeTable({ owner: 'orders' });
  const { exitCode, stderr } = await repair(...args);
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining(problem)]);
  expect(await versions()).toBe(1);
});

it('tells that Kafka cannot be reached', async () => {
  await writeTable({ owner: 'orders' });
  const { exitCode, stderr } = await repair();
  expect([exitCode, stderr]).toEqual([3, expect.stringContaining('127.0.0.1:1')]);
});

it('is what status points at', async () => {
  await writeTable({ owner: 'others' });
  const environment = { TIDEMARK_PIPELINES: root, TEMPORAL_ADDRESS: '127.0.0.1:1' };
  const { stdout } = await run(['status', 'orders'], environment);
  expect(stdout).toContain('To repair: TABLE_NOT_OURS\nLook: tidemark repair orders');
});

it('adopts a table only where it is told to, and once', async () => {
  await writeTable({ owner: undefined });
  const found = await repair('-o', 'json');
  expect(found.exitCode).toBe(4);
  expect(JSON.parse(found.stdout)).toMatchObject({
    epoch: '0',
    findings: [{ problem: 'TABLE_NOT_OURS', answers: [{ command: 'tidemark repair orders adopt' }] }],
  });
  expect((await repair('adopt')).exitCode).toBe(2);
  expect((await repair('adopt', '--dry-run')).exitCode).toBe(0);
  expect(await versions()).toBe(1);

  const { stdout, exitCode } = await repair('adopt', '--yes', '--reason', 'ours now', '-o', 'json');
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    answer: 'adopt',
    outcome: 'committed',
    tableVersion: 1,
    epoch: '1',
  });
  const actions = (await readFile(join(log(), `${'1'.padStart(20, '0')}.json`), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(actions).toMatchObject([
    {
      commitInfo: {
        tidemark: 'repair',
        answer: 'adopt',
        reason: 'ours now',
        previousOwner: null,
        ledger: [],
      },
    },
    {
      metaData: {
        id: 'a0e1c3e4-0000-4000-8000-000000000000',
        configuration: {
          kept: 'yes',
          'tidemark.pipeline': 'orders',
          'delta.enableExpiredLogCleanup': 'false',
        },
      },
    },
    { txn: { appId: 'tidemark/epoch', version: 1 } },
  ]);
  expect((await repair('adopt', '--yes')).stdout).toContain('Nothing to do');
  expect(await versions()).toBe(2);
});

it('refuses to adopt a table whose columns do not fit, and shows the difference', async () => {
  await writeTable({ owner: 'others', ddl: 'id STRING' });
  const { stdout } = await repair();
  expect(stdout).toMatch(/belongs to the pipeline others[\s\S]*id/);
  const { exitCode, stderr } = await repair('adopt', '--yes');
  expect([exitCode, stderr]).toEqual([4, expect.stringContaining('TABLE_SCHEMA_MISMATCH')]);
  expect(await versions()).toBe(1);
});

describe('dead letters whose files were deleted', () => {
  it('are shown with the command that gives them up, which changes nothing unasked', async () => {
    await writeLetters();
    const { exitCode, stdout } = await repair('-o', 'json');
    expect(exitCode).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({
      findings: [
        {
          problem: 'DEAD_LETTERS_LOST',
          files: [{ path: 'one-letters.parquet', letters: 3 }],
          answers: [{ command: 'tidemark repair orders forget-letters' }],
        },
      ],
    });
    const text = (await repair()).stdout;
    expect(text).toMatch(/one-letters\.parquet +3/);
    expect(text).toContain('Kafka may still have them');
    expect((await repair('forget-letters', 'orders')).exitCode).toBe(2);
    expect((await repair('forget-letters', '--from', 'earliest')).exitCode).toBe(2);
    expect((await repair('forget-letters')).exitCode).toBe(2);
    const planned = await repair('forget-letters', '--dry-run', '-o', 'json');
    expect([planned.exitCode, JSON.parse(planned.stdout)]).toMatchObject([0, { outcome: 'planned' }]);
    expect(await openLog(lettersOf()).snapshot()).toBeUndefined();
  });

  it('are given up once, by name, without a change of the table', async () => {
    await writeLetters();
    const { exitCode, stdout } = await repair(
      ...['forget-letters', '--yes', '--reason', 'tidied up', '-o', 'json'],
    );
    expect([exitCode, JSON.parse(stdout)]).toMatchObject([
      0,
      {
        answer: 'forget-letters',
        outcome: 'committed',
        tableVersion: 0,
        lost: [{ path: 'one-letters.parquet', letters: 3 }],
        forgotten: ['one-letters.parquet'],
      },
    ]);
    const [version] = await openLog(lettersOf()).recentCommits(1);
    expect(version?.commitInfo).toMatchObject({
      forgotten: ['one-letters.parquet'],
      who: expect.stringContaining('@'),
      reason: 'tidied up',
    });
    const snapshot = await openLog(lettersOf()).snapshot();
    expect([...(snapshot?.files.keys() ?? [])]).toEqual(['two-letters.parquet']);
    expect(await versions()).toBe(2);
    expect((await repair('forget-letters', '--yes')).stdout).toContain('Nothing to do');
    expect((await repair()).exitCode).toBe(3); // what is left to ask is Kafka
  });

  it('are not given up for a table of another pipeline', async () => {
    await writeLetters('others');
    const { exitCode, stderr } = await repair('forget-letters', '--yes');
    expect([exitCode, stderr]).toEqual([4, expect.stringContaining('TABLE_NOT_OURS')]);
  });
});

const lettersOf = () => new LocalStore(join(root, 'table.dead_letters'));

/** Two batches, each with a file of 3 letters; none is published, and that of the first is gone. */
async function writeLetters(pipeline = 'orders'): Promise<void> {
  const store = new LocalStore(join(root, 'table'));
  for (const name of ['one', 'two']) {
    const batch = await planBatch(openLog(store), store, name);
    const deadLetterFiles = [await writeParquet(lettersOf(), `${name}-letters.parquet`, 0, 3)];
    const partitions = batch.partitions.map((partition) => ({
      ...partition,
      endingOffset: partition.endingOffset + 3n,
      accounting: { ...partition.accounting, deadLetters: 3 },
    }));
    const outcome = await commit(
      openLog(store),
      BATCH,
      { ...batch, pipeline, partitions, deadLetterFiles },
      lettersOf(),
    );
    expect(outcome.kind).toBe('committed');
  }
  await rm(join(root, 'table.dead_letters', 'one-letters.parquet'));
}

async function writeTable({
  owner,
  ddl = 'id BIGINT',
}: {
  owner: string | undefined;
  ddl?: string;
}): Promise<void> {
  const metaData = {
    id: 'a0e1c3e4-0000-4000-8000-000000000000',
    format: { provider: 'parquet', options: {} },
    schemaString: toDeltaSchemaString(parseDdl(ddl)),
    partitionColumns: [],
    configuration: { kept: 'yes', ...(owner === undefined ? {} : { 'tidemark.pipeline': owner }) },
  };
  const actions = [{ protocol: { minReaderVersion: 1, minWriterVersion: 2 } }, { metaData }];
  await mkdir(log(), { recursive: true });
  await writeFile(
    join(log(), `${'0'.repeat(20)}.json`),
    actions.map((action) => JSON.stringify(action)).join('\n'),
  );
}

async function versions(): Promise<number> {
  return (await readdir(log())).filter((name) => name.endsWith('.json')).length;
}
