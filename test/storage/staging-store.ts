import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure } from '../../src/errors.ts';
import { ForwardingStore } from '../../src/storage/forwarding-store.ts';
import type { LocalCopy, ObjectStore } from '../../src/storage/object-store.ts';

/**
 * A store that is no disk, as far as local copies go: each is one, in a folder of its own, within a budget.
 */
export class StagingStore extends ForwardingStore {
  /** Copies that nobody has released yet. */
  held = 0;
  /** Most of them at once, and all there ever were. */
  heldMax = 0;
  copied = 0;
  private readonly folder: string;
  private readonly maxCopies: number;

  /** @param folder that holds the folder of the copies */
  constructor(store: ObjectStore, folder: string, maxCopies = Number.POSITIVE_INFINITY) {
    super(store);
    // With characters that mean something in SQL and in patterns.
    this.folder = mkdtempSync(join(folder, "copies-[1]*'-"));
    this.maxCopies = maxCopies;
  }

  override get copiesFolder(): string {
    return this.folder;
  }

  override async localCopy(path: string): Promise<LocalCopy> {
    if (this.held >= this.maxCopies)
      throw new Failure('STORAGE_FULL', `No room for a copy of ${path}.`, 'Make some.');
    this.heldMax = Math.max(this.heldMax, ++this.held);
    this.copied++;
    const folder = join(this.folder, randomUUID());
    const file = join(folder, path);
    let isHeld = true;
    const release = async () => {
      if (isHeld) this.held--;
      isHeld = false;
      await rm(folder, { recursive: true, force: true });
    };
    try {
      const original = await super.localCopy(path);
      await mkdir(dirname(file), { recursive: true });
      await copyFile(original.file, file);
      await original.release();
      return { file, release };
    } catch (error) {
      await release();
      throw error;
    }
  }
}
