import { access, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure } from '../errors.ts';
import { requireName } from '../pipeline/load.ts';

/** What the topics' names begin with, as a name that SQL takes unquoted. */
export function nameFor(topics: readonly string[]): string {
  const [first = '', ...others] = topics;
  let common = first;
  for (const other of others) while (!other.startsWith(common)) common = common.slice(0, -1);
  const name = (common.replace(/[^A-Za-z0-9]+$/, '') || first)
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
  return (/^[A-Za-z]/.test(name) ? name : `t_${name}`).slice(0, 60);
}

/**
 * The file that a pipeline of this name would be. Throws PIPELINE_NOT_FOUND for what can be no name, USAGE
 * where there is one that must not be replaced.
 */
export async function requireFree(folder: string, name: string, mayReplace: boolean): Promise<string> {
  requireName(name);
  const path = join(folder, `${name}.yaml`);
  if (mayReplace || !(await exists(path))) return path;
  throw new Failure('USAGE', `${path} exists already.`, ANOTHER_NAME);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

/** Makes the folder too. Throws USAGE where the file cannot be written, or must not be replaced. */
export async function writePipelineFile(path: string, text: string, mayReplace: boolean): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text, { flag: mayReplace ? 'w' : 'wx' });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Failure(
      'USAGE',
      code === 'EEXIST' ? `${path} exists already.` : `${path} cannot be written: ${code}.`,
      code === 'EEXIST' ? ANOTHER_NAME : 'Name a folder that you may write to, with --pipelines FOLDER.',
      { cause },
    );
  }
}

const ANOTHER_NAME = 'Give another name, or replace the file with --force.';
