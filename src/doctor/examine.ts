import { leastNodeVersion } from '../build.ts';
import { pipelineNames } from '../pipeline/load.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { Outside } from '../runs/outside.ts';
import { type Check, checked, fail, ok, skip } from './checks.ts';
import { checkKafka } from './kafka.ts';
import type { Machine } from './machine.ts';
import { checkTable, skipTable } from './table.ts';
import { checkTemporal } from './temporal.ts';

/** Where pipeline files lie, and how one is loaded. */
export interface Pipelines extends Pick<Outside, 'environment'> {
  /** Absolute. */
  readonly pipelinesFolder: string;
  /** Throws as `loadPipeline` in pipeline/load.ts does. */
  loadPipeline(name: string): Promise<Specification>;
}

/**
 * All checks, side by side; those that need another's result say so.
 *
 * @param pipeline undefined: Temporal, workers and all pipeline files
 * @param nodeVersion `24.18.0`, of this process
 */
export async function examine(
  pipelines: Pipelines,
  pipeline: string | undefined,
  machine: Machine,
  nodeVersion: string,
): Promise<Check[]> {
  let specification: Specification | undefined;
  const file =
    pipeline === undefined
      ? await checkFiles(pipelines)
      : await checked('pipeline', async () => {
          specification = await pipelines.loadPipeline(pipeline);
          return ok('pipeline', `${pipeline} is valid`);
        });
  const valid = specification as Specification | undefined;
  const unknown = (pipeline === undefined ? [] : ['Kafka', 'topics']).map((name) =>
    skip(name, 'not known without the pipeline'),
  );
  const parts = await Promise.all([
    checkTemporal(valid, machine.now),
    valid === undefined ? unknown : checkKafka(valid.source, pipelines.environment, machine.now),
    valid === undefined ? (pipeline === undefined ? [] : skipTable()) : checkTable(valid, machine),
  ]);
  return [checkNode(nodeVersion), ...file, ...parts.flat()];
}

function checkNode(version: string): Check {
  const least = leastNodeVersion();
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [leastMajor = 0, leastMinor = 0] = least.split('.').map(Number);
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return ok('Node', version);
  return fail(
    'Node',
    `This is Node ${version}; Tidemark needs ${least} or newer.`,
    'Install Node 24, or use `npm run tidemark`, which brings its own.',
    'PREREQUISITE_MISSING',
  );
}

async function checkFiles(pipelines: Pipelines): Promise<Check[]> {
  const { pipelinesFolder } = pipelines;
  let names: string[] = [];
  const folder = await checked('pipelines', async () => {
    names = await pipelineNames(pipelinesFolder);
    return names.length > 0
      ? ok('pipelines', `${pipelinesFolder}: ${names.join(', ')}`)
      : skip('pipelines', `${pipelinesFolder} has no pipeline file yet: tidemark init`);
  });
  const files = await Promise.all(
    names.map((name) =>
      checked(`pipeline ${name}`, async () => {
        await pipelines.loadPipeline(name);
        return [];
      }),
    ),
  );
  return [...folder, ...files.flat()];
}
