/** What the e2e files share: unique names, topics, records and transactions, folders, pipeline files, our processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import kafkajs, { type Admin, type ITopicConfig, type Message } from 'kafkajs';
import { inject, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { registerCodecs } from '../../src/dev/producer-codecs.ts';

const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

registerCodecs();

export type Codec = keyof typeof kafkajs.CompressionTypes;

/** `prefix-1a2b3c4d`: fit for topics, pipelines and workflow ids. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString('hex')}`;
}

export function kafkaClient(brokers: string): kafkajs.Kafka {
  return new kafkajs.Kafka({
    clientId: 'tidemark-test',
    brokers: brokers.split(','),
    logLevel: kafkajs.logLevel.NOTHING,
  });
}

export async function withAdmin<T>(brokers: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafkaClient(brokers).admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

export interface TopicOptions {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor?: number;
  /** `{'cleanup.policy': 'compact'}` */
  readonly config?: Readonly<Record<string, string>>;
}

/** @returns the name */
export async function createTopic(brokers: string, options: TopicOptions): Promise<string> {
  const topic: ITopicConfig = {
    topic: options.name,
    numPartitions: options.partitions,
    replicationFactor: options.replicationFactor ?? 1,
    configEntries: Object.entries(options.config ?? {}).map(([name, value]) => ({ name, value })),
  };
  await withAdmin(brokers, (admin) => admin.createTopics({ topics: [topic], waitForLeaders: true }));
  return options.name;
}

export interface ProduceOptions {
  readonly codec?: Codec;
  /** Records per record batch, about: one send each. Default: all in one. */
  readonly batchSize?: number;
}

/** Produces the records as given; without `partition`, round-robin by the client. */
export async function produce(
  brokers: string,
  topic: string,
  messages: readonly Message[],
  options: ProduceOptions = {},
): Promise<void> {
  const producer = kafkaClient(brokers).producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  const compression = kafkajs.CompressionTypes[options.codec ?? 'None'];
  const size = options.batchSize ?? 10_000;
  try {
    for (let i = 0; i < messages.length; i += size) {
      await producer.send({ topic, messages: messages.slice(i, i + size), compression });
    }
  } finally {
    await producer.disconnect();
  }
}

/** Produces the records in one transaction and commits or aborts it: one control record more per partition written to. */
export async function produceTransaction(
  brokers: string,
  topic: string,
  messages: readonly Message[],
  end: 'commit' | 'abort',
  options: ProduceOptions = {},
): Promise<void> {
  const producer = kafkaClient(brokers).producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
    transactionalId: uniqueName('transaction'),
  });
  await producer.connect();
  try {
    const transaction = await producer.transaction();
    const compression = kafkajs.CompressionTypes[options.codec ?? 'None'];
    await transaction.send({ topic, messages: [...messages], compression });
    await (end === 'commit' ? transaction.commit() : transaction.abort());
  } finally {
    await producer.disconnect();
  }
}

/** Offsets between log start and high watermark, over all partitions. */
export async function countRecords(brokers: string, topic: string): Promise<bigint> {
  const offsets = await withAdmin(brokers, (admin) => admin.fetchTopicOffsets(topic));
  return offsets.reduce((sum, { low, high }) => sum + BigInt(high) - BigInt(low), 0n);
}

/** A folder that is removed when the running test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes `<folder>/<name>.yaml`. `pipeline` has the shape of the pipeline file; its name is filled in. @returns the name */
export async function writePipeline(
  folder: string,
  name: string,
  pipeline: Readonly<Record<string, unknown>>,
): Promise<string> {
  await writeFile(join(folder, `${name}.yaml`), stringify({ name, ...pipeline }));
  return name;
}

/** What our processes need to find the test's servers and its pipelines. */
export function environment(
  pipelines: string,
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    KAFKA_BROKERS: inject('kafkaBrokers'),
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    TEMPORAL_NAMESPACE: inject('temporalNamespace'),
    TIDEMARK_PIPELINES: pipelines,
    ...extra,
  };
}

export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tidemark ...args` in a process of its own to its end. */
export async function tidemark(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<CliResult> {
  const child = spawn(process.execPath, [CLI, ...args], {
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
  /** Both streams, so far. */
  readonly output: () => string;
  /** Ends it and waits. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/**
 * Starts `tidemark worker` in a process of its own, which ends with the running test. Returns at once: a workflow waits for its worker.
 * Task queues are shared by all tests of a server, so that a worker sees other files' pipelines only if they run at the same time.
 */
export function startWorker(
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): WorkerProcess {
  const child = spawn(process.execPath, [CLI, 'worker', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => endChild(child, signal);
  onTestFinished(() => stop('SIGKILL'));
  return { pid: child.pid ?? 0, output: () => output, stop };
}

async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

/** Waits until the condition holds; throws when the time is over. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not so after ${timeoutMs} ms: ${condition}`);
    await sleep(50);
  }
}
