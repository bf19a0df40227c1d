import type { Action, CommitInfo } from '../delta/actions.ts';
import { commitInfoAs } from '../delta/kinds.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { CommittedVersion, ToCommit } from '../delta/version.ts';
import { spansToText } from '../kafka/spans.ts';
import { emptyAccounting } from '../records/accounting.ts';
import { type LedgerEntry, ledgerToJson } from './batch-record.ts';
import type { CommitRules, Outcome } from './commit.ts';
import { commitInfoHead } from './commit-info.ts';
import { type CommitFacts, gatherFacts } from './facts.ts';
import {
  committedOffsetOf,
  EPOCH_APP_ID,
  epochOf,
  offsetAppId,
  PIPELINE_PROPERTY,
  topicIdAppId,
  WITHDRAWN,
} from './pipeline-state.ts';
import type { Refused } from './refusal.ts';
import { type AlreadyCommitted, findCommitted, refuseSchema } from './rules.ts';
import { ownerProperties, type TableColumns, txn } from './table-actions.ts';

/** The answers that only a person can give. */
export const ANSWERS = ['accept-topic', 'skip-lost', 'adopt', 'restore'] as const;
export type Answer = (typeof ANSWERS)[number];

/**
 * An answer with everything that its person was shown: it is committed if all of it still holds, or not at
 * all.
 */
export interface Repair {
  readonly answer: Answer;
  /** Fresh per answer: by it a put whose answer was lost is found again. */
  readonly batchId: string;
  readonly pipeline: string;
  readonly who: string;
  readonly reason: string;
  readonly seen: SeenTable;
  /** Every partition whose next offset changes. */
  readonly moves: readonly OffsetMove[];
  readonly topics: readonly TopicMove[];
  /** Other `txn`s of ours to set: their present values and their new ones. */
  readonly markers: readonly Marker[];
  /** Makes the pipeline the table's owner; for `adopt` only where these columns fit. */
  readonly owns?: TableColumns | 'again';
  /** Of `restore`: the version whose offsets these are. */
  readonly restored?: RestoredVersion;
}

export interface RestoredVersion {
  readonly tableVersion: number;
  /**
   * The newest version that carried dead letters then: recorded here, because the log may lose it one day.
   */
  readonly previousDeadLetters: bigint | undefined;
}

export interface SeenTable {
  readonly tableId: string;
  readonly tableVersion: number;
  readonly epoch: bigint;
  readonly owner: string | undefined;
  readonly unrepairedRestore: number | undefined;
}

export interface OffsetMove {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** The table's next offset; undefined where it has none. */
  readonly before: bigint | undefined;
  /** The next offset from now on; undefined: withdrawn, the partition is as if it had never been read. */
  readonly after: bigint | undefined;
  /**
   * Offsets [before, after) that Kafka no longer has. Absent where the offsets after are not those before,
   * counted on.
   */
  readonly lost?: bigint;
  /** Of the topic's predecessor, everything from `before` on was never read. Where it ended is not known. */
  readonly predecessorUnread?: boolean;
  /** Offsets of the accepted topic before `after`, left out by choice. */
  readonly skipped?: bigint;
}

/** A topic's id, hashed by `topicIdHash`. */
export interface TopicMove {
  readonly topic: string;
  readonly before: bigint | undefined;
  /** Undefined on a broker without topic ids: the table keeps what it has. */
  readonly after: bigint | undefined;
}

export interface Marker {
  readonly appId: string;
  readonly before: bigint | undefined;
  readonly after: bigint | 'own version';
}

/** A committed repair, as its table version tells it. */
export interface RepairRecord {
  readonly tableVersion: number;
  readonly batchId: string;
  readonly answer: Answer;
  readonly epoch: bigint;
}

export type RepairDecision = ToCommit | AlreadyCommitted<RepairRecord> | Changed | Refused;
export type RepairOutcome = Outcome<RepairDecision, RepairRecord>;

/** The table is no longer what was shown. */
export interface Changed {
  readonly kind: 'changed';
  readonly differences: readonly string[];
}

type RepairFacts = Pick<CommitFacts, 'nowMs' | 'txnId' | 'versionsSincePlan'>;

/**
 * Commits a person's answer as one table version, only if everything that the person was shown still holds.
 *
 * @throws Failure TABLE_SCHEMA_MISMATCH: the answer is not in the table. COMMIT_CONTENDED, STORAGE_*:
 * unknown; look at the table again.
 */
export const REPAIR: CommitRules<Repair, CommitFacts, RepairDecision, RepairRecord> = {
  gather: (log, snapshot, { seen }) => gatherFacts(log, snapshot, seen.tableVersion, []),
  decide: decideRepair,
  read: readRepairRecord,
};

/**
 * Whether and how a person's answer becomes the table's next version. Pure.
 *
 * Unlike in `decideCommit`, the search for the answer's own `batchId` comes first, because a repair raises
 * the epoch itself. Then everything that was shown is compared and set. Appends and rewrites by others, and
 * drains of other topics, do no harm.
 */
export function decideRepair(
  snapshot: Snapshot | undefined,
  repair: Repair,
  facts: RepairFacts,
): RepairDecision {
  const committed = findCommitted(repair, facts, readRepairRecord);
  if (committed !== undefined) return committed;
  const differences = changesSince(repair, snapshot);
  if (snapshot === undefined || differences.length > 0) return { kind: 'changed', differences };
  return refuseColumns(snapshot, repair) ?? repairActions(snapshot, repair, facts);
}

/** The repair that a version committed; undefined where the version is none. */
export function readRepairRecord(version: CommittedVersion): RepairRecord | undefined {
  const info = commitInfoAs('repair', version) ?? commitInfoAs('accept', version);
  if (info === undefined) return undefined;
  const { batchId, answer, epoch } = info;
  const { tableVersion } = version;
  return { tableVersion, batchId, answer: answer as Answer, epoch: BigInt(String(epoch)) };
}

/** Everything that has changed since its person saw it, one line each. */
function changesSince(
  { seen, moves, topics, markers }: Repair,
  snapshot: Snapshot | undefined,
): readonly string[] {
  if (snapshot === undefined) return [`the table ${seen.tableId} is gone`];
  const { metaData, unrepairedRestore, txns } = snapshot;
  const difference = <T>(what: string, before: T, now: T) =>
    before === now ? [] : [`${what} was ${before ?? 'none'}, now it is ${now ?? 'none'}`];
  return [
    ...difference('the table', seen.tableId, metaData.id),
    ...difference('the epoch', seen.epoch, epochOf(snapshot)),
    ...difference('the owner', seen.owner, metaData.configuration[PIPELINE_PROPERTY]),
    ...difference('the unrepaired RESTORE', seen.unrepairedRestore, unrepairedRestore),
    ...topics.flatMap(({ topic, before }) =>
      difference(`the id of ${topic}`, before, txns.get(topicIdAppId(topic))),
    ),
    ...moves.flatMap(({ topic, kafkaPartition, before }) =>
      difference(
        `the next offset of ${topic}-${kafkaPartition}`,
        before,
        committedOffsetOf(snapshot, topic, kafkaPartition),
      ),
    ),
    ...markers.flatMap(({ appId, before }) => difference(appId, before, txns.get(appId))),
  ];
}

function refuseColumns(snapshot: Snapshot, { owns }: Repair): Refused | undefined {
  return owns === undefined || owns === 'again' ? undefined : refuseSchema(snapshot, owns);
}

function repairActions(snapshot: Snapshot, repair: Repair, facts: RepairFacts): ToCommit {
  const tableVersion = snapshot.tableVersion + 1;
  const epoch = epochOf(snapshot) + 1n;
  const actions: Action[] = [
    { commitInfo: repairCommitInfo(repair, epoch, facts) },
    ...(repair.owns === undefined ? [] : [ownershipAction(snapshot, repair)]),
    // Batches planned under another epoch can no longer be committed, whatever its offsets are.
    txn(EPOCH_APP_ID, epoch),
    ...repair.topics.flatMap(({ topic, after }) =>
      after === undefined ? [] : [txn(topicIdAppId(topic), after)],
    ),
    ...repair.moves.map(({ topic, kafkaPartition, after }) =>
      txn(offsetAppId(topic, kafkaPartition), after ?? WITHDRAWN),
    ),
    ...repair.markers.map(({ appId, after }) =>
      txn(appId, after === 'own version' ? BigInt(tableVersion) : after),
    ),
  ];
  return { kind: 'commit', tableVersion, actions };
}

function ownershipAction({ metaData }: Snapshot, { pipeline }: Repair): Action {
  const configuration = { ...metaData.configuration, ...ownerProperties(pipeline) };
  return { metaData: { ...metaData, configuration } };
}

function repairCommitInfo(repair: Repair, epoch: bigint, facts: RepairFacts): CommitInfo {
  const { answer, batchId, pipeline, who, reason, seen, restored } = repair;
  const operation = {
    operation: 'REPAIR',
    operationParameters: { answer, pipeline, who, reason },
    isBlindAppend: false,
  };
  return {
    ...commitInfoHead(answer === 'accept-topic' ? 'accept' : 'repair', operation, facts),
    answer,
    pipeline,
    batchId,
    who,
    reason,
    epoch: String(epoch),
    ...(repair.owns === undefined ? {} : { previousOwner: seen.owner ?? null }),
    ...(seen.unrepairedRestore === undefined ? {} : { restore: seen.unrepairedRestore }),
    ...(restored === undefined
      ? {}
      : {
          restoredVersion: restored.tableVersion,
          previousDeadLetters: restored.previousDeadLetters?.toString() ?? null,
        }),
    ledger: repair.moves.map(moveToJson),
  };
}

/**
 * A move in the form of a ledger entry, so that each entry of a partition begins where the one before ends:
 * `-1` is the end of a withdrawn partition, whose next entry begins with null. `jump`: no range of offsets,
 * nothing to add up.
 */
function moveToJson(move: OffsetMove): unknown {
  const { topic, kafkaPartition, before, after = WITHDRAWN, lost, skipped } = move;
  const entry: LedgerEntry = {
    topic,
    kafkaPartition,
    startingOffset: before,
    readFrom: after,
    endingOffset: after,
    accounting: { ...emptyAccounting(), lost: Number(lost ?? 0n) },
    ...(lost === undefined ? {} : { lostOffsets: spansToText([{ from: after - lost, until: after }]) }),
  };
  const [json] = ledgerToJson([entry]);
  return {
    ...(json as object),
    ...(lost === undefined ? { jump: true } : {}),
    ...(move.predecessorUnread ? { unreadFrom: String(before), unreadUntil: null } : {}),
    ...(skipped === undefined ? {} : { skipped: Number(skipped) }),
  };
}
