import {
  type DeadLetterTable,
  type FoundLetter,
  type LetterState,
  letterName,
  letterTime,
  openDeadLetters,
} from '../letters/dead-letter-table.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { Outside } from '../runs/outside.ts';

/** Which letters are asked for. */
export interface LetterSelection {
  /** Only letters that are not retried yet. */
  readonly open?: boolean;
  readonly reason?: string;
}

export interface DeadLetterSummary {
  readonly location: string;
  /** Letters with the reason that was asked for, not retried yet. */
  readonly open: number;
  /** Letters with the reason that was asked for, settled by a retry. */
  readonly retried: number;
  /** The most frequent first. */
  readonly groups: readonly LetterGroup[];
  /** The newest that were asked for, newest first. */
  readonly letters: readonly ListedLetter[];
  /** How many were asked for, shown or not. */
  readonly matching: number;
}

/** Letters with one reason at one place in their records. */
export interface LetterGroup {
  readonly reason: string;
  /** Path in the record without indexes: `tags[]`; empty for the record itself; `…` for rare ones. */
  readonly place: string;
  readonly open: number;
  readonly retried: number;
  /** The newest letter of the group: `TOPIC/PARTITION/OFFSET`. */
  readonly newest: string;
}

export interface ListedLetter {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly epoch: bigint;
  /** ISO 8601, of the record; null where it has no timestamp. */
  readonly time: string | null;
  readonly state: LetterState;
  readonly reason: string;
  /** Path in the record; empty for the record itself. */
  readonly path: string;
  readonly message: string;
}

/** Places in documents may be of any number; what is rare beyond them is summed by reason. */
const GROUPS_MAX = 500;
const COLUMNS = ['timestamp', 'reason', 'path', 'message'] as const;
type Letter = FoundLetter<(typeof COLUMNS)[number]>;

/**
 * Counts what is wrong, by reason and place, and returns the newest letters. Holds groups and the letters it
 * returns, never the table. Throws TABLE_NOT_FOUND where nothing was drained yet.
 *
 * @param limit letters that it returns at most
 */
export async function summarizeLetters(
  specification: Specification,
  outside: Outside,
  selection: LetterSelection,
  limit: number,
): Promise<DeadLetterSummary> {
  const table = await openDeadLetters(specification, outside);
  const groups = new Map<string, MutableGroup>();
  const counts = { open: 0, retried: 0 };
  let newest: Letter[] = [];
  let matching = 0;
  for await (const slice of table.read(COLUMNS)) {
    for (const letter of slice) {
      if (selection.reason !== undefined && selection.reason !== letter.reason) continue;
      counts[letter.state]++;
      const group = groupOf(groups, letter);
      group[letter.state]++;
      group.newest = letterName(letter);
    }
    const wanted = slice.filter((letter) => isWanted(letter, selection));
    matching += wanted.length;
    newest = [...newest, ...wanted].slice(limit === 0 ? Number.POSITIVE_INFINITY : -limit);
  }
  return {
    location: table.location,
    ...counts,
    groups: [...groups.values()].sort((a, b) => b.open - a.open || b.retried - a.retried),
    letters: newest.reverse().map(listed),
    matching,
  };
}

/** All letters that are asked for, oldest first, none held. Throws TABLE_NOT_FOUND as `summarizeLetters`. */
export async function listLetters(
  specification: Specification,
  outside: Outside,
  selection: LetterSelection,
): Promise<AsyncGenerator<ListedLetter>> {
  return wantedLetters(await openDeadLetters(specification, outside), selection);
}

async function* wantedLetters(
  table: DeadLetterTable,
  selection: LetterSelection,
): AsyncGenerator<ListedLetter> {
  for await (const slice of table.read(COLUMNS))
    for (const letter of slice) if (isWanted(letter, selection)) yield listed(letter);
}

function isWanted({ reason, state }: Letter, selection: LetterSelection): boolean {
  if (selection.open === true && state !== 'open') return false;
  return selection.reason === undefined || selection.reason === reason;
}

interface MutableGroup extends LetterGroup {
  open: number;
  retried: number;
  newest: string;
}

function groupOf(groups: Map<string, MutableGroup>, { reason, path }: Letter): MutableGroup {
  const place = path.replace(/\[\d+\]/g, '[]');
  const known = groups.get(`${reason} ${place}`);
  if (known !== undefined) return known;
  const isFull = groups.size >= GROUPS_MAX;
  const key = isFull ? reason : `${reason} ${place}`;
  const group = groups.get(key) ?? { reason, place: isFull ? '…' : place, open: 0, retried: 0, newest: '' };
  groups.set(key, group);
  return group;
}

function listed(letter: Letter): ListedLetter {
  const { topic, partition, offset, epoch, reason, path, message, state } = letter;
  return { topic, partition, offset, epoch, time: letterTime(letter), state, reason, path, message };
}
