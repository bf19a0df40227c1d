import { randomUUID } from 'node:crypto';
import type { DeltaLog } from '../delta/log.ts';
import type { Hold } from '../delta/log-cleanup.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { assert } from '../errors.ts';
import { carriedIn, gatherCarried, pathsOf } from './carried-letters.ts';
import { type CommitRules, commit, type Outcome } from './commit.ts';
import { statFiles } from './facts.ts';
import { DEAD_LETTERS_APP_ID, publishedAppId } from './pipeline-state.ts';
import {
  decidePublication,
  type Forget,
  filesToPublish,
  type LettersInTheWay,
  lettersInTheWay,
  type Publication,
  type PublicationDecision,
  type PublicationFacts,
  type PublicationRecord,
  readPublicationRecord,
} from './publication.ts';
import { refusal } from './refusal.ts';
import { refuseOwner } from './rules.ts';

/** The version up to which a main table's letters are published. */
export interface PublicationGoal extends Pick<Publication, 'pipeline' | 'mainTableId' | 'target'> {
  readonly main: DeltaLog;
  /** A person's answer to files that stand in the way. */
  readonly forget?: Forget | undefined;
}

export type PublicationOutcome =
  | Extract<Outcome<PublicationDecision, PublicationRecord>, { kind: 'committed' }>
  | { readonly kind: 'nothingToPublish' };

/**
 * Brings the dead-letter table to the goal. The facts for that are gathered from the snapshot that decides
 * it.
 */
export const PUBLICATION: CommitRules<
  PublicationGoal,
  Gathered | undefined,
  PublicationDecision,
  PublicationRecord
> = {
  gather: gatherPublication,
  decide: (snapshot, { forget }, gathered) => {
    if (gathered === undefined) return { kind: 'published' };
    const { publication, ...facts } = gathered;
    return decidePublication(snapshot, publication, facts, forget);
  },
  read: readPublicationRecord,
};

/**
 * Brings the dead-letter table `letters` up to its main table: appends what versions of that carry, in order,
 * and takes back what a repair has withdrawn. Lags behind the main table, never leads. Runs any number of
 * times with the same effect.
 *
 * @param forget a person's answer to files that stand in the way
 * @throws Failure DEAD_LETTERS_LOST, REPAIR_REFUSED, TABLE_NOT_OURS, TABLE_SCHEMA_MISMATCH: nothing was
 * changed. COMMIT_CONTENDED, STORAGE_*: unknown; try again.
 */
export async function publishLetters(
  letters: DeltaLog,
  main: DeltaLog,
  pipeline: string,
  forget?: Forget,
): Promise<PublicationOutcome> {
  const goal = await publicationGoal(main, pipeline);
  if (goal === undefined) return { kind: 'nothingToPublish' };
  const outcome = await commit(letters, PUBLICATION, { ...goal, forget });
  assert(outcome.kind !== 'superseded', 'a publication is gathered from the snapshot that decides it');
  return outcome.kind === 'committed' ? outcome : { kind: 'nothingToPublish' };
}

/**
 * What `publishLetters` would refuse, for the person who is to decide. Changes nothing.
 *
 * @throws Failure DEAD_LETTERS_LOST where a version that tells it is gone
 */
export async function findLettersInTheWay(
  letters: DeltaLog,
  main: DeltaLog,
  pipeline: string,
): Promise<LettersInTheWay> {
  const goal = await publicationGoal(main, pipeline);
  const snapshot = await letters.snapshot();
  const gathered = goal && (await gatherPublication(letters, snapshot, goal));
  if (gathered === undefined) return { lost: [], rewritten: [] };
  return lettersInTheWay(snapshot, gathered.publication, gathered);
}

/** Dead letters that wait to be published. */
export interface Unpublished {
  /** In the dead-letter table's store. */
  readonly files: ReadonlySet<string>;
  /** The first main version that carries some; undefined where all are published. */
  readonly firstVersion: number | undefined;
}

/**
 * Of the dead-letter table `letters`: what its main table's versions carry and it does not have yet.
 *
 * @throws Failure DEAD_LETTERS_LOST where one of these versions is gone
 */
export async function findUnpublished(
  letters: DeltaLog,
  main: DeltaLog,
  pipeline: string,
): Promise<Unpublished> {
  const goal = await publicationGoal(main, pipeline);
  const published = goal && (await letters.snapshot())?.txns.get(publishedAppId(goal.mainTableId));
  if (goal === undefined || (published !== undefined && published >= goal.target))
    return { files: new Set(), firstVersion: undefined };
  const { ahead } = await gatherCarried(goal.target, published, (version) => carriedIn(main, version));
  return { files: pathsOf(ahead), firstVersion: Number(ahead.at(-1)?.tableVersion) };
}

/** Keeps a clean-up of the main table's log from versions whose letters are still to be published. */
export async function holdUnpublished(
  letters: DeltaLog,
  main: DeltaLog,
  pipeline: string,
): Promise<readonly Hold[]> {
  const { firstVersion } = await findUnpublished(letters, main, pipeline);
  return firstVersion === undefined ? [] : [{ tableVersion: firstVersion, why: 'deadLetters' }];
}

/** Undefined where there are no letters. */
async function publicationGoal(main: DeltaLog, pipeline: string): Promise<PublicationGoal | undefined> {
  const snapshot = await main.snapshot();
  const target = snapshot?.txns.get(DEAD_LETTERS_APP_ID);
  // What a RESTORE took back is known when it is repaired; until then no batch is planned either.
  if (snapshot === undefined || target === undefined || snapshot.unrepairedRestore !== undefined)
    return undefined;
  // The dead-letter table follows its main table's owner: a run of the one before must not take it back.
  const notOurs = refuseOwner(snapshot, pipeline);
  if (notOurs !== undefined) throw refusal(notOurs, main.store.root, pipeline);
  return { main, pipeline, mainTableId: snapshot.metaData.id, target };
}

interface Gathered extends PublicationFacts {
  readonly publication: Publication;
}

/** Undefined where all is published. */
async function gatherPublication(
  letters: DeltaLog,
  snapshot: Snapshot | undefined,
  { main, pipeline, mainTableId, target }: PublicationGoal,
): Promise<Gathered | undefined> {
  const published = snapshot?.txns.get(publishedAppId(mainTableId));
  if (published !== undefined && published >= target) return undefined;
  const carried = await gatherCarried(target, published, (version) => carriedIn(main, version));
  const publication = { pipeline, mainTableId, target, published, ...carried };
  const paths = filesToPublish(publication).map((path) => ({ path }));
  return {
    publication,
    nowMs: letters.nowMs(),
    txnId: randomUUID(),
    newTableId: randomUUID(),
    fileStats: await statFiles(letters.store, paths),
  };
}
