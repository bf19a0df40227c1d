/**
 * One Kafka and one Temporal for all e2e files: those that KAFKA_BROKERS and TEMPORAL_ADDRESS name, else our own on free ports.
 * Files keep apart by unique topics and pipelines (`test/e2e/harness.ts`).
 */
import type { TestProject } from 'vitest/node';
import { findOrStartKafka } from '../src/dev/kafka-server.ts';
import { findOrStartTemporal } from '../src/dev/temporal-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    kafkaBrokers: string;
    temporalAddress: string;
    temporalNamespace: string;
  }
}

export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  const starting = [findOrStartKafka(), findOrStartTemporal()] as const;
  const stop = async () => {
    for (const server of await Promise.allSettled(starting)) {
      if (server.status === 'fulfilled') await server.value.stop();
    }
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
