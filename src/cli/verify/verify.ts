import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Snapshot } from '../../delta/snapshot.ts';
import { Failure } from '../../errors.ts';
import type { Specification } from '../../pipeline/specification.ts';
import type { Context, Verb } from '../../terminal/context.ts';
import type { Output } from '../../terminal/output.ts';
import type { Disagreements } from '../../verify/disagreements.ts';
import type { History } from '../../verify/history-check.ts';
import type { KafkaRecordsReport } from '../../verify/kafka-records.ts';
import type { Verified } from '../../verify/verify.ts';
import { describeVerified } from './text.ts';

interface VerifyVerbOptions {
  readonly quick?: boolean;
  readonly kafka: boolean;
  readonly kafkaRecords?: boolean;
}

const KAFKA_WITHIN_MS = 3_000;
/** DuckDB's; with this process and the other's JavaScript about twice as much. */
const MEMORY_BYTES = 96 * 1024 ** 2;
const THREADS = 2;
const PROGRESS_EVERY_MS = 500;
const DISAGREES = 4;

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .option('--quick', 'ledger, sizes and footers alone: neither pages nor rows are read')
      .option('--no-kafka', 'do not ask Kafka where its topics begin and end')
      .option(
        '--kafka-records',
        'read committed offsets again, as far as Kafka still has them, and compare the counts',
      )
      .addHelpText(
        'after',
        '\nReads the whole table, changes nothing, needs neither Temporal nor a worker. Ends with 0 where everything\n' +
          'agrees, with 4 where something does not: docs/verify.md says what each disagreement means.',
      )
      .action((pipeline: string, options: VerifyVerbOptions) => verifyVerb(context, pipeline, options));
  },
};

/** Which topics were compared, and their records where that was asked for; or why none was. */
export type KafkaCheck =
  | { readonly topics: number; readonly records?: KafkaRecordsReport }
  | { readonly notLooked: string };

export interface VerifyResult extends Verified {
  readonly pipeline: string;
  readonly location: string;
  readonly kafka: KafkaCheck;
  readonly isQuick: boolean;
  readonly durationMs: number;
}

async function verifyVerb(context: Context, pipeline: string, options: VerifyVerbOptions): Promise<void> {
  const { output } = context;
  const startedAtMs = performance.now();
  const specification = await context.loadPipeline(pipeline);
  const { openTable, requireSnapshot } = await import('../../runs/open-table.ts');
  const { deadLettersLocation } = await import('../../records/dead-letters.ts');
  const { verify } = await import('../../verify/verify.ts');
  const { location } = specification.table;
  const main = openTable(specification, context.openStore);
  const letters = openTable(
    { ...specification, table: { ...specification.table, location: deadLettersLocation(location) } },
    context.openStore,
  );
  const letterSnapshot = await letters.log.snapshot();
  const snapshot = await requireSnapshot(main, specification);
  const spillFolder = await mkdtemp(join(tmpdir(), 'tidemark-verify-'));
  const removeSpill = () => rm(spillFolder, { recursive: true, force: true });
  context.onInterrupt(removeSpill);
  const onProgress = everySoOften(output);
  let kafka: KafkaCheck = { notLooked: 'not asked for' };
  try {
    const verified = await verify(
      { main, letters },
      { snapshot, letterSnapshot },
      {
        isQuick: options.quick === true,
        scan: { spillFolder, memoryLimitBytes: MEMORY_BYTES, threads: THREADS },
        onProgress,
      },
      async (table, history, found) => {
        if (options.kafka)
          kafka = await checkKafka(
            specification,
            table,
            found,
            options.kafkaRecords ? { history, onProgress } : undefined,
          );
      },
    );
    const result: VerifyResult = {
      ...{ pipeline, location, ...verified, kafka, isQuick: options.quick === true },
      durationMs: Math.round(performance.now() - startedAtMs),
    };
    output.result(result, () => describeVerified(result, output));
    if (result.outcome === 'disagrees') process.exitCode = DISAGREES;
  } finally {
    await removeSpill();
  }
}

interface RecordsToo {
  readonly history: History;
  readonly onProgress: (text: string) => void;
}

/** Topic ids, and where logs begin and end, against the table's next offsets; where asked for, records too. */
async function checkKafka(
  specification: Specification,
  snapshot: Snapshot,
  found: Disagreements,
  recordsToo: RecordsToo | undefined,
): Promise<KafkaCheck> {
  const { connectKafka } = await import('../../kafka/kafkajs-source.ts');
  const { selectTopics } = await import('../../kafka/topic-names.ts');
  const { topicChange } = await import('../../repair/answers.ts');
  const { diagnoseTopics } = await import('../../repair/diagnosis.ts');
  const { topics: selection, bootstrapServers } = specification.source;
  try {
    const kafka = await connectKafka({ bootstrapServers, connectTimeoutMs: KAFKA_WITHIN_MS });
    try {
      const topics = await kafka.describeTopics(await selectTopics(selection, kafka));
      const findings = diagnoseTopics(snapshot, specification, topics);
      for (const { problem, text, topic } of findings)
        found.add('topic', topic === undefined ? {} : { topic }, `${problem}: ${text}`);
      if (recordsToo === undefined) return { topics: topics.length };
      const { checkKafkaRecords } = await import('../../verify/kafka-records.ts');
      const {
        history: { ranges, topicSince },
        onProgress,
      } = recordsToo;
      const same = topics.filter((topic) => topicChange(snapshot, topic) === 'same');
      const records = await checkKafkaRecords(ranges, {
        source: kafka,
        topics: same,
        topicSince,
        found,
        onProgress,
      });
      return { topics: topics.length, records };
    } finally {
      await kafka.close();
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.code === 'TOPIC_NOT_FOUND') found.add('topic', {}, `${error.code}: ${error.message}`);
    return { notLooked: `${error.code}: ${error.message.split('\n')[0]}` };
  }
}

/** On a terminal one line that changes, elsewhere a line now and then. */
function everySoOften(output: Output): (text: string) => void {
  const isTerminal = process.stderr.isTTY === true;
  const everyMs = isTerminal ? PROGRESS_EVERY_MS : 10 * PROGRESS_EVERY_MS;
  let shownAtMs = performance.now();
  return (text) => {
    const now = performance.now();
    if (now - shownAtMs < everyMs) return;
    shownAtMs = now;
    output.note(text);
  };
}
