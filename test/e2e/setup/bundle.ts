/**
 * The workflow bundle, made once for a run: bundling costs more than the rest of a worker's start. Loaded
 * before anything else into a worker's processes, this file answers for the one that would bundle.
 */
import { readFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Names the file with the bundle; test files get it from who starts the servers. */
export const WORKFLOW_BUNDLE = 'TIDEMARK_TEST_WORKFLOW_BUNDLE';

/** As `bundleWorkflows` returns it. */
export function workflowBundle(): string {
  return readFileSync(process.env[WORKFLOW_BUNDLE] ?? '', 'utf8');
}

/** The environment of a worker whose bundle is at hand, over what `NODE_OPTIONS` it has. */
export function withWorkflowBundle(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const options = [`--import=${fileURLToPath(import.meta.url)}`, env.NODE_OPTIONS];
  return { ...env, NODE_OPTIONS: options.filter((one) => one !== undefined).join(' ') };
}

if (process.argv[1]?.endsWith('/src/bundle-workflows.ts')) {
  const bundle = Buffer.from(workflowBundle());
  for (let written = 0; written < bundle.length; ) written += writeSync(1, bundle, written);
  process.exit(0);
}
