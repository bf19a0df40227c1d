import { hostname, userInfo } from 'node:os';
import { Argument } from 'commander';
import { ANSWERS, type Answer } from '../../commits/repair.ts';
import type { Snapshot } from '../../delta/snapshot.ts';
import { Failure } from '../../errors.ts';
import type { Specification } from '../../pipeline/specification.ts';
import { type AcceptOptions, type Answered, FORGET_LETTERS, movesJson } from '../../repair/answered.ts';
import { seenTable } from '../../repair/answers.ts';
import type { OpenTable } from '../../runs/open-table.ts';
import { confirm } from '../../terminal/confirm.ts';
import type { Context, Verb } from '../../terminal/context.ts';

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
        new Argument('[answer]', 'your decision; without one, shows what is wrong').choices([
          ...ANSWERS,
          FORGET_LETTERS,
        ]),
      )
      .argument('[topic]', 'for accept-topic: TOPIC; for skip-lost: TOPIC or TOPIC/PARTITION, default all')
      .option('--from <place>', 'accept-topic: where to begin, earliest or latest')
      .option('--topic-id <id>', 'accept-topic: only if the topic still has this id')
      .option('--deleted', 'accept-topic: the topic is gone for good')
      .option('--reason <text>', "why; kept in the table's history")
      .option('--yes', 'do not ask')
      .option('--dry-run', 'show what would be done; changes nothing')
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
Each answer is one commit that stays in the table's history. All but the last
end the runs that are under way with FENCED:
  accept-topic           continue with a topic that was created again, or whose
                         log ends before the table's offset
  skip-lost              continue after offsets that Kafka no longer has
  adopt                  let this pipeline write to a table of another pipeline,
                         or of none
  restore                make the offsets match the rows after a RESTORE
  forget-letters         publish dead letters without the files that are gone;
                         those letters are given up
Nothing is ever deleted: rows stay as they are.`;

/** Exit code of a diagnosis that found something: a person must decide. */
const FOUND = 4;

async function diagnose(context: Context, pipeline: string, options: RepairOptions): Promise<void> {
  if (Object.keys(options).length > 0) {
    throw usage(pipeline, `--${Object.keys(options)[0]} needs an answer; without one, nothing is repaired.`);
  }
  const specification = await context.loadPipeline(pipeline);
  const { diagnosePipeline } = await import('../../repair/diagnose.ts');
  const { describeFindings } = await import('./text.ts');
  const found = await diagnosePipeline(specification, context);
  context.output.result(found, () => describeFindings(found, context.output));
  if (found.findings.length > 0) process.exitCode = FOUND;
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
  const opened = openTable(specification, context);
  const snapshot = await requireSnapshot(opened, specification);
  if (answer === FORGET_LETTERS) {
    const { repairLetters } = await import('./letters.ts');
    return await repairLetters(context, specification, opened, snapshot, { ...options, who: who() });
  }
  const { withAnswer } = await import('../../repair/carry-out.ts');
  await withAnswer(opened, snapshot, specification, { ...options, answer, topic }, (answered) =>
    carryOut(context, specification, opened, snapshot, answer, answered, options),
  );
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
      throw usage(pipeline, `--${odd === 'topicId' ? 'topic-id' : odd} is only for accept-topic.`);
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
  return new Failure(
    'USAGE',
    problem,
    `See what is wrong, and the commands for it: tidemark repair ${pipeline}`,
  );
}

/** Shows, asks, looks again, commits. */
async function carryOut(
  { output }: Context,
  specification: Specification,
  opened: OpenTable,
  snapshot: Snapshot,
  answer: Answer,
  answered: Answered,
  { reason = '', yes, dryRun }: RepairOptions,
): Promise<void> {
  const { commitAnswer } = await import('../../repair/carry-out.ts');
  const { describeChange, describeRepaired } = await import('./text.ts');
  const { name: pipeline, table } = specification;
  const result = { pipeline, answer, location: table.location, partitions: movesJson(answered) };
  if (answered.kind === 'nothingToDo') {
    output.result({ ...result, outcome: 'nothingToDo' }, () => answered.why);
    return;
  }
  const shown = describeChange(answered, seenTable(snapshot).epoch, output);
  if (dryRun) {
    output.result({ ...result, outcome: 'planned' }, () => `${output.style('yellow', 'Dry run.')} ${shown}`);
    return;
  }
  output.note(shown);
  if (!yes) await confirm(pipeline);
  const said = { answer, who: who(), reason };
  const repaired = await commitAnswer(opened, snapshot, specification, answered, said);
  const { tableVersion, epoch } = repaired;
  output.result({ ...result, outcome: 'committed', tableVersion, epoch: String(epoch) }, () =>
    describeRepaired(pipeline, repaired, output),
  );
}

function who(): string {
  return `${userInfo().username}@${hostname()}`;
}
