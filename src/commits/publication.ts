import { type Action, type Add, decodePath } from '../delta/actions.ts';
import { traitsOf } from '../delta/kinds.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { CommittedVersion, ToCommit } from '../delta/version.ts';
import { DEAD_LETTER_SCHEMA } from '../records/dead-letters.ts';
import type { CarriedVersion } from './carried-letters.ts';
import { commitInfoHead } from './commit-info.ts';
import type { CommitFacts } from './facts.ts';
import { PIPELINE_PROPERTY, publishedAppId } from './pipeline-state.ts';
import type { Refused } from './refusal.ts';
import { refuseOwner, refuseSchema } from './rules.ts';
import { newTableActions, ownerProperties, type TableColumns, txn } from './table-actions.ts';

/**
 * Dead letters lag, never lead: the main table's commit carries the finished files, and only then are they
 * appended to the dead-letter table. No check could mend the other order, since no put spans two logs.
 */

/** The carrying versions of the main table that the dead-letter table must follow, each list newest first. */
export interface Publication {
  readonly pipeline: string;
  readonly mainTableId: string;
  /** Published up to this main version, as the dead-letter table said when this was gathered. */
  readonly published: bigint | undefined;
  /** The newest carrying main version. */
  readonly target: bigint;
  /** From `target` back to `published`; to the first where a repair has taken `published` out of the way. */
  readonly ahead: readonly CarriedVersion[];
  /** From `published` back to the first where a repair has taken it out of the way; else empty. */
  readonly behind: readonly CarriedVersion[];
}

/** `fileStats` by path in the dead-letter table's store. */
export type PublicationFacts = Pick<CommitFacts, 'nowMs' | 'txnId' | 'newTableId' | 'fileStats'>;

/** A person's answer: publish without these letter files. Any other that stands in the way still refuses. */
export interface Forget {
  /** As shown, in the dead-letter table's store. Those that are there after all are published. */
  readonly files: ReadonlySet<string>;
  readonly who: string;
  readonly reason: string;
}

/** Carried files that a publication cannot move as it should. */
export interface LettersInTheWay {
  /** To be added, but gone or altered. */
  readonly lost: readonly Add[];
  /** To be withdrawn, but the dead-letter table has them no more; or to be added, but it has them already. */
  readonly rewritten: readonly Add[];
}

export type PublicationDecision =
  | ToCommit
  /** By others, up to the target or further. */
  | { readonly kind: 'published' }
  /** Others have published something meanwhile: gather again. */
  | { readonly kind: 'superseded' }
  | Refused;

/** A publication, as its version of the dead-letter table tells it. */
export interface PublicationRecord {
  /** Of the dead-letter table. */
  readonly tableVersion: number;
  /** Published up to it. */
  readonly mainTableVersion: bigint;
  /** The files that were left as they are, because `forget` said so. */
  readonly forgotten: readonly string[];
}

/**
 * Whether and how the dead-letter table's next version brings it up to the main table's. Pure.
 *
 * @param snapshot the newest version of the dead-letter table, undefined where there is none
 * @param forget files that are in the way, and that a person has decided to leave as they are
 */
export function decidePublication(
  snapshot: Snapshot | undefined,
  publication: Publication,
  facts: PublicationFacts,
  forget?: Forget,
): PublicationDecision {
  const { pipeline, published, target, mainTableId } = publication;
  const now = snapshot?.txns.get(publishedAppId(mainTableId));
  if (now !== undefined && now >= target) return { kind: 'published' };
  if (now !== published) return { kind: 'superseded' };
  const inTheWay = lettersInTheWay(snapshot, publication, facts);
  return (
    (isDeadLetterTable(snapshot) ? undefined : refuseOwner(snapshot, pipeline)) ??
    refuseSchema(snapshot, LETTER_COLUMNS) ??
    refuse('rewritten', inTheWay.rewritten, forget) ??
    refuse('lost', inTheWay.lost, forget) ??
    publicationActions(snapshot, publication, inTheWay, facts, forget)
  );
}

/** What a person must be shown before `forget`; without it, what `decidePublication` refuses. Pure. */
export function lettersInTheWay(
  snapshot: Snapshot | undefined,
  publication: Publication,
  { fileStats }: Pick<PublicationFacts, 'fileStats'>,
): LettersInTheWay {
  const { added, withdrawn } = filesToMove(publication);
  const isThere = (file: Add) => snapshot?.files.has(pathOf(file)) === true;
  const isWhole = (file: Add) => fileStats.get(pathOf(file))?.sizeBytes === file.size;
  return {
    lost: added.filter((file) => !isThere(file) && !isWhole(file)),
    // Others may compact the table: then the letters of one main version can no longer be distinguished from
    // the rest.
    rewritten: [...withdrawn.filter((file) => !isThere(file)), ...added.filter(isThere)],
  };
}

/** The files that `decidePublication` will look for. */
export function filesToPublish(publication: Publication): string[] {
  return filesToMove(publication).added.map(pathOf);
}

/**
 * What one branch of the main table's history has and the other has not; without a repair only the newer
 * letters.
 */
function filesToMove({ ahead, behind }: Publication): { added: Add[]; withdrawn: Add[] } {
  const [after, before] = [ahead, behind].map((versions) => versions.toReversed().flatMap((v) => v.files));
  const paths = (files: readonly Add[] = []) => new Set(files.map(pathOf));
  const [isAfter, isBefore] = [paths(after), paths(before)];
  return {
    added: (after ?? []).filter((file) => !isBefore.has(pathOf(file))),
    withdrawn: (before ?? []).filter((file) => !isAfter.has(pathOf(file))),
  };
}

function refuse(
  kind: 'lost' | 'rewritten',
  inTheWay: readonly Add[],
  forget: Forget | undefined,
): Refused | undefined {
  const files = inTheWay.map(pathOf).filter((path) => forget?.files.has(path) !== true);
  return files.length === 0 ? undefined : { kind, files };
}

function publicationActions(
  snapshot: Snapshot | undefined,
  publication: Publication,
  { lost, rewritten }: LettersInTheWay,
  facts: PublicationFacts,
  forget: Forget | undefined,
): ToCommit {
  const { pipeline, mainTableId, target } = publication;
  const forgotten = new Set([...lost, ...rewritten].map(pathOf));
  const asMeant = (file: Add) => !forgotten.has(pathOf(file));
  const moved = filesToMove(publication);
  const [added, withdrawn] = [moved.added.filter(asMeant), moved.withdrawn.filter(asMeant)];
  const operation = {
    operation: 'WRITE',
    operationParameters: { mode: 'Append', pipeline },
    isBlindAppend: withdrawn.length === 0,
  };
  const commitInfo = {
    ...commitInfoHead('publish', operation, facts),
    pipeline,
    mainTableId,
    mainTableVersion: String(target),
    totals: { files: added.length, withdrawnFiles: withdrawn.length },
    ...(forget === undefined ? {} : { forgotten: [...forgotten], who: forget.who, reason: forget.reason }),
  };
  const actions: Action[] = [
    { commitInfo },
    ...(snapshot === undefined
      ? newTableActions(LETTER_COLUMNS, ownerProperties(pipeline), facts)
      : ownerActions(snapshot, pipeline)),
    txn(publishedAppId(mainTableId), target),
    ...(rewritten.length === 0 ? [] : [txn(publishedAppId(LEFT), target)]),
    ...withdrawn.map(({ path, size }) => ({
      remove: { path, deletionTimestamp: facts.nowMs, dataChange: true, size },
    })),
    ...added.map((add) => ({ add })),
  ];
  return { kind: 'commit', tableVersion: (snapshot?.tableVersion ?? -1) + 1, actions };
}

const LETTER_COLUMNS: TableColumns = { schema: DEAD_LETTER_SCHEMA, partitionColumns: [] };

/**
 * Its place says whose letters it takes: those of the table that it lies beside, also after another pipeline
 * adopts that.
 */
function isDeadLetterTable(snapshot: Snapshot | undefined): boolean {
  return [...(snapshot?.txns.keys() ?? [])].some((appId) => appId.startsWith(publishedAppId('')));
}

function ownerActions({ metaData }: Snapshot, pipeline: string): Action[] {
  if (metaData.configuration[PIPELINE_PROPERTY] === pipeline) return [];
  const configuration = { ...metaData.configuration, [PIPELINE_PROPERTY]: pipeline };
  return [{ metaData: { ...metaData, configuration } }];
}

/**
 * In place of a main table's id: letters that should have been withdrawn were left in files that others had
 * rewritten.
 */
const LEFT = 'left';

/**
 * Whether the dead-letter table may have letters that are not the main table's: of one that lay here before
 * it was made, or of batches that were restored away. Then only files that the main table's own versions name
 * are to be trusted.
 */
export function hasOthersLetters({ txns }: Pick<Snapshot, 'txns'>, mainTableId: string): boolean {
  const own = publishedAppId(mainTableId);
  return [...txns.keys()].some((appId) => appId !== own && appId.startsWith(publishedAppId('')));
}

/** The publication that a version committed; undefined where the version is none of ours. */
export function readPublicationRecord({
  tableVersion,
  commitInfo,
}: CommittedVersion): PublicationRecord | undefined {
  if (traitsOf(commitInfo?.tidemark)?.files !== 'published') return undefined;
  return {
    tableVersion,
    mainTableVersion: BigInt(String(commitInfo?.mainTableVersion)),
    forgotten: (commitInfo?.forgotten ?? []) as readonly string[],
  };
}

function pathOf({ path }: Add): string {
  return decodePath(path);
}
