import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findOrStartKafka, type KafkaServer } from '../dev/kafka-server.ts';
import { isPortFree } from '../dev/server-process.ts';
import { findOrStartTemporal, type TemporalServer } from '../dev/temporal-server.ts';
import { Failure } from '../errors.ts';
import type { Context, Verb } from '../terminal/context.ts';
import type { Output } from '../terminal/output.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .description(
        'Start Kafka and Temporal with its UI, print their addresses and wait for Ctrl-C; or run a command with them.\n' +
          'A server that KAFKA_BROKERS or TEMPORAL_ADDRESS names is used instead of a new one.',
      )
      .argument('[command...]', 'after --: run it with both addresses in its environment, then stop')
      .option(
        '--data <folder>',
        'keep topics and workflows there; without it, they are lost when the servers stop',
      )
      .action((words: string[], options: { data?: string }) => dev(context, words, options.data));
  },
};

interface Servers {
  readonly kafka: KafkaServer;
  readonly temporal: TemporalServer;
}

async function dev(context: Context, words: readonly string[], data: string | undefined): Promise<void> {
  const { output } = context;
  let servers: Servers | undefined;
  let child: ChildProcess | undefined;
  context.onInterrupt(async (signal) => {
    if (child?.exitCode === null) await endWithTerminal(child, signal);
    if (servers) await stop(servers, output);
  });
  servers = await start(output, data);
  const environment = addresses(servers);
  try {
    if (words.length === 0) {
      show(output, servers);
      await runUntilInterrupted(servers);
    } else {
      const [program = '', ...args] = words;
      child = spawn(program, args, { stdio: 'inherit', env: { ...context.environment, ...environment } });
      process.exitCode = await exitCodeOf(child, program);
    }
  } finally {
    await stop(servers, output);
  }
}

async function start(output: Output, data: string | undefined): Promise<Servers> {
  const report = (line: string) => output.note(line);
  const folder = data === undefined ? undefined : resolve(data);
  const kafkaPort = process.env.KAFKA_BROKERS ? undefined : await preferred(9092, 'Kafka', output);
  const temporalPort = process.env.TEMPORAL_ADDRESS ? undefined : await preferred(7233, 'Temporal', output);
  const uiPort = process.env.TEMPORAL_ADDRESS ? undefined : await preferred(8233, 'the Temporal UI', output);
  const starting = [
    findOrStartKafka({
      report,
      ...(folder && { dataFolder: join(folder, 'kafka') }),
      ...(kafkaPort && { port: kafkaPort }),
    }),
    findOrStartTemporal({
      report,
      ...(folder && { dataFolder: join(folder, 'temporal') }),
      ...(temporalPort && { port: temporalPort }),
      ...(uiPort && { uiPort }),
    }),
  ] as const;
  try {
    const [kafka, temporal] = await Promise.all(starting);
    return { kafka, temporal };
  } catch (error) {
    for (const server of await Promise.allSettled(starting))
      if (server.status === 'fulfilled') await server.value.stop();
    throw error;
  }
}

/** The standard port, or undefined (a free one) where somebody has it. */
async function preferred(port: number, name: string, output: Output): Promise<number | undefined> {
  if (await isPortFree(port)) return port;
  output.note(`Port ${port} is taken: ${name} uses another one.`);
  return undefined;
}

function addresses({ kafka, temporal }: Servers): Record<string, string> {
  return {
    KAFKA_BROKERS: kafka.bootstrapServers,
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_NAMESPACE: temporal.namespace,
  };
}

function show(output: Output, servers: Servers): void {
  const { kafka, temporal } = servers;
  const exports = Object.entries(addresses(servers)).map(([name, value]) => `export ${name}=${value}`);
  output.result(
    {
      kafkaBrokers: kafka.bootstrapServers,
      temporalAddress: temporal.address,
      temporalNamespace: temporal.namespace,
      temporalUi: temporal.uiUrl ?? null,
    },
    () => exports.join('\n'),
  );
  for (const [name, running] of [
    ['Kafka', kafka.nodes.length === 0],
    ['Temporal', temporal.pid === undefined],
  ] as const) {
    if (running) output.note(`${name} was already running and is left alone.`);
  }
  if (temporal.uiUrl) output.note(`Temporal UI: ${output.style('cyan', temporal.uiUrl, 'stderr')}`);
  output.note('Ctrl-C stops the servers.');
}

/** The servers don't keep this process running: the wait does, and notices when one of them is gone. */
async function runUntilInterrupted({ kafka, temporal }: Servers): Promise<never> {
  const ownTemporal = temporal.pid !== undefined;
  for (;;) {
    await sleep(500);
    const ended = kafka.nodes.some((node) => node.pid === undefined) ? 'Kafka' : 'Temporal';
    if (ended === 'Temporal' && !(ownTemporal && temporal.pid === undefined)) continue;
    throw new Failure(
      'SERVER_START_FAILED',
      `${ended} ended by itself.`,
      'Start again. With --data, its log is kept.',
    );
  }
}

async function exitCodeOf(child: ChildProcess, program: string): Promise<number> {
  const exited = once(child, 'exit');
  try {
    const [code] = await exited;
    return code ?? 1;
  } catch (error) {
    throw new Failure(
      'USAGE',
      `Cannot run ${program}: ${(error as Error).message}`,
      'Name a command after --.',
    );
  }
}

/** A terminal has sent the signal to the child as well; whoever else sends it, sends it to us alone. */
async function endWithTerminal(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (!process.stdin.isTTY) child.kill(signal);
  await once(child, 'exit');
}

async function stop({ kafka, temporal }: Servers, output: Output): Promise<void> {
  await Promise.all([kafka.stop(), temporal.stop()]);
  output.note('Servers stopped.');
}
