import { randomUUID } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import { Argument } from 'commander';
import { refusal } from '../../commits/refusal.ts';
import { ANSWERS, type Answer, type Repair } from '../../commits/repair.ts';
import type { Snapshot } from '../../delta/snapshot.ts';
import { Failure } from '../../errors.ts';
import { formatCount } from '../../format.ts';
import type { KafkaSource } from '../../kafka/source.ts';
import type { Specification } from '../../pipeline/specification.ts';
import {
  type AcceptOptions,
  type Answered,
  adopt,
  answerAccept,
  answerRestore,
  answerSkip,
} from '../../repair/answered.ts';
import { seenTable } from '../../repair/answers.ts';
import { diagnoseTable, diagnoseTopics, existingTopics, type Finding } from '../../repair/diagnosis.ts';
import type { OpenTable } from '../../runs/open-table.ts';
import { confirm } from '../../terminal/confirm.ts';
import type { Context, Verb } from '../../terminal/context.ts';
import { diagnoseLetters, FORGET_LETTERS, forgetLetters } from './letters.ts';
import { describeChange, describeFindings, partitionsOf } from './text.ts';

/** The last is of the dead-letter table alone. */
type AnyAnswer = Answer | typeof FORGET_LETTERS;

interface RepairOptions extends AcceptOptions {
  readonly reason?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .addArgument(
        new Argument('[answer]', 'what to do about it; without it, what is wrong is shown').choices([
          ...ANSWERS,
          FORGET_LETTERS,
        ]),
      )
      .argument('[topic]', 'of accept-topic: TOPIC; of skip-lost: TOPIC or TOPIC/PARTITION, default all')
      .option('--from <place>', 'accept-topic: where to begin, earliest or latest')
      .option('--topic-id <id>', 'accept-topic: only if this still is the topic, as shown')
      .option('--deleted', 'accept-topic: the topic is gone for good')
      .option('--reason <text>', 'why, for the record')
      .option('--yes', 'do not ask')
      .option('--dry-run', 'show what would be done, changing nothing')
      .addHelpText('after', EFFECTS)
      .action(
        (
          pipeline: string,
          answer: AnyAnswer | undefined,
          topic: string | undefined,
          options: RepairOptions,
        ) =>
          answer === undefined
            ? diagnose(context, pipeline, options)
            : repair(context, pipeline, answer, topic, options),
      );
  },
};

const EFFECTS = `
Answers, each one commit that stays in the table's history and, but for the
last, fences the runs that are under way:
  accept-topic           go on with a topic that was created again, or whose log
                         ends before the table's offset
  skip-lost              go on behind offsets that Kafka no longer has
  adopt                  let this pipeline write to the table of another one, or
                         of none
  restore                let the offsets follow the rows after a RESTORE
  forget-letters         publish dead letters without the files that are gone;
                         those letters are given up
Nothing is ever deleted: rows stay as they are.`;

/** Exit code of a diagnosis that found something: a person must decide. */
const FOUND = 4;

async function diagnose(context: Context, pipeline: string, options: RepairOptions): Promise<void> {
  if (Object.keys(options).length > 0) {
    throw usage(
      pipeline,
      `Without an answer nothing is repaired; --${Object.keys(options)[0]} belongs to one.`,
    );
  }
  const specification = await context.loadPipeline(pipeline);
  const { openTable } = await import('../../runs/open-table.ts');
  const opened = openTable(specification, context.openStore);
  const snapshot = await opened.log.snapshot();
  const findings = snapshot === undefined ? [] : await findingsOf(opened, snapshot, specification);
  const found = {
    pipeline,
    location: specification.table.location,
    tableVersion: snapshot?.tableVersion ?? -1,
    epoch: snapshot === undefined ? null : String(seenTable(snapshot).epoch),
    findings,
  };
  context.output.result(found, () => describeFindings(found, context.output));
  if (findings.length > 0) process.exitCode = FOUND;
}

async function findingsOf(
  opened: OpenTable,
  snapshot: Snapshot,
  specification: Specification,
): Promise<Finding[]> {
  const ofTable = diagnoseTable(snapshot, specification);
  if (ofTable.length > 0) return ofTable;
  const ofLetters = await diagnoseLetters(opened, specification);
  if (ofLetters.length > 0) return ofLetters;
  return await withKafka(specification, async (kafka) =>
    diagnoseTopics(snapshot, specification, await existingTopics(kafka, specification.source)),
  );
}

async function withKafka<T>(
  { source: { bootstrapServers } }: Specification,
  use: (kafka: KafkaSource) => Promise<T>,
): Promise<T> {
  const { connectKafka } = await import('../../kafka/kafkajs-source.ts');
  const kafka = await connectKafka({ bootstrapServers });
  try {
    return await use(kafka);
  } finally {
    await kafka.close();
  }
}

async function repair(
  context: Context,
  pipeline: string,
  answer: AnyAnswer,
  topic: string | undefined,
  options: RepairOptions,
): Promise<void> {
  refuseMisuse(pipeline, answer, topic, options);
  const specification = await context.loadPipeline(pipeline);
  const { openTable, requireSnapshot } = await import('../../runs/open-table.ts');
  const opened = openTable(specification, context.openStore);
  const snapshot = await requireSnapshot(opened, specification);
  if (answer === FORGET_LETTERS)
    return await forgetLetters(context, specification, opened, snapshot, { ...options, who: who() });
  const go = (answered: Answered) =>
    carryOut(context, specification, opened, snapshot, answer, answered, options);
  switch (answer) {
    case 'adopt':
      return await go(adopt(snapshot, specification));
    case 'restore':
      return await go(await answerRestore(opened.log, snapshot, specification));
    case 'accept-topic':
      return await withKafka(specification, async (kafka) =>
        go(await answerAccept(kafka, snapshot, specification, topic ?? '', options)),
      );
    case 'skip-lost':
      return await withKafka(specification, async (kafka) =>
        go(await answerSkip(kafka, snapshot, specification, topic)),
      );
  }
}

function refuseMisuse(
  pipeline: string,
  answer: AnyAnswer,
  topic: string | undefined,
  options: RepairOptions,
): void {
  const { from, deleted } = options;
  if (answer !== 'accept-topic') {
    const odd = (['from', 'topicId', 'deleted'] as const).find((name) => options[name] !== undefined);
    if (odd !== undefined)
      throw usage(pipeline, `--${odd === 'topicId' ? 'topic-id' : odd} belongs to accept-topic.`);
    if (topic !== undefined && answer !== 'skip-lost') throw usage(pipeline, `${answer} takes no topic.`);
    return;
  }
  if (topic === undefined) throw usage(pipeline, 'accept-topic takes the name of a topic.');
  const isPlace = from === 'earliest' || from === 'latest';
  if (deleted ? from !== undefined : !isPlace) {
    throw usage(pipeline, 'accept-topic takes --from earliest, --from latest, or --deleted.');
  }
}

function usage(pipeline: string, problem: string): Failure {
  return new Failure('USAGE', problem, `What is wrong, and the commands for it: tidemark repair ${pipeline}`);
}

/** Shows, asks, looks again, commits. */
async function carryOut(
  { output }: Context,
  specification: Specification,
  { log }: OpenTable,
  snapshot: Snapshot,
  answer: Answer,
  answered: Answered,
  options: RepairOptions,
): Promise<void> {
  const { name: pipeline, table } = specification;
  const result = { pipeline, answer, location: table.location, partitions: partitionsOf(answered) };
  if (answered.kind === 'nothingToDo') {
    output.result({ ...result, outcome: 'nothingToDo' }, () => answered.why);
    return;
  }
  const seen = seenTable(snapshot);
  const shown = describeChange(answered, String(seen.epoch), output);
  if (options.dryRun) {
    output.result({ ...result, outcome: 'planned' }, () => `${output.style('yellow', 'Dry run.')} ${shown}`);
    return;
  }
  output.note(shown);
  if (!options.yes) await confirm(pipeline);
  await answered.stillSo?.();
  const repair: Repair = {
    answer,
    batchId: randomUUID(),
    pipeline,
    who: who(),
    reason: options.reason ?? '',
    seen,
    ...answered.repair,
  };
  const outcome = await log.commitRepair(repair);
  if (outcome.kind === 'schemaMismatch') throw refusal(outcome, table.location, pipeline);
  if (outcome.kind === 'changed') throw changed(pipeline, outcome.differences);
  const { tableVersion, epoch } = outcome.repair;
  output.result(
    { ...result, outcome: 'committed', tableVersion, epoch: String(epoch) },
    () =>
      `${output.style('green', 'Done.')} Table version ${formatCount(tableVersion)}, epoch ${epoch}. Go on: tidemark drain ${pipeline}`,
  );
}

function who(): string {
  return `${userInfo().username}@${hostname()}`;
}

function changed(pipeline: string, differences: readonly string[]): Failure {
  return new Failure(
    'REPAIR_REFUSED',
    ['The table is no longer what was shown; nothing was changed:', ...differences].join('\n  '),
    `Look again: tidemark repair ${pipeline}`,
  );
}
