import { formatCount } from '../../format.ts';
import type { DeadLetterSummary, ListedLetter } from '../../inspect/dead-letters.ts';
import { letterName } from '../../letters/dead-letter-table.ts';
import { type Output, printable, table, width } from '../../terminal/output.ts';

/** Counts by reason and place, then the letters, with the commands for them. */
export function describeLetters(
  summary: DeadLetterSummary,
  pipeline: string,
  reason: string | undefined,
  output: Output,
): string {
  const { open, retried, groups, letters, matching, location } = summary;
  const which = reason === undefined ? 'dead letters' : `dead letters with reason ${reason}`;
  if (open + retried === 0) return `No ${which}.`;
  const count = `${formatCount(open)} open ${which}`;
  const lines = [
    `${open > 0 ? output.style('yellow', count) : output.style('green', count)}, ${formatCount(retried)} retried. Table: ${location}`,
    '',
    table(
      ['open', 'retried', 'reason', 'place', 'newest'],
      groups.map((group) => [
        formatCount(group.open),
        formatCount(group.retried),
        group.reason,
        printable(group.place) || 'the record',
        group.newest,
      ]),
      ['open', 'retried'],
    ),
  ];
  if (letters.length > 0) {
    const shown =
      letters.length < matching
        ? `The newest ${formatCount(letters.length)} of ${formatCount(matching)}:`
        : `All ${formatCount(matching)}, newest first:`;
    lines.push('', output.style('bold', shown), letterTable(letters));
  }
  const [first] = letters;
  if (first !== undefined) {
    lines.push('', `Look at one: tidemark dead-letters show ${pipeline} ${letterName(first)}`);
    if (open > 0) lines.push(`When the pipeline fits them: tidemark dead-letters retry ${pipeline}`);
  }
  return lines.join('\n');
}

function letterTable(letters: readonly ListedLetter[]): string {
  const rows = letters.map((letter) => [
    letterName(letter),
    letter.time === null ? '' : letter.time.replace('T', ' ').replace(/\.\d+Z$/, 'Z'),
    letter.state,
    letter.reason,
    printable(letter.message),
  ]);
  const headings = ['letter', 'time', 'state', 'reason', 'what is wrong'];
  return fitted(table(headings, rows));
}

/** On a terminal, lines that would wrap are cut. */
function fitted(text: string): string {
  const { columns, isTTY } = process.stdout;
  if (!isTTY || columns === undefined) return text;
  return text
    .split('\n')
    .map((line) => {
      if (width(line) <= columns) return line;
      let cut = line.slice(0, columns - 1);
      while (width(cut) > columns - 1) cut = cut.slice(0, -1);
      return `${cut}…`;
    })
    .join('\n');
}
