import type { ObjectEntry, ObjectStat, ObjectStore } from '../../src/storage/object-store.ts';

/** One call of a store, before it is done. */
export type Call = { readonly name: keyof ObjectStore; readonly path: string; readonly index: number };

/**
 * A store in memory, for searches that run a product's code thousands of times. Several processes share its objects; each
 * has a view of its own, in which a test stops at any call (`before`) or dies there.
 */
export class Objects {
  private readonly objects = new Map<string, { content: Buffer; modifiedMs: number }>();
  /** The store's clock: every write is a moment later. */
  nowMs = 1_800_000_000_000;

  copy(): Objects {
    const copy = new Objects();
    for (const [path, object] of this.objects) copy.objects.set(path, object);
    copy.nowMs = this.nowMs;
    return copy;
  }

  paths(prefix = ''): string[] {
    return [...this.objects.keys()].filter((path) => path.startsWith(prefix)).sort();
  }

  view(before: (call: Call) => void | Promise<void> = () => undefined): ObjectStore {
    let index = 0;
    const { objects } = this;
    const called =
      <A extends unknown[], R>(name: keyof ObjectStore, work: (...args: A) => R) =>
      async (...args: A): Promise<R> => {
        await before({ name, path: String(args[0]), index: index++ });
        return work(...args);
      };
    const statOf = (path: string): ObjectStat | undefined => {
      const object = objects.get(path);
      return object && { sizeBytes: object.content.length, modifiedMs: object.modifiedMs };
    };
    const write = (path: string, content: Uint8Array) => {
      objects.set(path, { content: Buffer.from(content), modifiedMs: ++this.nowMs });
    };
    return {
      root: '/memory',
      read: called('read', (path: string) => objects.get(path)?.content),
      readRange: called('readRange', (path: string, start: number, end: number) =>
        objects.get(path)?.content.subarray(start, end),
      ),
      stat: called('stat', statOf),
      list: called('list', (prefix: string, startAfter = '') =>
        this.paths(prefix)
          .filter((path) => path > startAfter)
          .map((path): ObjectEntry => ({ path, ...(statOf(path) as ObjectStat) })),
      ),
      putIfAbsent: called('putIfAbsent', (path: string, content: Uint8Array) => {
        if (objects.has(path)) return 'exists' as const;
        write(path, content);
        return 'created' as const;
      }),
      put: called('put', write),
      create: called('create', (path: string) => {
        const parts: Uint8Array[] = [];
        return {
          write: async (bytes: Uint8Array) => void parts.push(bytes),
          finish: async () => {
            write(path, Buffer.concat(parts));
            return statOf(path) as ObjectStat;
          },
          abort: async () => undefined,
        };
      }),
      delete: called('delete', (path: string) => void objects.delete(path)),
      adopt: async () => undefined,
      deleteUnfinished: async () => ({ count: 0, bytes: 0 }),
      url: (path) => path,
    };
  }
}

/** Thrown in a view to end its process there; it is no failure of the product's. */
export class Died extends Error {}
