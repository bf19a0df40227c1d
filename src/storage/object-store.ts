/**
 * Where tables live. Shaped by three stores from the start: a local disk, S3 and HDFS. Every path is relative
 * to the store's root, uses `/`, and never leaves the root. One conformance suite (`test/conformance/`) is
 * what an implementation has to pass; the promises below are its table of contents.
 *
 * Failures are `Failure`s with the codes STORAGE_FAILED, STORAGE_FULL and LOCATION_NOT_WRITABLE.
 */
export interface ObjectStore {
  /** Absolute root, as a user would write it (`/data/products`). */
  readonly root: string;

  /** The whole object, or undefined where there is none. */
  read(path: string): Promise<Buffer | undefined>;

  /** Bytes `[start, end)` of the object, fewer where it ends before `end`; undefined where there is none. */
  readRange(path: string, start: number, end: number): Promise<Buffer | undefined>;

  /** Size and the store's own modification time, or undefined where there is none. */
  stat(path: string): Promise<ObjectStat | undefined>;

  /**
   * All objects whose path begins with `prefix` (a folder ends in `/`) and sorts after `startAfter`, in the
   * byte order of their paths. An object that exists before the call begins and is not deleted is listed.
   */
  list(prefix: string, startAfter?: string): Promise<ObjectEntry[]>;

  /**
   * Creates the object only where none exists, as one atomic and durable step: a reader sees nothing or all
   * of it, also after a crash, and of several callers exactly one is told 'created'. A thrown failure is
   * ambiguous: the object may still have been created.
   */
  putIfAbsent(path: string, content: Uint8Array): Promise<'created' | 'exists'>;

  /** Creates or replaces the object as one atomic, durable step. */
  put(path: string, content: Uint8Array): Promise<void>;

  /**
   * A new object in parts, for data files. Refuses an existing path. Invisible or incomplete until `finish`.
   */
  create(path: string): Promise<ObjectWriter>;

  /**
   * Makes a finished file of this machine a new object, durable, where that takes no copy; else undefined,
   * and nothing is done. Refuses an existing path. The file is gone afterwards.
   */
  adopt(file: string, path: string): Promise<ObjectStat | undefined>;

  /** Deletes the object; an absent one is not an error. */
  delete(path: string): Promise<void>;

  /**
   * Deletes what writers that were killed have left of objects that never came to be (temporary files,
   * uploads without an end), where it was last written before `olderThanMs`, by the store's clock. With
   * `dryRun` it only counts.
   */
  deleteUnfinished(
    olderThanMs: number,
    dryRun: boolean,
  ): Promise<{ readonly count: number; readonly bytes: number }>;

  /** Room for new objects, and whose it is; undefined where the store has no bound, or tells none. */
  space(): Promise<StoreSpace | undefined>;

  /**
   * Runs `work`, then removes `folder` and those that lead to it, if they were not there before and are
   * empty: for code that only checks whether objects can be written. A store without folders only runs it.
   */
  leavingNoFolders<T>(folder: string, work: () => Promise<T>): Promise<T>;

  /**
   * The object as a file of this machine, for programs that open nothing else: on a disk the file itself,
   * else a copy. Its name ends as the object's does. Throws STORAGE_FAILED where there is none, and
   * STORAGE_FULL where there is no room for a copy: it never waits for others to release theirs, who may wait
   * for this one.
   */
  localCopy(path: string): Promise<LocalCopy>;

  /** Every local copy lies below this folder of this machine. */
  readonly copiesFolder: string;

  /**
   * What other programs open for this path: an absolute path on a disk, else a URL; `root` and the path.
   * Nothing is asked.
   */
  address(path: string): string;
}

/** Only lent: to be read, not changed. */
export interface LocalCopy {
  /** Absolute. */
  readonly file: string;
  /** Gives it back; never rejects. */
  release(): Promise<void>;
}

export interface StoreSpace {
  readonly freeBytes: number;
  readonly freeFiles: number;
  /** What has that room, such as the folder of a disk. */
  readonly at: string;
}

export interface ObjectStat {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface ObjectEntry extends ObjectStat {
  readonly path: string;
}

/** One writer, one call at a time, each awaited. */
export interface ObjectWriter {
  /** `bytes` are only lent: they hold until the promise settles. */
  write(bytes: Uint8Array): Promise<void>;
  /** Makes the object durable (content and its folder entries), then tells its stat. */
  finish(): Promise<ObjectStat>;
  /** Gives up; nothing of the object needs to remain. Safe after a failed `write` or `finish`. */
  abort(): Promise<void>;
}
