import type { LettersJson } from '../commits/letters.ts';
import type { Reference, Run } from '../contract.ts';
import type { DeltaLog } from '../delta/log.ts';
import type { RewriteResources, RewrittenFile, TableBin } from '../duckdb/rewrite-bins.ts';
import type { RewriteProgress } from '../duckdb/run-rewrite-process.ts';
import type { KafkaSource } from '../kafka/source.ts';
import type { SourceSpecification, Specification } from '../pipeline/specification.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { CleanWorkplace } from '../tasks/cleaning.ts';

/** What a worker's threads build for themselves, as `adapters.ts` has it: live ones cannot cross into them. */
export interface Adapters {
  openStore(location: string): ObjectStore;
  connectKafka(source: SourceSpecification): Promise<KafkaSource>;
  openCleanWorkplace(
    openStore: Adapters['openStore'],
  ): Promise<CleanWorkplace & { readonly close: () => Promise<void> }>;
}

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

/** What a write thread is told to do. */
export interface WriteOrder {
  readonly run: Run;
  readonly plan: Reference;
  readonly task: number;
}

export interface RetryOrder {
  readonly run: Run;
  readonly plan: Reference;
  /** What the plan's newest retry and those before it have settled. */
  readonly retried: readonly LettersJson[];
}

export interface WriteProgress {
  readonly offsetsRead: number;
  readonly rows: number;
  readonly bytesWritten: number;
  /** At the task's end, one for each file that was finished, cleaned, published: long where they are many. */
  readonly fileSteps?: number;
}

/** A finished write task: totals for people, the files by reference. */
export interface WriteResult {
  readonly task: Reference;
  readonly offsets: number;
  readonly files: number;
  readonly bytes: number;
}
