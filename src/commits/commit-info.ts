import { packageVersion } from '../build.ts';
import type { CommitInfo } from '../delta/actions.ts';
import type { CommitKind } from '../delta/kinds.ts';
import type { CommitFacts } from './facts.ts';

/** By what a version was made, for people: `trace` shows it. */
export interface CommitOrigin {
  /** The worker's, from `workerBuild`. */
  readonly build: string;
  /** Hash of the specification that was followed. */
  readonly specification: string;
}

/** A change that a run makes, as its version names it. */
export interface RunChange {
  /** Unique to the plan, the same for all its attempts: the change's identity in the log. */
  readonly batchId: string;
  readonly pipeline: string;
  /** The run's id, for people: workflow id and first run id. */
  readonly run: string;
  readonly origin: CommitOrigin;
}

/** Delta's own names for what was done, which other engines show. */
export interface Operation {
  readonly operation: string;
  readonly operationParameters: Readonly<Record<string, unknown>>;
  readonly operationMetrics?: Readonly<Record<string, string>>;
  readonly isBlindAppend: boolean;
}

const ENGINE_INFO = `tidemark/${packageVersion()}`;

/** What every `commitInfo` of ours begins with. */
export function commitInfoHead(
  kind: CommitKind,
  { isBlindAppend, ...operation }: Operation,
  { nowMs, txnId }: Pick<CommitFacts, 'nowMs' | 'txnId'>,
): CommitInfo {
  return {
    timestamp: nowMs,
    ...operation,
    isBlindAppend,
    engineInfo: ENGINE_INFO,
    txnId,
    tidemark: kind,
  };
}

/** The same, with the fields that every run adds about its change. */
export function runCommitInfo(
  kind: CommitKind,
  { pipeline, batchId, run, origin }: RunChange,
  operation: Operation,
  facts: Pick<CommitFacts, 'nowMs' | 'txnId'>,
): CommitInfo {
  return { ...commitInfoHead(kind, operation, facts), pipeline, batchId, run, ...origin };
}
