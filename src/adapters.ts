import type { Environment } from './environment.ts';
import { connectSource } from './kafka/connect-source.ts';
import { LocalStore } from './storage/local-store.ts';
import { stores } from './storage/stores.ts';
import type { Adapters } from './tasks/adapters.ts';

/**
 * The outside world as a worker and its threads reach it; each builds its own, since live ones cannot cross
 * between them.
 */
export function buildAdapters(environment: Environment): Adapters {
  return {
    openStore: stores(environment),
    openScratch: (folder) => new LocalStore(folder),
    connectKafka: (source) => connectSource(source, { environment }),
    openCleanWorkplace: async (openScratch) => {
      const { LocalCleanWorkplace } = await import('./duckdb/clean-workplace.ts');
      return await LocalCleanWorkplace.open(openScratch);
    },
  };
}
