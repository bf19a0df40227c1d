import { readFileSync } from 'node:fs';
import type { Environment } from './environment.ts';

/** The package's version, from its own manifest. */
export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return manifest.version;
}

/**
 * What a worker was built from, as its commits tell it: the package's version and, where `TIDEMARK_BUILD` names one,
 * the build of whoever made the worker: `0.1.0+7f3a2c1`.
 */
export function workerBuild(environment: Environment): string {
  const build = environment.TIDEMARK_BUILD;
  return build ? `${packageVersion()}+${build}` : packageVersion();
}
