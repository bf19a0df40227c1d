import { assert, Failure } from '../errors.ts';
import { inLanes } from '../lanes.ts';
import type { LocalCopy, ObjectStore } from './object-store.ts';

/** Files of this machine until it is disposed of. */
export interface LocalCopies extends AsyncDisposable {
  /** Of an object that was asked for. */
  readonly fileOf: (path: string) => string;
}

const COPYING_AT_ONCE = 8;

/** A local copy of each object: what is taken is given back where one fails. Throws as `localCopy` does. */
export async function localCopies(store: ObjectStore, paths: readonly string[]): Promise<LocalCopies> {
  const copies = new Map<string, LocalCopy>();
  const release = async () => {
    await Promise.all([...copies.values()].map((copy) => copy.release()));
  };
  try {
    await inLanes([...new Set(paths)], COPYING_AT_ONCE, async (path) => {
      copies.set(path, await store.localCopy(path));
    });
  } catch (error) {
    await release();
    throw error;
  }
  const fileOf = (path: string) => {
    const copy = copies.get(path);
    assert(copy !== undefined, `${path} was asked for`);
    return copy.file;
  };
  return { fileOf, [Symbol.asyncDispose]: release };
}

/** What `localCopy` throws where there is no object. */
export function objectGone(address: string): Failure {
  return new Failure(
    'STORAGE_FAILED',
    `${address} cannot be read: it is gone.`,
    'A vacuum may have deleted it since the table was read: try again. If it is still gone, restore it from a backup.',
  );
}
