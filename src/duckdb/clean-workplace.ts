import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localCopies } from '../storage/local-copies.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { CleanedFile, CleanFilesOrder } from './clean-files.ts';
import { upload } from './rewrite-bins.ts';
import { CleanProcess } from './run-clean-process.ts';

/**
 * A scratch folder of this machine (TMPDIR) and the process that cleans files in it. Both are gone after
 * `close`, and also if the process that opened it is killed.
 */
export class LocalCleanWorkplace {
  readonly scratch: ObjectStore;
  private readonly folder: string;
  private readonly process: CleanProcess;
  private readonly outputs = new Map<string, string>();

  private constructor(folder: string, scratch: ObjectStore, process: CleanProcess) {
    this.folder = folder;
    this.scratch = scratch;
    this.process = process;
  }

  /** @param openScratch a folder of this machine as a store */
  static async open(openScratch: (folder: string) => ObjectStore): Promise<LocalCleanWorkplace> {
    const folder = join(tmpdir(), `tidemark-clean-${randomUUID()}`);
    const process = new CleanProcess(folder);
    await process.started();
    return new LocalCleanWorkplace(folder, openScratch(join(folder, 'rows')), process);
  }

  async run(
    order: Omit<CleanFilesOrder, 'files'>,
    paths: readonly string[],
    onCleaned: () => void,
  ): Promise<readonly CleanedFile[]> {
    if (paths.length === 0) return [];
    await using copies = await localCopies(this.scratch, paths);
    const files = paths.map((path, at) => {
      const output = join(this.folder, `${at}.parquet`);
      this.outputs.set(path, output);
      return { input: copies.fileOf(path), output };
    });
    return await this.process.clean({ ...order, files }, { onCleaned });
  }

  async publish(path: string, store: ObjectStore): ReturnType<typeof upload> {
    const output = this.outputs.get(path) ?? '';
    const never = new AbortController().signal;
    const stat = await upload(output, store, path, () => {}, never);
    await rm(output, { force: true });
    return stat;
  }

  async close(): Promise<void> {
    await this.process.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
