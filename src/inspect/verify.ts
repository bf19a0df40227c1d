import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';
import { withSource } from '../kafka/connect-source.ts';
import { selectTopics } from '../kafka/topic-names.ts';
import { openLetterTable } from '../letters/dead-letter-table.ts';
import type { Specification } from '../pipeline/specification.ts';
import { topicChange } from '../repair/answers.ts';
import { diagnoseTopics } from '../repair/diagnosis.ts';
import { openTable, requireSnapshot } from '../runs/open-table.ts';
import type { Outside } from '../runs/outside.ts';
import type { Disagreements } from '../verify/disagreements.ts';
import type { History } from '../verify/history-check.ts';
import { checkKafkaRecords, type KafkaRecordsReport } from '../verify/kafka-records.ts';
import { type Verified, verify } from '../verify/verify.ts';

const KAFKA_WITHIN_MS = 3_000;
/** DuckDB's; with this process and the other's JavaScript about twice as much. */
const MEMORY_BYTES = 96 * 1024 ** 2;
const THREADS = 2;

export interface VerifyPipelineOptions {
  /** Ledger, sizes and footers alone: no page and no row is read. */
  readonly isQuick: boolean;
  /**
   * What Kafka is asked: nothing, where its topics begin and end, or its records of committed offsets too.
   */
  readonly kafka: 'none' | 'topics' | 'records';
  /** An empty folder for what does not fit into memory; the caller removes it. */
  readonly scratchFolder: string;
  /** A line that says how far it is; often. */
  readonly onProgress: (text: string) => void;
}

export interface VerifiedPipeline extends Verified {
  readonly pipeline: string;
  readonly location: string;
  readonly kafka: KafkaCheck;
  readonly isQuick: boolean;
  readonly durationMs: number;
}

/** Which topics were compared, and their records where that was asked for; or why none was. */
export type KafkaCheck =
  | { readonly topics: number; readonly records?: KafkaRecordsReport }
  | { readonly notLooked: string };

/**
 * Proves a pipeline's table against its own ledger and, where asked for, against Kafka. Reads only. Throws
 * TABLE_NOT_FOUND where nothing was drained yet; if Kafka does not answer, `kafka` says so.
 */
export async function verifyPipeline(
  specification: Specification,
  outside: Outside,
  options: VerifyPipelineOptions,
): Promise<VerifiedPipeline> {
  const startedAtMs = performance.now();
  const { isQuick, scratchFolder, onProgress } = options;
  const main = openTable(specification, outside);
  const letters = openLetterTable(specification, outside);
  const letterSnapshot = await letters.log.snapshot();
  const snapshot = await requireSnapshot(main, specification);
  let kafka: KafkaCheck = { notLooked: 'not asked for' };
  const verified = await verify(
    { main, letters },
    { snapshot, letterSnapshot },
    {
      isQuick,
      scan: { spillFolder: scratchFolder, memoryLimitBytes: MEMORY_BYTES, threads: THREADS },
      onProgress,
    },
    async (table, history, found) => {
      if (options.kafka === 'none') return;
      const recordsToo = options.kafka === 'records' ? { history, onProgress } : undefined;
      kafka = await checkKafka(specification, outside, table, found, recordsToo);
    },
  );
  return {
    ...{ pipeline: specification.name, location: specification.table.location, ...verified, kafka, isQuick },
    durationMs: Math.round(performance.now() - startedAtMs),
  };
}

interface RecordsToo {
  readonly history: History;
  readonly onProgress: (text: string) => void;
}

/**
 * Topic ids, and where logs begin and end, against the table's next offsets; where asked for, records too.
 */
async function checkKafka(
  specification: Specification,
  { environment }: Outside,
  snapshot: Snapshot,
  found: Disagreements,
  recordsToo: RecordsToo | undefined,
): Promise<KafkaCheck> {
  const { source } = specification;
  try {
    return await withSource(source, { withinMs: KAFKA_WITHIN_MS, environment }, async (kafka) => {
      const topics = await kafka.describeTopics(await selectTopics(source.topics, kafka));
      const findings = diagnoseTopics(snapshot, specification, topics);
      for (const { problem, text, topic } of findings)
        found.add('topic', topic === undefined ? {} : { topic }, `${problem}: ${text}`);
      if (recordsToo === undefined) return { topics: topics.length };
      const { history, onProgress } = recordsToo;
      const { ranges, topicSince } = history;
      const same = topics.filter((topic) => topicChange(snapshot, topic) === 'same');
      const checks = { source: kafka, topics: same, topicSince, found, onProgress };
      return { topics: topics.length, records: await checkKafkaRecords(ranges, checks) };
    });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.code === 'TOPIC_NOT_FOUND') found.add('topic', {}, `${error.code}: ${error.message}`);
    return { notLooked: `${error.code}: ${error.message.split('\n')[0]}` };
  }
}
