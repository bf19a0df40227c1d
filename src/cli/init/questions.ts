import { Failure } from '../../errors.ts';
import { formatCount } from '../../format.ts';
import { isIdentifier } from '../../init/infer-schema.ts';
import { isMoneyName } from '../../init/infer-type.ts';
import { type ProposalRequest, type Proposed, propose } from '../../init/propose.ts';
import { offsetsIn } from '../../kafka/sample.ts';
import type { KafkaSource } from '../../kafka/source.ts';
import { askFor, askYes } from '../../terminal/ask.ts';
import { type Output, table } from '../../terminal/output.ts';
import { describeProposal, shortest } from './text.ts';

/** Topics that are shown to choose from, and described to know how much is in them. */
const TOPICS_SHOWN = 40;

export async function askServers(otherwise: string): Promise<string> {
  return await askFor('Kafka brokers, host:port', otherwise);
}

/** @param names all topics of the cluster */
export async function askTopics(source: KafkaSource, names: readonly string[]): Promise<string[]> {
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
  const answer = await askFor('Topics, by number or name, separated by commas', '', (text) => {
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

export async function askName(proposed: string): Promise<string> {
  return await askFor('Name of the pipeline', proposed);
}

export async function askToWrite(path: string): Promise<boolean> {
  return await askYes(`Write ${shortest(path)}?`, true);
}

/** Shows the proposal, and asks what a sample cannot tell. */
export async function refine(request: ProposalRequest, output: Output): Promise<Proposed> {
  let proposed = propose(request);
  process.stderr.write(`\n${describeProposal(proposed, output)}\n\n`);
  const location = await askFor('Folder of the table, relative to the file', request.location);
  const answered = {
    ...request,
    location,
    notNull: request.notNull ?? (await askNotNull(proposed)),
    decimals: request.decimals.size > 0 ? request.decimals : await askDecimals(proposed),
  };
  proposed = propose(answered);
  return request.partitionBy === undefined ? await askPartitions(answered, proposed) : proposed;
}

async function askNotNull({ proposal, observed }: Proposed): Promise<Set<string>> {
  const required = new Set<string>();
  for (const field of proposal.inferred.fields.filter((one) => isIdentifier(one, observed)))
    if (await askYes(`${field.name} is in every record. Refuse records without it (NOT NULL)?`, true))
      required.add(field.name);
  return required;
}

async function askDecimals({ proposal }: Proposed): Promise<Set<string>> {
  const decimals = new Set<string>();
  for (const { path, name, type, seen } of proposal.inferred.fields) {
    const isFraction = type?.kind === 'primitive' && type.name === 'double' && seen.scale > 0;
    if (!isFraction || !isMoneyName(name)) continue;
    const question = `${path} has up to ${seen.scale} decimals. Is it an exact amount (DECIMAL)?`;
    if (await askYes(question, false)) decimals.add(path);
  }
  return decimals;
}

async function askPartitions(request: ProposalRequest, proposed: Proposed): Promise<Proposed> {
  let answered = proposed;
  const suggested = proposed.proposal.partitionBy[0] ?? 'none';
  await askFor('Partition by: a column, day(column) or the like, none', suggested, (term) => {
    if (term === suggested) return undefined;
    try {
      answered = propose({ ...request, partitionBy: [term] });
      return undefined;
    } catch (error) {
      if (error instanceof Failure) return error.message;
      throw error;
    }
  });
  return answered;
}
