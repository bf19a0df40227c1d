/**
 * One Kafka, one Temporal and one Spark for all e2e files. Servers are those that KAFKA_BROKERS and TEMPORAL_ADDRESS name, else our own on free
 * ports. Files keep apart by unique topics and pipelines, and by a namespace for each lane of files: task queues have fixed names, so a worker
 * would take another file's tasks (`test/e2e/setup/harness.ts`).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import type { TestProject } from 'vitest/node';
import { findOrStartKafka } from '../src/dev/kafka-server.ts';
import { findOrStartTemporal, type TemporalServer } from '../src/dev/temporal-server.ts';
import { newNamespace } from './e2e/setup/namespaces.ts';
import { readersEnvironment } from './readers/environment.ts';
import { SCRIPTS_SOCKET, serveScripts } from './readers/scripts-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    kafkaBrokers: string;
    temporalAddress: string;
    /** By lane. */
    temporalNamespaces: readonly string[];
  }
}

export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  // On a file: in memory, a connection that Temporal's dev server gives up can take the whole database with it.
  const dataFolder = await mkdtemp(join(tmpdir(), 'tidemark-test-temporal-'));
  const starting = [findOrStartKafka(), findOrStartTemporal({ dataFolder })] as const;
  const scripts = await serveScripts(async () => {
    const readers = await readersEnvironment();
    if ('missing' in readers) throw new Error(readers.missing);
    return readers.python;
  });
  process.env[SCRIPTS_SOCKET] = scripts.socket;
  const stop = async () => {
    await scripts.stop();
    for (const server of await Promise.allSettled(starting)) {
      if (server.status === 'fulfilled') await server.value.stop();
    }
    await rm(dataFolder, { recursive: true, force: true });
  };
  try {
    const [kafka, temporal] = await Promise.all(starting);
    project.provide('kafkaBrokers', kafka.bootstrapServers);
    project.provide('temporalAddress', temporal.address);
    project.provide('temporalNamespaces', await namespacesOf(temporal, project.config.maxWorkers));
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

/** One for each lane; a single lane has the server's own, so that one that is given need not let us make any. */
async function namespacesOf({ address, namespace }: TemporalServer, lanes: number): Promise<string[]> {
  if (lanes === 1) return [namespace];
  const connection = await Connection.connect({ address });
  try {
    return await Promise.all(Array.from({ length: lanes }, () => newNamespace(connection)));
  } finally {
    await connection.close();
  }
}
