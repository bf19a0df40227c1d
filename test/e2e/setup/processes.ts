import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { withWorkflowBundle } from './bundle.ts';

/** From the sources; the packaging test names the installed one instead. */
const CLI = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

/**
 * What takes milliseconds or seconds, and minutes where many share the machine: what is waited for must come.
 */
const WITHIN_MS = 300_000;

export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tidemark ...args` in a process of its own to its end. */
export async function tidemark(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cli = CLI,
): Promise<CliResult> {
  const child = spawn(process.execPath, [cli, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (output.stderr += text));
  const [exitCode] = await once(child, 'close');
  return { exitCode, ...output };
}

export interface WorkerProcess {
  readonly pid: number;
  isAlive(): boolean;
  /** Both streams, so far. */
  readonly output: () => string;
  /**
   * Settles once it polls; before that the CLI finds no worker. Rejects with its output where it doesn't come
   * to that.
   */
  ready(): Promise<void>;
  /** Ends it and waits. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts `tidemark worker` in a process of its own. Returns at once: see `ready`. */
export function spawnWorker(
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  cli = CLI,
): WorkerProcess {
  const child = spawn(process.execPath, [cli, 'worker', ...args], {
    env: { ...process.env, ...withWorkflowBundle(env) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => endChild(child, signal);
  const ready = async () => {
    const settled = () => output.includes('Worker ready') || !isAlive(child);
    await waitUntil(settled).catch(() => {});
    if (!output.includes('Worker ready')) throw new Error(`the worker is not ready:\n${output}`);
  };
  return { pid: child.pid ?? 0, isAlive: () => isAlive(child), output: () => output, ready, stop };
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (!isAlive(child)) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

/** Waits until the condition holds; throws when the time is over. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = WITHIN_MS,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not so after ${timeoutMs} ms: ${condition}`);
    await sleep(50);
  }
}

/**
 * What `tidemark verify` finds wrong with a pipeline's table: nothing, where all is well. Kafka's part is for
 * who asks for it.
 */
export async function disagreements(
  name: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = ['--no-kafka'],
): Promise<unknown[]> {
  const { stdout, stderr, exitCode } = await tidemark(['verify', name, ...args, '-o', 'json'], env);
  const { outcome, found } = JSON.parse(stdout || '{}') as { outcome?: string; found?: unknown[] };
  if (found === undefined || (exitCode === 0) !== (outcome === 'agrees'))
    throw new Error(`verify ended with ${exitCode}: ${stdout}${stderr}`);
  return found;
}
