import type { OffsetMove, RepairRecord } from '../../commits/repair.ts';
import { formatCount } from '../../format.ts';
import type { AnsweredChange } from '../../repair/answered.ts';
import type { Diagnosis } from '../../repair/diagnose.ts';
import type { Finding, FoundLetterFile } from '../../repair/diagnosis.ts';
import { countedLetters, type ForgettableLetters, GIVEN_UP, LEFT } from '../../repair/letters.ts';
import { type Output, table } from '../../terminal/output.ts';

/** Before and after, for the person who is asked. */
export function describeChange(answered: AnsweredChange, epoch: bigint, output: Output): string {
  const { repair, effect } = answered;
  const headings = ['topic', 'partition', 'next offset', 'becomes', ''];
  const rows = repair.moves.map((move) => [
    move.topic,
    String(move.kafkaPartition),
    move.before?.toString() ?? 'none',
    move.after?.toString() ?? 'none (withdrawn)',
    noteOn(move),
  ]);
  return [
    `${output.style('bold', effect, 'stderr')}`,
    ...(rows.length === 0 ? [] : ['', table(headings, rows, [1, 2, 3])]),
    '',
    `Epoch ${epoch} becomes ${epoch + 1n}: runs that are under way end with FENCED. No row is changed.`,
  ].join('\n');
}

function noteOn({ before, lost, skipped, predecessorUnread }: OffsetMove): string {
  const notes = [
    ...(lost === undefined ? [] : [`${formatCount(lost)} offsets lost`]),
    ...(predecessorUnread ? [`of the old topic, nothing was read from ${before} on`] : []),
    ...(skipped === undefined ? [] : [`${formatCount(skipped)} offsets of the new one not read`]),
  ];
  return notes.join('; ');
}

/** Each finding, with the commands that would answer it. */
export function describeFindings(
  { pipeline, location, tableVersion, findings }: Diagnosis,
  output: Output,
): string {
  if (tableVersion < 0) return `Nothing to repair: there is no table at ${location} yet.`;
  if (findings.length === 0) {
    return `${output.style('green', 'Nothing to repair.')} Table version ${formatCount(tableVersion)} and Kafka agree: tidemark drain ${pipeline}`;
  }
  return findings.map((finding) => describeFinding(finding, output)).join('\n\n');
}

function describeFinding(
  { problem, text, topicId, partitions, files = [], answers }: Finding,
  output: Output,
): string {
  const headings = ['topic', 'partition', 'next offset', 'log start', 'log end'];
  const rows = partitions.map((p) => [
    p.topic,
    String(p.kafkaPartition),
    p.committedOffset ?? 'none',
    p.logStartOffset ?? 'gone',
    p.logEndOffset ?? 'gone',
  ]);
  return [
    output.style('red', problem),
    text,
    ...(topicId === undefined ? [] : [`Its topic id is now ${topicId}.`]),
    ...(rows.length === 0 ? [] : ['', table(headings, rows, [1, 2, 3, 4])]),
    ...(files.length === 0 ? [] : ['', letterFileTable(files)]),
    ...(answers.length === 0 ? [] : ['', 'To continue:']),
    ...answers.map(({ command, effect }) => `  ${output.style('cyan', command)}\n      ${effect}`),
  ].join('\n');
}

/** What would become of the letters of each file, for the person who is asked. */
export function describeForgetting({ lost, rewritten }: ForgettableLetters, output: Output): string {
  const part = (files: readonly FoundLetterFile[], effect: string) =>
    files.length === 0 ? [] : [output.style('bold', effect, 'stderr'), '', letterFileTable(files), ''];
  return [
    ...part(lost, `Give up ${countedLetters(lost)}: ${GIVEN_UP}.`),
    ...part(rewritten, `Leave ${countedLetters(rewritten)}: ${LEFT}.`),
    'The other dead letters are published. The main table is not changed.',
  ].join('\n');
}

export function describeForgotten(
  pipeline: string,
  location: string,
  tableVersion: number,
  output: Output,
): string {
  return `${output.style('green', 'Done.')} Version ${formatCount(tableVersion)} of ${location} names them. Next: tidemark drain ${pipeline}`;
}

/** The first of them: a deleted folder may have had thousands. */
function letterFileTable(files: readonly FoundLetterFile[]): string {
  const shown = files.slice(0, FILES_SHOWN);
  const rows = shown.map(({ path, letters }) => [path, letters === null ? 'unknown' : formatCount(letters)]);
  const more = files.length - shown.length;
  return (
    table(['file of dead letters', 'letters'], rows, [1]) +
    (more === 0 ? '' : `\nand ${formatCount(more)} more; all of them: -o json`)
  );
}

const FILES_SHOWN = 20;

export function describeRepaired(
  pipeline: string,
  { tableVersion, epoch }: RepairRecord,
  output: Output,
): string {
  return `${output.style('green', 'Done.')} Table version ${formatCount(tableVersion)}, epoch ${epoch}. Next: tidemark drain ${pipeline}`;
}
