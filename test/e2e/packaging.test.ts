/**
 * Promise: what npm publishes works by itself: its exports, its command, its threads, processes and
 * workflows. Method: the packed tarball, unpacked where nothing but its runtime dependencies can be found,
 * drains and compacts a topic; without those, its contract still loads.
 */
import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from 'vitest';
import { produce, tidemark, uniqueName } from './setup/harness.ts';
import { installPacked, pack, ROOT, readManifest } from './setup/packed.ts';
import { test } from './setup/place.ts';

const execute = promisify(execFile);
const manifest = await readManifest(ROOT);

let packed: Awaited<ReturnType<typeof pack>>;
beforeAll(async () => {
  packed = await pack();
});
afterAll(() => packed.remove());

test('the packed tarball has the exports, the command, and all that a drain and a compaction need', async ({
  own,
}) => {
  const project = join(own.folder, 'project');
  const installed = await installPacked(packed.tarball, project);

  for (const entry of Object.keys(manifest.exports))
    await importFrom(project, entry.replace('.', 'tidemark'));
  const cli = join(installed, manifest.bin.tidemark ?? '');
  expect((await tidemark(['--version'], {}, cli)).stdout.trim()).toBe(manifest.version);

  const { brokers, env } = own;
  const topic = await own.topic('packed', [], { partitions: 2 });
  const name = await own.pipeline(uniqueName('packed'), {
    source: { subscribe: [topic] },
    records: { format: 'json', mode: 'failFast', schema: 'id BIGINT NOT NULL' },
  });
  await own.worker({}, [], cli);
  for (const round of [0, 1]) {
    await produce(
      brokers,
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

test('tidemark/contract is one file that needs no dependency, at run time and for its types', async ({
  folder: project,
}) => {
  const installed = await installPacked(packed.tarball, project);
  await rm(join(installed, 'node_modules'), { recursive: true });

  const loaded = await modulesLoadedBy(project, 'tidemark/contract');
  expect(loaded).toEqual([join(installed, 'dist/contract.js')]);
  await expect(modulesLoadedBy(project, 'tidemark')).rejects.toThrow('ERR_MODULE_NOT_FOUND');

  await writeFile(
    join(project, 'service.ts'),
    `import { drainId, type DrainInput, type FailureCode, type Receipt, TASK_QUEUE } from 'tidemark/contract';
     export const input: DrainInput = { pipeline: 'p', until: { offsets: { t: { 0: 1000 } } } };
     export const start = { taskQueue: TASK_QUEUE, workflowId: drainId('p'), args: [input] };
     export const isComplete = (receipt: Receipt): boolean => receipt.outcome === 'complete';
     export const lost: FailureCode = 'KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE';`,
  );
  await typeCheck(project, ['--types', '', '--skipLibCheck', 'false', 'service.ts']);
  await writeFile(
    join(project, 'service.ts'),
    `import type { FailureCode } from 'tidemark/contract';\nexport const lost: FailureCode = 'GONE';`,
  );
  await expect(typeCheck(project, ['--types', '', 'service.ts'])).rejects.toThrow();
});

async function importFrom(project: string, specifier: string): Promise<void> {
  const options = specifier.endsWith('.json') ? ", { with: { type: 'json' } }" : '';
  const code = `await import(${JSON.stringify(specifier)}${options})`;
  await execute(process.execPath, ['--input-type=module', '-e', code], { cwd: project });
}

/** Every file that importing `specifier` loads, Node's own left out. */
async function modulesLoadedBy(project: string, specifier: string): Promise<string[]> {
  const code = `
    import { registerHooks } from 'node:module';
    import { fileURLToPath } from 'node:url';
    const loaded = [];
    registerHooks({
      load(url, context, next) {
        if (url.startsWith('file:')) loaded.push(fileURLToPath(url));
        return next(url, context);
      },
    });
    await import(${JSON.stringify(specifier)});
    console.log(JSON.stringify(loaded));`;
  const { stdout } = await execute(process.execPath, ['--input-type=module', '-e', code], { cwd: project });
  return JSON.parse(stdout);
}

async function typeCheck(project: string, args: readonly string[]): Promise<void> {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--ignoreConfig'];
  await execute(process.execPath, [tsc, ...options, ...args], { cwd: project });
}
