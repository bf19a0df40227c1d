import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '../errors.ts';
import { cached, run } from './cache.ts';
import { kafkaClient } from './kafka-client.ts';
import { fetchJars } from './maven.ts';
import { freePorts, type ServerPlan, ServerProcess } from './server-process.ts';

const KAFKA_VERSION = '4.3.0';
const START_TIMEOUT_MS = 60_000;

export interface KafkaOptions {
  /** Of the first node; free ones where absent. */
  readonly port?: number;
  /** Kept after the end, and found again by the next start; a temporary folder where absent. */
  readonly dataFolder?: string;
  /** Default 1. With 3, a partition's leader can move. */
  readonly nodes?: number;
  /** Broker settings over the ones below. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Receives a line about each slow step. Default: standard error. */
  readonly report?: (line: string) => void;
}

export interface KafkaServer {
  /** `host:port`, comma-separated. */
  readonly bootstrapServers: string;
  /** Empty where the server was running before. */
  readonly nodes: readonly KafkaNode[];
  /** Ends what was started here; does nothing to a server that was running before. */
  stop(): Promise<void>;
}

export interface KafkaNode {
  readonly nodeId: number;
  readonly port: number;
  readonly logFile: string;
  /** Undefined while it is down. */
  readonly pid: number | undefined;
  /** Signals the broker; SIGKILL and SIGTERM wait for its end. Its log stays. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Brings a killed node back on the same port and data; others may be down meanwhile. */
  restart(): Promise<void>;
}

/** The server that `KAFKA_BROKERS` names, else one of our own. */
export async function findOrStartKafka(options: KafkaOptions = {}): Promise<KafkaServer> {
  const running = process.env.KAFKA_BROKERS;
  if (running) return { bootstrapServers: running, nodes: [], stop: async () => {} };
  return startKafka(options);
}

/**
 * Starts a Kafka cluster in KRaft mode and waits until every node serves. Everything ends with this process.
 *
 * Its files come from `KAFKA_HOME`, else from the cache, filled by Maven once; else the server runs in
 * Docker. Throws PREREQUISITE_MISSING where none of them can be had, SERVER_START_FAILED with the end of the
 * log.
 */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaServer> {
  const runtime = await findRuntime(options.report ?? ((line) => console.error(line)));
  // A free port may be taken by somebody else before the broker binds it.
  for (let attempt = 1; ; attempt++) {
    try {
      return await startCluster(runtime, options);
    } catch (error) {
      const portTaken = error instanceof Failure && /already in use|BindException/.test(error.message);
      if (!portTaken || options.port !== undefined || attempt === 3) throw error;
    }
  }
}

async function startCluster(runtime: Runtime, options: KafkaOptions): Promise<KafkaServer> {
  const count = options.nodes ?? 1;
  const ports = await freePorts(2 * count);
  if (options.port !== undefined) ports[0] = options.port;
  const layouts = Array.from({ length: count }, (_, index) => ({
    nodeId: index + 1,
    port: ports[index] ?? 0,
    controllerPort: ports[count + index] ?? 0,
  }));
  const bootstrapServers = layouts.map(({ port }) => `127.0.0.1:${port}`).join(',');
  const clusterId = randomClusterId();
  const servers: ServerProcess[] = [];
  const stop = async () => void (await Promise.all(servers.map((server) => server.end())));
  const allServe = () =>
    serve(
      bootstrapServers,
      layouts.map(({ nodeId }) => nodeId),
    );
  try {
    for (const layout of layouts) {
      servers.push(
        new ServerProcess(
          await runtime.prepare(layout, await writeProperties(runtime, layouts, layout, options), clusterId),
        ),
      );
    }
    await Promise.all(servers.map((server) => server.start(allServe, runtime.startTimeoutMs)));
  } catch (error) {
    await stop();
    throw error;
  }
  const nodes = layouts.map(({ nodeId, port }, index): KafkaNode => {
    const server = servers[index] as ServerProcess;
    return {
      nodeId,
      port,
      logFile: server.plan.logFile,
      get pid() {
        return server.pid;
      },
      kill: (signal) => server.kill(signal),
      restart: () => server.start(() => serve(`127.0.0.1:${port}`, [nodeId]), runtime.startTimeoutMs),
    };
  });
  return { bootstrapServers, nodes, stop };
}

/** 16 bytes; the tool takes an id that begins with a dash for an option, and Kafka itself makes none. */
function randomClusterId(): string {
  const bytes = randomBytes(16);
  return Buffer.concat([Buffer.from([0]), bytes.subarray(1)]).toString('base64url');
}

interface NodeLayout {
  readonly nodeId: number;
  readonly port: number;
  readonly controllerPort: number;
}

interface NodeFiles {
  readonly folder: string;
  readonly temporary: boolean;
  readonly propertiesFile: string;
}

async function writeProperties(
  runtime: Runtime,
  layouts: readonly NodeLayout[],
  own: NodeLayout,
  options: KafkaOptions,
): Promise<NodeFiles> {
  const temporary = options.dataFolder === undefined;
  const folder = temporary
    ? await mkdtemp(join(tmpdir(), 'tidemark-kafka-'))
    : join(options.dataFolder ?? '', `node-${own.nodeId}`);
  await mkdir(folder, { recursive: true });
  const replicas = String(Math.min(3, layouts.length));
  const properties: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': String(own.nodeId),
    'controller.quorum.voters': layouts
      .map((node) => `${node.nodeId}@127.0.0.1:${node.controllerPort}`)
      .join(','),
    listeners: `BROKER://${runtime.listenHost}:${own.port},CONTROLLER://127.0.0.1:${own.controllerPort}`,
    'advertised.listeners': `BROKER://127.0.0.1:${own.port}`,
    'listener.security.protocol.map': 'BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'BROKER',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(runtime.folderInside ?? folder, 'log'),
    'auto.create.topics.enable': 'false',
    'default.replication.factor': replicas,
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': '1',
    // The internal topics' 50 partitions each are what makes the first group and the first transaction slow.
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0',
    // A killed node comes back only after its old session is over.
    'broker.session.timeout.ms': '4000',
    'broker.heartbeat.interval.ms': '1000',
    'log.retention.ms': '-1',
    'message.max.bytes': String(64 * 1024 * 1024),
    ...options.properties,
  };
  const propertiesFile = join(folder, 'server.properties');
  await writeFile(
    propertiesFile,
    Object.entries(properties)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  );
  return { folder, temporary, propertiesFile };
}

/** Brokers are listed once they are unfenced, which is later than their port opens. */
async function serve(bootstrapServers: string, nodeIds: readonly number[]): Promise<boolean> {
  const kafka = kafkaClient(bootstrapServers, 'tidemark-dev', {
    connectionTimeout: 1000,
    requestTimeout: 2000,
    retry: { retries: 0 },
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    return nodeIds.every((nodeId) => brokers.some((broker) => broker.nodeId === nodeId));
  } finally {
    await admin.disconnect();
  }
}

/** Where the server's program comes from. */
interface Runtime {
  readonly listenHost: string;
  /** Where the node's folder is, as the server sees it, if not at its own path. */
  readonly folderInside?: string;
  readonly startTimeoutMs: number;
  prepare(layout: NodeLayout, files: NodeFiles, clusterId: string): Promise<ServerPlan>;
}

async function findRuntime(report: (line: string) => void): Promise<Runtime> {
  const java = await findJava();
  const home = process.env.KAFKA_HOME;
  if (java !== undefined && home) return javaRuntime(java, join(home, 'libs'));
  if (java !== undefined) {
    const libs = await kafkaLibs(report);
    if (libs.ok) return javaRuntime(java, libs.folder);
    if (await dockerAnswers()) return dockerRuntime();
    throw cannotStart(libs.reason);
  }
  if (await dockerAnswers()) return dockerRuntime();
  throw cannotStart(
    'There is no Java of version 17 or newer (JAVA_HOME, PATH), and no Docker engine answers.',
  );
}

function cannotStart(reason: string): Failure {
  return new Failure(
    'PREREQUISITE_MISSING',
    `A Kafka server is needed and cannot be started here. ${reason}`,
    [
      'One of these is enough:',
      '  - a running server:   export KAFKA_BROKERS=127.0.0.1:9092',
      '  - Java and Maven:     apt-get install openjdk-17-jre-headless maven   |   brew install openjdk maven',
      `  - Java and a Kafka:   export KAFKA_HOME=/opt/kafka_2.13-${KAFKA_VERSION}`,
      '  - Docker:             a running engine',
    ].join('\n'),
  );
}

async function findJava(): Promise<string | undefined> {
  const candidates = process.env.JAVA_HOME ? [join(process.env.JAVA_HOME, 'bin', 'java'), 'java'] : ['java'];
  for (const java of candidates) {
    const { ok, output } = await run(java, ['-version'], { timeoutMs: 20_000 });
    // Kafka 4 brokers need 17.
    if (ok && Number(/version "(\d+)/.exec(output)?.[1] ?? 0) >= 17) return java;
  }
  return undefined;
}

async function kafkaLibs(
  report: (line: string) => void,
): Promise<{ ok: true; folder: string } | { ok: false; reason: string }> {
  try {
    const folder = await cached(`kafka-${KAFKA_VERSION}`, async (unfinished) => {
      report(`Fetching Kafka ${KAFKA_VERSION} with Maven (43 MB, once)...`);
      await fetchJars(KAFKA_ARTIFACTS, unfinished);
    });
    return { ok: true, folder: join(folder, 'libs') };
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** slf4j-simple is what makes the broker's log appear at all: the artifacts bring no binding. */
const KAFKA_ARTIFACTS = [`org.apache.kafka:kafka_2.13:${KAFKA_VERSION}`, 'org.slf4j:slf4j-simple:1.7.36'];

function javaRuntime(java: string, libs: string): Runtime {
  const classPath = ['-cp', join(libs, '*')];
  return {
    listenHost: '127.0.0.1',
    startTimeoutMs: START_TIMEOUT_MS,
    async prepare(layout, { folder, temporary, propertiesFile }, clusterId) {
      const logFile = join(folder, 'server.log');
      if (!existsSync(join(folder, 'log', 'meta.properties'))) {
        await writeFile(logFile, await formatStorage(java, classPath, propertiesFile, clusterId));
      }
      return {
        name: `Kafka node ${layout.nodeId}`,
        command: java,
        args: [
          '-Xmx512m',
          '-Djava.awt.headless=true',
          '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
          '-Dorg.slf4j.simpleLogger.showDateTime=true',
          ...classPath,
          'kafka.Kafka',
          propertiesFile,
        ],
        logFile,
        endSignal: temporary ? 'SIGKILL' : 'SIGTERM',
        ...(temporary && { temporaryFolder: folder }),
      };
    },
  };
}

/** @returns what the tool says; where it fails, the server will fail too, with this in its log */
async function formatStorage(
  java: string,
  classPath: readonly string[],
  propertiesFile: string,
  clusterId: string,
): Promise<string> {
  const quickStart = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
  const format = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', propertiesFile];
  return (await run(java, [...quickStart, ...classPath, ...format], { timeoutMs: START_TIMEOUT_MS })).output;
}

async function dockerAnswers(): Promise<boolean> {
  return (await run('docker', ['info'], { timeoutMs: 5000 })).ok;
}

/** The container formats its storage itself, and its data go with it. */
function dockerRuntime(): Runtime {
  return {
    listenHost: '0.0.0.0',
    folderInside: '/tmp/tidemark',
    startTimeoutMs: 300_000,
    async prepare(layout, { folder, propertiesFile }, clusterId) {
      const port = `127.0.0.1:${layout.port}:${layout.port}`;
      const mount = `${propertiesFile}:/mnt/shared/config/server.properties:ro`;
      return {
        name: `Kafka node ${layout.nodeId} (Docker)`,
        command: 'docker',
        args: [
          'run',
          '--rm',
          '--init',
          '-p',
          port,
          '-v',
          mount,
          '-e',
          `CLUSTER_ID=${clusterId}`,
          `apache/kafka:${KAFKA_VERSION}`,
        ],
        logFile: join(folder, 'server.log'),
        // The client passes SIGTERM on to the container; SIGKILL would leave it running.
        endSignal: 'SIGTERM',
        temporaryFolder: folder,
      };
    },
  };
}
