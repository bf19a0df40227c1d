import type { Environment } from './environment.ts';
import { connectSource } from './kafka/connect-source.ts';
import { LocalStore } from './storage/local-store.ts';
import type { Adapters } from './tasks/adapters.ts';

/** The outside world as a worker and its threads reach it; each builds its own, since live ones cannot cross between them. */
export const adapters = (environment: Environment): Adapters => ({
  openStore: (location) => new LocalStore(location),
  connectKafka: (source) => connectSource(source, { environment }),
  openCleanWorkplace: async (openStore) => {
    const { LocalCleanWorkplace } = await import('./duckdb/clean-workplace.ts');
    return await LocalCleanWorkplace.open(openStore);
  },
});
