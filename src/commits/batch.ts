import { createHash } from 'node:crypto';
import {
  type Action,
  type Add,
  type CommitInfo,
  encodePath,
  type PartitionValues,
  parseStats,
  type Remove,
} from '../delta/actions.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { TopicIdentity } from '../kafka/source.ts';
import type { Compression } from '../parquet/compression.ts';
import { ACCOUNTING_TERMS, accountedOffsets, addAccounting, emptyAccounting } from '../records/accounting.ts';
import type { Schema } from '../records/ddl.ts';
import { toDeltaSchemaString } from '../records/delta-schema.ts';
import type { ObjectStat } from '../storage/object-store.ts';
import {
  type BatchRecord,
  type BatchTotals,
  type CommitKind,
  type CommittedVersion,
  findRecord,
  type LedgerEntry,
  ledgerToJson,
  readBatchRecord,
} from './batch-record.ts';
import { fitSchema } from './schema-fit.ts';

/** What one table version shall commit: finished data files and the next offset of every partition. */
export interface Batch {
  /** Unique to the plan, the same for all its attempts: a batch's identity in the log. */
  readonly batchId: string;
  readonly pipeline: string;
  /** The run's id, for people: workflow id and first run id. */
  readonly run: string;
  readonly origin: CommitOrigin;
  readonly plannedOn: PlannedOn;
  /** The whole table's schema, partition and Kafka columns included, in their order. */
  readonly schema: Schema;
  readonly partitionColumns: readonly string[];
  readonly compression: Compression;
  /** Every topic that `partitions` name. */
  readonly topics: readonly BatchTopic[];
  /** A pipeline's first batch names every known partition, idle ones too; a later one every new partition. */
  readonly partitions: readonly BatchPartition[];
  readonly files: readonly DataFile[];
  /** Of the dead-letter table, with paths there: this version carries them until they are published. */
  readonly deadLetterFiles: readonly DataFile[];
}

/** By what a version was made, for people: `trace` shows it. */
export interface CommitOrigin {
  /** The worker's, as `workerBuild` has it. */
  readonly build: string;
  /** Hash of the specification that was followed. */
  readonly specification: string;
}

/** The table as the plan saw it. Without a table: no id, version -1, epoch 0. */
export interface PlannedOn {
  readonly tableId: string | undefined;
  readonly tableVersion: number;
  readonly epoch: bigint;
}

export interface BatchTopic {
  readonly topic: string;
  /** Undefined on a broker without topic ids. */
  readonly identity: TopicIdentity | undefined;
}

export type BatchPartition = LedgerEntry;

/** A finished, durable Parquet file. */
export interface DataFile {
  /** In the store: relative to the table, not encoded. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Read back from the finished footer. */
  readonly rowCount: number;
  readonly partitionValues: PartitionValues;
  /** Delta statistics, a JSON text with `numRecords`. */
  readonly stats: string;
  /** `CHECKSUM_TAG`, for `verify`; another writer's OPTIMIZE drops them. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** What a decision needs to know besides the snapshot; `log.ts` gathers it. */
export interface CommitFacts {
  readonly nowMs: number;
  /** Fresh per decision, so that an ambiguous put can be told from another attempt's. */
  readonly txnId: string;
  /** A fresh UUID for a table that this batch creates. */
  readonly newTableId: string;
  /** The versions after `plannedOn.tableVersion`, ascending, as far as their log is complete. */
  readonly versionsSincePlan: readonly CommittedVersion[];
  /** Of the files to add, those that exist, by path. */
  readonly fileStats: ReadonlyMap<string, ObjectStat>;
  /** Of the batch's dead-letter files, those that exist, by path. */
  readonly letterStats: ReadonlyMap<string, ObjectStat>;
}

export type Decision =
  | ToCommit
  | { readonly kind: 'alreadyCommitted'; readonly batch: BatchRecord }
  | Superseded
  | Expired
  | Refused;

/** Put `actions` as version `tableVersion`, if it is absent. */
export interface ToCommit {
  readonly kind: 'commit';
  readonly tableVersion: number;
  readonly actions: readonly Action[];
}

/** The table has moved on by other hands: plan anew. */
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

/** These files can no longer be committed: write them again. */
export interface Expired {
  readonly kind: 'expired';
  readonly files: readonly { readonly path: string; readonly problem: string }[];
}

/** Stops the run: only a person, or a new plan under other circumstances, can go on. */
export type Refused =
  | { readonly kind: 'fenced'; readonly problem: string }
  | { readonly kind: 'notOurs'; readonly owner: string | undefined }
  | { readonly kind: 'restored'; readonly tableVersion: number }
  | { readonly kind: 'schemaMismatch'; readonly differences: readonly string[] }
  | { readonly kind: 'accountingMismatch'; readonly differences: readonly string[] };

/**
 * Whether and how the batch becomes the table's next version. Pure; the rules in their order, each of which some
 * interleaving makes necessary: `docs/commit-protocol.md` names it.
 *
 * @param snapshot the newest version of the table, undefined where there is none
 */
export function decideCommit(snapshot: Snapshot | undefined, batch: Batch, facts: CommitFacts): Decision {
  return (
    refuseOtherTable(snapshot, batch, facts) ??
    findCommitted(batch, facts) ??
    findSuperseded(snapshot, batch) ??
    findExpired(snapshot, batch.files, facts) ??
    findExpired(snapshot, batch.deadLetterFiles, { ...facts, fileStats: facts.letterStats }) ??
    refuseSchema(snapshot, batch) ??
    refuseAccounting(snapshot, batch) ??
    commitActions(snapshot, batch, facts)
  );
}

/** Rule 1, before rule 2: after a topic was recreated and accepted, an old batch could match its offsets again. */
function refuseOtherTable(
  snapshot: Snapshot | undefined,
  batch: Batch,
  facts: CommitFacts,
): Refused | undefined {
  const { plannedOn, pipeline } = batch;
  return (
    refuseFence(snapshot, plannedOn) ?? refuseOwner(snapshot, pipeline) ?? refuseRestored(snapshot, facts)
  );
}

export function refuseFence(
  snapshot: Snapshot | undefined,
  { tableId, epoch }: PlannedOn,
): Refused | undefined {
  if (tableId === undefined) return undefined;
  const replaced = refuseReplaced(snapshot, tableId);
  const now = epochOf(snapshot);
  if (replaced !== undefined || now === epoch) return replaced;
  return { kind: 'fenced', problem: `the table's epoch is ${now}, the plan's was ${epoch}` };
}

function refuseReplaced(snapshot: Snapshot | undefined, tableId: string): Refused | undefined {
  if (snapshot === undefined) return { kind: 'fenced', problem: `the table ${tableId} of the plan is gone` };
  const { id } = snapshot.metaData;
  if (id === tableId) return undefined;
  return { kind: 'fenced', problem: `another table (${id}) is in the place of the plan's (${tableId})` };
}

/**
 * Rule 1 for what moves no offset, whatever the epoch. Not with an unrepaired RESTORE: which files belong to the table is for the
 * repair to say.
 */
export function refuseMaintenance(
  snapshot: Snapshot | undefined,
  { tableId, pipeline }: { readonly tableId: string; readonly pipeline: string },
): Refused | undefined {
  return (
    refuseReplaced(snapshot, tableId) ??
    refuseOwner(snapshot, pipeline) ??
    refuseRestored(snapshot, { versionsSincePlan: [] })
  );
}

/** One table belongs to one pipeline: a renamed pipeline file would ingest the topic a second time. */
export function refuseOwner(snapshot: Snapshot | undefined, pipeline: string): Refused | undefined {
  if (snapshot === undefined) return undefined;
  const owner = snapshot.metaData.configuration[PIPELINE_PROPERTY];
  return owner === pipeline ? undefined : { kind: 'notOurs', owner };
}

/** RESTORE takes rows back and keeps `txn`s: what it took back would never be read again. */
export function refuseRestored(
  snapshot: Snapshot | undefined,
  { versionsSincePlan }: Pick<CommitFacts, 'versionsSincePlan'>,
): Refused | undefined {
  const since = versionsSincePlan.find(({ commitInfo }) => commitInfo?.operation === 'RESTORE');
  const tableVersion = snapshot?.unrepairedRestore ?? since?.tableVersion;
  return tableVersion === undefined ? undefined : { kind: 'restored', tableVersion };
}

/** Rule 2. That all offsets stand at the batch's end is no identity: others may have got there in other steps. */
function findCommitted({ batchId }: Batch, { versionsSincePlan }: CommitFacts): Decision | undefined {
  const batch = findRecord(versionsSincePlan, batchId, readBatchRecord);
  return batch && { kind: 'alreadyCommitted', batch };
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

/** Only a proven mismatch counts: a broker without topic ids, or a table that has none, cannot tell. */
export function isAnotherTopic(
  snapshot: Pick<Snapshot, 'txns'> | undefined,
  { topic, identity }: BatchTopic,
): boolean {
  const committed = snapshot?.txns.get(topicIdAppId(topic));
  return identity !== undefined && committed !== undefined && committed !== topicIdHash(identity);
}

/** Nothing deletes uncommitted files younger than 7 days; the day between is for a commit that freezes half-way. */
const COMMITTABLE_AGE_MS = 6 * 24 * 60 * 60 * 1000;

/** Rule 4, for compaction's outputs too: a worker slept for days and a vacuum took its files, or is about to. */
export function findExpired(
  snapshot: Snapshot | undefined,
  files: readonly DataFile[],
  { fileStats, nowMs }: Pick<CommitFacts, 'fileStats' | 'nowMs'>,
): Expired | undefined {
  const vacuumedMs = Number(snapshot?.txns.get(VACUUM_APP_ID) ?? Number.NEGATIVE_INFINITY);
  const problemOf = ({ path, sizeBytes }: DataFile): string | undefined => {
    const stat = fileStats.get(path);
    if (stat === undefined) return 'it does not exist';
    if (stat.sizeBytes !== sizeBytes) return `it has ${stat.sizeBytes} bytes instead of ${sizeBytes}`;
    if (stat.modifiedMs <= vacuumedMs) return 'it is older than the latest vacuum';
    if (nowMs - stat.modifiedMs >= COMMITTABLE_AGE_MS) return 'it is older than 6 days';
    return undefined;
  };
  const expired = files.flatMap((file) => {
    const problem = problemOf(file);
    return problem === undefined ? [] : [{ path: file.path, problem }];
  });
  return expired.length === 0 ? undefined : { kind: 'expired', files: expired };
}

/** Rule 5: what the table cannot take in. Unrelated metaData changes don't disturb. */
export function refuseSchema(
  snapshot: Snapshot | undefined,
  { schema, partitionColumns }: Pick<Batch, 'schema' | 'partitionColumns'>,
): Refused | undefined {
  if (snapshot === undefined) return undefined;
  const fit = fitSchema(snapshot.metaData, schema, partitionColumns);
  return fit.kind === 'refused' ? { kind: 'schemaMismatch', differences: fit.differences } : undefined;
}

/** The first rows of a new schema bring it along, in their own version: decided upon the metaData that it follows. */
export function evolutionActions(
  { metaData }: Snapshot,
  { schema, partitionColumns }: Pick<Batch, 'schema' | 'partitionColumns'>,
): Action[] {
  const fit = fitSchema(metaData, schema, partitionColumns);
  return fit.kind === 'evolves' ? [{ metaData: { ...metaData, schemaString: fit.schemaString } }] : [];
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

export function fileProblems(snapshot: Snapshot | undefined, files: readonly DataFile[]): string[] {
  const counted = files.filter(({ stats, rowCount }) => parseStats(stats)?.numRecords !== rowCount);
  const known = files.filter(({ path }) => snapshot?.files.has(path) || snapshot?.tombstones.has(path));
  return [
    ...counted.map(
      ({ path, rowCount }) => `${path}: ${rowCount} rows in its footer, another number in its statistics`,
    ),
    ...known.map(({ path }) => `${path}: an earlier version has committed it`),
    ...repeated(files.map(({ path }) => path)),
  ];
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

function repeated(names: readonly string[]): string[] {
  const seen = new Set<string>();
  // `Set.add` returns the set: the name is kept where it had been seen before.
  return names.filter((name) => seen.size === seen.add(name).size).map((name) => `${name} is named twice`);
}

/** The version's actions: `txn`s, files and, of the first version, the table itself, or none of them. */
function commitActions(snapshot: Snapshot | undefined, batch: Batch, facts: CommitFacts): Decision {
  const actions: Action[] = [
    { commitInfo: drainCommitInfo(snapshot, batch, facts) },
    ...(snapshot === undefined ? tableActions(batch, facts) : evolutionActions(snapshot, batch)),
    ...txnActions(snapshot, batch),
    ...deadLetterActions(snapshot, batch),
    ...batch.files.map((file) => ({ add: addOf(file, facts, true) })),
  ];
  return { kind: 'commit', tableVersion: (snapshot?.tableVersion ?? -1) + 1, actions };
}

function tableActions(
  { pipeline, schema, partitionColumns, compression }: Batch,
  facts: CommitFacts,
): Action[] {
  const configuration = {
    [PIPELINE_PROPERTY]: pipeline,
    // The log is our ledger: other writers must not clean it.
    'delta.enableExpiredLogCleanup': 'false',
    'delta.parquet.compression.codec': compression === 'none' ? 'uncompressed' : compression,
    'delta.parquet.format.version': '1.0.0',
  };
  const format = { provider: 'parquet', options: {} };
  const schemaString = toDeltaSchemaString(schema);
  return [
    { protocol: { minReaderVersion: 1, minWriterVersion: 2 } },
    {
      metaData: {
        id: facts.newTableId,
        format,
        schemaString,
        partitionColumns,
        configuration,
        createdTime: facts.nowMs,
      },
    },
    txn(EPOCH_APP_ID, 0n),
  ];
}

/**
 * A partition that has no offset yet gets one even where the batch read nothing of it: else `latest` would be resolved
 * anew, and what came in between would be lost.
 */
function txnActions(snapshot: Snapshot | undefined, batch: Batch): Action[] {
  const offsets = batch.partitions
    .filter(({ startingOffset, endingOffset }) => startingOffset !== endingOffset)
    .map(({ topic, kafkaPartition, endingOffset }) => txn(offsetAppId(topic, kafkaPartition), endingOffset));
  const known = topicsOf(snapshot);
  const identities = batch.topics.flatMap(({ topic, identity }) =>
    identity === undefined || known.has(topic) ? [] : [txn(topicIdAppId(topic), topicIdHash(identity))],
  );
  return [...identities, ...offsets];
}

function deadLetterActions(snapshot: Snapshot | undefined, { deadLetterFiles }: Batch): Action[] {
  const tableVersion = BigInt((snapshot?.tableVersion ?? -1) + 1);
  return deadLetterFiles.length === 0 ? [] : [txn(DEAD_LETTERS_APP_ID, tableVersion)];
}

/** Without `lastUpdated`, a reader that expires old `txn`s has nothing to expire them by. */
export function txn(appId: string, version: bigint): Action {
  return { txn: { appId, version } };
}

export function addOf(
  file: DataFile,
  { fileStats, nowMs }: Pick<CommitFacts, 'fileStats' | 'nowMs'>,
  dataChange: boolean,
): Add {
  return {
    path: encodePath(file.path),
    partitionValues: file.partitionValues,
    size: file.sizeBytes,
    modificationTime: Math.floor(fileStats.get(file.path)?.modifiedMs ?? nowMs),
    dataChange,
    stats: file.stats,
    ...(file.tags === undefined ? {} : { tags: file.tags }),
  };
}

export function removeOf(
  { path, partitionValues, size }: Add,
  { nowMs }: Pick<CommitFacts, 'nowMs'>,
  dataChange: boolean,
): Remove {
  return {
    path,
    deletionTimestamp: nowMs,
    dataChange,
    extendedFileMetadata: true,
    partitionValues,
    size,
  };
}

/** One for each table partition. In the protocol a partition value of "" is null. */
export function partitionKey(values: PartitionValues): string {
  const names = Object.keys(values).sort();
  return JSON.stringify(Object.fromEntries(names.map((name) => [name, values[name] || null])));
}

function drainCommitInfo(snapshot: Snapshot | undefined, batch: Batch, facts: CommitFacts): CommitInfo {
  const { nowMs, txnId } = facts;
  const { batchId, pipeline, run, origin } = batch;
  const totals = totalsOf(batch);
  const kind: CommitKind = 'drain';
  return {
    timestamp: nowMs,
    operation: 'STREAMING UPDATE',
    operationParameters: { outputMode: 'Append', pipeline, batchId },
    operationMetrics: {
      numAddedFiles: String(totals.files),
      numOutputRows: String(totals.rows),
      numOutputBytes: String(totals.bytes),
    },
    isBlindAppend: true,
    engineInfo: ENGINE_INFO,
    txnId,
    tidemark: kind,
    pipeline,
    batchId,
    run,
    ...origin,
    totals,
    ledger: ledgerToJson(
      batch.partitions.filter(({ startingOffset, endingOffset }) => startingOffset !== endingOffset),
    ),
    ...carriedLetters(snapshot, batch, facts),
  };
}

/** The finished files and where the ones before are told, so that publishing them needs no look at other versions. */
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

function totalsOf({ partitions, files }: Batch): BatchTotals {
  const terms = emptyAccounting();
  for (const { accounting } of partitions) addAccounting(terms, accounting);
  return { ...terms, offsets: accountedOffsets(terms), files: files.length, bytes: bytesOf(files) };
}

export function rowsOf(files: readonly DataFile[]): number {
  return files.reduce((sum, { rowCount }) => sum + rowCount, 0);
}

export function bytesOf(files: readonly DataFile[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

export const ENGINE_INFO = 'tidemark/0.1.0';
export const PIPELINE_PROPERTY = 'tidemark.pipeline';

/** The newest version that carries dead letters: whether any wait to be published is seen without reading the log. */
export const DEAD_LETTERS_APP_ID = 'tidemark/dead_letters';
export const EPOCH_APP_ID = 'tidemark/epoch';
/** Cut-off of the latest vacuum, in ms since 1970: files that are not newer cannot be committed any more. */
export const VACUUM_APP_ID = 'tidemark/vacuum';

/** The `txn` that holds a partition's next offset. "/" cannot occur in a topic name, so no two names meet. */
export function offsetAppId(topic: string, kafkaPartition: number): string {
  return `tidemark/${topic}/${kafkaPartition}`;
}

export function topicIdAppId(topic: string): string {
  return `tidemark/${topic}/id`;
}

/** First 8 bytes of SHA-256(`clusterId/topicId`), big-endian, top bit cleared: `txn.version` is a signed 64-bit integer. */
export function topicIdHash({ clusterId, topicId }: TopicIdentity): bigint {
  const digest = createHash('sha256').update(`${clusterId}/${topicId}`).digest();
  return digest.readBigUInt64BE(0) & 0x7fffffffffffffffn;
}

/** Next offset to read; undefined where the table has none. */
export function committedOffsetOf(
  snapshot: Pick<Snapshot, 'txns'> | undefined,
  topic: string,
  kafkaPartition: number,
): bigint | undefined {
  const offset = snapshot?.txns.get(offsetAppId(topic, kafkaPartition));
  return offset === WITHDRAWN ? undefined : offset;
}

/** Every partition that has an offset in the table; withdrawn ones have none. */
export function committedPartitions(
  snapshot: Pick<Snapshot, 'txns'>,
): { topic: string; kafkaPartition: number; committedOffset: bigint }[] {
  return [...snapshot.txns.keys()].flatMap((appId) => {
    const [owner, topic, partition] = appId.split('/');
    if (owner !== 'tidemark' || topic === undefined || !/^\d+$/.test(partition ?? '')) return [];
    const kafkaPartition = Number(partition);
    const committedOffset = committedOffsetOf(snapshot, topic, kafkaPartition);
    return committedOffset === undefined ? [] : [{ topic, kafkaPartition, committedOffset }];
  });
}

/** A partition of a topic's predecessor that the accepted topic does not have: a `txn` cannot be taken back. */
export const WITHDRAWN = -1n;

/** Raised by every accept, repair or reset; 0 before the first. */
export function epochOf(snapshot: Snapshot | undefined): bigint {
  return snapshot?.txns.get(EPOCH_APP_ID) ?? 0n;
}

/** The topics of which this pipeline has committed anything, ever. */
function topicsOf(snapshot: Snapshot | undefined): ReadonlySet<string> {
  const names = [...(snapshot?.txns.keys() ?? [])].map((appId) => appId.split('/'));
  return new Set(
    names.flatMap(([owner, topic, partition]) => (owner === 'tidemark' && partition && topic ? [topic] : [])),
  );
}
