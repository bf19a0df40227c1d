import type { LettersInTheWay } from '../../commits/publication.ts';
import { type Add, decodePath, parseStats } from '../../delta/actions.ts';
import type { Snapshot } from '../../delta/snapshot.ts';
import { Failure } from '../../errors.ts';
import { formatCount } from '../../format.ts';
import type { Specification } from '../../pipeline/specification.ts';
import { deadLettersLocation } from '../../records/dead-letters.ts';
import { requireOwn } from '../../repair/answered.ts';
import type { Finding, FoundLetterFile } from '../../repair/diagnosis.ts';
import type { OpenTable } from '../../runs/open-table.ts';
import { confirm } from '../../terminal/confirm.ts';
import type { Context } from '../../terminal/context.ts';
import { letterFileTable } from './text.ts';

/** The answer that is a commit of the dead-letter table: the main table stays as it is. */
export const FORGET_LETTERS = 'forget-letters';

export interface ForgetOptions {
  readonly who: string;
  readonly reason?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** What keeps a drain from publishing dead letters. Only of a table that is ours and has no unrepaired RESTORE. */
export async function diagnoseLetters(main: OpenTable, specification: Specification): Promise<Finding[]> {
  try {
    const letters = await openLetters(main, specification);
    return findings(await letters.log.lettersInTheWay(main.log, specification.name), specification);
  } catch (error) {
    // The version that would tell which files are missing is missing itself.
    if (!(error instanceof Failure) || error.code !== 'DEAD_LETTERS_LOST') throw error;
    return [{ problem: error.code, text: `${error.message}\n${error.fix}`, partitions: [], answers: [] }];
  }
}

function findings({ lost, rewritten }: LettersInTheWay, { name, table }: Specification): Finding[] {
  const location = deadLettersLocation(table.location);
  const command = `tidemark repair ${name} ${FORGET_LETTERS}`;
  const ofLost: Finding = {
    problem: 'DEAD_LETTERS_LOST',
    text: `${location}: ${counted(lost)} that were to be published are gone or altered.\nNo batch is read before they are back from a backup, or given up.`,
    partitions: [],
    files: lost.map(found),
    answers: [{ command, effect: `the other letters are published; ${GIVEN_UP}` }],
  };
  const ofRewritten: Finding = {
    problem: 'REPAIR_REFUSED',
    text: `${location}: ${counted(rewritten)} should follow a repaired RESTORE of the table, but this table was rewritten since they were published.`,
    partitions: [],
    files: rewritten.map(found),
    answers: [{ command, effect: LEFT }],
  };
  return [...(rewritten.length > 0 ? [ofRewritten] : []), ...(lost.length > 0 ? [ofLost] : [])];
}

const GIVEN_UP =
  "Tidemark has no copy of these records' bytes (Kafka may still have them); the table keeps their counts";
const LEFT =
  'these letters stay in the dead-letter table as they are; dead-letters list and retry leave out what was rewritten, since letters of batches that were restored away are among it';

/** Shows, asks, commits upon what was shown. */
export async function forgetLetters(
  { output }: Context,
  specification: Specification,
  main: OpenTable,
  snapshot: Snapshot,
  { who, reason = '', yes, dryRun }: ForgetOptions,
): Promise<void> {
  requireOwn(snapshot, specification);
  const { name: pipeline, table } = specification;
  const letters = await openLetters(main, specification);
  const { lost, rewritten } = await letters.log.lettersInTheWay(main.log, pipeline);
  const location = deadLettersLocation(table.location);
  const shown = { pipeline, answer: FORGET_LETTERS, location };
  const result = { ...shown, lost: lost.map(found), rewritten: rewritten.map(found) };
  if (lost.length + rewritten.length === 0) {
    output.result({ ...result, outcome: 'nothingToDo' }, () => 'Nothing to do: no dead letters are missing.');
    return;
  }
  const text = describe({ lost, rewritten }, (line) => output.style('bold', line, 'stderr'));
  if (dryRun) {
    output.result({ ...result, outcome: 'planned' }, () => `${output.style('yellow', 'Dry run.')} ${text}`);
    return;
  }
  output.note(text);
  if (!yes) await confirm(pipeline);
  const files = new Set([...lost, ...rewritten].map(pathOf));
  const outcome = await letters.log.publishDeadLetters(main.log, pipeline, { files, who, reason });
  if (outcome.kind === 'nothingToPublish') {
    const why = 'Nothing to do any more: all is published.';
    output.result({ ...result, outcome: 'nothingToDo' }, () => why);
    return;
  }
  const { tableVersion, forgotten } = outcome;
  output.result(
    { ...result, outcome: 'committed', tableVersion, forgotten },
    () =>
      `${output.style('green', 'Done.')} Version ${formatCount(tableVersion)} of ${location} names them. Go on: tidemark drain ${pipeline}`,
  );
}

function describe({ lost, rewritten }: LettersInTheWay, title: (line: string) => string): string {
  const part = (files: readonly Add[], effect: string) =>
    files.length === 0 ? [] : [title(effect), '', letterFileTable(files.map(found)), ''];
  return [
    ...part(lost, `Give up ${counted(lost)}: ${GIVEN_UP}.`),
    ...part(rewritten, `Leave ${counted(rewritten)}: ${LEFT}.`),
    'The other dead letters are published. The main table is not changed.',
  ].join('\n');
}

async function openLetters({ openStore }: OpenTable, specification: Specification): Promise<OpenTable> {
  const { openTable } = await import('../../runs/open-table.ts');
  const location = deadLettersLocation(specification.table.location);
  return openTable({ ...specification, table: { ...specification.table, location } }, openStore);
}

function counted(files: readonly Add[]): string {
  const known = files.reduce((sum, file) => sum + (found(file).letters ?? 0), 0);
  const letters = known === 1 ? '1 dead letter' : `${formatCount(known)} dead letters`;
  return `${letters} in ${files.length === 1 ? '1 file' : `${formatCount(files.length)} files`}`;
}

function found(file: Add): FoundLetterFile {
  return { path: pathOf(file), letters: parseStats(file.stats)?.numRecords ?? null };
}

function pathOf({ path }: Add): string {
  return decodePath(path);
}
