import { type Action, type Add, type CommitInfo, decodePath } from '../delta/actions.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { DEAD_LETTER_SCHEMA } from '../records/dead-letters.ts';
import { toDeltaSchemaString } from '../records/delta-schema.ts';
import type { ObjectStat } from '../storage/object-store.ts';
import {
  ENGINE_INFO,
  PIPELINE_PROPERTY,
  type Refused,
  refuseOwner,
  refuseSchema,
  type ToCommit,
  txn,
} from './batch.ts';
import type { CommitKind, CommittedVersion } from './batch-record.ts';

/**
 * Dead letters lag, never lead: the main table's commit carries the finished files, and only then are they appended to
 * the dead-letter table. No check could mend the other order, since no put spans two logs.
 */

/** A main version that carries letters, or, without any, a repair that went back to what an older one had carried. */
export interface CarriedVersion {
  readonly tableVersion: bigint;
  readonly files: readonly Add[];
  /** The carrying version before it; undefined for the first. */
  readonly previous: bigint | undefined;
}

/** What the dead-letter table shall follow: carrying versions of the main table, each list newest first. */
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

export interface PublicationFacts {
  readonly nowMs: number;
  readonly txnId: string;
  /** A fresh UUID for a dead-letter table that this makes. */
  readonly newTableId: string;
  /** Of the files to add, those that exist, by path in the dead-letter table's store. */
  readonly fileStats: ReadonlyMap<string, ObjectStat>;
}

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
  /** Carried files that are gone or altered. */
  | { readonly kind: 'lost'; readonly files: readonly string[] }
  /** A repair withdraws letters whose files the dead-letter table no longer has as they were published. */
  | { readonly kind: 'rewritten'; readonly files: readonly string[] }
  | Refused;

/**
 * Whether and how the dead-letter table's next version brings it up to the main table's. Pure.
 *
 * @param snapshot the newest version of the dead-letter table, undefined where there is none
 * @param forget what stands in the way and shall be left as it is
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
    refuseSchema(snapshot, { schema: DEAD_LETTER_SCHEMA, partitionColumns: [] }) ??
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
    // Others may compact the table: then the letters of one main version can no longer be told from the rest.
    rewritten: [...withdrawn.filter((file) => !isThere(file)), ...added.filter(isThere)],
  };
}

/** The files that `decidePublication` will look for. */
export function filesToPublish(publication: Publication): string[] {
  return filesToMove(publication).added.map(pathOf);
}

/** What one branch of the main table's history has and the other has not; without a repair only the newer letters. */
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
): PublicationDecision | undefined {
  const files = inTheWay.map(pathOf).filter((path) => forget?.files.has(path) !== true);
  return files.length === 0 ? undefined : { kind, files };
}

function publicationActions(
  snapshot: Snapshot | undefined,
  publication: Publication,
  { lost, rewritten }: LettersInTheWay,
  { nowMs, txnId, newTableId }: PublicationFacts,
  forget: Forget | undefined,
): ToCommit {
  const { pipeline, mainTableId, target } = publication;
  const kind: CommitKind = 'publish';
  const forgotten = new Set([...lost, ...rewritten].map(pathOf));
  const asMeant = (file: Add) => !forgotten.has(pathOf(file));
  const moved = filesToMove(publication);
  const [added, withdrawn] = [moved.added.filter(asMeant), moved.withdrawn.filter(asMeant)];
  const commitInfo = {
    timestamp: nowMs,
    operation: 'WRITE',
    operationParameters: { mode: 'Append', pipeline },
    isBlindAppend: withdrawn.length === 0,
    engineInfo: ENGINE_INFO,
    txnId,
    tidemark: kind,
    pipeline,
    mainTableId,
    mainTableVersion: String(target),
    totals: { files: added.length, withdrawnFiles: withdrawn.length },
    ...(forget === undefined ? {} : { forgotten: [...forgotten], who: forget.who, reason: forget.reason }),
  };
  const actions: Action[] = [
    { commitInfo },
    ...(snapshot === undefined
      ? tableActions(pipeline, newTableId, nowMs)
      : ownerActions(snapshot, pipeline)),
    txn(publishedAppId(mainTableId), target),
    ...(rewritten.length === 0 ? [] : [txn(publishedAppId(LEFT), target)]),
    ...withdrawn.map(({ path, size }) => ({
      remove: { path, deletionTimestamp: nowMs, dataChange: true, size },
    })),
    ...added.map((add) => ({ add })),
  ];
  return { kind: 'commit', tableVersion: (snapshot?.tableVersion ?? -1) + 1, actions };
}

function tableActions(pipeline: string, id: string, nowMs: number): Action[] {
  const configuration = {
    [PIPELINE_PROPERTY]: pipeline,
    // What is published is known by a `txn` of this log: other writers must not clean it.
    'delta.enableExpiredLogCleanup': 'false',
  };
  const format = { provider: 'parquet', options: {} };
  const schemaString = toDeltaSchemaString(DEAD_LETTER_SCHEMA);
  return [
    { protocol: { minReaderVersion: 1, minWriterVersion: 2 } },
    { metaData: { id, format, schemaString, partitionColumns: [], configuration, createdTime: nowMs } },
  ];
}

/** Its place says whose letters it takes: those of the table that it lies beside, also after another pipeline adopts that. */
function isDeadLetterTable(snapshot: Snapshot | undefined): boolean {
  return [...(snapshot?.txns.keys() ?? [])].some((appId) => appId.startsWith(publishedAppId('')));
}

function ownerActions({ metaData }: Snapshot, pipeline: string): Action[] {
  if (metaData.configuration[PIPELINE_PROPERTY] === pipeline) return [];
  const configuration = { ...metaData.configuration, [PIPELINE_PROPERTY]: pipeline };
  return [{ metaData: { ...metaData, configuration } }];
}

/** In place of a main table's id: letters that should have been withdrawn were left in files that others had rewritten. */
const LEFT = 'left';

/**
 * Whether the dead-letter table may have letters that are not the main table's: of one that lay here before it was made,
 * or of batches that were restored away. Then only files that the main table's own versions name are to be trusted.
 */
export function hasOthersLetters({ txns }: Pick<Snapshot, 'txns'>, mainTableId: string): boolean {
  const own = publishedAppId(mainTableId);
  return [...txns.keys()].some((appId) => appId !== own && appId.startsWith(publishedAppId('')));
}

/** In the dead-letter table: the newest main version whose letters it has. A main table made anew has another id. */
export function publishedAppId(mainTableId: string): string {
  return `tidemark/dead_letters/${mainTableId}`;
}

/**
 * What a main version carries; undefined where it carries nothing.
 *
 * @param carriedBy the newest carrying version at an older main version: asked where a repair does not tell it itself
 */
export async function readCarried(
  { tableVersion, commitInfo }: CommittedVersion,
  carriedBy: (mainVersion: number) => Promise<bigint | undefined>,
): Promise<CarriedVersion | undefined> {
  const version = BigInt(tableVersion);
  if (commitInfo?.tidemark === 'repair' && typeof commitInfo.restoredVersion === 'number') {
    const isTold = 'previousDeadLetters' in commitInfo;
    const previous = isTold ? previousOf(commitInfo) : await carriedBy(commitInfo.restoredVersion);
    return { tableVersion: version, files: [], previous };
  }
  if (commitInfo?.tidemark !== 'drain' || !Array.isArray(commitInfo.deadLetters)) return undefined;
  return { tableVersion: version, files: commitInfo.deadLetters as Add[], previous: previousOf(commitInfo) };
}

function previousOf({ previousDeadLetters }: CommitInfo): bigint | undefined {
  return typeof previousDeadLetters === 'string' ? BigInt(previousDeadLetters) : undefined;
}

/**
 * The carrying versions from `newest` back to `published`, and, where a repair has led past that, all of both branches.
 *
 * @param read what a main version carries; throws where the log no longer tells
 */
export async function gatherCarried(
  newest: bigint,
  published: bigint | undefined,
  read: (tableVersion: bigint) => Promise<CarriedVersion>,
): Promise<Pick<Publication, 'ahead' | 'behind'>> {
  const ahead = await chain(newest, published, read);
  const reached = ahead.at(-1)?.previous;
  if (published === undefined || reached === published) return { ahead, behind: [] };
  return { ahead, behind: await chain(published, undefined, read) };
}

async function chain(
  newest: bigint,
  until: bigint | undefined,
  read: (tableVersion: bigint) => Promise<CarriedVersion>,
): Promise<CarriedVersion[]> {
  const versions: CarriedVersion[] = [];
  for (let next: bigint | undefined = newest; next !== undefined && next !== until; ) {
    const version: CarriedVersion = await read(next);
    versions.push(version);
    next = version.previous;
  }
  return versions;
}

function pathOf({ path }: Add): string {
  return decodePath(path);
}
