import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { arch, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { Failure } from '../errors.ts';
import { cached, cacheFolder, run } from './cache.ts';
import { freePorts, ServerProcess } from './server-process.ts';

/** The newest that `go install` can build: later ones carry a `replace`. Brings server 1.29.1 and the UI. */
const TEMPORAL_VERSION = '1.5.1';
const START_TIMEOUT_MS = 60_000;
const DOWNLOAD_ANSWERS_WITHIN_MS = 4_000;
const DOWNLOAD_ENDS_WITHIN_MS = 180_000;
const GO_BUILD_TIMEOUT_MS = 30 * 60_000;

export interface TemporalOptions {
  /** Free ones where absent. */
  readonly port?: number;
  readonly uiPort?: number;
  /** Kept after the end, and found again by the next start; in memory where absent. */
  readonly dataFolder?: string;
  /** Created if need be. Default `default`. */
  readonly namespace?: string;
  /** Settings of the server: `limit.historyCount.suggestContinueAsNew` to `20`. */
  readonly dynamicConfig?: Readonly<Record<string, number | string>>;
  /** Receives a line about each slow step. Default: standard error. */
  readonly report?: (line: string) => void;
}

/**
 * A task queue is four partitions by default. A worker polls one of them at a time, and only while it has a
 * slot free: a heavy task that waits in another has been seen to wait two seconds more.
 */
const ONE_PARTITION = {
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
} as const;

export interface TemporalServer {
  /** `host:port` of the gRPC frontend. */
  readonly address: string;
  readonly namespace: string;
  /** Unknown for a server that was running before. */
  readonly uiUrl: string | undefined;
  readonly pid: number | undefined;
  /** Signals the server; SIGKILL and SIGTERM wait for its end. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Brings a killed server back on the same ports; its workflows are back too if it has a data folder. */
  restart(): Promise<void>;
  /** Ends what was started here; does nothing to a server that was running before. */
  stop(): Promise<void>;
}

/** The server that `TEMPORAL_ADDRESS` and `TEMPORAL_NAMESPACE` name, else one of our own. */
export async function findOrStartTemporal(options: TemporalOptions = {}): Promise<TemporalServer> {
  const address = process.env.TEMPORAL_ADDRESS;
  if (!address) return startTemporal(options);
  return {
    address,
    namespace: process.env.TEMPORAL_NAMESPACE || options.namespace || 'default',
    uiUrl: undefined,
    pid: undefined,
    kill: async () => {},
    restart: async () => {},
    stop: async () => {},
  };
}

/**
 * Starts Temporal's dev server with its UI and waits until it serves the namespace. It ends with this
 * process.
 *
 * The program comes from PATH, the cache, a download, Docker, or is built by Go once (minutes).
 * Throws PREREQUISITE_MISSING where none of them works, SERVER_START_FAILED with the end of the log.
 */
export async function startTemporal(options: TemporalOptions = {}): Promise<TemporalServer> {
  const program = await findProgram(options.report ?? ((line) => console.error(line)));
  // A free port may be taken by somebody else before the server binds it.
  for (let attempt = 1; ; attempt++) {
    try {
      return await startServer(program, options);
    } catch (error) {
      const portTaken = error instanceof Failure && /already in use|can't set .* port/i.test(error.message);
      const chosen = options.port !== undefined || options.uiPort !== undefined;
      if (!portTaken || chosen || attempt === 3) throw error;
    }
  }
}

/** The `temporal` CLI that the server runs from; `docker` where it runs in a container. */
export async function temporalExecutable(): Promise<string> {
  return (await findProgram((line) => console.error(line))).command;
}

async function startServer(program: Program, options: TemporalOptions): Promise<TemporalServer> {
  const [freePort = 0, freeUiPort = 0] = await freePorts(2);
  const port = options.port ?? freePort;
  const uiPort = options.uiPort ?? freeUiPort;
  const namespace = options.namespace ?? 'default';
  const kept = options.dataFolder !== undefined;
  const folder = options.dataFolder ?? (await mkdtemp(join(tmpdir(), 'tidemark-temporal-')));
  await mkdir(folder, { recursive: true });
  const server = new ServerProcess({
    name: 'Temporal',
    command: program.command,
    args: [
      ...program.before({ port, uiPort }),
      'server',
      'start-dev',
      ...['--ip', program.listenHost, '--port', String(port), '--ui-port', String(uiPort)],
      ...['--namespace', namespace, '--log-level', 'warn'],
      ...Object.entries({ ...ONE_PARTITION, ...options.dynamicConfig }).flatMap(([name, value]) => [
        '--dynamic-config-value',
        `${name}=${JSON.stringify(value)}`,
      ]),
      ...(kept && program.seesFolders ? ['--db-filename', join(folder, 'temporal.db')] : []),
    ],
    logFile: join(folder, 'server.log'),
    endSignal: kept || !program.seesFolders ? 'SIGTERM' : 'SIGKILL',
    ...(!kept && { temporaryFolder: folder }),
  });
  const address = `127.0.0.1:${port}`;
  const start = () => server.start(() => servesNamespace(address, namespace), program.startTimeoutMs);
  try {
    await start();
  } catch (error) {
    await server.end();
    throw error;
  }
  return {
    address,
    namespace,
    uiUrl: `http://127.0.0.1:${uiPort}`,
    get pid() {
      return server.pid;
    },
    kill: (signal) => server.kill(signal),
    restart: start,
    stop: () => server.end(),
  };
}

async function servesNamespace(address: string, namespace: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: 1000 });
  try {
    await connection.withDeadline(Date.now() + 2000, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
    return true;
  } finally {
    await connection.close();
  }
}

interface Program {
  readonly command: string;
  /** What comes before `server start-dev`. */
  before(ports: { readonly port: number; readonly uiPort: number }): string[];
  readonly listenHost: string;
  readonly seesFolders: boolean;
  readonly startTimeoutMs: number;
}

async function findProgram(report: (line: string) => void): Promise<Program> {
  if (await isRecentEnough('temporal')) return binary('temporal');
  const name = `temporal-${TEMPORAL_VERSION}`;
  const inCache = join(cacheFolder(), name, 'temporal');
  if (existsSync(inCache)) return binary(inCache);
  const failures: string[] = [];
  for (const obtain of [download, buildWithGo]) {
    try {
      return binary(join(await cached(name, (folder) => obtain(folder, report)), 'temporal'));
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
      if (obtain === download && (await run('docker', ['info'], { timeoutMs: 5000 })).ok) return dockerImage;
    }
  }
  throw cannotStart(failures);
}

/** Older ones lack what the client uses: update-with-start, and the dev server's current flags. */
async function isRecentEnough(command: string): Promise<boolean> {
  const { ok, output } = await run(command, ['--version'], { timeoutMs: 10_000 });
  const [, major = '0', minor = '0'] = /version (\d+)\.(\d+)/.exec(output) ?? [];
  return ok && Number(major) * 1000 + Number(minor) >= 1005;
}

function binary(command: string): Program {
  return {
    command,
    before: () => [],
    listenHost: '127.0.0.1',
    seesFolders: true,
    startTimeoutMs: START_TIMEOUT_MS,
  };
}

const dockerImage: Program = {
  command: 'docker',
  before: ({ port, uiPort }) => {
    const publish = [port, uiPort].flatMap((each) => ['-p', `127.0.0.1:${each}:${each}`]);
    return ['run', '--rm', '--init', ...publish, `temporalio/temporal:${TEMPORAL_VERSION}`];
  },
  listenHost: '0.0.0.0',
  seesFolders: false,
  startTimeoutMs: 300_000,
};

async function download(folder: string): Promise<void> {
  const system = { linux: 'linux', darwin: 'darwin' }[platform() as string];
  const machine = { x64: 'amd64', arm64: 'arm64' }[arch() as string];
  const url = `https://temporal.download/cli/archive/v${TEMPORAL_VERSION}?platform=${system}&arch=${machine}`;
  const given = new AbortController();
  const timer = setTimeout(() => given.abort(new Error('no answer in time')), DOWNLOAD_ANSWERS_WITHIN_MS);
  try {
    const response = await fetch(url, {
      signal: AbortSignal.any([given.signal, AbortSignal.timeout(DOWNLOAD_ENDS_WITHIN_MS)]),
    });
    clearTimeout(timer);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const archive = join(folder, 'temporal.tar.gz');
    await writeFile(archive, Buffer.from(await response.arrayBuffer()));
    const { ok, output } = await run('tar', ['-xzf', archive, '-C', folder, 'temporal'], {
      timeoutMs: 60_000,
    });
    if (!ok || !(await isRecentEnough(join(folder, 'temporal'))))
      throw new Error(`not the expected archive ${output}`);
  } catch (error) {
    throw new Error(`Download from temporal.download: ${error instanceof Error ? error.message : error}.`);
  } finally {
    clearTimeout(timer);
  }
}

async function buildWithGo(folder: string, report: (line: string) => void): Promise<void> {
  const module = `github.com/temporalio/cli/cmd/temporal@v${TEMPORAL_VERSION}`;
  if (!(await run('go', ['version'], { timeoutMs: 10_000 })).ok) throw new Error('There is no Go on PATH.');
  report(`Building Temporal's dev server with Go (about 5 minutes on 2 cores, once)...`);
  const { ok, output } = await run('go', ['install', module], {
    timeoutMs: GO_BUILD_TIMEOUT_MS,
    env: { GOBIN: folder },
  });
  if (!ok) throw new Error(`go install ${module}: ${output.split('\n').slice(-5).join('\n')}`);
}

function cannotStart(failures: readonly string[]): Failure {
  return new Failure(
    'PREREQUISITE_MISSING',
    `A Temporal server is needed and cannot be started here.\n${failures.map((line) => `  ${line}`).join('\n')}`,
    [
      'One of these is enough:',
      '  - a running server:    export TEMPORAL_ADDRESS=127.0.0.1:7233',
      '  - the temporal CLI:    on PATH, 1.5 or newer   |   brew install temporal',
      '  - Go, to build it:     apt-get install golang-go   |   brew install go   (1.24 or newer)',
      '  - Docker:              a running engine',
    ].join('\n'),
  );
}
