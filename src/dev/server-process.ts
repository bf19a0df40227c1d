import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { entryFile } from '../entry.ts';
import { Failure } from '../errors.ts';

/** How to run a server, and what to leave behind. */
export interface ServerPlan {
  /** As a person calls it: `Kafka`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** SIGKILL where nothing of the server's state is kept, SIGTERM where it is. SIGKILL follows after 10 s. */
  readonly endSignal: 'SIGTERM' | 'SIGKILL';
  /** Removed when the server has ended for good. */
  readonly temporaryFolder?: string;
}

export type GuardMessage =
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'exited'; readonly reason: string };

/**
 * A server that ends with this process, on every path: `end()`, exit, a signal, SIGKILL.
 * It doesn't keep this process running.
 */
export class ServerProcess {
  readonly plan: ServerPlan;
  #guard: ChildProcess;
  #pid: number | undefined;
  #exitReason: string | undefined;

  constructor(plan: ServerPlan) {
    this.plan = plan;
    this.#guard = fork(entryFile(import.meta.url, './guard'), [JSON.stringify(plan)], {
      detached: true,
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#guard.on('message', (message: GuardMessage) => {
      this.#pid = message.kind === 'started' ? message.pid : undefined;
      this.#exitReason = message.kind === 'exited' ? message.reason : undefined;
    });
    this.#guard.on('exit', () => {
      this.#pid = undefined;
      this.#exitReason ??= 'its guard ended';
    });
  }

  /** Undefined while the server is not running. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /**
   * Starts the server, again after it was killed, and waits until `ready` says so. What `ready` throws means
   * "not yet". Throws SERVER_START_FAILED with the log's last lines.
   */
  async start(ready: () => Promise<boolean>, timeoutMs: number): Promise<void> {
    this.#hold(true);
    this.#exitReason = undefined;
    this.#guard.send('start');
    const deadline = Date.now() + timeoutMs;
    while (!(this.#pid !== undefined && (await ready().catch(() => false)))) {
      if (this.#exitReason !== undefined) throw this.#failed(`ended while it started (${this.#exitReason})`);
      if (Date.now() > deadline) throw this.#failed(`gave no sign of life in ${timeoutMs / 1000} s`);
      await sleep(50);
    }
    this.#hold(false);
  }

  /** Sends a signal to the server itself; for SIGKILL and SIGTERM waits until it has ended. Its data stay. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#pid === undefined) return;
    process.kill(this.#pid, signal);
    if (signal !== 'SIGKILL' && signal !== 'SIGTERM') return;
    while (this.#pid !== undefined) await sleep(10);
  }

  /** Ends the server for good and waits until it is gone. */
  async end(): Promise<void> {
    if (this.#guard.exitCode !== null || this.#guard.signalCode !== null) return;
    this.#guard.ref();
    const gone = once(this.#guard, 'exit');
    if (this.#guard.connected) this.#guard.disconnect();
    await gone;
  }

  #hold(held: boolean): void {
    for (const handle of [this.#guard, this.#guard.channel]) held ? handle?.ref() : handle?.unref();
  }

  #failed(what: string): Failure {
    return new Failure(
      'SERVER_START_FAILED',
      `${this.plan.name} ${what}. The end of its log:\n${lastLines(this.plan.logFile, 15)}`,
      `The cause is above; the command was: ${[this.plan.command, ...this.plan.args].join(' ')}`,
    );
  }
}

/** Servers written in Go wrap a cause in what failed because of it: it comes last in a line. */
const LINE_START = 80;
const LINE_END = 160;

/** The end of a log, indented, for a message; of a long line, its start and its end. */
export function lastLines(file: string, count: number): string {
  if (!existsSync(file)) return '  (empty)';
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count);
  return lines.map((line) => `  ${shortened(line)}`).join('\n');
}

function shortened(line: string): string {
  return line.length <= LINE_START + LINE_END
    ? line
    : `${line.slice(0, LINE_START)} ... ${line.slice(-LINE_END)}`;
}

/**
 * Ports that nobody listens on now, all different. Somebody else may take one before it is used: then start
 * again.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

export async function isPortFree(port: number): Promise<boolean> {
  try {
    const server = await listen(port);
    await new Promise((closed) => server.close(closed));
    return true;
  } catch {
    return false;
  }
}

async function listen(port: number) {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
