/**
 * What all e2e files share: one Kafka, one Temporal, one Spark, one workflow bundle, and a worker for those
 * that need one and do nothing to it. Servers are those that KAFKA_BROKERS and TEMPORAL_ADDRESS name, else
 * our own on free ports.
 *
 * Files keep apart by unique topics and pipelines. Those with workers of their own also by a Temporal
 * namespace for each lane of files, since task queues have fixed names and a worker would take another file's
 * tasks (`test/e2e/setup/harness.ts`).
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundleWorkflows } from '../src/bundle-workflows.ts';
import { findOrStartKafka } from '../src/dev/kafka-server.ts';
import { findOrStartTemporal } from '../src/dev/temporal-server.ts';
import { WORKFLOW_BUNDLE } from './e2e/setup/bundle.ts';
import { newNamespaces } from './e2e/setup/namespaces.ts';
import { spawnWorker } from './e2e/setup/processes.ts';
import { readersEnvironment } from './readers/environment.ts';
import { SCRIPTS_SOCKET, serveScripts } from './readers/scripts-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    kafkaBrokers: string;
    temporalAddress: string;
    /** By lane. */
    temporalNamespaces: readonly string[];
    /** Where the worker of the run is. */
    served: Served;
  }
}

export interface Served {
  readonly namespace: string;
  readonly pipelinesFolder: string;
}

export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-test-servers-'));
  const ends: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const end of ends.toReversed()) await end();
  };
  try {
    const scripts = await serveScripts(readersPython);
    ends.push(scripts.stop);
    process.env[SCRIPTS_SOCKET] = scripts.socket;
    const starting = [
      findOrStartKafka(),
      // On a file: in memory, a connection that Temporal's dev server gives up can take the whole database
      // with it.
      findOrStartTemporal({ dataFolder: join(folder, 'temporal') }),
    ] as const;
    ends.push(() => Promise.allSettled(starting.map(async (server) => await (await server).stop())));
    process.env[WORKFLOW_BUNDLE] = join(folder, 'workflows.js');
    await writeFile(join(folder, 'workflows.js'), await bundleWorkflows());
    const [kafka, temporal] = await Promise.all(starting);
    project.provide('kafkaBrokers', kafka.bootstrapServers);
    project.provide('temporalAddress', temporal.address);

    const [namespace = '', ...lanes] = await newNamespaces(temporal.address, project.config.maxWorkers + 1);
    project.provide('temporalNamespaces', lanes);
    const pipelinesFolder = join(folder, 'pipelines');
    await mkdir(pipelinesFolder);
    const worker = spawnWorker({
      KAFKA_BROKERS: kafka.bootstrapServers,
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: namespace,
      TIDEMARK_PIPELINES: pipelinesFolder,
    });
    ends.push(async () => {
      if (!worker.isAlive())
        console.error(`the worker of the run had ended:\n${worker.output().slice(-10_000)}`);
      await worker.stop('SIGKILL');
    });
    await worker.ready();
    project.provide('served', { namespace, pipelinesFolder });
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

async function readersPython(): Promise<string> {
  const readers = await readersEnvironment();
  if ('missing' in readers) throw new Error(readers.missing);
  return readers.python;
}
