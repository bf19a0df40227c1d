/**
 * Run as a program, prints the workflow bundle. A process of its own: the bundler takes some 200 MiB that a
 * worker which bundled by itself would keep for good.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { bundleWorkflowCode } from '@temporalio/worker';
import { entryFile } from './entry.ts';

const BUNDLE_BYTES_MAX = 32 * 1024 * 1024;

/** The code of all workflows, as `Worker.create` takes it. */
export async function bundleWorkflows(): Promise<string> {
  const program = entryFile(import.meta.url, './bundle-workflows');
  const { stdout } = await promisify(execFile)(process.execPath, [program], { maxBuffer: BUNDLE_BYTES_MAX });
  return stdout;
}

const silent = () => {};

if (import.meta.main) {
  const { code } = await bundleWorkflowCode({
    workflowsPath: entryFile(import.meta.url, './workflows/index'),
    logger: { log: silent, trace: silent, debug: silent, info: silent, warn: silent, error: silent },
  });
  process.stdout.write(code);
}
