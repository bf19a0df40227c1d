import type { Action, CommitInfo } from './actions.ts';

/**
 * The actions that lead to `tableVersion` from the version before it, or, of a log checkpoint, from nothing.
 */
export interface LogVersion {
  readonly tableVersion: number;
  readonly actions: readonly Action[];
}

/** Put `actions` as version `tableVersion`, if it is absent. */
export interface ToCommit extends LogVersion {
  readonly kind: 'commit';
}

/** A version as its writer tells it. */
export interface CommittedVersion {
  readonly tableVersion: number;
  /** Undefined where its writer left none; the protocol allows that. */
  readonly commitInfo: CommitInfo | undefined;
}

export function committedVersion({ tableVersion, actions }: LogVersion): CommittedVersion {
  return { tableVersion, commitInfo: commitInfoOf(actions) };
}

export function commitInfoOf(actions: readonly Action[]): CommitInfo | undefined {
  return actions.flatMap((action) => ('commitInfo' in action ? [action.commitInfo] : []))[0];
}
