import { readFileSync } from 'node:fs';
import type { Environment } from './environment.ts';

/** The package's version, from its own manifest. */
export function packageVersion(): string {
  return manifest().version;
}

/** `24.18`: the oldest Node that the package runs on, from its manifest's `engines`. */
export function leastNodeVersion(): string {
  return manifest().engines.node.replace(/^>=/, '');
}

function manifest(): { readonly version: string; readonly engines: { readonly node: string } } {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
}

/**
 * What a worker was built from, as its commits state it: the package's version and, if `TIDEMARK_BUILD` names
 * one, the build of the person who made the worker: `0.1.0+7f3a2c1`.
 */
export function workerBuild(environment: Environment): string {
  const build = environment.TIDEMARK_BUILD;
  return build ? `${packageVersion()}+${build}` : packageVersion();
}
