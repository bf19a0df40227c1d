import { connectKafka } from './kafka/kafkajs-source.ts';
import { LocalStore } from './storage/local-store.ts';
import { stores } from './storage/stores.ts';
import type { Adapters } from './tasks/adapters.ts';

/** The outside world as a worker and its threads reach it; each builds its own, since live ones cannot cross between them. */
export function buildAdapters(environment: Readonly<Record<string, string | undefined>>): Adapters {
  return {
    openStore: stores(environment),
    openScratch: (folder) => new LocalStore(folder),
    connectKafka: ({ bootstrapServers }) => connectKafka({ bootstrapServers }),
    openCleanWorkplace: async (openScratch) => {
      const { LocalCleanWorkplace } = await import('./duckdb/clean-workplace.ts');
      return await LocalCleanWorkplace.open(openScratch);
    },
  };
}
