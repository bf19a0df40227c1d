import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cached, run } from '../../src/dev/cache.ts';

const REQUIREMENTS = fileURLToPath(new URL('../../examples/python/requirements.txt', import.meta.url));
const INSTALL_TIMEOUT_MS = 10 * 60_000;

/**
 * The Python of `examples/python` with Temporal's SDK, from the cache or installed into it once (some 90 MB),
 * apart from the readers' much larger one. Where it cannot be had the result says why; with
 * `TIDEMARK_READERS=required` that is an error.
 */
export async function pythonClient(): Promise<{ readonly python: string } | { readonly missing: string }> {
  try {
    const key = createHash('sha256')
      .update(await readFile(REQUIREMENTS))
      .digest('hex')
      .slice(0, 12);
    const venv = await cached(`python-client-${key}`, async (folder) => {
      await must('python3', ['-m', 'venv', folder]);
      const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
      await must(join(folder, 'bin', 'python'), [...pip, '-r', REQUIREMENTS]);
    });
    return { python: join(venv, 'bin', 'python') };
  } catch (error) {
    if (process.env.TIDEMARK_READERS === 'required') throw error;
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}

async function must(command: string, args: readonly string[]): Promise<void> {
  const { ok, output } = await run(command, args, { timeoutMs: INSTALL_TIMEOUT_MS });
  if (!ok) throw new Error(`${command} ${args.join(' ')}:\n${output.split('\n').slice(-8).join('\n')}`);
}
