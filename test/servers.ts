/**
 * One Kafka, one Temporal and one Spark for all e2e files. Servers are those that KAFKA_BROKERS and TEMPORAL_ADDRESS name, else our own on free ports.
 * Files keep apart by unique topics and pipelines (`test/e2e/harness.ts`).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { findOrStartKafka } from '../src/dev/kafka-server.ts';
import { findOrStartTemporal } from '../src/dev/temporal-server.ts';
import { readersEnvironment } from './readers/environment.ts';
import { SCRIPTS_SOCKET, serveScripts } from './readers/scripts-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    kafkaBrokers: string;
    temporalAddress: string;
    temporalNamespace: string;
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
    project.provide('temporalNamespace', temporal.namespace);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
