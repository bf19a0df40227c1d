/** The injected interfaces, each call of them counted: see `calls.ts`. */

import type { Dependencies } from '../../../src/activities/dependencies.ts';
import { DeltaLog } from '../../../src/delta/log.ts';
import type { FetchedBatches, KafkaSource } from '../../../src/kafka/source.ts';
import { deadLettersLocation } from '../../../src/records/dead-letters.ts';
import type { ObjectStore, ObjectWriter } from '../../../src/storage/object-store.ts';
import type { Adapters } from '../../../src/tasks/adapters.ts';
import { currentCalls, masked } from './calls.ts';

type Sabotage = (store: ObjectStore) => ObjectStore;

function through<T>(what: string, work: () => Promise<T>, doHalf?: () => Promise<unknown>): Promise<T> {
  return currentCalls()?.through(what, work, doHalf) ?? work();
}

export function wrapStore(store: ObjectStore): ObjectStore {
  const call = <T>(method: string, path: string, work: () => Promise<T>) =>
    through(`${roleOf(store)}.${method} ${masked(path)}`, work);
  return {
    root: store.root,
    url: (path) => store.url(path),
    read: (path) => call('read', path, () => store.read(path)),
    readRange: (path, start, end) => call('readRange', path, () => store.readRange(path, start, end)),
    stat: (path) => call('stat', path, () => store.stat(path)),
    list: (prefix, startAfter) => call('list', prefix, () => store.list(prefix, startAfter)),
    putIfAbsent: (path, content) => call('putIfAbsent', path, () => store.putIfAbsent(path, content)),
    put: (path, content) => call('put', path, () => store.put(path, content)),
    delete: (path) => call('delete', path, () => store.delete(path)),
    adopt: (file, path) => call('adopt', path, () => store.adopt(file, path)),
    deleteUnfinished: (olderThanMs, dryRun) =>
      call('deleteUnfinished', '', () => store.deleteUnfinished(olderThanMs, dryRun)),
    create: async (path) =>
      wrapWriter(`${roleOf(store)}`, masked(path), await call('create', path, () => store.create(path))),
  };
}

function wrapWriter(role: string, path: string, writer: ObjectWriter): ObjectWriter {
  return {
    write: (bytes) =>
      through(
        `${role}.write ${path}`,
        () => writer.write(bytes),
        () => writer.write(bytes.subarray(0, bytes.length >> 1)),
      ),
    finish: () => through(`${role}.finish ${path}`, () => writer.finish()),
    abort: () => through(`${role}.abort ${path}`, () => writer.abort()),
  };
}

function roleOf({ root }: ObjectStore): string {
  const location = currentCalls()?.plan.location;
  if (root === location) return 'table';
  return location !== undefined && root === deadLettersLocation(location) ? 'letters' : 'scratch';
}

export function wrapSource(source: KafkaSource): KafkaSource {
  return {
    describeTopics: (topics) => through('kafka.describeTopics', () => source.describeTopics(topics)),
    listTopics: () => through('kafka.listTopics', () => source.listTopics()),
    commitGroupOffsets: (group, offsets) =>
      through('kafka.commitGroupOffsets', () => source.commitGroupOffsets(group, offsets)),
    offsetsForTimestamps: (partitions) =>
      through('kafka.offsetsForTimestamps', () => source.offsetsForTimestamps(partitions)),
    topicIds: (topics) => through('kafka.topicIds', () => source.topicIds(topics)),
    close: () => through('kafka.close', () => source.close()),
    readRange: (range, options) =>
      eachFetch(`kafka.fetch ${range.kafkaPartition}`, source.readRange(range, options)),
  };
}

async function* eachFetch(
  what: string,
  fetches: AsyncIterable<FetchedBatches>,
): AsyncIterable<FetchedBatches> {
  const iterator = fetches[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await through(what, () => iterator.next());
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await iterator.return?.();
  }
}

export function wrapAdapters(adapters: Adapters, sabotage: Sabotage = (store) => store): Adapters {
  return {
    openStore: (location) => wrapStore(sabotage(adapters.openStore(location))),
    connectKafka: async (source) =>
      wrapSource(await through('kafka.connect', () => adapters.connectKafka(source))),
    openCleanWorkplace: async (openStore) => {
      const workplace = await through('process.open', () => adapters.openCleanWorkplace(openStore));
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
  const logs = new Map<string, DeltaLog>();
  return {
    ...built,
    ...adapters,
    openLog: (location) => {
      const log = logs.get(location) ?? new DeltaLog(adapters.openStore(location), { now: Date.now });
      logs.set(location, log);
      return log;
    },
    ...threads,
    rewriteBins: (...order) => through('process.rewrite', () => built.rewriteBins(...order)),
  };
}
