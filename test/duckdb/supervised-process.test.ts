/**
 * Goal: whatever a process does, whoever waits for it hears of it, and only once it has ended; nothing of
 * this process's environment reaches it. Method: processes that answer, crash, are killed, fall silent,
 * cannot start.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it, vi } from 'vitest';
import { SupervisedProcess } from '../../src/duckdb/supervised-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'tidemark-process-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Message {
  readonly kind: string;
  readonly [name: string]: unknown;
}

let scripts = 0;
function start(script: string, more = {}): SupervisedProcess<object, Message> {
  const entry = join(folder, `${scripts++}.mjs`);
  writeFileSync(entry, script);
  return new SupervisedProcess<object, Message>({
    ...{ entry, heapMiB: 64, work: 'is tried', code: 'REWRITE_FAILED', fix: 'Try again.', ...more },
  });
}

/** Runs `body` with each order. */
const onOrder = (body: string) => `process.on('message', (order) => { ${body} });
  process.on('disconnect', () => process.exit());`;

function died(how: string): object {
  return { code: 'REWRITE_FAILED', message: `The process that is tried ended ${how}`, fix: 'Try again.' };
}

it('answers one order after the other, each after what it says meanwhile', async () => {
  const child = start(`process.send({ kind: 'ready' });
    ${onOrder("for (const kind of ['step', 'step', 'done']) process.send({ kind, order })")}`);
  expect(await child.nextMessage()).toEqual({ kind: 'ready' });
  for (const order of [{ n: 1 }, { n: 2 }]) {
    let steps = 0;
    const answer = await child.ask(order, ({ kind }) => kind === 'step' && ++steps > 0);
    expect([answer, steps]).toEqual([{ kind: 'done', order }, 2]);
  }
  await child.leave();
  await expect(child.ended).resolves.toMatchObject(died('with exit code 0.'));
});

it('a crash is a failure with the end of what it wrote, for the order under way and each later one', async () => {
  const child = start(onOrder(`process.stderr.write('x'.repeat(5000) + 'why', () => process.exit(7))`));
  const failure = (await child.ask({}).catch((error: unknown) => error)) as Error;
  expect(failure.message).toBe(`The process that is tried ended with exit code 7.\n${'x'.repeat(1997)}why`);
  await expect(child.ask({})).rejects.toBe(failure);
  await expect(child.nextMessage()).rejects.toBe(failure);
  await child.kill();
  await child.leave();
});

it('one that is killed, before its answer or before it was asked', async () => {
  const busy = start(onOrder('process.kill(process.pid, "SIGKILL")'));
  await expect(busy.ask({})).rejects.toMatchObject(died('by SIGKILL.'));
  const idle = start(onOrder(''));
  await idle.kill();
  await expect(idle.ask({})).rejects.toMatchObject(died('by SIGKILL.'));
});

it('one that spins is ended wherever it is', async () => {
  const child = start(`process.send({ kind: 'ready' }); ${onOrder('for (;;);')}`);
  await child.nextMessage();
  const asked = child.ask({}).catch((error: unknown) => error);
  await sleep(100);
  await child.kill();
  expect(await asked).toMatchObject(died('by SIGKILL.'));
});

it('one that runs out of heap', async () => {
  const child = start(onOrder('const all = []; for (let i = 0; ; i++) all.push({ i, of: { i } })'));
  await expect(child.ask({})).rejects.toMatchObject({
    code: 'REWRITE_FAILED',
    message: expect.stringMatching(/ended by SIG(ABRT|TRAP)\.\n.*heap/s),
  });
});

it('one that has hung up cannot be asked, and is ended', async () => {
  const child = start(`process.send({ kind: 'ready' }); process.disconnect(); setInterval(() => {}, 1000);`);
  await child.nextMessage();
  await sleep(1000);
  await expect(child.ask({})).rejects.toMatchObject(died('by SIGKILL.'));
});

it('one that is left alone ends by itself, also where it has died already', async () => {
  const child = start(`process.send({ kind: 'ready' });
    process.on('disconnect', () => setTimeout(() => process.exit(5), 200));`);
  await child.nextMessage();
  await child.leave();
  await expect(child.ended).resolves.toMatchObject(died('with exit code 5.'));
  await expect(child.ask({})).rejects.toMatchObject(died('with exit code 5.'));
  const dead = start('process.exit(3)');
  await sleep(300);
  await dead.leave();
  await expect(dead.ended).resolves.toMatchObject(died('with exit code 3.'));
});

it('a file that is not there', async () => {
  const child = start('', { entry: join(folder, 'missing.mjs') });
  await expect(child.ask({})).rejects.toMatchObject({
    message: expect.stringMatching(/ended with exit code 1\.\n.*missing\.mjs/s),
  });
});

it('has the time zone, what it is given, and nothing else', async () => {
  vi.stubEnv('KAFKA_PASSWORD', 's3cret');
  const child = start(onOrder(`process.send({ kind: 'environment', ...process.env })`), {
    environment: { GIVEN: 'yes' },
  });
  const answer = await child.ask({});
  vi.unstubAllEnvs();
  await child.leave();
  const names = Object.keys(answer).filter((name) => !name.startsWith('NODE_CHANNEL_'));
  expect(names.sort()).toEqual(['GIVEN', 'TZ', 'kind']);
});

it('carries bigints and maps where it is told to', async () => {
  const child = start(onOrder(`process.send({ kind: 'echo', order })`), { serialization: 'advanced' });
  const order = { value: 2n ** 60n, of: new Map([['a', 1n]]) };
  expect(await child.ask(order)).toEqual({ kind: 'echo', order });
  await child.kill();
});
