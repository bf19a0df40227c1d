/**
 * Promise: another service needs our client, or nothing but plain JSON, to have exactly its own records
 * drained and to know that they are there. Method: the examples as they stand, with the packed tarball and
 * with Temporal's Python SDK, several at once on one pipeline.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from 'vitest';
import { pythonClient } from '../readers/python-client.ts';
import { tidemark, withAdmin } from './setup/harness.ts';
import { installPacked, pack, ROOT, readManifest } from './setup/packed.ts';
import { it, type Place } from './setup/place.ts';

const EXAMPLES = join(ROOT, 'examples');
const execute = promisify(execFile);

let packed: Awaited<ReturnType<typeof pack>>;
beforeAll(async () => {
  packed = await pack();
});
afterAll(() => packed.remove());

it('drains up to exactly what each of several services has produced', async ({ own, skip }) => {
  const project = own.folder;
  const place = own.with({ TIDEMARK_PIPELINES: join(project, 'pipelines') });
  const cli = await installExample(project);
  const { brokers, env } = place;
  await place.worker({}, [], cli);

  const services = await Promise.all([1_000, 10, 300].map((orders) => runService(project, env, orders)));
  for (const [at, orders] of [1_000, 10, 300].entries()) {
    const { exitCode, stdout, stderr } = services[at] ?? { exitCode: null, stdout: '', stderr: '' };
    expect(exitCode, stderr).toBe(0);
    const { produced, rows, missing } = JSON.parse(stdout);
    expect({ rows, missing }).toEqual({ rows: orders, missing: 0 });
    expect(sumOf(produced.ends) - sumOf(produced.starts)).toBe(orders);
  }

  const python = await pythonClient();
  if ('missing' in python) return skip(`Temporal's Python SDK is missing: ${python.missing}`);
  const high = await withAdmin(brokers, (admin) => admin.fetchTopicOffsets('orders'));
  const ends = Object.fromEntries(high.map(({ partition, offset }) => [partition, offset]));
  const [drained, attached, beyond, nobody] = await Promise.all([
    runPython(python.python, env, ['orders']),
    runPython(python.python, env, ['orders', JSON.stringify({ offsets: { orders: ends } })]),
    runPython(python.python, env, ['orders', '{"offsets": {"orders": {"0": 1000000}}}']),
    runPython(python.python, env, ['nobody']),
  ]);
  expect(drained.exitCode, drained.stderr).toBe(0);
  expect(drained.stderr).toMatch(/^accepted: .*\n(planning|writing|committing|done): \d+ of/);
  expect(attached.exitCode, attached.stderr).toBe(0);
  const reached = JSON.parse(attached.stdout).partitions.map(
    (p: { kafkaPartition: number; endingOffset: string }) => [p.kafkaPartition, p.endingOffset],
  );
  expect(Object.fromEntries(reached)).toEqual(ends);
  expect([beyond.exitCode, beyond.stderr]).toEqual([1, expect.stringContaining('of 1000000')]);
  expect([nobody.exitCode, nobody.stderr]).toEqual([2, expect.stringContaining('PIPELINE_NOT_FOUND')]);
});

/** As `npm install` would leave it: what it declares, nothing else. @returns its command */
async function installExample(project: string): Promise<string> {
  await cp(join(EXAMPLES, 'service'), project, {
    recursive: true,
    filter: (source) => !/node_modules|tables$/.test(source),
  });
  const [own, manifest] = [await readManifest(project), await readManifest(ROOT)];
  const { tidemark: declared, ...others } = own.dependencies;
  expect(declared).toBe(`file:../../tidemark-${manifest.version}.tgz`);
  const ours = { ...manifest.dependencies, ...manifest.devDependencies };
  for (const [name, version] of Object.entries({ ...others, ...own.devDependencies }))
    expect([name, version]).toEqual([name, ours[name]]);

  await installPacked(packed.tarball, project, [...Object.keys(others), ...Object.keys(own.devDependencies)]);
  await execute(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc')], { cwd: project });
  return join(project, 'node_modules/.bin/tidemark');
}

function runService(project: string, env: Place['env'], orders: number) {
  return tidemark([String(orders)], env, join(project, 'main.ts'));
}

async function runPython(python: string, env: Place['env'], args: readonly string[]) {
  const script = join(EXAMPLES, 'python/start_drain.py');
  const child = spawn(python, [script, ...args], { env: { ...process.env, ...env } });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (output.stderr += text));
  const [exitCode] = await once(child, 'close');
  return { exitCode, ...output };
}

function sumOf(offsets: Record<string, string>): number {
  return Object.values(offsets).reduce((sum, offset) => sum + Number(offset), 0);
}
