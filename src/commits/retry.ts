import type { Action, CommitInfo } from '../delta/actions.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { Schema } from '../records/ddl.ts';
import {
  addOf,
  bytesOf,
  type CommitFacts,
  type CommitOrigin,
  type DataFile,
  ENGINE_INFO,
  type Expired,
  evolutionActions,
  fileProblems,
  findExpired,
  type PlannedOn,
  type Refused,
  refuseFence,
  refuseOwner,
  refuseRestored,
  refuseSchema,
  rowsOf,
  type ToCommit,
  txn,
} from './batch.ts';
import { type CommitKind, type CommittedVersion, findRecord } from './batch-record.ts';
import {
  countLetters,
  type LetterSpans,
  type LettersJson,
  lettersFromJson,
  lettersToJson,
} from './letters.ts';

/** What one table version shall take in of the dead letters: those that today's specification makes rows of. */
export interface Retry {
  /** Unique to the plan, the same for all its attempts. */
  readonly batchId: string;
  readonly pipeline: string;
  readonly run: string;
  readonly origin: CommitOrigin;
  readonly plannedOn: PlannedOn & { readonly tableId: string };
  /** The newest retry when this one was planned, undefined before the first: its letters and all before were left out. */
  readonly previousRetry: bigint | undefined;
  /** The whole table's schema, as the pipeline has it now. */
  readonly schema: Schema;
  readonly partitionColumns: readonly string[];
  /** Letters that are settled by it: a row each, but for those that `clean.where` leaves out. */
  readonly retried: readonly LetterSpans[];
  readonly filtered: number;
  readonly files: readonly DataFile[];
}

/** A committed retry, as its table version tells it. */
export interface RetryRecord {
  readonly tableVersion: number;
  readonly batchId: string;
  readonly retried: readonly LetterSpans[];
  readonly previousRetry: bigint | undefined;
  readonly totals: RetriedTotals;
}

export interface RetriedTotals {
  readonly letters: number;
  readonly rows: number;
  readonly filtered: number;
  readonly files: number;
  readonly bytes: number;
}

export type RetryDecision =
  | ToCommit
  | { readonly kind: 'alreadyCommitted'; readonly retry: RetryRecord }
  | RetrySuperseded
  | Expired
  | Refused;

/** Others have retried letters meanwhile, perhaps these: plan anew. */
export interface RetrySuperseded {
  readonly kind: 'superseded';
  /** The newest retry of the table now. */
  readonly previousRetry: bigint | undefined;
}

/** The newest version that retried letters, from which the earlier ones are found. Compared and set by every retry. */
export const RETRIED_APP_ID = 'tidemark/retried';

/**
 * Whether and how the retry becomes the table's next version. Pure; the rules of `decideCommit`, with the newest retry
 * in the place of the offsets: a retry moves none.
 */
export function decideRetry(snapshot: Snapshot | undefined, retry: Retry, facts: CommitFacts): RetryDecision {
  const refused = refuseOtherTable(snapshot, retry, facts);
  if (refused !== undefined || snapshot === undefined) return refused ?? tableGone(retry);
  return (
    findCommittedRetry(retry, facts) ??
    findSuperseded(snapshot, retry) ??
    findExpired(snapshot, retry.files, facts) ??
    refuseSchema(snapshot, retry) ??
    refuseAccounting(snapshot, retry) ??
    retryActions(snapshot, retry, facts)
  );
}

/** Rule 1: the letters were read for this table under this epoch. */
function refuseOtherTable(
  snapshot: Snapshot | undefined,
  { plannedOn, pipeline }: Retry,
  facts: CommitFacts,
): Refused | undefined {
  return (
    refuseFence(snapshot, plannedOn) ?? refuseOwner(snapshot, pipeline) ?? refuseRestored(snapshot, facts)
  );
}

function tableGone({ plannedOn }: Retry): Refused {
  return { kind: 'fenced', problem: `the table ${plannedOn.tableId} of the plan is gone` };
}

/** Rule 2. */
function findCommittedRetry(
  { batchId }: Retry,
  { versionsSincePlan }: CommitFacts,
): RetryDecision | undefined {
  const retry = findRecord(versionsSincePlan, batchId, readRetryRecord);
  return retry && { kind: 'alreadyCommitted', retry };
}

/** Rule 3: whoever retried a letter since the plan has made it a row, or may have. */
function findSuperseded(snapshot: Snapshot, retry: Retry): RetrySuperseded | undefined {
  const previousRetry = newestRetryOf(snapshot);
  return previousRetry === retry.previousRetry ? undefined : { kind: 'superseded', previousRetry };
}

/** The newest version that retried letters; undefined where there is none, also where a repair has withdrawn it. */
export function newestRetryOf({ txns }: Pick<Snapshot, 'txns'>): bigint | undefined {
  const tableVersion = txns.get(RETRIED_APP_ID);
  return tableVersion === undefined || tableVersion < 0n ? undefined : tableVersion;
}

/** Rule 6: every letter is a row or filtered, and each is named once. */
function refuseAccounting(snapshot: Snapshot, retry: Retry): Refused | undefined {
  const { retried, filtered, files } = retry;
  const letters = countLetters(retried);
  const rows = rowsOf(files);
  const differences = [
    ...retried.flatMap(spanProblems),
    ...(letters > 0 ? [] : ['no letter is retried']),
    ...(Number.isSafeInteger(filtered) && filtered >= 0 ? [] : [`${filtered} letters filtered`]),
    ...(rows + filtered === letters
      ? []
      : [`${letters} letters, ${rows} rows in the files, ${filtered} filtered`]),
    ...fileProblems(snapshot, files),
  ];
  return differences.length === 0 ? undefined : { kind: 'accountingMismatch', differences };
}

function spanProblems({ topic, kafkaPartition, spans }: LetterSpans): string[] {
  let end = -1n;
  for (const { from, until } of spans) {
    if (from <= end || until <= from)
      return [`${topic}/${kafkaPartition}: offsets [${from}, ${until}) follow ${end}`];
    end = until;
  }
  return [];
}

function retryActions(snapshot: Snapshot, retry: Retry, facts: CommitFacts): ToCommit {
  const tableVersion = snapshot.tableVersion + 1;
  const actions: Action[] = [
    { commitInfo: retryCommitInfo(retry, facts) },
    ...evolutionActions(snapshot, retry),
    txn(RETRIED_APP_ID, BigInt(tableVersion)),
    ...retry.files.map((file) => ({ add: addOf(file, facts, true) })),
  ];
  return { kind: 'commit', tableVersion, actions };
}

function retryCommitInfo(retry: Retry, { nowMs, txnId }: CommitFacts): CommitInfo {
  const { batchId, pipeline, run, origin, retried, filtered, previousRetry, files } = retry;
  const totals: RetriedTotals = {
    letters: countLetters(retried),
    rows: rowsOf(files),
    filtered,
    files: files.length,
    bytes: bytesOf(files),
  };
  const kind: CommitKind = 'retry';
  return {
    timestamp: nowMs,
    operation: 'WRITE',
    operationParameters: { mode: 'Append', pipeline, batchId },
    operationMetrics: {
      numFiles: String(totals.files),
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
    retried: lettersToJson(retried),
    previousRetry: previousRetry?.toString() ?? null,
  };
}

/** The retry that a version committed; undefined where the version is none of ours. */
export function readRetryRecord({ tableVersion, commitInfo }: CommittedVersion): RetryRecord | undefined {
  if (commitInfo?.tidemark !== 'retry' || typeof commitInfo.batchId !== 'string') return undefined;
  const previousRetry = commitInfo.previousRetry as string | null;
  return {
    tableVersion,
    batchId: commitInfo.batchId,
    retried: lettersFromJson(commitInfo.retried as LettersJson[]),
    previousRetry: previousRetry === null ? undefined : BigInt(previousRetry),
    totals: commitInfo.totals as RetriedTotals,
  };
}
