import type { DroppedPartitions } from '../contract.ts';
import { type Action, type Add, type CommitInfo, parseStats } from '../delta/actions.ts';
import { commitInfoAs } from '../delta/kinds.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { CommittedVersion, ToCommit } from '../delta/version.ts';
import { assert } from '../errors.ts';
import type { TimeUnit } from '../records/partition-term.ts';
import type { CommitRules, Outcome } from './commit.ts';
import { type RunChange, runCommitInfo } from './commit-info.ts';
import { removeOf, tablePartitionKey } from './data-files.ts';
import { type CommitFacts, gatherFacts } from './facts.ts';
import type { Refused } from './refusal.ts';
import { type AlreadyCommitted, findCommitted, refuseMaintenance } from './rules.ts';

/** What one table version shall drop: the files of table partitions whose time is over. */
export interface Retention extends RunChange {
  readonly tableId: string;
  /** The version that the plan was made on. */
  readonly tableVersion: number;
  readonly rule: RetentionRule;
}

export interface RetentionRule {
  /** A partition column of the table; its values are beginnings of units. */
  readonly column: string;
  readonly unit: TimeUnit;
  /** Units that had ended by then, in UTC, are old. Milliseconds since 1970. */
  readonly cutOffMs: number;
}

/** A committed retention, as its table version tells it. */
export interface RetentionRecord {
  readonly tableVersion: number;
  readonly batchId: string;
  readonly dropped: DroppedPartitions;
}

export type RetentionDecision = ToCommit | AlreadyCommitted<RetentionRecord> | NothingOld | Refused;
export type RetentionOutcome = Outcome<RetentionDecision, RetentionRecord>;

export interface NothingOld {
  readonly kind: 'nothingOld';
  readonly dropped: DroppedPartitions;
}

/**
 * Commits that old table partitions leave the table. Runs any number of times with the same effect.
 *
 * @throws Failure FENCED, TABLE_NOT_OURS, TABLE_RESTORED, TABLE_SCHEMA_MISMATCH, TABLE_UNSUPPORTED: nothing
 * was dropped. COMMIT_CONTENDED, STORAGE_*: try again.
 */
export const RETENTION: CommitRules<Retention, CommitFacts, RetentionDecision, RetentionRecord> = {
  gather: (log, snapshot, { tableVersion }) => gatherFacts(log, snapshot, tableVersion, []),
  decide: decideRetention,
  read: readRetentionRecord,
};

/**
 * Whether and how old table partitions leave the table, in its next version: exactly the files that they have
 * now. What a late drain adds to one afterwards is the next retention's. Moves no offset. Pure.
 */
export function decideRetention(
  snapshot: Snapshot | undefined,
  retention: Retention,
  facts: Pick<CommitFacts, 'nowMs' | 'txnId' | 'versionsSincePlan'>,
): RetentionDecision {
  const refused = refuseMaintenance(snapshot, retention);
  if (refused !== undefined) return refused;
  assert(snapshot !== undefined, 'a table that is gone is refused');
  const ended = findCommitted(retention, facts, readRetentionRecord) ?? refuseRule(snapshot, retention.rule);
  if (ended !== undefined) return ended;
  const { files, dropped } = findOldPartitions(snapshot, retention.rule);
  if (files.length === 0) return { kind: 'nothingOld', dropped };
  const actions: Action[] = [
    { commitInfo: retentionCommitInfo(retention, dropped, facts) },
    ...files.map((add) => ({ remove: removeOf(add, facts, true) })),
  ];
  return { kind: 'commit', tableVersion: snapshot.tableVersion + 1, actions };
}

/** What keeps this table from dropping partitions by this rule. */
export function refuseRule(
  { metaData: { partitionColumns, configuration } }: Snapshot,
  { column }: Pick<RetentionRule, 'column'>,
): Refused | undefined {
  if (configuration['delta.appendOnly']?.toLowerCase() === 'true') return { kind: 'appendOnly' };
  if (partitionColumns.includes(column)) return undefined;
  const by = partitionColumns.length === 0 ? 'nothing' : partitionColumns.join(', ');
  const difference = `table.retention uses ${column}, but the table is partitioned by ${by}.`;
  return { kind: 'schemaMismatch', differences: [difference] };
}

/**
 * The files of table partitions that are old now. A null, and a value that is no time, never is.
 *
 * A unit has ended by the cut-off exactly when it begins before the unit that the cut-off lies in.
 */
export function findOldPartitions(
  { files }: Pick<Snapshot, 'files'>,
  { column, unit, cutOffMs }: RetentionRule,
): { readonly files: readonly Add[]; readonly dropped: DroppedPartitions } {
  const firstKeptMs = startOfUnit(unit, cutOffMs);
  const old = [...files.values()].flatMap((add) => {
    const text = add.partitionValues[column] ?? '';
    const beginsMs = partitionMoment(text);
    return beginsMs !== undefined && beginsMs < firstKeptMs ? [{ add, text, beginsMs }] : [];
  });
  const units = old.toSorted((one, other) => one.beginsMs - other.beginsMs).map(({ text }) => text);
  const adds = old.map(({ add }) => add);
  const dropped = {
    column,
    before: unitText(unit, firstKeptMs),
    oldest: units[0] ?? null,
    newest: units.at(-1) ?? null,
    partitions: new Set(adds.map(({ partitionValues }) => tablePartitionKey(partitionValues))).size,
    files: adds.length,
    rows: knownRowsOf(adds),
    bytes: adds.reduce((sum, { size }) => sum + size, 0),
  };
  return { files: adds, dropped };
}

function startOfUnit(unit: TimeUnit, ms: number): number {
  const date = new Date(ms);
  date.setUTCMinutes(0, 0, 0);
  if (unit !== 'hour') date.setUTCHours(0);
  if (unit === 'month') date.setUTCDate(1);
  if (unit === 'year') date.setUTCMonth(0, 1);
  return date.getTime();
}

/** As `truncatedTime` of records/partition-text.ts writes it. */
function unitText(unit: TimeUnit, ms: number): string {
  const text = new Date(ms).toISOString();
  return unit === 'hour' ? `${text.slice(0, 13)}:00:00.000000Z` : text.slice(0, 10);
}

const MOMENT = /^([+-]?\d{4,6})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?Z?)?$/;

/**
 * A DATE or TIMESTAMP as any engine writes it into `partitionValues`, in UTC. `Date.UTC` takes the years 0 to
 * 99 for others.
 */
function partitionMoment(text: string): number | undefined {
  const [whole, year, month, day, hour = 0, minute = 0, second = 0] = MOMENT.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(Number(hour), Number(minute), Number(second));
  return date.getTime();
}

/** Null where a file does not tell. */
function knownRowsOf(adds: readonly Add[]): number | null {
  return adds.reduce<number | null>((sum, { stats }) => {
    const rows = parseStats(stats)?.numRecords;
    return sum === null || typeof rows !== 'number' ? null : sum + rows;
  }, 0);
}

/** The retention that a version committed; undefined where the version is none of ours. */
export function readRetentionRecord(version: CommittedVersion): RetentionRecord | undefined {
  const info = commitInfoAs('retain', version);
  if (info === undefined) return undefined;
  const { batchId, totals, retention } = info as { batchId: string; totals: object; retention: object };
  const dropped = { ...retention, ...totals } as DroppedPartitions;
  return { tableVersion: version.tableVersion, batchId, dropped };
}

function retentionCommitInfo(
  retention: Retention,
  { column, before, oldest, newest, ...totals }: DroppedPartitions,
  facts: Pick<CommitFacts, 'nowMs' | 'txnId'>,
): CommitInfo {
  const { pipeline, batchId, rule } = retention;
  const operation = {
    operation: 'DELETE',
    operationParameters: { predicate: `["(${column} < '${before}')"]`, pipeline, batchId },
    operationMetrics: {
      numRemovedFiles: String(totals.files),
      numRemovedBytes: String(totals.bytes),
      ...(totals.rows !== null && { numDeletedRows: String(totals.rows) }),
    },
    isBlindAppend: false,
  };
  return {
    ...runCommitInfo('retain', retention, operation, facts),
    cutOff: String(rule.cutOffMs),
    retention: { column, before, oldest, newest },
    totals,
  };
}
