import { randomUUID } from 'node:crypto';
import type { Dirent, Stats } from 'node:fs';
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rmdir,
  stat,
  statfs,
  unlink,
} from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { assert, Failure } from '../errors.ts';
import { objectGone } from './local-copies.ts';
import type {
  LocalCopy,
  ObjectEntry,
  ObjectStat,
  ObjectStore,
  ObjectWriter,
  StoreSpace,
} from './object-store.ts';

/**
 * A folder of a local disk (or of a network disk with hard links) as an object store.
 *
 * `link(2)` is the put-if-absent: `rename` replaces in silence, and a file opened with O_EXCL is torn after
 * kill -9. Temporary names begin with a dot, in the object's own folder; one that a killed process leaves is
 * never listed.
 */
export class LocalStore implements ObjectStore {
  readonly root: string;

  constructor(root: string) {
    this.root = resolve(root);
  }

  async read(path: string): Promise<Buffer | undefined> {
    const file = this.locate(path);
    return await orAbsent(() => readFile(file), `${file} cannot be read`);
  }

  async readRange(path: string, start: number, end: number): Promise<Buffer | undefined> {
    const file = this.locate(path);
    const read = async () => {
      await using handle = await open(file, 'r');
      return await readFully(handle, Buffer.allocUnsafe(end - start), start);
    };
    return await orAbsent(read, `${file} cannot be read`);
  }

  async stat(path: string): Promise<ObjectStat | undefined> {
    const file = this.locate(path);
    const stats = await orAbsent(() => stat(file), `${file} cannot be read`);
    return stats?.isFile() ? objectStat(stats) : undefined;
  }

  async list(prefix: string, startAfter = ''): Promise<ObjectEntry[]> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    const entries: ObjectEntry[] = [];
    const after = Buffer.from(startAfter);
    const isWanted = (path: string, entry: Dirent) =>
      isObjectName(entry) && path.startsWith(prefix) && Buffer.compare(Buffer.from(path), after) > 0;
    for await (const path of this.walk(folder, isWanted)) {
      // Gone since the folder was read: deleted, so it need not be listed.
      const found = await this.stat(path);
      if (found !== undefined) entries.push({ path, ...found });
    }
    return entries.sort((a, b) => compareBytes(a.path, b.path));
  }

  async putIfAbsent(path: string, content: Uint8Array): Promise<'created' | 'exists'> {
    const file = this.locate(path);
    return await this.throughTemporary(file, content, async (temporary) => {
      const created = await linkIfAbsent(temporary, file);
      await syncFolder(dirname(file));
      await unlink(temporary).catch(() => undefined);
      return created ? 'created' : 'exists';
    });
  }

  async put(path: string, content: Uint8Array): Promise<void> {
    const file = this.locate(path);
    await this.throughTemporary(file, content, async (temporary) => {
      await rename(temporary, file);
      await syncFolder(dirname(file));
    });
  }

  async create(path: string): Promise<ObjectWriter> {
    const file = this.locate(path);
    return await orFailure(async () => {
      await this.makeFolder(dirname(file));
      return new LocalWriter(file, await open(file, 'wx'), () => this.syncFolders(dirname(file)));
    }, `${file} cannot be created`);
  }

  async adopt(from: string, path: string): Promise<ObjectStat | undefined> {
    const file = this.locate(path);
    return await orFailure(async () => {
      await this.makeFolder(dirname(file));
      if (!isAsIfBornIn(await stat(dirname(file)), await stat(from))) return undefined;
      await using handle = await open(from, 'r+');
      // It is as old as an object as it is in the store, not as its content.
      const now = new Date();
      await handle.utimes(now, now);
      await handle.sync();
      try {
        await link(from, file);
      } catch (error) {
        if (WITHOUT_LINKS.has(codeOf(error))) return undefined;
        throw error;
      }
      try {
        await this.syncFolders(dirname(file));
        await unlink(from);
        return objectStat(await handle.stat());
      } catch (error) {
        await unlink(file).catch(() => undefined);
        throw error;
      }
    }, `${file} cannot be created`);
  }

  async delete(path: string): Promise<void> {
    const file = this.locate(path);
    await orAbsent(() => unlink(file), `${file} cannot be deleted`);
  }

  async deleteUnfinished(olderThanMs: number, dryRun: boolean): Promise<{ count: number; bytes: number }> {
    let [count, bytes] = [0, 0];
    for await (const path of this.walk('', (_, entry) => isTemporaryName(entry))) {
      const file = join(this.root, path);
      const stats = await orAbsent(() => stat(file), `${file} cannot be read`);
      if (stats === undefined || stats.mtimeMs >= olderThanMs) continue;
      if (!dryRun) await orAbsent(() => unlink(file), `${file} cannot be deleted`);
      count++;
      bytes += stats.size;
    }
    return { count, bytes };
  }

  async space(): Promise<StoreSpace> {
    const at = await nearestFolder(this.root);
    const { bavail, bsize, ffree, files } = await statfs(at);
    // Some file systems do not count files.
    return { freeBytes: bavail * bsize, freeFiles: files === 0 ? Number.POSITIVE_INFINITY : ffree, at };
  }

  async leavingNoFolders<T>(folder: string, work: () => Promise<T>): Promise<T> {
    const lowest = this.locate(folder);
    const existing = await nearestFolder(lowest);
    try {
      return await work();
    } finally {
      await removeEmpty(lowest, existing);
    }
  }

  async localCopy(path: string): Promise<LocalCopy> {
    if ((await this.stat(path)) === undefined) throw objectGone(this.address(path));
    return { file: this.locate(path), release: async () => {} };
  }

  get copiesFolder(): string {
    return this.root;
  }

  address(path: string): string {
    return this.locate(path);
  }

  private locate(path: string): string {
    const segments = path.split('/');
    const inside = !path.includes('\0') && segments.every((name) => name !== '' && !name.startsWith('.'));
    assert(inside, `${JSON.stringify(path)} names an object below ${this.root}`);
    return join(this.root, ...segments);
  }

  /** Writes a durable temporary file beside `file` and hands it on; removes it where that fails. */
  private async throughTemporary<T>(
    file: string,
    content: Uint8Array,
    publish: (temporary: string) => Promise<T>,
  ): Promise<T> {
    const temporary = join(dirname(file), `.${randomUUID()}.tmp`); // `isTemporaryName`
    return await orFailure(async () => {
      await this.makeFolder(dirname(file));
      try {
        await writeDurably(temporary, content);
        await this.syncFolders(dirname(dirname(file)));
        return await publish(temporary);
      } catch (error) {
        await unlink(temporary).catch(() => undefined);
        throw error;
      }
    }, `${file} cannot be written`);
  }

  private async makeFolder(folder: string): Promise<void> {
    await this.refuseWayOut(folder);
    const topmost = await makeFolders(folder);
    if (topmost !== undefined && this.root.startsWith(topmost))
      await syncBetween(dirname(this.root), dirname(topmost));
  }

  /** Before any folder is made: a link that leads out of the root would have it made elsewhere. */
  private async refuseWayOut(folder: string): Promise<void> {
    const realRoot = await orAbsent(() => realpath(this.root), `${this.root} cannot be read`);
    if (realRoot === undefined) return;
    const real = await this.realAncestor(folder);
    if (real === realRoot || real.startsWith(realRoot + sep)) return;
    throw new Failure(
      'LOCATION_NOT_WRITABLE',
      `${folder} leads out of ${this.root} by a link, to ${real}.`,
      'Replace the link with a folder, or set table.location to the folder that it leads to.',
    );
  }

  /** Where the nearest folder that exists really is. */
  private async realAncestor(folder: string): Promise<string> {
    const real = await orAbsent(() => realpath(folder), `${folder} cannot be read`);
    return real ?? (await this.realAncestor(dirname(folder)));
  }

  /**
   * A file survives a power cut only with the entries that lead to it. All of them every time, since another
   * process may have made a folder a moment ago and not synced it yet; a folder without changes costs next to
   * nothing.
   */
  private async syncFolders(folder: string): Promise<void> {
    for (let at = folder; at.length >= this.root.length; at = dirname(at)) {
      await syncFolder(at);
      if (at === this.root) break;
    }
    await syncForeignFolder(dirname(this.root));
  }

  /**
   * Paths of such files, in all visible folders. A log has thousands of names of which one is wanted: no turn
   * for the others.
   */
  private async *walk(
    folder: string,
    isWanted: (path: string, entry: Dirent) => boolean,
  ): AsyncGenerator<string> {
    const directory = join(this.root, folder);
    const names = await orAbsent(
      () => readdir(directory, { withFileTypes: true }),
      `${directory} cannot be listed`,
    );
    for (const entry of names ?? []) {
      const path = `${folder}${entry.name}`;
      if (!entry.isDirectory()) {
        if (isWanted(path, entry)) yield path;
      } else if (isObjectName(entry)) yield* this.walk(`${path}/`, isWanted);
    }
  }
}

class LocalWriter implements ObjectWriter {
  private readonly file: string;
  private readonly handle: FileHandle;
  private readonly syncFolders: () => Promise<void>;
  private finished = false;

  constructor(file: string, handle: FileHandle, syncFolders: () => Promise<void>) {
    this.file = file;
    this.handle = handle;
    this.syncFolders = syncFolders;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await orFailure(() => writeFully(this.handle, bytes), `${this.file} cannot be written`);
  }

  async finish(): Promise<ObjectStat> {
    return await orFailure(async () => {
      await this.handle.sync();
      const stats = objectStat(await this.handle.stat());
      await this.handle.close();
      await this.syncFolders();
      this.finished = true;
      return stats;
    }, `${this.file} cannot be finished`);
  }

  async abort(): Promise<void> {
    if (this.finished) return;
    await this.handle.close().catch(() => undefined);
    await orAbsent(() => unlink(this.file), `${this.file} cannot be deleted`);
  }
}

/**
 * Whether `file` is ours now. A network disk may answer EEXIST to the repetition of a link that it had made.
 */
async function linkIfAbsent(temporary: string, file: string): Promise<boolean> {
  try {
    await link(temporary, file);
    return true;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    const [ours, theirs] = [await stat(temporary), await stat(file)];
    return ours.ino === theirs.ino && ours.dev === theirs.dev;
  }
}

async function writeDurably(file: string, content: Uint8Array): Promise<void> {
  await using handle = await open(file, 'wx');
  await writeFully(handle, content);
  await handle.sync();
}

/** `write(2)` may write less than it is given. */
async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += (await handle.write(bytes, written, bytes.length - written)).bytesWritten;
  }
}

async function readFully(handle: FileHandle, into: Buffer, position: number): Promise<Buffer> {
  let read = 0;
  while (read < into.length) {
    const { bytesRead } = await handle.read(into, read, into.length - read, position + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return into.subarray(0, read);
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

/**
 * The topmost folder that had to be made. Not `mkdir` with `recursive`: of a read-only disk Node then says
 * ENOENT.
 */
async function makeFolders(folder: string): Promise<string | undefined> {
  try {
    await mkdir(folder);
    return folder;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return undefined;
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  const topmost = await makeFolders(dirname(folder));
  // Once more and no further: some file systems have no room for folders and say ENOENT to every one.
  const made = await mkdir(folder).then(
    () => folder,
    (error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw error;
      return undefined;
    },
  );
  return topmost ?? made;
}

/** Folders above the root that were made on the way to it. */
async function syncBetween(from: string, to: string): Promise<void> {
  for (let at = from; at !== to && at !== dirname(at); at = dirname(at)) await syncForeignFolder(at);
  await syncForeignFolder(to);
}

/** The folder itself, or the nearest one above it that exists. */
async function nearestFolder(folder: string): Promise<string> {
  const found = await stat(folder).catch(() => undefined);
  return found?.isDirectory() || folder === dirname(folder) ? folder : await nearestFolder(dirname(folder));
}

/** And those above it, up to one that must stay or is not empty. */
async function removeEmpty(folder: string, existing: string): Promise<void> {
  for (let at = folder; at !== existing && at !== dirname(at); at = dirname(at)) {
    const isGone = await rmdir(at).then(
      () => true,
      (error: unknown) => codeOf(error) === 'ENOENT',
    );
    if (!isGone) return;
  }
}

/** Outside of the root there may be folders that we can pass but not read. */
async function syncForeignFolder(folder: string): Promise<void> {
  try {
    await syncFolder(folder);
  } catch (error) {
    if (codeOf(error) !== 'EACCES' && codeOf(error) !== 'EPERM') throw error;
  }
}

/** On its disk, and with the group that a setgid folder gives to its files. */
function isAsIfBornIn(folder: Stats, file: Stats): boolean {
  const givesGroup = (folder.mode & 0o2000) !== 0;
  return file.dev === folder.dev && (!givesGroup || file.gid === folder.gid);
}

/** Of `link`, where the file system has none, or two folders are not of one. */
const WITHOUT_LINKS = new Set<unknown>(['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

function isObjectName(entry: Dirent): boolean {
  return !entry.name.startsWith('.');
}

function isTemporaryName({ name }: Dirent): boolean {
  return /^\.[0-9a-f-]{36}\.tmp$/.test(name);
}

function objectStat({ size, mtimeMs }: Stats): ObjectStat {
  return { sizeBytes: size, modifiedMs: mtimeMs };
}

/** Byte order of UTF-8, which JavaScript's order of UTF-16 is not. */
function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Undefined where the object, or a folder that leads to it, does not exist. */
async function orAbsent<T>(work: () => Promise<T>, problem: string): Promise<T | undefined> {
  return await orFailure(
    () =>
      work().catch((error: unknown) => {
        if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
        throw error;
      }),
    problem,
  );
}

async function orFailure<T>(work: () => Promise<T>, problem: string): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof Failure ? error : storageFailure(error, problem);
  }
}

function storageFailure(cause: unknown, problem: string): Failure {
  const message = `${problem}: ${cause instanceof Error ? cause.message : String(cause)}.`;
  switch (codeOf(cause)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new Failure(
        'STORAGE_FULL',
        message,
        'Free space on that disk, or raise the quota; work then continues by itself.',
        {
          cause,
        },
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
    // A folder that cannot be made: a file is in its place, or the file system has no room for folders.
    case 'ENOTDIR':
    case 'ENOENT':
      return new Failure(
        'LOCATION_NOT_WRITABLE',
        message,
        "Name another table.location, or let the worker's user read and write that folder.",
        { cause },
      );
    default:
      return new Failure(
        'STORAGE_FAILED',
        message,
        'Check the disk that holds this path. The operation is tried again.',
        { cause },
      );
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
