import { statfs } from 'node:fs/promises';
import { LocalStore } from '../storage/local-store.ts';
import type { ObjectStore } from '../storage/object-store.ts';

/** What of this machine the checks look at: a test puts its own in place. */
export interface Machine {
  now(): number;
  openStore(location: string): ObjectStore;
  /** Of the disk that holds the path, which exists. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly freeFiles: number }>;
}

export const THIS_MACHINE: Machine = {
  now: Date.now,
  openStore: (location) => new LocalStore(location),
  space: async (path) => {
    const { bavail, bsize, ffree, files } = await statfs(path);
    // Some file systems do not count files.
    return { freeBytes: bavail * bsize, freeFiles: files === 0 ? Number.POSITIVE_INFINITY : ffree };
  },
};
