import { connectKafka } from './kafka/kafkajs-source.ts';
import { LocalStore } from './storage/local-store.ts';
import type { Adapters } from './tasks/adapters.ts';

/** The outside world as a worker and its threads reach it; each builds its own, since live ones cannot cross between them. */
export const adapters: Adapters = {
  openStore: (location) => new LocalStore(location),
  connectKafka: ({ bootstrapServers }) => connectKafka({ bootstrapServers }),
  openCleanWorkplace: async (openStore) => {
    const { LocalCleanWorkplace } = await import('./duckdb/clean-workplace.ts');
    return await LocalCleanWorkplace.open(openStore);
  },
};
