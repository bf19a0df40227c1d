import type { CommitInfo } from './actions.ts';
import type { CommittedVersion } from './version.ts';

/** Which kind of version of ours it is, in `commitInfo.tidemark`. */
export type CommitKind =
  | 'drain'
  | 'retry'
  | 'compact'
  | 'vacuum'
  | 'retain'
  | 'repair'
  | 'accept'
  | 'publish';

/** All that readers of the history need to know of a kind. */
export interface KindTraits {
  /**
   * What its `ledger` says of next offsets:
   * - `counted`: ranges, each with an accounting that adds up
   * - `answered`: where a person has set them, backwards too
   * - `kept`: it has no `ledger`
   */
  readonly offsets: 'counted' | 'answered' | 'kept';
  /**
   * What it does to files:
   * - `appended`: adds new rows, as many as its `totals` say
   * - `rewritten`: replaces files by others with the same rows
   * - `dropped`: takes files out with their rows
   * - `published`: of the dead-letter table, adds and removes what versions of the main table say
   * - `kept`: nothing
   */
  readonly files: 'appended' | 'rewritten' | 'dropped' | 'published' | 'kept';
  /**
   * Whether `deadLetters` carries files for the dead-letter table, `retried` names letters that are rows now,
   * or neither.
   */
  readonly letters: 'carried' | 'retried' | 'none';
}

/** A new kind is an entry here and a decision in `commits/`. */
export const KINDS: Readonly<Record<CommitKind, KindTraits>> = {
  drain: { offsets: 'counted', files: 'appended', letters: 'carried' },
  retry: { offsets: 'kept', files: 'appended', letters: 'retried' },
  compact: { offsets: 'kept', files: 'rewritten', letters: 'none' },
  vacuum: { offsets: 'kept', files: 'kept', letters: 'none' },
  retain: { offsets: 'kept', files: 'dropped', letters: 'none' },
  repair: { offsets: 'answered', files: 'kept', letters: 'none' },
  accept: { offsets: 'answered', files: 'kept', letters: 'none' },
  publish: { offsets: 'kept', files: 'published', letters: 'none' },
};

/**
 * The traits of a kind; undefined where the version is another writer's, or of a kind unknown here.
 *
 * @param kind the value of `commitInfo.tidemark`
 */
export function traitsOf(kind: unknown): KindTraits | undefined {
  return typeof kind === 'string' && Object.hasOwn(KINDS, kind) ? KINDS[kind as CommitKind] : undefined;
}

/**
 * Whether this version is a drain, a repair or an accept of ours: maintenance and others' commits move no
 * offset.
 */
export function movesOffsets(commitInfo: CommitInfo | undefined): boolean {
  return (traitsOf(commitInfo?.tidemark)?.offsets ?? 'kept') !== 'kept';
}

/** The `commitInfo` of a version of this kind; undefined where the version is another. */
export function commitInfoAs(
  kind: CommitKind,
  { commitInfo }: CommittedVersion,
): (CommitInfo & { readonly batchId: string }) | undefined {
  const isOne = commitInfo?.tidemark === kind && typeof commitInfo.batchId === 'string';
  return isOne ? (commitInfo as CommitInfo & { readonly batchId: string }) : undefined;
}
