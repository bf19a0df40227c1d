import type { Action, CommitInfo } from '../delta/actions.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { ToCommit } from '../delta/version.ts';
import { assert } from '../errors.ts';
import type { TopicIdentity } from '../kafka/source.ts';
import type { Compression } from '../parquet/compression.ts';
import { ACCOUNTING_TERMS, accountedOffsets, addAccounting, emptyAccounting } from '../records/accounting.ts';
import {
  type BatchRecord,
  type BatchTotals,
  type LedgerEntry,
  ledgerToJson,
  readBatchRecord,
} from './batch-record.ts';
import type { CommitRules, Outcome } from './commit.ts';
import { type RunChange, runCommitInfo } from './commit-info.ts';
import { addOf, bytesOf, type DataFile, fileProblems, repeated, rowsOf } from './data-files.ts';
import { type CommitFacts, gatherFacts, statFiles } from './facts.ts';
import {
  committedOffsetOf,
  committedTopics,
  DEAD_LETTERS_APP_ID,
  EPOCH_APP_ID,
  isAnotherTopic,
  offsetAppId,
  topicIdAppId,
  topicIdHash,
} from './pipeline-state.ts';
import type { Refused } from './refusal.ts';
import {
  type AlreadyCommitted,
  type Expired,
  findCommitted,
  findExpired,
  type PlannedOn,
  refuseOtherTable,
  refuseSchema,
} from './rules.ts';
import {
  evolutionActions,
  newTableActions,
  ownerProperties,
  type TableColumns,
  txn,
} from './table-actions.ts';

/** The content of one table version: finished data files and the next offset of every partition. */
export interface Batch extends RunChange, TableColumns {
  readonly plannedOn: PlannedOn;
  readonly compression: Compression;
  /** Every topic that `partitions` name. */
  readonly topics: readonly BatchTopic[];
  /** A pipeline's first batch names every known partition, idle ones too; a later one every new partition. */
  readonly partitions: readonly BatchPartition[];
  readonly files: readonly DataFile[];
  /** Times of its rows that lost what is finer than a microsecond; absent where none did. */
  readonly truncatedTimestamps?: number;
  /** Of the dead-letter table, with paths there: this version carries them until they are published. */
  readonly deadLetterFiles: readonly DataFile[];
}

export interface BatchTopic {
  readonly topic: string;
  /** Undefined on a broker without topic ids. */
  readonly identity: TopicIdentity | undefined;
}

export type BatchPartition = LedgerEntry;

export type BatchDecision = ToCommit | AlreadyCommitted<BatchRecord> | Superseded | Expired | Refused;
export type BatchOutcome = Outcome<BatchDecision, BatchRecord>;

/** Another commit has changed the table's offsets or topic ids: plan again. */
export interface Superseded {
  readonly kind: 'superseded';
  readonly partitions: readonly SupersededPartition[];
  /** Topics whose id in the table is another than the plan's. */
  readonly topics: readonly string[];
}

export interface SupersededPartition {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly startingOffset: bigint | undefined;
  /** The table's next offset now. */
  readonly committedOffset: bigint | undefined;
}

/**
 * Commits a batch as one table version: its data files and the next offset of every partition.
 *
 * Runs any number of times with the same effect: the second finds its `batchId` in the log and returns that
 * version. Delta protocol, "Transaction Identifiers".
 *
 * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED, TABLE_SCHEMA_MISMATCH, ACCOUNTING_MISMATCH: the
 * batch is not in the table. COMMIT_CONTENDED, STORAGE_*: unknown; try again, delete nothing.
 */
export const BATCH: CommitRules<Batch, CommitFacts, BatchDecision, BatchRecord> = {
  gather: async (log, snapshot, { plannedOn, files, deadLetterFiles }, letterStore) => {
    assert(
      letterStore !== undefined || deadLetterFiles.length === 0,
      'dead letters lie in a store of their own',
    );
    const facts = await gatherFacts(log, snapshot, plannedOn.tableVersion, files);
    return letterStore === undefined
      ? facts
      : { ...facts, letterStats: await statFiles(letterStore, deadLetterFiles) };
  },
  decide: decideCommit,
  read: readBatchRecord,
};

/**
 * Whether and how the batch becomes the table's next version. Pure; the rules in their order, each of which
 * some interleaving makes necessary: `docs/commit-protocol.md` names it.
 *
 * @param snapshot the newest version of the table, undefined where there is none
 */
export function decideCommit(
  snapshot: Snapshot | undefined,
  batch: Batch,
  facts: CommitFacts,
): BatchDecision {
  return (
    refuseOtherTable(snapshot, batch, facts) ??
    findCommitted(batch, facts, readBatchRecord) ??
    findSuperseded(snapshot, batch) ??
    findExpired(snapshot, batch.files, facts) ??
    findExpired(snapshot, batch.deadLetterFiles, { ...facts, fileStats: facts.letterStats }) ??
    refuseSchema(snapshot, batch) ??
    refuseAccounting(snapshot, batch) ??
    commitActions(snapshot, batch, facts)
  );
}

/** Rule 3: compare and set, for every partition and topic of the batch. */
function findSuperseded(snapshot: Snapshot | undefined, batch: Batch): Superseded | undefined {
  const partitions = batch.partitions
    .map(({ topic, kafkaPartition, startingOffset }) => {
      const committedOffset = committedOffsetOf(snapshot, topic, kafkaPartition);
      return { topic, kafkaPartition, startingOffset, committedOffset };
    })
    .filter(({ startingOffset, committedOffset }) => committedOffset !== startingOffset);
  const topics = batch.topics.filter((topic) => isAnotherTopic(snapshot, topic)).map(({ topic }) => topic);
  const createdMeanwhile = batch.plannedOn.tableId === undefined && snapshot !== undefined;
  const same = partitions.length === 0 && topics.length === 0 && !createdMeanwhile;
  return same ? undefined : { kind: 'superseded', partitions, topics };
}

/** Rule 6: what does not add up is a bug, and stays out of the table. */
function refuseAccounting(snapshot: Snapshot | undefined, batch: Batch): Refused | undefined {
  const differences = [
    ...batch.partitions.flatMap(rangeProblems),
    ...repeated(batch.partitions.map((range) => `${range.topic}/${range.kafkaPartition}`)),
    ...fileProblems(snapshot, batch.files),
    ...fileProblems(undefined, batch.deadLetterFiles),
    ...rowProblems(batch),
  ];
  return differences.length === 0 ? undefined : { kind: 'accountingMismatch', differences };
}

function rangeProblems({
  topic,
  kafkaPartition,
  startingOffset,
  readFrom,
  endingOffset,
  accounting,
}: BatchPartition): string[] {
  const where = `${topic}/${kafkaPartition}`;
  const start = startingOffset ?? readFrom;
  if (!(start <= readFrom && readFrom <= endingOffset)) {
    return [`${where}: offsets ${start}, ${readFrom}, ${endingOffset} do not ascend`];
  }
  const odd = ACCOUNTING_TERMS.filter(
    (term) => !Number.isSafeInteger(accounting[term]) || accounting[term] < 0,
  );
  if (odd.length > 0) return odd.map((term) => `${where}: ${term} is ${accounting[term]}`);
  const accounted = accountedOffsets(accounting);
  return BigInt(accounted) === endingOffset - start
    ? []
    : [`${where}: ${endingOffset - start} offsets, ${accounted} accounted for`];
}

function rowProblems({ files, deadLetterFiles, partitions }: Batch): string[] {
  const written = rowsOf(files);
  const accounted = partitions.reduce((sum, { accounting }) => sum + accounting.rows, 0);
  const letters = rowsOf(deadLetterFiles);
  const accountedLetters = partitions.reduce((sum, { accounting }) => sum + accounting.deadLetters, 0);
  return [
    ...(written === accounted ? [] : [`${written} rows in the files, ${accounted} in the accounting`]),
    ...(letters === accountedLetters
      ? []
      : [`${letters} dead letters in the files, ${accountedLetters} in the accounting`]),
  ];
}

/** The version's actions: `txn`s, files and, of the first version, the table itself, or none of them. */
function commitActions(snapshot: Snapshot | undefined, batch: Batch, facts: CommitFacts): ToCommit {
  const actions: Action[] = [
    { commitInfo: drainCommitInfo(snapshot, batch, facts) },
    ...(snapshot === undefined ? tableActions(batch, facts) : evolutionActions(snapshot, batch)),
    ...txnActions(snapshot, batch),
    ...deadLetterActions(snapshot, batch),
    ...batch.files.map((file) => ({ add: addOf(file, facts, true) })),
  ];
  return { kind: 'commit', tableVersion: (snapshot?.tableVersion ?? -1) + 1, actions };
}

function tableActions(batch: Batch, facts: CommitFacts): Action[] {
  const { pipeline, compression } = batch;
  const configuration = {
    ...ownerProperties(pipeline),
    'delta.parquet.compression.codec': compression === 'none' ? 'uncompressed' : compression,
    'delta.parquet.format.version': '1.0.0',
  };
  return [...newTableActions(batch, configuration, facts), txn(EPOCH_APP_ID, 0n)];
}

/**
 * A partition that has no offset yet gets one even if the batch read nothing of it: otherwise `latest` would
 * be resolved again, and records that arrived in between would be lost.
 */
function txnActions(snapshot: Snapshot | undefined, batch: Batch): Action[] {
  const offsets = batch.partitions
    .filter(({ startingOffset, endingOffset }) => startingOffset !== endingOffset)
    .map(({ topic, kafkaPartition, endingOffset }) => txn(offsetAppId(topic, kafkaPartition), endingOffset));
  const known = committedTopics(snapshot);
  const identities = batch.topics.flatMap(({ topic, identity }) =>
    identity === undefined || known.has(topic) ? [] : [txn(topicIdAppId(topic), topicIdHash(identity))],
  );
  return [...identities, ...offsets];
}

function deadLetterActions(snapshot: Snapshot | undefined, { deadLetterFiles }: Batch): Action[] {
  const tableVersion = BigInt((snapshot?.tableVersion ?? -1) + 1);
  return deadLetterFiles.length === 0 ? [] : [txn(DEAD_LETTERS_APP_ID, tableVersion)];
}

function drainCommitInfo(snapshot: Snapshot | undefined, batch: Batch, facts: CommitFacts): CommitInfo {
  const { batchId, pipeline } = batch;
  const totals = totalsOf(batch);
  const operation = {
    operation: 'STREAMING UPDATE',
    operationParameters: { outputMode: 'Append', pipeline, batchId },
    operationMetrics: {
      numAddedFiles: String(totals.files),
      numOutputRows: String(totals.rows),
      numOutputBytes: String(totals.bytes),
    },
    isBlindAppend: true,
  };
  return {
    ...runCommitInfo('drain', batch, operation, facts),
    totals,
    ledger: ledgerToJson(
      batch.partitions.filter(({ startingOffset, endingOffset }) => startingOffset !== endingOffset),
    ),
    ...carriedLetters(snapshot, batch, facts),
  };
}

/**
 * The finished files, and the version that names the ones before, so that publishing reads no other versions.
 */
function carriedLetters(
  snapshot: Snapshot | undefined,
  { deadLetterFiles }: Batch,
  { letterStats, nowMs }: CommitFacts,
): CommitInfo {
  if (deadLetterFiles.length === 0) return {};
  return {
    deadLetters: deadLetterFiles.map((file) => addOf(file, { fileStats: letterStats, nowMs }, true)),
    previousDeadLetters: snapshot?.txns.get(DEAD_LETTERS_APP_ID)?.toString() ?? null,
  };
}

function totalsOf({ partitions, files, truncatedTimestamps }: Batch): BatchTotals {
  const terms = emptyAccounting();
  for (const { accounting } of partitions) addAccounting(terms, accounting);
  return {
    ...terms,
    ...{ offsets: accountedOffsets(terms), files: files.length, bytes: bytesOf(files) },
    ...(truncatedTimestamps !== undefined && { truncatedTimestamps }),
  };
}
