import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ABANDONED_AFTER_MS = 24 * 60 * 60 * 1000;

export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tidemark');
}

/**
 * The cached folder `name` (which carries the version), filled on first use. Whole or absent at any moment:
 * it is filled elsewhere and renamed, so neither an interrupted fill nor two at once can leave half of it.
 *
 * @param fill puts everything into the empty folder that it is given; the cache stays as it was if this
 *   throws
 */
export async function cached(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), name);
  if (existsSync(folder)) return folder;
  await mkdir(cacheFolder(), { recursive: true });
  await sweepAbandoned();
  const unfinished = await mkdtemp(join(cacheFolder(), `.unfinished-${name}-`));
  try {
    await fill(unfinished);
    await rename(unfinished, folder);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

async function sweepAbandoned(): Promise<void> {
  for (const name of await readdir(cacheFolder())) {
    if (!name.startsWith('.unfinished-')) continue;
    const folder = join(cacheFolder(), name);
    const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > ABANDONED_AFTER_MS) await rm(folder, { recursive: true, force: true });
  }
}

export type Outcome =
  | { readonly ok: true; readonly output: string }
  | { readonly ok: false; readonly output: string };

/**
 * Runs a command to its end. A command that doesn't exist, fails or takes too long is an outcome, not an
 * error.
 */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<Outcome> {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, {
      timeout: options.timeoutMs,
      env: { ...process.env, ...options.env },
      maxBuffer: 64 * 1024 * 1024,
    });
    return { ok: true, output: stdout + stderr };
  } catch (error) {
    const {
      stdout = '',
      stderr = '',
      message = '',
    } = error as { stdout?: string; stderr?: string; message?: string };
    return { ok: false, output: (stdout + stderr).trim() || message };
  }
}

export interface RunOptions {
  readonly timeoutMs: number;
  readonly env?: Readonly<Record<string, string>>;
}
