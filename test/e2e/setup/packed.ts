/**
 * What npm publishes, as others get it: the packed tarball beside the dependencies that it declares, and
 * nothing else.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const execute = promisify(execFile);

export interface Manifest {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

export async function readManifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
}

/** Builds and packs into a new folder. `remove` it in the end. */
export async function pack(): Promise<{ readonly tarball: string; readonly remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-packed-'));
  await execute('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: ROOT });
  const name = (await readdir(folder)).find((file) => file.endsWith('.tgz')) ?? '';
  return { tarball: join(folder, name), remove: () => rm(folder, { recursive: true, force: true }) };
}

/**
 * Installs the tarball into a project's node_modules with its command, and links `dependencies` there from
 * our own; the package's own ones are linked into the package, so that the project does not find them.
 *
 * @returns the package's folder
 */
export async function installPacked(
  tarball: string,
  project: string,
  dependencies: readonly string[] = [],
): Promise<string> {
  const modules = join(project, 'node_modules');
  const installed = join(modules, 'tidemark');
  await mkdir(installed, { recursive: true });
  await execute('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed]);
  const manifest = await readManifest(installed);
  await link(Object.keys(manifest.dependencies), join(installed, 'node_modules'));
  await link(dependencies, modules);
  await mkdir(join(modules, '.bin'), { recursive: true });
  for (const [name, file] of Object.entries(manifest.bin))
    await symlink(join(installed, file), join(modules, '.bin', name));
  return installed;
}

async function link(names: readonly string[], modules: string): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
}
