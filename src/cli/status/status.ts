import type { Client } from '@temporalio/client';
import { committedPartitions } from '../../commits/batch.ts';
import { compactId, type DrainProgress, drainId, vacuumId } from '../../contract.ts';
import type { Snapshot } from '../../delta/snapshot.ts';
import { Failure } from '../../errors.ts';
import type { TopicDescription } from '../../kafka/source.ts';
import type { Specification } from '../../pipeline/specification.ts';
import type { Finding } from '../../repair/diagnosis.ts';
import type { LiveFile, OpenTable } from '../../runs/open-table.ts';
import type { ScheduleState } from '../../temporal/schedules.ts';
import type { Context, Verb } from '../../terminal/context.ts';
import { describeStatus } from './text.ts';

const RECENT_COMMITS = 5;
const KAFKA_WITHIN_MS = 3_000;
const PROGRESS_WITHIN_MS = 2_000;

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .addHelpText(
        'after',
        '\nWhat cannot be reached is said in a line of its own; the rest is shown all the same.',
      )
      .action((pipeline: string) => status(context, pipeline));
  },
};

/** A part of the status, or why it could not be had. */
type Part<T> = T | { readonly problem: string };

export interface Status {
  readonly pipeline: string;
  readonly location: string;
  readonly table: Part<TableStatus | { readonly tableVersion: -1 }>;
  readonly kafka: Part<{ readonly reachable: true }>;
  /** Offsets are decimal strings, null where not known. */
  readonly partitions: readonly PartitionStatus[];
  /** What `repair` would explain; of topics only where Kafka was reached. */
  readonly findings: readonly Pick<Finding, 'problem' | 'topic'>[];
  readonly runs: Part<readonly RunStatus[]>;
  readonly schedules: Part<readonly ScheduleState[]>;
}

export interface TableStatus {
  readonly tableVersion: number;
  readonly files: number;
  readonly bytes: number;
  /** Null where another writer left files without statistics. */
  readonly rows: number | null;
  /** ISO 8601: the latest vacuum deleted files that were older; null before the first. */
  readonly vacuumedUntil: string | null;
  readonly recentCommits: readonly CommitStatus[];
  readonly deadLetters: Part<DeadLetterStatus>;
}

interface DeadLetterStatus {
  readonly location: string;
  /** Published; null where another writer left files without statistics. */
  readonly letters: number | null;
  /** Those of them that `dead-letters retry` has settled. */
  readonly retried: number;
}

interface CommitStatus {
  readonly tableVersion: number;
  /** ISO 8601. */
  readonly committedAt: string | null;
  readonly operation: string;
  /** Of our own commits: `rows`, `files` and what else its totals hold. */
  readonly totals?: Readonly<Record<string, unknown>>;
}

export interface PartitionStatus {
  readonly topic: string;
  readonly kafkaPartition: number;
  /** Next offset to read. */
  readonly committedOffset: string | null;
  readonly logEndOffset: string | null;
  /** Offsets that a drain would read now. */
  readonly lag: string | null;
}

export interface RunStatus {
  readonly workflowId: string;
  readonly startedAt: string;
  readonly progress: Part<DrainProgress> | null;
}

async function status(context: Context, pipeline: string): Promise<void> {
  const specification = await context.loadPipeline(pipeline);
  const { openTable } = await import('../../runs/open-table.ts');
  const opened = openTable(specification, context.openStore);
  const [snapshot, kafka, temporal] = await Promise.all([
    part(opened.log.snapshot()),
    part(kafkaStatus(specification)),
    part(temporalStatus(pipeline)),
  ]);
  const isRead = snapshot === undefined || !('problem' in snapshot);
  const found: Status = {
    pipeline,
    location: specification.table.location,
    table: isRead ? await tableStatus(specification, opened, snapshot) : snapshot,
    kafka: 'problem' in kafka ? kafka : { reachable: true },
    partitions: partitionStatus(isRead ? snapshot : undefined, 'problem' in kafka ? [] : kafka.partitions),
    findings:
      isRead && snapshot !== undefined
        ? await findingsOf(snapshot, specification, 'problem' in kafka ? [] : kafka.topics)
        : [],
    runs: 'problem' in temporal ? temporal : temporal.runs,
    schedules: 'problem' in temporal ? temporal : temporal.schedules,
  };
  context.output.result(found, () => describeStatus(found, context.output));
}

async function part<T>(work: Promise<T>): Promise<Part<T>> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { problem: `${error.code}: ${error.message.split('\n')[0]}` };
  }
}

async function tableStatus(
  specification: Specification,
  opened: OpenTable,
  snapshot: Snapshot | undefined,
): Promise<Status['table']> {
  if (snapshot === undefined) return { tableVersion: -1 };
  const { liveFiles } = await import('../../runs/open-table.ts');
  const { cutOffOf } = await import('../../commits/vacuum.ts');
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
  const { deadLettersLocation } = await import('../../records/dead-letters.ts');
  const { newestRetryOf } = await import('../../commits/retry.ts');
  const { liveFiles, openTable } = await import('../../runs/open-table.ts');
  const location = deadLettersLocation(specification.table.location);
  const letters = openTable(
    { ...specification, table: { ...specification.table, location } },
    main.openStore,
  );
  const snapshot = await letters.log.snapshot();
  const files = snapshot === undefined ? [] : liveFiles(letters, snapshot);
  const retried = await main.log.lettersRetried(newestRetryOf(mainSnapshot));
  return { location, letters: sumRows(files), retried: retried.size };
}

async function findingsOf(
  snapshot: Snapshot,
  specification: Specification,
  topics: readonly TopicDescription[],
): Promise<Status['findings']> {
  const { diagnoseTable, diagnoseTopics } = await import('../../repair/diagnosis.ts');
  const ofTable = diagnoseTable(snapshot, specification);
  const findings = ofTable.length > 0 ? ofTable : diagnoseTopics(snapshot, specification, topics);
  return findings.map(({ problem, topic }) => ({ problem, ...(topic !== undefined && { topic }) }));
}

interface KafkaStatus {
  readonly topics: readonly TopicDescription[];
  readonly partitions: readonly KafkaPartition[];
}

interface KafkaPartition {
  readonly topic: string;
  readonly kafkaPartition: number;
  readonly logStartOffset: bigint;
  readonly logEndOffset: bigint;
}

async function kafkaStatus({ source }: Specification): Promise<KafkaStatus> {
  const { connectKafka } = await import('../../kafka/kafkajs-source.ts');
  const { assignedPartitions, logEnd } = await import('../../kafka/offsets.ts');
  const { selectTopics } = await import('../../kafka/topic-names.ts');
  const { topics: selection, bootstrapServers } = source;
  const kafka = await connectKafka({ bootstrapServers, connectTimeoutMs: KAFKA_WITHIN_MS });
  try {
    const topics = await kafka.describeTopics(await selectTopics(selection, kafka));
    const partitions = assignedPartitions(selection, topics).map((partition) => ({
      ...partition,
      logEndOffset: logEnd(partition, source.isolation),
    }));
    return { topics, partitions };
  } finally {
    await kafka.close();
  }
}

/** The table's partitions and Kafka's, whichever of them are known. */
function partitionStatus(
  snapshot: Snapshot | undefined,
  kafka: readonly KafkaPartition[],
): PartitionStatus[] {
  const known = new Map<
    string,
    { topic: string; kafkaPartition: number; committed?: bigint; log?: KafkaPartition }
  >();
  for (const log of kafka) {
    known.set(`${log.topic}/${log.kafkaPartition}`, {
      topic: log.topic,
      kafkaPartition: log.kafkaPartition,
      log,
    });
  }
  const ofTable = snapshot === undefined ? [] : committedPartitions(snapshot);
  for (const { topic, kafkaPartition, committedOffset: committed } of ofTable) {
    const key = `${topic}/${kafkaPartition}`;
    known.set(key, { topic, kafkaPartition, ...known.get(key), committed });
  }
  return [...known.values()]
    .sort((a, b) => (a.topic === b.topic ? a.kafkaPartition - b.kafkaPartition : a.topic < b.topic ? -1 : 1))
    .map(({ topic, kafkaPartition, committed, log }) => ({
      topic,
      kafkaPartition,
      committedOffset: committed?.toString() ?? null,
      logEndOffset: log?.logEndOffset.toString() ?? null,
      lag: log ? String(log.logEndOffset - (committed ?? log.logStartOffset)) : null,
    }));
}

async function temporalStatus(
  pipeline: string,
): Promise<{ runs: readonly RunStatus[]; schedules: readonly ScheduleState[] }> {
  const { withTemporal } = await import('../../temporal/client.ts');
  const { listSchedules } = await import('../../temporal/schedules.ts');
  return await withTemporal(async (client) => ({
    runs: await runningWorkflows(client, pipeline),
    schedules: await listSchedules(client, [pipeline]),
  }));
}

/** A Schedule's runs have the time that they were due at in their id. */
async function runningWorkflows(client: Client, pipeline: string): Promise<RunStatus[]> {
  const ids = [drainId(pipeline), compactId(pipeline), vacuumId(pipeline)];
  const prefixes = ids.map((id) => `WorkflowId STARTS_WITH '${id}'`).join(' OR ');
  const runs: RunStatus[] = [];
  for await (const { workflowId, startTime } of client.workflow.list({
    query: `ExecutionStatus = 'Running' AND (${prefixes})`,
  })) {
    const id = workflowId.replace(/-\d{4}-\d\d-\d\dT[\d:.]+Z$/, '');
    if (!ids.includes(id)) continue;
    const progress = id === drainId(pipeline) ? await drainProgress(client, workflowId) : null;
    runs.push({ workflowId, startedAt: startTime.toISOString(), progress });
  }
  return runs;
}

async function drainProgress(client: Client, workflowId: string): Promise<Part<DrainProgress>> {
  try {
    return await client.withDeadline(Date.now() + PROGRESS_WITHIN_MS, () =>
      client.workflow.getHandle(workflowId).query<DrainProgress>('progress'),
    );
  } catch {
    return { problem: 'no worker answers (start one with `tidemark worker`)' };
  }
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
