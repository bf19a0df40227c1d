/** Promise: the benchmarks run, and compare rows. Method: each one by itself, small, on the run's servers. */
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { tidemark } from './setup/harness.ts';
import { it } from './setup/place.ts';

const ONCE = ['--records', '4000', '--rounds', '1', '--only', 'tidemark', '-o', 'json'];

it.for([
  ['main.ts', ONCE],
  ['compact.ts', [...ONCE, '--files', '8']],
] as const)('%s', async ([program, args], { own }) => {
  const path = fileURLToPath(new URL(`../../bench/${program}`, import.meta.url));
  const { exitCode, stdout, stderr } = await tidemark(args, own.env, path);
  expect(stderr).not.toMatch(/\n {4}at /);
  expect(exitCode).toBe(0);
  const { tidemark: measured } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '').systems;
  expect(measured.seconds).toBeGreaterThan(0);
});
