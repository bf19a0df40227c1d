import type {
  LocalCopy,
  ObjectEntry,
  ObjectStat,
  ObjectStore,
  ObjectWriter,
  StoreSpace,
} from './object-store.ts';

/** A call of a store, or of a writer that it has made. */
export interface StoreCall {
  readonly method:
    | Exclude<keyof ObjectStore, 'root' | 'copiesFolder' | 'address' | 'leavingNoFolders'>
    | keyof ObjectWriter;
  /** Of the object; of `list` the prefix; '' where the call names none. */
  readonly path: string;
  /** What the caller hands over. */
  readonly bytes?: number;
}

/**
 * Another store as it is: the base of everything that stands in front of one. Every call goes through `call`,
 * so a wrapper overrides that, or the methods that it changes, and forgets none that the interface gets
 * later. Only `leavingNoFolders` does not: its work is the caller's own.
 */
export class ForwardingStore implements ObjectStore {
  protected readonly store: ObjectStore;

  constructor(store: ObjectStore) {
    this.store = store;
  }

  get root(): string {
    return this.store.root;
  }

  get copiesFolder(): string {
    return this.store.copiesFolder;
  }

  address(path: string): string {
    return this.store.address(path);
  }

  read(path: string): Promise<Buffer | undefined> {
    return this.call({ method: 'read', path }, () => this.store.read(path));
  }

  readRange(path: string, start: number, end: number): Promise<Buffer | undefined> {
    return this.call({ method: 'readRange', path }, () => this.store.readRange(path, start, end));
  }

  stat(path: string): Promise<ObjectStat | undefined> {
    return this.call({ method: 'stat', path }, () => this.store.stat(path));
  }

  list(prefix: string, startAfter?: string): Promise<ObjectEntry[]> {
    return this.call({ method: 'list', path: prefix }, () => this.store.list(prefix, startAfter));
  }

  putIfAbsent(path: string, content: Uint8Array): Promise<'created' | 'exists'> {
    const call = { method: 'putIfAbsent', path, bytes: content.length } as const;
    return this.call(call, () => this.store.putIfAbsent(path, content));
  }

  put(path: string, content: Uint8Array): Promise<void> {
    const call = { method: 'put', path, bytes: content.length } as const;
    return this.call(call, () => this.store.put(path, content));
  }

  async create(path: string): Promise<ObjectWriter> {
    const writer = await this.call({ method: 'create', path }, () => this.store.create(path));
    return {
      write: (bytes) => this.write(writer, path, bytes),
      finish: () => this.call({ method: 'finish', path }, () => writer.finish()),
      abort: () => this.call({ method: 'abort', path }, () => writer.abort()),
    };
  }

  adopt(file: string, path: string): Promise<ObjectStat | undefined> {
    return this.call({ method: 'adopt', path }, () => this.store.adopt(file, path));
  }

  delete(path: string): Promise<void> {
    return this.call({ method: 'delete', path }, () => this.store.delete(path));
  }

  deleteUnfinished(olderThanMs: number, dryRun: boolean): ReturnType<ObjectStore['deleteUnfinished']> {
    const call = { method: 'deleteUnfinished', path: '' } as const;
    return this.call(call, () => this.store.deleteUnfinished(olderThanMs, dryRun));
  }

  space(): Promise<StoreSpace | undefined> {
    return this.call({ method: 'space', path: '' }, () => this.store.space());
  }

  leavingNoFolders<T>(folder: string, work: () => Promise<T>): Promise<T> {
    return this.store.leavingNoFolders(folder, work);
  }

  localCopy(path: string): Promise<LocalCopy> {
    return this.call({ method: 'localCopy', path }, () => this.store.localCopy(path));
  }

  protected write(writer: ObjectWriter, path: string, bytes: Uint8Array): Promise<void> {
    return this.call({ method: 'write', path, bytes: bytes.length }, () => writer.write(bytes));
  }

  /** @param _call for those who override it */
  protected call<T>(_call: StoreCall, work: () => Promise<T>): Promise<T> {
    return work();
  }
}
