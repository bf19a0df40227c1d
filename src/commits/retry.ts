import type { Action, CommitInfo } from '../delta/actions.ts';
import { commitInfoAs } from '../delta/kinds.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { CommittedVersion, ToCommit } from '../delta/version.ts';
import { assert } from '../errors.ts';
import type { CommitRules, Outcome } from './commit.ts';
import { type RunChange, runCommitInfo } from './commit-info.ts';
import { addOf, bytesOf, type DataFile, fileProblems, rowsOf } from './data-files.ts';
import { type CommitFacts, gatherFacts } from './facts.ts';
import {
  countLetters,
  type LetterSpans,
  type LettersJson,
  lettersFromJson,
  lettersToJson,
} from './letters.ts';
import { newestRetryOf, RETRIED_APP_ID } from './pipeline-state.ts';
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
import { evolutionActions, type TableColumns, txn } from './table-actions.ts';

/** The content of one table version: the dead letters that become rows under today's specification. */
export interface Retry extends RunChange, TableColumns {
  readonly plannedOn: PlannedOn & { readonly tableId: string };
  /**
   * The newest retry when this one was planned, undefined before the first: its letters and all before were
   * left out.
   */
  readonly previousRetry: bigint | undefined;
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

export type RetryDecision = ToCommit | AlreadyCommitted<RetryRecord> | RetrySuperseded | Expired | Refused;
export type RetryOutcome = Outcome<RetryDecision, RetryRecord>;

/** Others have retried letters meanwhile, perhaps these: plan again. */
export interface RetrySuperseded {
  readonly kind: 'superseded';
  /** The newest retry of the table now. */
  readonly previousRetry: bigint | undefined;
}

/**
 * Commits rows of dead letters as one table version that says which letters they are. Runs any number of
 * times with the same effect.
 *
 * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED, TABLE_SCHEMA_MISMATCH, ACCOUNTING_MISMATCH: the
 * retry is not in the table. COMMIT_CONTENDED, STORAGE_*: unknown; try again, delete nothing.
 */
export const RETRY: CommitRules<Retry, CommitFacts, RetryDecision, RetryRecord> = {
  gather: (log, snapshot, { plannedOn, files }) => gatherFacts(log, snapshot, plannedOn.tableVersion, files),
  decide: decideRetry,
  read: readRetryRecord,
};

/**
 * Whether and how the retry becomes the table's next version. Pure; the rules of `decideCommit`, with the
 * newest retry in place of the offsets: a retry moves none.
 */
export function decideRetry(snapshot: Snapshot | undefined, retry: Retry, facts: CommitFacts): RetryDecision {
  // The letters were read for this table under this epoch.
  const refused = refuseOtherTable(snapshot, retry, facts);
  if (refused !== undefined) return refused;
  assert(snapshot !== undefined, 'a table that is gone is refused');
  return (
    findCommitted(retry, facts, readRetryRecord) ??
    findSuperseded(snapshot, retry) ??
    findExpired(snapshot, retry.files, facts) ??
    refuseSchema(snapshot, retry) ??
    refuseAccounting(snapshot, retry) ??
    retryActions(snapshot, retry, facts)
  );
}

/** Rule 3: a retry since the plan has made the letter a row, or may have. */
function findSuperseded(snapshot: Snapshot, retry: Retry): RetrySuperseded | undefined {
  const previousRetry = newestRetryOf(snapshot);
  return previousRetry === retry.previousRetry ? undefined : { kind: 'superseded', previousRetry };
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

function retryCommitInfo(retry: Retry, facts: CommitFacts): CommitInfo {
  const { batchId, pipeline, retried, filtered, previousRetry, files } = retry;
  const totals: RetriedTotals = {
    letters: countLetters(retried),
    rows: rowsOf(files),
    filtered,
    files: files.length,
    bytes: bytesOf(files),
  };
  const operation = {
    operation: 'WRITE',
    operationParameters: { mode: 'Append', pipeline, batchId },
    operationMetrics: {
      numFiles: String(totals.files),
      numOutputRows: String(totals.rows),
      numOutputBytes: String(totals.bytes),
    },
    isBlindAppend: true,
  };
  return {
    ...runCommitInfo('retry', retry, operation, facts),
    totals,
    retried: lettersToJson(retried),
    previousRetry: previousRetry?.toString() ?? null,
  };
}

/** The retry that a version committed; undefined where the version is none of ours. */
export function readRetryRecord(version: CommittedVersion): RetryRecord | undefined {
  const info = commitInfoAs('retry', version);
  if (info === undefined) return undefined;
  const previousRetry = info.previousRetry as string | null;
  return {
    tableVersion: version.tableVersion,
    batchId: info.batchId,
    retried: lettersFromJson(info.retried as LettersJson[]),
    previousRetry: previousRetry === null ? undefined : BigInt(previousRetry),
    totals: info.totals as RetriedTotals,
  };
}
