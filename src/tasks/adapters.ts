import type { KafkaSource } from '../kafka/source.ts';
import type { SourceSpecification } from '../kafka/source-specification.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { CleanWorkplace } from './cleaning.ts';

/** What a worker's threads build for themselves, as `adapters.ts` has it: live ones cannot cross into them. */
export interface Adapters {
  openStore(location: string): ObjectStore;
  connectKafka(source: SourceSpecification): Promise<KafkaSource>;
  openCleanWorkplace(
    openStore: Adapters['openStore'],
  ): Promise<CleanWorkplace & { readonly close: () => Promise<void> }>;
}
