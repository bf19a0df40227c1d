import { formatCount } from '../../format.ts';
import {
  type DeadLetterTable,
  type FoundLetter,
  letterName,
  letterTime,
  openDeadLetters,
} from '../../letters/dead-letter-table.ts';
import type { StoredLetter } from '../../letters/stored-letters.ts';
import type { Context } from '../../terminal/context.ts';
import { type Output, printable, table, width } from '../../terminal/output.ts';

export interface ListOptions {
  readonly open?: boolean;
  readonly reason?: string;
  readonly limit?: number;
}

const LIMIT = 20;
/** Places in documents may be of any number; what is rare beyond them is summed by reason. */
const GROUPS_MAX = 500;
const COLUMNS = ['timestamp', 'reason', 'path', 'message'] as const;
type Letter = FoundLetter<(typeof COLUMNS)[number]>;

/** What is wrong and how often, then the newest letters. Holds groups and the letters it shows, never the table. */
export async function listLetters(context: Context, pipeline: string, options: ListOptions): Promise<void> {
  const { output } = context;
  const letters = await openDeadLetters(await context.loadPipeline(pipeline), context.openStore);
  if (output.format === 'jsonl' && options.limit === undefined) {
    return await output.stream(allLetters(letters, options));
  }
  const summary = await summarize(letters, options);
  if (output.format === 'jsonl') return output.rows(summary.letters, () => '');
  output.result(summary, () => describe(summary, pipeline, options, output));
}

async function* allLetters(letters: DeadLetterTable, options: ListOptions) {
  for await (const slice of letters.read(COLUMNS))
    for (const letter of slice) if (isWanted(letter, options)) yield toJson(letter);
}

function isWanted({ reason, state }: Letter, options: ListOptions): boolean {
  if (options.open === true && state !== 'open') return false;
  return options.reason === undefined || options.reason === reason;
}

interface Group {
  readonly reason: string;
  /** Indexes left out: `tags[]`. */
  readonly place: string;
  open: number;
  retried: number;
  /** The newest letter of the group: `TOPIC/PARTITION/OFFSET`. */
  newest: string;
}

interface Summary {
  readonly location: string;
  readonly open: number;
  readonly retried: number;
  /** The most frequent first. */
  readonly groups: readonly Group[];
  /** The newest that were asked for, newest first. */
  readonly letters: readonly ReturnType<typeof toJson>[];
  /** How many were asked for, shown or not. */
  readonly matching: number;
}

async function summarize(letters: DeadLetterTable, options: ListOptions): Promise<Summary> {
  const groups = new Map<string, Group>();
  const counts = { open: 0, retried: 0 };
  const limit = options.limit ?? LIMIT;
  let newest: Letter[] = [];
  let matching = 0;
  for await (const slice of letters.read(COLUMNS)) {
    for (const letter of slice) {
      if (options.reason !== undefined && options.reason !== letter.reason) continue;
      counts[letter.state]++;
      const group = groupOf(groups, letter);
      group[letter.state]++;
      group.newest = letterName(letter);
    }
    const wanted = slice.filter((letter) => isWanted(letter, options));
    matching += wanted.length;
    newest = [...newest, ...wanted].slice(limit === 0 ? Number.POSITIVE_INFINITY : -limit);
  }
  return {
    location: letters.location,
    ...counts,
    groups: [...groups.values()].sort((a, b) => b.open - a.open || b.retried - a.retried),
    letters: newest.reverse().map(toJson),
    matching,
  };
}

function groupOf(groups: Map<string, Group>, { reason, path }: Letter): Group {
  const place = path.replace(/\[\d+\]/g, '[]');
  const known = groups.get(`${reason} ${place}`);
  if (known !== undefined) return known;
  const isFull = groups.size >= GROUPS_MAX;
  const key = isFull ? reason : `${reason} ${place}`;
  const group = groups.get(key) ?? { reason, place: isFull ? '…' : place, open: 0, retried: 0, newest: '' };
  groups.set(key, group);
  return group;
}

function toJson(letter: Letter) {
  const { topic, partition, offset, epoch, reason, path, message, state } = letter;
  return { topic, partition, offset, epoch, time: letterTime(letter), state, reason, path, message };
}

function describe(summary: Summary, pipeline: string, options: ListOptions, output: Output): string {
  const { open, retried, groups, letters, matching, location } = summary;
  const which = options.reason === undefined ? 'dead letters' : `dead letters with reason ${options.reason}`;
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
    lines.push('', `One of them: tidemark dead-letters show ${pipeline} ${letterName(first)}`);
    if (open > 0) lines.push(`Once the pipeline fits them: tidemark dead-letters retry ${pipeline}`);
  }
  return lines.join('\n');
}

function letterTable(letters: Summary['letters']): string {
  const rows = letters.map((letter) => [
    letterName(letter as Pick<StoredLetter, 'topic' | 'partition' | 'offset'>),
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
