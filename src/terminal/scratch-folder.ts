import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Context } from './context.ts';

/**
 * Runs `work` with an empty folder of its own, which is removed after it and when the verb is interrupted.
 */
export async function withScratchFolder<T>(
  context: Context,
  verb: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), `tidemark-${verb}-`));
  const remove = () => rm(folder, { recursive: true, force: true });
  context.onInterrupt(remove);
  try {
    return await work(folder);
  } finally {
    await remove();
  }
}
