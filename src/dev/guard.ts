/**
 * Process entry: holds one server and takes it down with the parent, however the parent ends. The IPC channel
 * is the life line: the operating system closes it on exit, on a signal and on SIGKILL alike. The guard leads
 * a process group of its own, so that Ctrl-C in a terminal reaches the parent only.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { openSync, rmSync } from 'node:fs';
import process from 'node:process';
import type { GuardMessage, ServerPlan } from './server-process.ts';

const plan: ServerPlan = JSON.parse(process.argv[2] ?? '{}');
let server: ChildProcess | undefined;
let ending = false;

process.on('message', start);
process.on('disconnect', end);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, end);

function start(): void {
  const log = openSync(plan.logFile, 'a');
  const started = spawn(plan.command, plan.args, {
    env: { ...process.env, ...plan.env },
    stdio: ['ignore', log, log],
  });
  server = started;
  started.on('spawn', () => report({ kind: 'started', pid: started.pid ?? 0 }));
  started.on('error', (error) => report({ kind: 'exited', reason: error.message }));
  started.on('exit', (code, signal) => {
    server = undefined;
    report({ kind: 'exited', reason: signal ?? `exit code ${code}` });
    if (ending) leave();
  });
}

function report(message: GuardMessage): void {
  if (process.connected) process.send?.(message);
}

function end(): void {
  if (ending) return;
  ending = true;
  if (server === undefined) leave();
  server?.kill(plan.endSignal);
  setTimeout(() => server?.kill('SIGKILL'), 10_000);
}

function leave(): void {
  if (plan.temporaryFolder !== undefined) rmSync(plan.temporaryFolder, { recursive: true, force: true });
  process.exit(0);
}
