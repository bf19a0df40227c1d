import type { Committed, DeltaLog } from '../delta/log.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { CommittedVersion, ToCommit } from '../delta/version.ts';
import { assert } from '../errors.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { isRefused, type Refused, refusal } from './refusal.ts';

/** How one kind of change becomes a table version. */
export interface CommitRules<Change, Facts, Decision, Recorded> {
  /** The facts that the decision needs beside the snapshot; gathered again for each decision. */
  readonly gather: (
    log: DeltaLog,
    snapshot: Snapshot | undefined,
    change: Change,
    letterStore: ObjectStore | undefined,
  ) => Promise<Facts>;
  /**
   * Whether and how the change becomes the version after `snapshot`; undefined: there is no table yet. Pure.
   */
  readonly decide: (snapshot: Snapshot | undefined, change: Change, facts: Facts) => Decision;
  /** The change that a version records; undefined where the version is of another kind. */
  readonly read: (version: CommittedVersion) => Recorded | undefined;
}

/** How a change ended: committed, or as its decision says. Refusals are thrown. */
export type Outcome<Decision, Recorded> =
  | { readonly kind: 'committed'; readonly record: Recorded }
  | Exclude<Decision, ToCommit | Refused>;

/**
 * Commits a change as one table version, by the rules of its kind, which tell what they refuse. Runs any
 * number of times with the same effect.
 *
 * @param letterStore of the dead-letter table, where the change has dead letters
 * @throws Failure of `refusal`: nothing was committed. COMMIT_CONTENDED, STORAGE_*: unknown; try again,
 * delete nothing.
 */
export async function commit<
  Change extends { readonly pipeline: string },
  Facts,
  Decision extends { readonly kind: string },
  Recorded,
>(
  log: DeltaLog,
  { gather, decide, read }: CommitRules<Change, Facts, Decision, Recorded>,
  change: Change,
  letterStore?: ObjectStore,
): Promise<Outcome<Decision, Recorded>> {
  const end = await log.commit(async (snapshot) =>
    decide(snapshot, change, await gather(log, snapshot, change, letterStore)),
  );
  if (end.kind === 'committed')
    return { kind: 'committed', record: present(read((end as Committed).version)) };
  if (isRefused(end)) throw refusal(end, log.store.root, change.pipeline);
  return end as Exclude<Decision, ToCommit | Refused>;
}

function present<T>(record: T | undefined): T {
  assert(record !== undefined, 'a commit of ours carries its own record');
  return record;
}
