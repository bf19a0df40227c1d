/**
 * Promise: what npm publishes works by itself: its exports, its command, its threads, processes and workflows.
 * Method: the packed tarball, unpacked where nothing but its runtime dependencies can be found, drains and compacts a topic.
 */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, inject, test } from 'vitest';
import {
  createTopic,
  environment,
  produce,
  startWorker,
  temporaryFolder,
  tidemark,
  uniqueName,
  writePipeline,
} from './harness.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const execute = promisify(execFile);
const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));

test('the packed tarball has the exports, the command, and all that a drain and a compaction need', async () => {
  const project = await installPacked();
  const installed = join(project, 'node_modules', 'tidemark');

  for (const entry of Object.keys(manifest.exports))
    await importFrom(project, entry.replace('.', 'tidemark'));
  const cli = join(installed, manifest.bin.tidemark);
  expect((await tidemark(['--version'], {}, cli)).stdout.trim()).toBe(manifest.version);

  const folder = await temporaryFolder();
  const env = environment(folder);
  const topic = await createTopic(inject('kafkaBrokers'), { name: uniqueName('packed'), partitions: 2 });
  const name = await writePipeline(folder, uniqueName('packed'), {
    source: { bootstrapServers: inject('kafkaBrokers'), subscribe: [topic] },
    records: { format: 'json', mode: 'failFast', schema: 'id BIGINT NOT NULL' },
    table: { location: join(folder, 'table') },
  });
  await startWorker(env, [], cli).ready();
  for (const round of [0, 1]) {
    await produce(
      inject('kafkaBrokers'),
      topic,
      Array.from({ length: 500 }, (_, i) => ({ value: `{"id":${round * 500 + i}}` })),
      { codec: 'ZSTD' },
    );
    const drained = await tidemark(['drain', name, '-o', 'json'], env, cli);
    expect(drained.exitCode, drained.stderr).toBe(0);
    expect(JSON.parse(drained.stdout).totals.rows).toBe(500);
  }
  const compacted = await tidemark(['compact', name, '--target-files', '1'], env, cli);
  expect(compacted.exitCode, compacted.stderr).toBe(0);
  const queried = await tidemark(
    ['query', name, `SELECT count(*) n, sum(id) s FROM "${name}"`, '-o', 'json'],
    env,
    cli,
  );
  expect(JSON.parse(queried.stdout)).toEqual([{ n: 1000, s: 499_500 }]);
});

/** A project with the tarball in its node_modules, and beside it what it declares to need at run time, nothing else. */
async function installPacked(): Promise<string> {
  const project = await temporaryFolder();
  await execute('npm', ['pack', '--silent', '--pack-destination', project], { cwd: ROOT });
  const tarball = (await readdir(project)).find((file) => file.endsWith('.tgz')) ?? '';
  const modules = join(project, 'node_modules');
  await mkdir(join(modules, 'tidemark'), { recursive: true });
  await execute('tar', [
    '-xzf',
    join(project, tarball),
    '--strip-components=1',
    '-C',
    join(modules, 'tidemark'),
  ]);
  for (const dependency of Object.keys(manifest.dependencies)) {
    await mkdir(dirname(join(modules, dependency)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', dependency), join(modules, dependency));
  }
  return project;
}

async function importFrom(project: string, specifier: string): Promise<void> {
  const options = specifier.endsWith('.json') ? ", { with: { type: 'json' } }" : '';
  const code = `await import(${JSON.stringify(specifier)}${options})`;
  await execute(process.execPath, ['--input-type=module', '-e', code], { cwd: project });
}
