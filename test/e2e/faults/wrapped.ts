/** The injected interfaces, each call of them counted: see `calls.ts`. */

import type { Dependencies } from '../../../src/activities/dependencies.ts';
import { ForwardingSource, type SourceCall } from '../../../src/kafka/forwarding-source.ts';
import type { KafkaSource } from '../../../src/kafka/source.ts';
import { deadLettersLocation } from '../../../src/records/dead-letters.ts';
import { openLogs } from '../../../src/runs/open-logs.ts';
import { ForwardingStore, type StoreCall } from '../../../src/storage/forwarding-store.ts';
import type { ObjectStore, ObjectWriter } from '../../../src/storage/object-store.ts';
import type { Adapters } from '../../../src/tasks/adapters.ts';
import { currentCalls, masked } from './calls.ts';

type Sabotage = (store: ObjectStore) => ObjectStore;

function through<T>(what: string, work: () => Promise<T>, doHalf?: () => Promise<unknown>): Promise<T> {
  return currentCalls()?.through(what, work, doHalf) ?? work();
}

export function wrapStore(store: ObjectStore): ObjectStore {
  return new CountedStore(store);
}

class CountedStore extends ForwardingStore {
  protected override write(writer: ObjectWriter, path: string, bytes: Uint8Array): Promise<void> {
    const doHalf = () => writer.write(bytes.subarray(0, bytes.length >> 1));
    return this.call({ method: 'write', path }, () => writer.write(bytes), doHalf);
  }

  protected override call<T>(
    { method, path }: StoreCall,
    work: () => Promise<T>,
    doHalf?: () => Promise<unknown>,
  ): Promise<T> {
    return through(`${roleOf(this.store)}.${method} ${masked(path)}`, work, doHalf);
  }
}

function roleOf({ root }: ObjectStore): string {
  const location = currentCalls()?.plan.location;
  if (root === location) return 'table';
  return location !== undefined && root === deadLettersLocation(location) ? 'letters' : 'scratch';
}

export function wrapSource(source: KafkaSource): KafkaSource {
  return new CountedSource(source);
}

class CountedSource extends ForwardingSource {
  protected override call<T>({ method, kafkaPartition }: SourceCall, work: () => Promise<T>): Promise<T> {
    return through(`kafka.${method}${kafkaPartition === undefined ? '' : ` ${kafkaPartition}`}`, work);
  }
}

export function wrapAdapters(adapters: Adapters, sabotage: Sabotage = (store) => store): Adapters {
  return {
    openStore: (location) => wrapStore(sabotage(adapters.openStore(location))),
    openScratch: (folder) => wrapStore(adapters.openScratch(folder)),
    connectKafka: async (source) =>
      wrapSource(await through('kafka.connect', () => adapters.connectKafka(source))),
    openCleanWorkplace: async (openScratch) => {
      const workplace = await through('process.open', () => adapters.openCleanWorkplace(openScratch));
      return {
        scratch: workplace.scratch,
        run: (order, paths, onCleaned) =>
          through('process.clean', () => workplace.run(order, paths, onCleaned)),
        publish: (path, store) =>
          through(`process.publish ${masked(path)}`, () => workplace.publish(path, store)),
        close: () => through('process.close', () => workplace.close()),
      };
    },
  };
}

/** Of a worker: as it builds them, with its adapters and processes wrapped, and threads that wrap theirs. */
export function wrapDependencies(
  built: Dependencies,
  adapters: Pick<Adapters, 'openStore' | 'connectKafka'>,
  threads: Pick<Dependencies, 'runWriteThread' | 'runRetryThread'>,
): Dependencies {
  return {
    ...built,
    ...adapters,
    openLog: openLogs(adapters.openStore),
    ...threads,
    rewriteBins: (...order) => through('process.rewrite', () => built.rewriteBins(...order)),
  };
}
