import { expect, test } from 'vitest';
import { leastNodeVersion, packageVersion, workerBuild } from '../src/build.ts';

test('a build is the package version, and what TIDEMARK_BUILD adds', () => {
  expect(packageVersion()).toMatch(/^\d+\.\d+\.\d+/);
  expect(workerBuild({})).toBe(packageVersion());
  expect(workerBuild({ TIDEMARK_BUILD: '' })).toBe(packageVersion());
  expect(workerBuild({ TIDEMARK_BUILD: '7f3a2c1' })).toBe(`${packageVersion()}+7f3a2c1`);
});

test('the oldest Node is two numbers, as doctor compares them', () => {
  expect(leastNodeVersion()).toMatch(/^\d+\.\d+$/);
});
