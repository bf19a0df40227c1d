/**
 * Faults at a chosen moment, in the product's own worker: a preloaded module holds `link(2)`, which is the
 * last step of a commit and of a write task (`storage/local-store.ts`); a line to Temporal that can be cut.
 */
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { inject, onTestFinished } from 'vitest';
import { temporaryFolder, waitUntil } from './harness.ts';

/**
 * Which put of a worker, in any of its threads, and when: its object is not there yet, or is there and the
 * answer is to come.
 */
export interface HeldPut {
  /** What the object's path contains, all of it: `['/table/_delta_log/']`. */
  readonly path: readonly string[];
  readonly moment: 'before' | 'after';
}

export interface Hold {
  /** From now on. */
  arm(): void;
  isReached(): boolean;
  /** Whether a thread is there now that waits. */
  isHeld(): boolean;
  /** For good. */
  release(): void;
}

/** A worker that gets `hook` as environment stops at these puts while they are armed. */
export async function holdPuts(
  puts: readonly HeldPut[],
): Promise<{ hook: { NODE_OPTIONS: string }; holds: readonly Hold[] }> {
  const folder = await temporaryFolder();
  const file = (index: number, state: string) => join(folder, `${index}-${state}`);
  const plans = puts.map((put, index) => ({
    ...put,
    armed: file(index, 'armed'),
    reached: file(index, 'reached'),
    released: file(index, 'released'),
  }));
  const hook = await preload(`
    import fs, { existsSync, writeFileSync } from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    import { setTimeout as sleep } from 'node:timers/promises';
    const plans = ${JSON.stringify(plans)};
    const { link } = fs.promises;
    fs.promises.link = async (from, to) => {
      const plan = plans.find(({ path, armed, released }) =>
        path.every((part) => String(to).includes(part)) && existsSync(armed) && !existsSync(released));
      if (plan === undefined) return await link(from, to);
      if (plan.moment === 'after') await link(from, to);
      while (!existsSync(plan.released)) {
        writeFileSync(plan.reached, '');
        await sleep(50);
      }
      if (plan.moment === 'before') await link(from, to);
    };
    syncBuiltinESMExports();`);
  const holds = plans.map(({ armed, reached, released }) => ({
    arm: () => writeFileSync(armed, ''),
    isReached: () => existsSync(reached),
    isHeld: () => existsSync(reached) && Date.now() - statSync(reached).mtimeMs < 1_000,
    release: () => writeFileSync(released, ''),
  }));
  return { hook, holds };
}

/** Holds one kind of put at once, before it happens. */
export async function holdPut(path: string): Promise<{ hook: { NODE_OPTIONS: string } } & Hold> {
  const { hook, holds } = await holdPuts([{ path: [path], moment: 'before' }]);
  const [hold] = holds as readonly [Hold];
  hold.arm();
  return { hook, ...hold };
}

/** What makes a worker run `source` first, in every thread. */
export async function preload(source: string): Promise<{ NODE_OPTIONS: string }> {
  const file = join(await temporaryFolder(), 'fault.mjs');
  writeFileSync(file, source);
  return { NODE_OPTIONS: `--import=${file}` };
}

/** Stops the process where it is, and waits until the kernel says so. */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const state = () => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  await waitUntil(() => state() === 'T');
}

export interface Line {
  readonly address: string;
  /** Ends what is connected; with `down` nothing can connect until `mend`. */
  cut(how?: 'once' | 'down'): void;
  mend(): void;
}

/**
 * A way to Temporal that can be cut: the server would hand tasks to the polls of a frozen process for a
 * minute.
 */
export async function temporalLine(temporalAddress = inject('temporalAddress')): Promise<Line> {
  const [host = '', port] = temporalAddress.split(':');
  const sockets = new Set<Socket>();
  let isDown = false;
  const server = createServer((near) => {
    if (isDown) return void near.destroy();
    const far = connect(Number(port), host);
    for (const socket of [near, far]) sockets.add(socket.on('error', () => {}));
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (how: 'once' | 'down' = 'once') => {
    isDown = how === 'down';
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  onTestFinished(() => {
    cut();
    server.close();
  });
  const { port: own } = server.address() as AddressInfo;
  const mend = () => {
    isDown = false;
  };
  return { address: `127.0.0.1:${own}`, cut, mend };
}
