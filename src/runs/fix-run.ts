import type { Run } from '../contract.ts';
import type { Specification } from '../pipeline/specification.ts';
import { specificationHash } from '../pipeline/specification-hash.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { loadReference, storeReference } from './references.ts';

/** What fixing a run needs of the outside world. */
export interface RunDependencies {
  loadPipeline(name: string): Promise<Specification>;
  openStore(location: string): ObjectStore;
}

export interface RunRequest {
  readonly pipeline: string;
  readonly runId: string;
  /** Of a run that has begun: it keeps the specification that it began with. */
  readonly run?: Run | undefined;
}

/** Fixes once per run what the pipeline file says, so that a deploy in the middle changes nothing. */
export async function fixRun(
  dependencies: RunDependencies,
  { pipeline, runId, run }: RunRequest,
): Promise<{ specification: Specification; run: Run }> {
  if (run !== undefined) {
    const store = dependencies.openStore(run.location);
    return { specification: await loadReference<Specification>(store, run.specification), run };
  }
  const specification = await dependencies.loadPipeline(pipeline);
  const { location } = specification.table;
  const reference = await storeReference(
    dependencies.openStore(location),
    `specifications/${pipeline}-${specificationHash(specification).slice(0, 16)}`,
    specification,
  );
  return { specification, run: { pipeline, id: runId, location, specification: reference } };
}
