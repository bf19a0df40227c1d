import type { DeltaLog } from '../delta/log.ts';
import type { RewriteResources, RewrittenFile, TableBin } from '../duckdb/rewrite-bins.ts';
import type { RewriteProgress } from '../duckdb/run-rewrite-process.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { Adapters } from '../tasks/adapters.ts';
import type { RetryOrder, WriteOrder, WriteProgress, WriteResult } from '../tasks/orders.ts';

/** The outside world of all activities, built once per worker in `worker.ts`. */
export interface Dependencies extends Pick<Adapters, 'openStore' | 'connectKafka'> {
  /** This worker's, as its commits tell it: `workerBuild` of build.ts. */
  readonly build: string;
  loadPipeline(name: string): Promise<Specification>;
  /** One log per location and worker: its snapshot is cached and advanced. */
  openLog(location: string): DeltaLog;
  /** Runs a write task in a thread of its own; `onProgress` each second while it is within its limits. */
  runWriteThread(
    order: WriteOrder,
    onProgress: (progress: WriteProgress) => void,
    signal: AbortSignal,
  ): Promise<WriteResult>;
  /** The same for letters that are decoded again. */
  runRetryThread(
    order: RetryOrder,
    onProgress: (progress: WriteProgress) => void,
    signal: AbortSignal,
  ): Promise<WriteResult>;
  /** Merges files in a process of its own; `onProgress` about every second while it makes progress. */
  rewriteBins(
    store: ObjectStore,
    bins: readonly TableBin[],
    onProgress: (progress: RewriteProgress) => void,
    signal: AbortSignal,
    resources: RewriteResources,
  ): Promise<readonly RewrittenFile[]>;
}

/** What planning a drain needs of it; `tidemark plan` has no more. */
export type PlanningDependencies = Pick<
  Dependencies,
  'loadPipeline' | 'openStore' | 'openLog' | 'connectKafka'
>;
