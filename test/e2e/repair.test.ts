/**
 * Promise: whatever a drain refuses to decide, `tidemark repair` shows with the command that decides it, and
 * after that command the next drain goes on: each record is a row at most once, none is missing but those
 * given up. Method: real Kafka, real tables; topics are deleted and made again, their beginnings deleted,
 * tables restored by delta-rs, and the commands that the diagnosis prints are run as printed.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { readersEnvironment } from '../readers/environment.ts';
import { disagreements, produce, recreateTopic, tidemark, uniqueName, withAdmin } from './setup/harness.ts';
import { it, type Place } from './setup/place.ts';

const brokers = () => inject('kafkaBrokers');

it.for([
  ['fewer', 2],
  ['as many', 5],
  ['more', 9],
] as const)(
  'a topic made again with %s records: from its beginning, old rows stay',
  async ([, count], { served }) => {
    const { name, topic, env, location } = await pipeline(served, { partitions: 2 });
    await produce(brokers(), topic, records('old', 5, 0));
    expect(await drain(name, env)).toMatchObject({ rows: 5 });
    await recreateTopic(brokers(), topic, 1);
    await produce(brokers(), topic, records('new', count, 0));

    const failed = await tidemark(['drain', name], env);
    expect(failed.stderr).toContain('error TOPIC_RECREATED');
    expect(failed.stderr).toContain(`tidemark repair ${name}`);
    expect(failed.exitCode).toBe(4);
    const [finding] = await diagnosis(name, env);
    expect(finding).toMatchObject({ problem: 'TOPIC_RECREATED', topic });
    const shown = await tidemark(['repair', name], env);
    expect(shown.exitCode).toBe(4);
    expect(shown.stdout).toContain(finding?.answers[0]?.command);

    const command = words(finding?.answers[0]?.command);
    expect(await tidemark(command, env)).toMatchObject({ exitCode: 2, stdout: '' });
    expect((await tidemark([...command, '--dry-run'], env)).stdout).toContain('Dry run.');
    expect(versions(location)).toHaveLength(1);
    const other = command.with(-1, 'f'.repeat(32));
    expect((await tidemark([...other, '--yes'], env)).stderr).toContain('error REPAIR_REFUSED');
    const accepted = await tidemark([...command, '--yes', '--reason', 'crawl made again'], env);
    expect(accepted).toMatchObject({ exitCode: 0 });
    expect(commitInfo(location)).toMatchObject({
      tidemark: 'accept',
      reason: 'crawl made again',
      epoch: '1',
      ledger: [
        {
          kafkaPartition: 0,
          startingOffset: '5',
          endingOffset: '0',
          jump: true,
          unreadFrom: '5',
          unreadUntil: null,
        },
        { kafkaPartition: 1, startingOffset: '0', endingOffset: '-1', jump: true },
      ],
    });
    expect((await tidemark([...command, '--yes'], env)).stdout).toContain('Nothing to do');
    expect(await diagnosis(name, env)).toEqual([]);
    expect(await drain(name, env)).toMatchObject({ rows: count });
    expect(await rows(name, env)).toEqual([...ids('new', count), ...ids('old', 5)].sort());
    expect(await disagreements(name, env, [])).toEqual([]);
  },
);

it.for([
  ['a pattern', (topic: string) => ({ subscribePattern: `${topic}.*` })],
  ['assigned partitions', (topic: string) => ({ assign: { [topic]: [0] } })],
] as const)(
  'a topic made again, of %s: from its end, what it has by then is left out',
  async ([, source], { served }) => {
    const { name, topic, env, location } = await pipeline(served, { partitions: 1, source });
    await produce(brokers(), topic, records('old', 5, 0));
    expect(await drain(name, env)).toMatchObject({ rows: 5 });
    await recreateTopic(brokers(), topic, 1);
    await produce(brokers(), topic, records('skipped', 4, 0));

    const [finding] = await diagnosis(name, env);
    expect(finding).toMatchObject({ problem: 'TOPIC_RECREATED', topic });
    const latest = finding?.answers.find(({ command }) => command.includes('--from latest'));
    const accepted = await tidemark([...words(latest?.command), '--yes'], env);
    expect(accepted.exitCode, accepted.stderr).toBe(0);
    expect(commitInfo(location)).toMatchObject({
      tidemark: 'accept',
      ledger: [{ kafkaPartition: 0, startingOffset: '5', endingOffset: '4', jump: true, skipped: 4 }],
    });
    await produce(brokers(), topic, records('late', 3, 0));
    expect(await drain(name, env)).toMatchObject({ rows: 3 });
    expect(await rows(name, env)).toEqual([...ids('late', 3), ...ids('old', 5)].sort());
  },
);

it('records deleted before they were read: skipped, and counted as lost', async ({ served }) => {
  const { name, topic, env, location } = await pipeline(served, { partitions: 1 });
  await produce(brokers(), topic, records('r', 3, 0));
  await drain(name, env);
  await produce(brokers(), topic, records('s', 5, 0));
  await withAdmin(brokers(), async (admin) => {
    await admin.fetchTopicOffsets(topic); // deleteTopicRecords takes for granted that the topic is known
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '6' }] });
  });
  const failed = await tidemark(['drain', name], env);
  expect(failed.stderr).toContain('error KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE');
  const [finding] = await diagnosis(name, env);
  const command = words(finding?.answers[0]?.command);
  expect(command.slice(1)).toEqual([name, 'skip-lost', topic]);
  expect((await tidemark(['repair', name, 'skip-lost', `${topic}/0`, '--yes'], env)).exitCode).toBe(0);
  expect(commitInfo(location)).toMatchObject({
    tidemark: 'repair',
    answer: 'skip-lost',
    ledger: [{ startingOffset: '3', readFrom: '6', endingOffset: '6', lost: 3 }],
  });
  expect(await drain(name, env)).toMatchObject({ rows: 2 });
  expect(await rows(name, env)).toEqual(['r0', 'r1', 'r2', 's3', 's4']);
  expect(await disagreements(name, env, [])).toEqual([]);
});

it('a pipeline under another name: adopts its table and goes on', async ({ served }) => {
  const { name, topic, env, location, file } = await pipeline(served, { partitions: 1 });
  await produce(brokers(), topic, records('r', 4, 0));
  await drain(name, env);
  const renamed = await served.pipeline(uniqueName('renamed'), file);
  await produce(brokers(), topic, records('s', 2, 0));
  const failed = await tidemark(['drain', renamed], env);
  expect(failed.stderr).toContain('error TABLE_NOT_OURS');
  expect(failed.stderr).toContain(`tidemark repair ${renamed} adopt`);
  expect(await diagnosis(renamed, env)).toMatchObject([{ problem: 'TABLE_NOT_OURS' }]);
  expect((await tidemark(['repair', renamed, 'adopt', '--yes'], env)).exitCode).toBe(0);
  expect(commitInfo(location)).toMatchObject({ answer: 'adopt', previousOwner: name });
  expect(await drain(renamed, env)).toMatchObject({ rows: 2 });
  expect((await tidemark(['drain', name], env)).stderr).toContain('error TABLE_NOT_OURS');
  expect(await rows(renamed, env)).toEqual(['r0', 'r1', 'r2', 'r3', 's0', 's1']);
  expect(await disagreements(renamed, env, [])).toEqual([]);
});

it("delta-rs's own table: adopted without offsets, drained as configured; then its RESTORE is repaired", async ({
  served,
  skip,
}) => {
  const readers = await readersEnvironment();
  if ('missing' in readers) return skip(readers.missing);
  const { name, topic, env, location } = await pipeline(served, {
    partitions: 1,
    startingOffsets: 'latest',
  });
  const python = (script: string) => execFileSync(readers.python, ['-c', script], { encoding: 'utf8' });
  python(`import pyarrow as pa; from deltalake import write_deltalake
write_deltalake(${JSON.stringify(location)}, pa.table({"id": pa.array(["theirs"], pa.string())}))`);
  await produce(brokers(), topic, records('skipped', 3, 0));
  expect(await diagnosis(name, env)).toMatchObject([{ problem: 'TABLE_NOT_OURS' }]);
  expect((await tidemark(['repair', name, 'adopt', '--yes'], env)).stderr).toContain(
    'source.startingOffsets',
  );
  expect(await drain(name, env)).toMatchObject({ rows: 0 });
  for (const batch of ['a', 'b']) {
    await produce(brokers(), topic, records(batch, 2, 0));
    expect(await drain(name, env)).toMatchObject({ rows: 2 });
  }
  const before = versions(location).length;
  python(`from deltalake import DeltaTable; DeltaTable(${JSON.stringify(location)}).restore(${before - 2})`);

  const failed = await tidemark(['drain', name], env);
  expect(failed.stderr).toContain('error TABLE_RESTORED');
  expect(failed.stderr).toContain(`tidemark repair ${name} restore`);
  expect((await tidemark(['repair', name, 'skip-lost', '--yes'], env)).stderr).toContain(
    'error TABLE_RESTORED',
  );
  expect((await tidemark(['repair', name, 'restore', '--yes'], env)).exitCode).toBe(0);
  expect(commitInfo(location)).toMatchObject({
    answer: 'restore',
    restore: before,
    restoredVersion: before - 2,
  });
  expect(await drain(name, env)).toMatchObject({ rows: 2 });
  expect(await rows(name, env)).toEqual(['a0', 'a1', 'b0', 'b1', 'theirs']);
  expect((await tidemark(['repair', name], env)).stdout).toContain('Nothing to repair.');
  expect(await disagreements(name, env, [])).toEqual([]);
});

interface PipelineOptions {
  readonly partitions: number;
  readonly startingOffsets?: string;
  readonly source?: (topic: string) => object;
}

async function pipeline(place: Place, { partitions, startingOffsets, source }: PipelineOptions) {
  const { env, location } = place;
  const topic = await place.topic('repair', [], { partitions });
  const file = {
    source: {
      ...(source?.(topic) ?? { subscribe: [topic] }),
      ...(startingOffsets && { startingOffsets }),
    },
    records: { mode: 'failFast', schema: 'id STRING', kafkaColumns: [] },
  };
  const name = await place.pipeline(uniqueName('repair'), file);
  return { env, topic, location, file, name };
}

function records(prefix: string, count: number, partition: number) {
  return ids(prefix, count).map((id) => ({ value: JSON.stringify({ id }), partition }));
}

function ids(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

async function drain(name: string, env: Place['env']): Promise<{ rows: number }> {
  const { stdout, stderr, exitCode } = await tidemark(['drain', name, '-o', 'json'], env);
  expect(stderr).not.toContain('"error"');
  expect(exitCode).toBe(0);
  return JSON.parse(stdout).totals;
}

interface Found {
  readonly problem: string;
  readonly answers: readonly { readonly command: string }[];
}

async function diagnosis(name: string, env: Place['env']): Promise<readonly Found[]> {
  return JSON.parse((await tidemark(['repair', name, '-o', 'json'], env)).stdout).findings;
}

/** The command as printed, without `tidemark`. */
function words(command = ''): string[] {
  return command.split(' ').slice(1);
}

async function rows(name: string, env: Place['env']): Promise<string[]> {
  const sql = `SELECT id FROM "${name}" ORDER BY id`;
  const { stdout, stderr } = await tidemark(['query', name, sql, '-o', 'json'], env);
  expect(stderr).toBe('');
  return JSON.parse(stdout).map(({ id }: { id: string }) => id);
}

function versions(location: string): string[] {
  const log = join(location, '_delta_log');
  return readdirSync(log)
    .filter((file) => /^\d+\.json$/.test(file))
    .sort()
    .map((file) => join(log, file));
}

function commitInfo(location: string): unknown {
  const [first = '{}'] = readFileSync(versions(location).at(-1) ?? '', 'utf8').split('\n');
  return JSON.parse(first).commitInfo;
}
