/**
 * One process for the readers' scripts of all test files of a run, with one Spark: starting costs more than
 * most of what they are asked. It is started with the first request, and ends with the run, however that
 * ends, since its input does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Where the scripts answer; test files get it from who starts them. */
export const SCRIPTS_SOCKET = 'TIDEMARK_SCRIPTS_SOCKET';

/** A script of this folder, its arguments and its environment. */
export interface ScriptRequest {
  readonly script: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** @returns what the script prints */
export async function askScripts(socket: string, request: ScriptRequest): Promise<string> {
  const connection = connect(socket);
  connection.write(`${JSON.stringify(request)}\n`);
  const answer = await nextLine(createInterface(connection));
  connection.end();
  const { output, failure } = JSON.parse(answer) as { output?: string; failure?: string };
  if (output === undefined)
    throw new Error(`${request.script} ${request.args.join(' ')}:\n${failure?.slice(-3000)}`);
  return output;
}

/** Listens until it is stopped; requests are answered one after the other. */
export async function serveScripts(
  python: () => Promise<string>,
): Promise<{ readonly socket: string; stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-scripts-'));
  const socket = join(folder, 'socket');
  let scripts: Promise<Scripts> | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  const server = createServer((connection) => {
    turn = turn.then(async () => {
      scripts ??= python().then(startScripts);
      const answer = await answerOne(connection, scripts).catch((error) =>
        JSON.stringify({ failure: String(error) }),
      );
      connection.end(`${answer}\n`);
    });
  });
  server.listen(socket);
  await once(server, 'listening');
  return {
    socket,
    async stop() {
      server.close();
      const { child } = (await scripts?.catch(() => undefined)) ?? {};
      child?.stdin?.end();
      if (child !== undefined && child.exitCode === null) await once(child, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Scripts {
  readonly child: ChildProcess;
  readonly lines: Interface;
}

function startScripts(python: string): Scripts {
  const child = spawn(python, [fileURLToPath(new URL('./scripts.py', import.meta.url))], {
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  return { child, lines: createInterface(child.stdout) };
}

async function answerOne(connection: Socket, scripts: Promise<Scripts>): Promise<string> {
  const { child, lines } = await scripts;
  const request = await nextLine(createInterface(connection));
  child.stdin?.write(`${request}\n`);
  return await nextLine(lines);
}

/** The answer of a process, or that it has none any more. */
export function nextLine(lines: Interface): Promise<string> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error('no answer: the process has ended'));
    lines.once('close', closed);
    lines.once('line', (line) => {
      lines.off('close', closed);
      resolve(line);
    });
  });
}
