import { access, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { Failure } from '../../errors.ts';
import { formatCount } from '../../format.ts';
import type { Proposed } from '../../init/propose.ts';
import type { KafkaSource, TopicDescription } from '../../kafka/source.ts';
import type { Context, Verb } from '../../terminal/context.ts';
import { table } from '../../terminal/output.ts';

const KAFKA_WITHIN_MS = 5_000;
const SAMPLE_WITHIN_MS = 20_000;
const SAMPLE_BYTES_MAX = 64 * 1024 * 1024;
const DEFAULT_RECORDS = 2_000;
const RECORDS_MAX = 100_000;
const DEFAULT_SERVERS = '127.0.0.1:9092';
/** Topics that are shown to choose from, and described to know how much is in them. */
const TOPICS_SHOWN = 40;

export interface InitOptions {
  readonly bootstrapServers?: string;
  readonly topic: readonly string[];
  readonly location?: string;
  readonly records: string;
  readonly notNull?: readonly string[];
  readonly decimal: readonly string[];
  readonly partitionBy?: readonly string[];
  readonly yes?: boolean;
  readonly force?: boolean;
}

export const { register }: Verb = {
  register(command, context) {
    const several = (value: string, before: readonly string[] = []) => [...before, value];
    addOptions(command, several).action((name: string | undefined, options: InitOptions) =>
      init(context, name, options),
    );
  },
};

function addOptions(
  command: Command,
  several: (value: string, before?: readonly string[]) => string[],
): Command {
  return command
    .description(
      'Write a pipeline file for topics of yours: reads a sample of their records, proposes schema, times and table\n' +
        'partitions with the evidence, and decodes the sample by them. Asks at a terminal; elsewhere, or with --yes, it\n' +
        'takes the options. Without either nothing is written, and the file is printed.',
    )
    .argument('[name]', 'name of the pipeline: NAME.yaml in the pipelines folder')
    .option(
      '--bootstrap-servers <servers>',
      `brokers, host:port with commas; KAFKA_BROKERS, else ${DEFAULT_SERVERS}`,
    )
    .option('--topic <topic>', 'a topic to drain; again for each further one', several, [])
    .option('--location <folder>', "the table's folder, relative to the file")
    .option('--records <count>', 'records to look at', String(DEFAULT_RECORDS))
    .option(
      '--not-null <column>',
      'a column that every record must have; again for each further one',
      several,
    )
    .option('--decimal <path>', 'a fraction that is an exact amount: DECIMAL instead of DOUBLE', several, [])
    .option(
      '--partition-by <term>',
      'a column, or day(column) and the like; none for no table partitions',
      several,
    )
    .option('--yes', 'write what is proposed, without asking')
    .option('--force', 'replace a file of that name');
}

async function init(context: Context, name: string | undefined, options: InitOptions): Promise<void> {
  const { output } = context;
  const { canAsk } = await import('../../terminal/ask.ts');
  const asks = canAsk() && !options.yes && output.format === 'text';
  const records = recordsOf(options.records);
  if (name !== undefined) await requireFree(context, name, options.force);
  const servers = await serversOf(context, options, asks);
  const { connectSource } = await import('../../kafka/connect-source.ts');
  const source = await connectSource(
    { bootstrapServers: servers.split(',') },
    { withinMs: KAFKA_WITHIN_MS, environment: context.environment },
  );
  try {
    const chosen = options.topic.length > 0 ? options.topic : await chooseTopics(source, asks);
    const topics = await source.describeTopics([...new Set(chosen)]);
    const pipeline = name ?? (await chooseName(context, topics, asks, options.force));
    const path = join(context.pipelinesFolder, `${pipeline}.yaml`);
    const { sampleTopics, nothingToSample } = await import('../../kafka/sample.ts');
    output.note(`Reading up to ${formatCount(records)} records of ${chosen.join(', ')} ...`);
    const signal = AbortSignal.timeout(SAMPLE_WITHIN_MS);
    const sample = await sampleTopics(source, topics, { records, bytes: SAMPLE_BYTES_MAX, signal });
    if (sample.records.length === 0) throw nothingToSample(chosen);
    const { propose } = await import('../../init/propose.ts');
    const request = {
      pipeline,
      path,
      bootstrapServers: serversInFile(context, options, servers),
      location: options.location ?? `${besideFolder(context) ? '..' : '.'}/tables/${pipeline}`,
      jsonSchema: relative(
        context.pipelinesFolder,
        fileURLToPath(new URL('../../../docs/pipeline.schema.json', import.meta.url)),
      ),
      environment: context.environment,
      topics,
      sample,
      notNull: options.notNull && new Set(options.notNull),
      decimals: new Set(options.decimal),
      partitionBy: options.partitionBy,
    };
    const { refine } = await import('./questions.ts');
    const proposed = asks ? await refine(request, output) : propose(request);
    const isWanted = asks ? await confirmed(path) : options.yes === true;
    if (isWanted) await write(path, proposed.text, options.force);
    await report(context, proposed, isWanted, asks);
  } finally {
    await source.close();
  }
}

function recordsOf(text: string): number {
  const records = Number(text);
  if (Number.isInteger(records) && records >= 1 && records <= RECORDS_MAX) return records;
  throw new Failure(
    'USAGE',
    `--records takes a whole number from 1 to ${formatCount(RECORDS_MAX)}, not "${text}".`,
    `Leave it out for ${formatCount(DEFAULT_RECORDS)}.`,
  );
}

async function requireFree(context: Context, name: string, force = false): Promise<void> {
  const { requireName } = await import('../../pipeline/load.ts');
  requireName(name);
  const path = join(context.pipelinesFolder, `${name}.yaml`);
  if (force || !(await exists(path))) return;
  throw new Failure('USAGE', `${path} exists already.`, 'Give another name, or replace it by --force.');
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

async function serversOf({ environment }: Context, options: InitOptions, asks: boolean): Promise<string> {
  const known = options.bootstrapServers ?? (environment.KAFKA_BROKERS || undefined);
  if (known !== undefined) return known;
  if (!asks) return DEFAULT_SERVERS;
  const { askFor } = await import('../../terminal/ask.ts');
  return await askFor('Kafka brokers, host:port', DEFAULT_SERVERS);
}

/** What the environment gave stays a variable, so that the worker's environment decides too. */
function serversInFile({ environment }: Context, options: InitOptions, servers: string): string {
  const fromEnvironment = options.bootstrapServers === undefined && environment.KAFKA_BROKERS === servers;
  return fromEnvironment || servers === DEFAULT_SERVERS ? `\${KAFKA_BROKERS:-${servers}}` : servers;
}

/** Tables lie beside the pipelines folder of a project, else in it. */
function besideFolder({ pipelinesFolder }: Context): boolean {
  return dirname(pipelinesFolder) === process.cwd();
}

async function chooseTopics(source: KafkaSource, asks: boolean): Promise<string[]> {
  const names = await source.listTopics();
  if (names.length === 0)
    throw new Failure(
      'TOPIC_NOT_FOUND',
      'The Kafka cluster has no topics.',
      'Create one and put records into it.',
    );
  if (!asks) {
    const some = names.slice(0, 10).join(', ');
    throw new Failure(
      'USAGE',
      'No topic was named.',
      `Name one or more: --topic TOPIC. There are: ${some}${names.length > 10 ? `, and ${names.length - 10} more` : ''}.`,
    );
  }
  const { offsetsIn } = await import('../../kafka/sample.ts');
  const { askFor } = await import('../../terminal/ask.ts');
  const shown = await source.describeTopics(names.slice(0, TOPICS_SHOWN));
  const rows = shown.map((topic, at) => [
    String(at + 1),
    topic.topic,
    String(topic.partitions.length),
    formatCount(offsetsIn([topic])),
  ]);
  process.stderr.write(`${table(['', 'topic', 'partitions', 'offsets'], rows, [0, 2, 3])}\n`);
  if (names.length > shown.length)
    process.stderr.write(`... and ${names.length - shown.length} more: type a name.\n`);
  const nameOf = (answer: string) => shown[Number(answer) - 1]?.topic ?? answer;
  const answer = await askFor('Topics, by number or name, with commas', '', (text) => {
    const unknown = split(text)
      .map(nameOf)
      .find((name) => !names.includes(name));
    if (split(text).length === 0) return 'Name at least one.';
    return unknown === undefined ? undefined : `There is no topic ${unknown}.`;
  });
  return split(answer).map(nameOf);
}

function split(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

async function chooseName(
  context: Context,
  topics: readonly TopicDescription[],
  asks: boolean,
  force: boolean | undefined,
): Promise<string> {
  const proposed = nameFor(topics.map(({ topic }) => topic));
  if (asks) {
    const { askFor } = await import('../../terminal/ask.ts');
    const name = await askFor('Name of the pipeline', proposed);
    await requireFree(context, name, force);
    return name;
  }
  await requireFree(context, proposed, force);
  return proposed;
}

/** What the topics' names begin with, as a name that SQL takes unquoted. */
export function nameFor(topics: readonly string[]): string {
  const [first = '', ...others] = topics;
  let common = first;
  for (const other of others) while (!other.startsWith(common)) common = common.slice(0, -1);
  const name = (common.replace(/[^A-Za-z0-9]+$/, '') || first)
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
  return (/^[A-Za-z]/.test(name) ? name : `t_${name}`).slice(0, 60);
}

async function confirmed(path: string): Promise<boolean> {
  const { askYes } = await import('../../terminal/ask.ts');
  return await askYes(`Write ${shortest(path)}?`, true);
}

async function write(path: string, text: string, force = false): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text, { flag: force ? 'w' : 'wx' });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Failure(
      'USAGE',
      code === 'EEXIST' ? `${path} exists already.` : `${path} cannot be written: ${code}.`,
      code === 'EEXIST'
        ? 'Give another name, or replace it by --force.'
        : 'Name a folder that you may write to: --pipelines FOLDER.',
      { cause },
    );
  }
}

async function report(
  { output }: Context,
  proposed: Proposed,
  isWritten: boolean,
  wasShown: boolean,
): Promise<void> {
  const { describeProposal, proposalJson } = await import('./text.ts');
  const { pipeline, path, text } = proposed;
  output.result(proposalJson(proposed, isWritten), () =>
    [
      ...(wasShown ? [] : [describeProposal(proposed, output), '']),
      isWritten ? `Written: ${shortest(path)}` : text,
    ].join('\n'),
  );
  if (!isWritten) {
    output.note(
      wasShown ? 'Nothing was written.' : `Nothing was written: --yes writes it to ${shortest(path)}.`,
    );
    return;
  }
  output.note(
    [
      '',
      'Next:',
      `  tidemark worker ${''.padEnd(20)} in a terminal of its own`,
      `  tidemark doctor ${pipeline.padEnd(20)} is everything there that it needs?`,
      `  tidemark drain ${pipeline}`,
      `  tidemark query ${pipeline} 'SELECT * FROM ${/^\w+$/.test(pipeline) ? pipeline : `"${pipeline}"`} LIMIT 10'`,
    ].join('\n'),
  );
}

function shortest(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith('..') ? path : fromHere;
}
