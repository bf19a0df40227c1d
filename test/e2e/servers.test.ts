/**
 * Goal: servers that a command starts are its own, and none outlives it, however it ends.
 * Method: real servers; the parent is a child process of the test that is ended in each way.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, inject, test } from 'vitest';
import { startKafka } from '../../src/dev/kafka-server.ts';
import { lastLines } from '../../src/dev/server-process.ts';
import { startTemporal } from '../../src/dev/temporal-server.ts';
import {
  countRecords,
  createTopic,
  produce,
  temporaryFolder,
  uniqueName,
  waitUntil,
} from './setup/harness.ts';

describe('servers', () => {
  test('a topic of the shared Kafka holds exactly what was produced', async () => {
    const brokers = inject('kafkaBrokers');
    const topic = await createTopic(brokers, { name: uniqueName('smoke'), partitions: 3 });
    await produce(
      brokers,
      topic,
      Array.from({ length: 1000 }, (_, i) => ({ value: `{"id":${i}}` })),
    );
    expect(await countRecords(brokers, topic)).toBe(1000n);
  });

  test("a message shows the cause, at the end of a long line of Temporal's log", async () => {
    const log = join(await temporaryFolder(), 'server.log');
    const cause = 'listen tcp 127.0.0.1:39999: bind: address already in use';
    await writeFile(
      log,
      `level=WARN msg=before\nlevel=ERROR msg="${'could not build: '.repeat(40)}${cause}"\n`,
    );
    expect(lastLines(log, 1)).toContain(cause);
    expect(lastLines(log, 1)).toMatch(/^ {2}level=ERROR .{0,300}$/);
  });

  test('two clusters side by side do not meet', async () => {
    const [one, other] = await Promise.all([startKafka(), startKafka()]);
    try {
      const topic = await createTopic(one.bootstrapServers, { name: 'same-name', partitions: 1 });
      await createTopic(other.bootstrapServers, { name: 'same-name', partitions: 1 });
      await produce(one.bootstrapServers, topic, [{ value: '1' }]);
      expect(await countRecords(one.bootstrapServers, topic)).toBe(1n);
      expect(await countRecords(other.bootstrapServers, topic)).toBe(0n);
    } finally {
      await Promise.all([one.stop(), other.stop()]);
    }
  });

  test('a killed broker comes back on its port with its records', async () => {
    const kafka = await startKafka();
    try {
      const topic = await createTopic(kafka.bootstrapServers, { name: uniqueName('kill'), partitions: 1 });
      await produce(kafka.bootstrapServers, topic, [{ value: '1' }, { value: '2' }]);
      const [node] = kafka.nodes;
      await node?.kill('SIGKILL');
      expect(node?.pid).toBeUndefined();
      await node?.restart();
      expect(await countRecords(kafka.bootstrapServers, topic)).toBe(2n);
    } finally {
      await kafka.stop();
    }
  });

  test('stopping leaves no process', async () => {
    const [kafka, temporal] = await Promise.all([startKafka(), startTemporal()]);
    const pids = [kafka.nodes[0]?.pid, temporal.pid];
    expect(pids.every(isAlive)).toBe(true);
    await Promise.all([kafka.stop(), temporal.stop()]);
    expect(pids.some(isAlive)).toBe(false);
    expect(existsSync(kafka.nodes[0]?.logFile ?? '')).toBe(false);
  });

  test.each(['SIGKILL', 'SIGTERM', 'SIGINT', 'exit', 'failure'])(
    'a parent ended by %s leaves no process',
    async (end) => {
      const parent = startParent(end);
      const { pids, logFile } = await firstLine(parent);
      expect(pids.every(isAlive)).toBe(true);
      if (end.startsWith('SIG')) parent.kill(end as NodeJS.Signals);
      await waitUntil(() => !pids.some(isAlive));
      await waitUntil(() => !existsSync(logFile));
    },
  );

  test('a server that cannot start says why', async () => {
    const starting = startKafka({ properties: { 'log.retention.hours': 'soon' } });
    await expect(starting).rejects.toMatchObject({
      code: 'SERVER_START_FAILED',
      message: expect.stringContaining('Invalid value soon'),
    });
  });
});

/** A process that starts both servers, says so in a line of JSON, and then waits or ends as told. */
function startParent(end: string): ChildProcess {
  const entry = fileURLToPath(new URL('./setup/server-parent.ts', import.meta.url));
  return spawn(process.execPath, [entry, end], {
    stdio: ['ignore', 'pipe', end === 'failure' ? 'ignore' : 'inherit'],
  });
}

async function firstLine(parent: ChildProcess): Promise<{ pids: number[]; logFile: string }> {
  if (parent.stdout === null) throw new Error('no output');
  const [line] = await once(createInterface(parent.stdout), 'line');
  return JSON.parse(line);
}

function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
