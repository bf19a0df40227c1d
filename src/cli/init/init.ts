import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { Failure } from '../../errors.ts';
import { formatCount } from '../../format.ts';
import type { ProposalRequest, Proposed } from '../../init/propose.ts';
import type { Sample } from '../../kafka/sample.ts';
import type { KafkaSource, TopicDescription } from '../../kafka/source.ts';
import type { Context, Verb } from '../../terminal/context.ts';
import type { Output } from '../../terminal/output.ts';

const KAFKA_WITHIN_MS = 5_000;
const SAMPLE_WITHIN_MS = 20_000;
const SAMPLE_BYTES_MAX = 64 * 1024 * 1024;
const DEFAULT_RECORDS = 2_000;
const RECORDS_MAX = 100_000;
const DEFAULT_SERVERS = '127.0.0.1:9092';

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
      'Write a pipeline file for your topics: reads a sample of their records, proposes schema, time formats and table\n' +
        'partitions with the evidence, and decodes the sample with them. At a terminal it asks; elsewhere, or with --yes,\n' +
        'it takes the options. Elsewhere and without --yes, it prints the file and writes nothing.',
    )
    .argument('[name]', 'name of the pipeline: NAME.yaml in the pipelines folder')
    .option(
      '--bootstrap-servers <servers>',
      `brokers: host:port, separated by commas; default: KAFKA_BROKERS, else ${DEFAULT_SERVERS}`,
    )
    .option('--topic <topic>', 'a topic to drain; repeat for more', several, [])
    .option('--location <folder>', "the table's folder, relative to the file")
    .option('--records <count>', 'records to sample', String(DEFAULT_RECORDS))
    .option('--not-null <column>', 'a column that every record must have; repeat for more', several)
    .option('--decimal <path>', 'a fraction that is an exact amount: DECIMAL instead of DOUBLE', several, [])
    .option(
      '--partition-by <term>',
      'a column, or a term such as day(column); none for no table partitions',
      several,
    )
    .option('--yes', 'write the proposed file without asking')
    .option('--force', 'replace an existing file');
}

async function init(context: Context, name: string | undefined, options: InitOptions): Promise<void> {
  const { output, pipelinesFolder } = context;
  const { canAsk } = await import('../../terminal/ask.ts');
  const { requireFree, writePipelineFile } = await import('../../init/pipeline-file.ts');
  const { propose } = await import('../../init/propose.ts');
  const { askToWrite, refine } = await import('./questions.ts');
  const { withSource } = await import('../../kafka/connect-source.ts');
  const asks = canAsk() && !options.yes && output.format === 'text';
  const records = recordsOf(options.records);
  const mayReplace = options.force === true;
  if (name !== undefined) await requireFree(pipelinesFolder, name, mayReplace);
  const servers = await serversOf(context, options, asks);
  const { environment } = context;
  const connection = { bootstrapServers: servers.split(',') };
  await withSource(connection, { withinMs: KAFKA_WITHIN_MS, environment }, async (source) => {
    const chosen = await topicsOf(source, options, asks);
    const topics = await source.describeTopics([...new Set(chosen)]);
    const pipeline = name ?? (await nameOf(pipelinesFolder, topics, mayReplace, asks));
    output.note(`Reading up to ${formatCount(records)} records of ${chosen.join(', ')} ...`);
    const sample = await sampleOf(source, topics, chosen, records);
    const request = requestFor(context, options, { pipeline, servers, topics, sample });
    const proposed = asks ? await refine(request, output) : propose(request);
    const isWanted = asks ? await askToWrite(proposed.path) : options.yes === true;
    if (isWanted) await writePipelineFile(proposed.path, proposed.text, mayReplace);
    await report(output, proposed, isWanted, asks);
  });
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

async function serversOf({ environment }: Context, options: InitOptions, asks: boolean): Promise<string> {
  const known = options.bootstrapServers ?? (environment.KAFKA_BROKERS || undefined);
  if (known !== undefined) return known;
  if (!asks) return DEFAULT_SERVERS;
  const { askServers } = await import('./questions.ts');
  return await askServers(DEFAULT_SERVERS);
}

async function topicsOf(
  source: KafkaSource,
  { topic }: InitOptions,
  asks: boolean,
): Promise<readonly string[]> {
  if (topic.length > 0) return topic;
  const names = await source.listTopics();
  if (names.length === 0)
    throw new Failure(
      'TOPIC_NOT_FOUND',
      'The Kafka cluster has no topics.',
      'Create one and put records into it.',
    );
  if (asks) {
    const { askTopics } = await import('./questions.ts');
    return await askTopics(source, names);
  }
  const some = names.slice(0, 10).join(', ');
  throw new Failure(
    'USAGE',
    'No topic was named.',
    `Name one or more: --topic TOPIC. There are: ${some}${names.length > 10 ? `, and ${names.length - 10} more` : ''}.`,
  );
}

async function nameOf(
  folder: string,
  topics: readonly TopicDescription[],
  mayReplace: boolean,
  asks: boolean,
): Promise<string> {
  const { nameFor, requireFree } = await import('../../init/pipeline-file.ts');
  const { askName } = await import('./questions.ts');
  const proposed = nameFor(topics.map(({ topic }) => topic));
  const name = asks ? await askName(proposed) : proposed;
  await requireFree(folder, name, mayReplace);
  return name;
}

async function sampleOf(
  source: KafkaSource,
  topics: readonly TopicDescription[],
  chosen: readonly string[],
  records: number,
): Promise<Sample> {
  const { nothingToSample, sampleTopics } = await import('../../kafka/sample.ts');
  const signal = AbortSignal.timeout(SAMPLE_WITHIN_MS);
  const sample = await sampleTopics(source, topics, { records, bytes: SAMPLE_BYTES_MAX, signal });
  if (sample.records.length === 0) throw nothingToSample(chosen);
  return sample;
}

interface Found extends Pick<ProposalRequest, 'pipeline' | 'topics' | 'sample'> {
  readonly servers: string;
}

function requestFor(context: Context, options: InitOptions, { servers, ...found }: Found): ProposalRequest {
  const { pipelinesFolder, environment } = context;
  const { location, notNull, decimal, partitionBy } = options;
  const schema = fileURLToPath(new URL('../../../docs/pipeline.schema.json', import.meta.url));
  return {
    ...found,
    path: join(pipelinesFolder, `${found.pipeline}.yaml`),
    bootstrapServers: serversInFile(context, options, servers),
    location: location ?? `${besideFolder(context) ? '..' : '.'}/tables/${found.pipeline}`,
    jsonSchema: relative(pipelinesFolder, schema),
    environment,
    notNull: notNull && new Set(notNull),
    decimals: new Set(decimal),
    partitionBy,
  };
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

async function report(
  output: Output,
  proposed: Proposed,
  isWritten: boolean,
  wasShown: boolean,
): Promise<void> {
  const { proposalJson } = await import('../../init/proposal-json.ts');
  const { describeNext, describeProposal, shortest } = await import('./text.ts');
  const { pipeline, path, text } = proposed;
  output.result(proposalJson(proposed, isWritten), () =>
    [
      ...(wasShown ? [] : [describeProposal(proposed, output), '']),
      isWritten ? `Written: ${shortest(path)}` : text,
    ].join('\n'),
  );
  if (isWritten) output.note(describeNext(pipeline));
  else
    output.note(
      wasShown ? 'Nothing was written.' : `Nothing was written: --yes writes it to ${shortest(path)}.`,
    );
}
