import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { CHECKSUM_TAG } from '../delta/actions.ts';
import { assert } from '../errors.ts';
import { localCopies } from '../storage/local-copies.ts';
import type { ObjectStat, ObjectStore } from '../storage/object-store.ts';
import type { BinOrder, RewrittenBin } from './rewrite-bin.ts';
import { type RewriteListener, type RewriteProgress, runRewriteProcess } from './run-rewrite-process.ts';

/** Files of one table partition that become one; paths are the store's. */
export interface TableBin extends Pick<BinOrder, 'schema' | 'compression'> {
  readonly inputs: readonly string[];
  /** Never used before. */
  readonly output: string;
}

/** A finished, durable data file that no table version names yet. */
export interface RewrittenFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly rowCount: number;
  /** Delta statistics, a JSON text. */
  readonly stats: string;
  /** Its checksum, which the log keeps: DuckDB writes none into pages. */
  readonly tags: Readonly<Record<string, string>>;
  /** Rows that were read from each input, in the inputs' order. */
  readonly inputRowCounts: readonly number[];
}

export interface RewriteResources {
  /** Of DuckDB, per task. @default 1 GiB */
  readonly memoryLimitBytes?: number;
  /** @default 2 */
  readonly threads?: number;
}

const UPLOAD_CHUNK_BYTES = 4 * 1024 * 1024;
/** While the next bins are rewritten. Most of the time they wait for the disk. */
const UPLOADS_AT_ONCE = 2;
const WAITING_EVERY_MS = 2_000;

/**
 * Merges every bin into one new file of the store. DuckDB writes to a scratch folder of this machine
 * (TMPDIR), and the finished files are then handed to the store, whose promise is durability: one way for
 * every kind of store.
 *
 * Run twice, it makes other files where `output`s differ; of a run that fails, finished files may stay as
 * orphans.
 */
export async function rewriteBins(
  store: ObjectStore,
  bins: readonly TableBin[],
  onProgress: (progress: RewriteProgress) => void,
  signal: AbortSignal,
  { memoryLimitBytes = 1024 ** 3, threads = 2 }: RewriteResources = {},
): Promise<RewrittenFile[]> {
  const scratchFolder = await mkdtemp(join(tmpdir(), 'tidemark-rewrite-'));
  const files: RewrittenFile[] = [];
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const uploads = Array.from({ length: UPLOADS_AT_ONCE }, () => Promise.resolve());
  try {
    let progress: RewriteProgress = { bins: bins.length, binsDone: 0, share: 0 };
    const inputs = bins.flatMap((bin) => bin.inputs);
    await using copies = await waiting(
      () => localCopies(store, inputs),
      () => onProgress(progress),
    );
    const orders = bins.map((bin, index) => ({
      ...bin,
      inputs: bin.inputs.map(copies.fileOf),
      output: join(scratchFolder, `${index}.parquet`),
    }));
    const order = { bins: orders, scratchFolder, memoryLimitBytes, threads };
    const keep = async (index: number, { rowCount, stats, inputRowCounts }: RewrittenBin) => {
      const [from, path] = [orders[index]?.output ?? '', bins[index]?.output ?? ''];
      const stat = await upload(from, store, path, () => onProgress(progress), either);
      await rm(from, { force: true });
      files[index] = { path, ...stat, rowCount, stats, inputRowCounts };
    };
    const listener: RewriteListener = {
      onProgress(now) {
        progress = now;
        onProgress(now);
      },
      onBin(index, bin) {
        if (either.aborted) return;
        const lane = index % UPLOADS_AT_ONCE;
        const upload = (uploads[lane] ?? Promise.resolve()).then(() => keep(index, bin));
        upload.catch((error) => failed.abort(error));
        uploads[lane] = upload;
      },
    };
    await runRewriteProcess(order, listener, either);
    await Promise.all(uploads);
    return files;
  } catch (error) {
    failed.abort(error);
    throw error;
  } finally {
    await Promise.allSettled(uploads);
    await rm(scratchFolder, { recursive: true, force: true });
  }
}

/**
 * Makes a file of this machine the object `path`, durable. Its checksum is of what was handed over; the file
 * may be gone.
 */
export async function upload(
  from: string,
  store: ObjectStore,
  path: string,
  onChunk: () => void,
  signal: AbortSignal,
): Promise<ObjectStat & Pick<RewrittenFile, 'tags'>> {
  await using file = await open(from);
  const adopted = await waiting(() => store.adopt(from, path), onChunk);
  const writer = adopted === undefined ? await store.create(path) : undefined;
  try {
    let checksum = 0;
    const chunk = Buffer.allocUnsafe(UPLOAD_CHUNK_BYTES);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(chunk, 0, chunk.length);
      if (bytesRead === 0) break;
      checksum = crc32(chunk.subarray(0, bytesRead), checksum);
      await writer?.write(chunk.subarray(0, bytesRead));
      onChunk();
    }
    const stat = adopted ?? (await waiting(async () => await writer?.finish(), onChunk));
    assert(stat !== undefined, `${path} is adopted or written`);
    return { ...stat, tags: tagsOf(checksum) };
  } catch (error) {
    if (writer === undefined) await store.delete(path).catch(() => {});
    else await writer.abort();
    throw error;
  }
}

function tagsOf(checksum: number): RewrittenFile['tags'] {
  return { [CHECKSUM_TAG]: checksum.toString(16).padStart(8, '0') };
}

/**
 * To copy files, or to make a large one durable, can take longer than a heartbeat may stay out, and tells
 * nothing meanwhile.
 */
async function waiting<T>(work: () => Promise<T>, onWait: () => void): Promise<T> {
  const timer = setInterval(onWait, WAITING_EVERY_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
