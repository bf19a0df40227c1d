import { ForwardingStore, type StoreCall } from '../../src/storage/forwarding-store.ts';
import type { ObjectEntry, ObjectStat, ObjectStore, ObjectWriter } from '../../src/storage/object-store.ts';

/** What is stored, whoever looks. */
export type StoredObjects = Map<string, { readonly content: Buffer; readonly modifiedMs: number }>;

/** A store in memory. Several may share their objects. */
export class MemoryStore implements ObjectStore {
  readonly root: string;
  private readonly objects: StoredObjects;
  private readonly now: () => number;

  /** @param now the store's clock, asked at each write */
  constructor(objects: StoredObjects, root: string, now: () => number) {
    this.objects = objects;
    this.root = root;
    this.now = now;
  }

  async space(): Promise<undefined> {}

  async leavingNoFolders<T>(_folder: string, work: () => Promise<T>): Promise<T> {
    return await work();
  }

  readonly copiesFolder = '/nowhere';

  async localCopy(path: string): Promise<never> {
    throw new Error(`No test asks for a file of ${path}.`);
  }

  address(path: string): string {
    return `${this.root}/${path}`;
  }

  async read(path: string): Promise<Buffer | undefined> {
    return this.objects.get(path)?.content;
  }

  async readRange(path: string, start: number, end: number): Promise<Buffer | undefined> {
    return this.objects.get(path)?.content.subarray(start, end);
  }

  async stat(path: string): Promise<ObjectStat | undefined> {
    const object = this.objects.get(path);
    return object && { sizeBytes: object.content.length, modifiedMs: object.modifiedMs };
  }

  async list(prefix: string, startAfter = ''): Promise<ObjectEntry[]> {
    return [...this.objects]
      .filter(([path]) => path.startsWith(prefix) && path > startAfter)
      .map(([path, { content, modifiedMs }]) => ({ path, sizeBytes: content.length, modifiedMs }))
      .sort((one, other) => (one.path < other.path ? -1 : 1));
  }

  async putIfAbsent(path: string, content: Uint8Array): Promise<'created' | 'exists'> {
    if (this.objects.has(path)) return 'exists';
    await this.put(path, content);
    return 'created';
  }

  async put(path: string, content: Uint8Array): Promise<void> {
    this.objects.set(path, { content: Buffer.from(content), modifiedMs: this.now() });
  }

  async create(path: string): Promise<ObjectWriter> {
    const parts: Uint8Array[] = [];
    return {
      write: async (bytes) => void parts.push(bytes),
      finish: async () => {
        await this.put(path, Buffer.concat(parts));
        return (await this.stat(path)) as ObjectStat;
      },
      abort: async () => {},
    };
  }

  async adopt(): Promise<undefined> {}

  async delete(path: string): Promise<void> {
    this.objects.delete(path);
  }

  async deleteUnfinished(): Promise<{ count: number; bytes: number }> {
    return { count: 0, bytes: 0 };
  }
}

/** One call of a view, before it is done. */
export type Call = { readonly name: StoreCall['method']; readonly path: string; readonly index: number };

/**
 * Objects in memory, for searches that run a product's code thousands of times. Several processes share them;
 * each has a view of its own, in which a test stops at any call (`before`) or dies there.
 */
export class Objects {
  private readonly objects: StoredObjects = new Map();
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
    return new View(new MemoryStore(this.objects, '/memory', () => ++this.nowMs), before);
  }
}

class View extends ForwardingStore {
  private readonly before: (call: Call) => void | Promise<void>;
  private index = 0;

  constructor(store: ObjectStore, before: View['before']) {
    super(store);
    this.before = before;
  }

  protected override async call<T>({ method, path }: StoreCall, work: () => Promise<T>): Promise<T> {
    await this.before({ name: method, path, index: this.index++ });
    return await work();
  }
}

/** Thrown in a view to end its process there; it is no failure of the product's. */
export class Died extends Error {}
