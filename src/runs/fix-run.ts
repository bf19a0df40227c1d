import type { Run } from '../contract.ts';
import type { Specification } from '../pipeline/specification.ts';
import { specificationHash } from '../pipeline/specification-hash.ts';
import type { OpenStore } from '../storage/stores.ts';
import { loadReference, storeReference } from './references.ts';

/** What fixing a run needs of the outside world. */
export interface RunDependencies {
  loadPipeline(name: string): Promise<Specification>;
  readonly openStore: OpenStore;
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
  { pipeline, runId, run: begun }: RunRequest,
): Promise<{ specification: Specification; run: Run }> {
  if (begun !== undefined) {
    const store = dependencies.openStore(begun.documents);
    return { specification: await loadReference<Specification>(store, begun.specification), run: begun };
  }
  const specification = await dependencies.loadPipeline(pipeline);
  const { location } = specification.table;
  const reference = await storeReference(
    dependencies.openStore(location),
    `specifications/${pipeline}-${specificationHash(specification).slice(0, 16)}`,
    specification,
  );
  const run = { pipeline, id: runId, documents: location, table: location, specification: reference };
  return { specification, run };
}
