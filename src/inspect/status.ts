import { cutOffOf, newestRetryOf } from '../commits/pipeline-state.ts';
import { lettersRetried } from '../commits/retried-letters.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { TopicDescription } from '../kafka/source.ts';
import { openLetterTable } from '../letters/dead-letter-table.ts';
import type { Specification } from '../pipeline/specification.ts';
import { diagnoseTable, diagnoseTopics, type Finding } from '../repair/diagnosis.ts';
import { type LiveFile, liveFiles, type OpenTable, openTable } from '../runs/open-table.ts';
import type { Outside } from '../runs/outside.ts';
import { withTemporal } from '../temporal/client.ts';
import { listSchedules, type ScheduleState } from '../temporal/schedules.ts';
import { type PartitionLag, partitionLags, readKafkaPositions } from './lag.ts';
import { type Part, part } from './part.ts';
import { type RunStatus, runningWorkflows } from './running.ts';

const RECENT_COMMITS = 5;

export interface Status {
  readonly pipeline: string;
  readonly location: string;
  /** `tableVersion` -1 where there is no table yet. */
  readonly table: Part<TableStatus | { readonly tableVersion: -1 }>;
  readonly kafka: Part<{ readonly reachable: true }>;
  /** Those of the table and of Kafka, whichever of the two are known, by topic and number. */
  readonly partitions: readonly PartitionLag[];
  /** What `repair` would explain; of topics only where Kafka was reached. */
  readonly findings: readonly Pick<Finding, 'problem' | 'topic'>[];
  /** Drains, compactions and vacuums that are running now. */
  readonly runs: Part<readonly RunStatus[]>;
  readonly schedules: Part<readonly ScheduleState[]>;
}

export interface TableStatus {
  readonly tableVersion: number;
  /** Live data files. */
  readonly files: number;
  /** Of live data files. */
  readonly bytes: number;
  /** Null where another writer left files without statistics. */
  readonly rows: number | null;
  readonly deadLetters: Part<DeadLetterStatus>;
  /** ISO 8601: the latest vacuum deleted files that were older; null before the first. */
  readonly vacuumedUntil: string | null;
  /** The newest five, newest first. */
  readonly recentCommits: readonly CommitStatus[];
}

export interface DeadLetterStatus {
  readonly location: string;
  /** Published; null where another writer left files without statistics. */
  readonly letters: number | null;
  /** Those of them that `dead-letters retry` has settled. */
  readonly retried: number;
}

export interface CommitStatus {
  readonly tableVersion: number;
  /** ISO 8601; null where its writer left no time. */
  readonly committedAt: string | null;
  /**
   * `drain`, `retry`, `compact`, ... of ours; the operation of others; `unknown` if the version names none.
   */
  readonly operation: string;
  /** Of our own commits: `rows`, `files` and what else its totals hold. */
  readonly totals?: Readonly<Record<string, unknown>>;
}

/**
 * The status of a pipeline: its table, Kafka, Temporal, side by side. A part that cannot be had is a
 * `problem` in its place; Kafka is given up after 3 s, a run's progress after 2 s.
 */
export async function readStatus(specification: Specification, outside: Outside): Promise<Status> {
  const { name: pipeline } = specification;
  const opened = openTable(specification, outside);
  const [snapshot, kafka, temporal] = await Promise.all([
    part(opened.log.snapshot()),
    part(readKafkaPositions(specification, outside)),
    part(temporalStatus(pipeline)),
  ]);
  const isRead = snapshot === undefined || !('problem' in snapshot);
  return {
    pipeline,
    location: specification.table.location,
    table: isRead ? await tableStatus(specification, opened, snapshot) : snapshot,
    kafka: 'problem' in kafka ? kafka : { reachable: true },
    partitions: partitionLags(isRead ? snapshot : undefined, 'problem' in kafka ? [] : kafka.partitions),
    findings:
      isRead && snapshot !== undefined
        ? findingsOf(snapshot, specification, 'problem' in kafka ? undefined : kafka.topics)
        : [],
    runs: 'problem' in temporal ? temporal : temporal.runs,
    schedules: 'problem' in temporal ? temporal : temporal.schedules,
  };
}

async function tableStatus(
  specification: Specification,
  opened: OpenTable,
  snapshot: Snapshot | undefined,
): Promise<Status['table']> {
  if (snapshot === undefined) return { tableVersion: -1 };
  const files = liveFiles(opened, snapshot);
  const cutOff = cutOffOf(snapshot);
  return {
    tableVersion: snapshot.tableVersion,
    files: files.length,
    bytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    rows: sumRows(files),
    deadLetters: await part(deadLetterStatus(specification, opened, snapshot)),
    vacuumedUntil: cutOff === undefined ? null : new Date(cutOff).toISOString(),
    recentCommits: (await opened.log.recentCommits(RECENT_COMMITS)).map(({ tableVersion, commitInfo }) => ({
      tableVersion,
      committedAt:
        typeof commitInfo?.timestamp === 'number' ? new Date(commitInfo.timestamp).toISOString() : null,
      operation: String(commitInfo?.tidemark ?? commitInfo?.operation ?? 'unknown'),
      ...(isMapping(commitInfo?.totals) && { totals: commitInfo.totals }),
    })),
  };
}

function sumRows(files: readonly LiveFile[]): number | null {
  const counts = files.map(({ rows }) => rows);
  return counts.includes(undefined) ? null : counts.reduce<number>((sum, rows) => sum + (rows ?? 0), 0);
}

async function deadLetterStatus(
  specification: Specification,
  main: OpenTable,
  mainSnapshot: Snapshot,
): Promise<DeadLetterStatus> {
  const letters = openLetterTable(specification, main.outside);
  const snapshot = await letters.log.snapshot();
  const files = snapshot === undefined ? [] : liveFiles(letters, snapshot);
  const retried = await lettersRetried(main.log, newestRetryOf(mainSnapshot));
  return { location: letters.store.root, letters: sumRows(files), retried: retried.size };
}

/** A Kafka that was not reached has no topics to compare: each would look deleted. */
function findingsOf(
  snapshot: Snapshot,
  specification: Specification,
  topics: readonly TopicDescription[] | undefined,
): Status['findings'] {
  const ofTable = diagnoseTable(snapshot, specification);
  const ofTopics = topics === undefined ? [] : diagnoseTopics(snapshot, specification, topics);
  const findings = ofTable.length > 0 ? ofTable : ofTopics;
  return findings.map(({ problem, topic }) => ({ problem, ...(topic !== undefined && { topic }) }));
}

async function temporalStatus(
  pipeline: string,
): Promise<{ runs: readonly RunStatus[]; schedules: readonly ScheduleState[] }> {
  return await withTemporal(async (client) => ({
    runs: await runningWorkflows(client, pipeline),
    schedules: await listSchedules(client, [pipeline]),
  }));
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
