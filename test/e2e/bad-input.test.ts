/**
 * Goal: a user's mistake and a broken surrounding are told on one screen, with what to do and the right exit
 * code; nothing is half-visible. Method: the CLI against real servers and a real worker, each thing wrong
 * once.
 */

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, onTestFinished } from 'vitest';
import { Tidemark } from '../../src/client.ts';
import { createTopic, produce, tidemark, uniqueName, waitUntil } from './setup/harness.ts';
import { it } from './setup/place.ts';

const SCREEN_LINES = 24;
let topic: string;

beforeAll(async () => {
  topic = await createTopic(inject('kafkaBrokers'), { name: uniqueName('bad'), partitions: 1 });
  await produce(
    inject('kafkaBrokers'),
    topic,
    Array.from({ length: 100 }, (_, n) => ({
      value: JSON.stringify({ n, text: randomBytes(2_000).toString('hex') }),
    })),
  );
});

function pipeline(location: string, source: object = {}, records: object = {}) {
  return {
    source: { bootstrapServers: inject('kafkaBrokers'), subscribe: [topic], ...source },
    records: { format: 'json', mode: 'failFast', schema: 'n BIGINT, text STRING', ...records },
    table: { location, compression: 'none' },
  };
}

interface Wrong {
  readonly source?: object;
  readonly location?: string;
  readonly records?: object;
  readonly startingOffsets?: object;
}

describe('what a drain is given', () => {
  it.for<[string, Wrong, string, number]>([
    ['a missing topic', { source: { subscribe: ['nobody-made-this'] } }, 'TOPIC_NOT_FOUND', 2],
    [
      'partitions left out of startingOffsets',
      { startingOffsets: { 5: 1 } },
      'KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED',
      2,
    ],
    ['a location that cannot be made', { location: '/proc/nowhere' }, 'LOCATION_NOT_WRITABLE', 3],
    ['a record that does not fit', { records: { schema: 'n STRING' } }, 'RECORD_MALFORMED', 1],
  ])('%s', async ([, wrong, code, exitCode], { served }) => {
    const { env } = served;
    const location = wrong.location ?? served.location;
    const source = wrong.startingOffsets
      ? { startingOffsets: { [topic]: wrong.startingOffsets } }
      : wrong.source;
    const name = await served.pipeline(uniqueName('bad'), pipeline(location, source, wrong.records));
    const { stdout, stderr, exitCode: ended } = await tidemark(['drain', name], env);
    expect(stderr).toContain(`error ${code}`);
    expect(stderr).toContain('fix: ');
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stderr.split('\n').length).toBeLessThan(SCREEN_LINES);
    expect([stdout, ended]).toEqual(['', exitCode]);
    expect(await readdir(join(location, '_delta_log')).catch(() => [])).toEqual([]);
  });

  it('a table made by someone else', async ({ served }) => {
    const { env, location } = served;
    await mkdir(join(location, '_delta_log'), { recursive: true });
    const metaData = {
      id: '00000000-0000-4000-8000-000000000000',
      format: { provider: 'parquet', options: {} },
      schemaString: '{"type":"struct","fields":[]}',
      partitionColumns: [],
      configuration: {},
      createdTime: 0,
    };
    const actions = [{ protocol: { minReaderVersion: 1, minWriterVersion: 2 } }, { metaData }];
    const log = join(location, '_delta_log', `${'0'.repeat(20)}.json`);
    await writeFile(log, actions.map((action) => JSON.stringify(action)).join('\n'));
    const name = await served.pipeline(uniqueName('bad'), pipeline(location));
    const { stderr, exitCode } = await tidemark(['drain', name], env);
    expect(stderr).toContain('error TABLE_NOT_OURS');
    expect(exitCode).toBe(4);
    expect(await readdir(join(location, '_delta_log'))).toHaveLength(1);
  });
});

describe('what is broken around it', () => {
  it('Kafka that does not answer: each retry is told, and an end comes when it is cancelled', async ({
    served,
  }) => {
    const { env, location } = served;
    const source = { bootstrapServers: '127.0.0.1:9' };
    const name = await served.pipeline(uniqueName('bad'), pipeline(location, source));
    const client = await served.temporal();
    const running = tidemark(['drain', name], env);
    const handle = client.workflow.getHandle(`drain-${name}`);
    await waitUntil(async () => {
      const attempts =
        (await handle.describe().catch(() => undefined))?.raw.pendingActivities?.[0]?.attempt ?? 0;
      return attempts >= 4;
    });
    await handle.cancel();
    const { stderr, exitCode } = await running;
    expect(stderr).toMatch(/resolveGoal failed, attempt 2 follows: .*127\.0\.0\.1:9/);
    expect(stderr).toContain('error CANCELLED');
    expect(exitCode).toBe(1);
  });

  it('Temporal that does not answer', async ({ served }) => {
    const { env, location } = served;
    const name = await served.pipeline(uniqueName('bad'), pipeline(location));
    const { stderr, exitCode } = await tidemark(['drain', name], { ...env, TEMPORAL_ADDRESS: '127.0.0.1:9' });
    expect(stderr).toContain('error TEMPORAL_UNREACHABLE');
    expect(stderr).toContain('127.0.0.1:9');
    expect(exitCode).toBe(3);
  });

  it('a disk that is full: told, then done by itself when there is room', async ({ served, skip }) => {
    const disk = join(served.folder, 'disk');
    await mkdir(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', disk], { stdio: 'ignore' });
    } catch {
      return skip('mounting a small disk is not permitted here');
    }
    onTestFinished(() => void execFileSync('umount', ['-l', disk]));
    const name = await served.pipeline(uniqueName('bad'), pipeline(join(disk, 'table')));
    const client = await served.temporal();
    const drain = new Tidemark(client).drain(name);
    const handle = client.workflow.getHandle(`drain-${name}`);
    await waitUntil(async () => {
      const pending = (await handle.describe().catch(() => undefined))?.raw.pendingActivities ?? [];
      return pending.some(({ lastFailure }) => /ENOSPC/.test(lastFailure?.message ?? ''));
    });
    expect(await readdir(join(disk, 'table', '_delta_log')).catch(() => [])).toEqual([]);
    execFileSync('mount', ['-o', 'remount,size=16m', disk]);
    expect((await drain).totals).toMatchObject({ rows: 100, offsets: 100 });
  });
});
