import { MeteredSource } from '../kafka/metered-source.ts';
import type { Meter } from '../meter.ts';
import { openLogs } from '../runs/open-logs.ts';
import { MeteredStore } from '../storage/metered-store.ts';
import type { Dependencies } from './dependencies.ts';

/**
 * The same outside world, with the calls of its stores and Kafka connections counted: for
 * `WorkerOptions.compose`. What threads and processes of their own ask, they ask through what they build for
 * themselves.
 */
export function metered(built: Dependencies, meter: Meter): Dependencies {
  const openStore = (location: string) => new MeteredStore(built.openStore(location), meter);
  return {
    ...built,
    openStore,
    openLog: openLogs(openStore),
    connectKafka: async (source) =>
      new MeteredSource(await meter.measure('kafka.connect', () => built.connectKafka(source)), meter),
  };
}
