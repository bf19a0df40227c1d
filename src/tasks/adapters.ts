import type { KafkaSource } from '../kafka/source.ts';
import type { SourceSpecification } from '../kafka/source-specification.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { OpenStore } from '../storage/stores.ts';
import type { CleanWorkplace } from './cleaning.ts';

/** What a worker's threads build for themselves, with `adapters.ts`: live ones cannot cross into them. */
export interface Adapters {
  readonly openStore: OpenStore;
  /** A folder of this machine, for what is written on the way to a table. */
  openScratch(folder: string): ObjectStore;
  connectKafka(source: SourceSpecification): Promise<KafkaSource>;
  openCleanWorkplace(
    openScratch: Adapters['openScratch'],
  ): Promise<CleanWorkplace & { readonly close: () => Promise<void> }>;
}
