import { Failure } from '../../errors.ts';
import { isIdentifier } from '../../init/infer-schema.ts';
import { isMoneyName } from '../../init/infer-type.ts';
import { type ProposalRequest, type Proposed, propose } from '../../init/propose.ts';
import { askFor, askYes } from '../../terminal/ask.ts';
import type { Output } from '../../terminal/output.ts';
import { describeProposal } from './text.ts';

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
