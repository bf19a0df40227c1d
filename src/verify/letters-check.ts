import { publishedAppId } from '../commits/pipeline-state.ts';
import { hasOthersLetters } from '../commits/publication.ts';
import { decodePath } from '../delta/actions.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { type Finder, within } from './disagreements.ts';
import type { FileTotals } from './file-check.ts';
import { checkHistory, type History, type TableToVerify } from './history-check.ts';
import type { CommittedRange } from './offset-walk.ts';
import { LETTER_NAMES } from './scan-sql.ts';
import {
  checkTable,
  countNotLive,
  type NotLive,
  type RowReport,
  type VerifyOptions,
} from './verify-table.ts';

export interface LettersReport {
  /** By the ledger of the main table. */
  readonly letters: number;
  /** Those of them in versions that are not published yet: the next drain does it. */
  readonly waiting: number;
  readonly retried: number;
  /** Undefined where nothing was ever published. */
  readonly table?: {
    readonly tableVersion: number;
    readonly files: FileTotals;
    readonly rows: RowReport | undefined;
    readonly notLive: NotLive;
  };
}

/**
 * Every letter that the main table's ledger counts is in the dead-letter table once, or waits in a file that
 * is there.
 */
export async function checkLetters(
  main: { readonly snapshot: Snapshot; readonly history: History },
  { snapshot, ...letters }: TableToVerify & { readonly snapshot: Snapshot | undefined },
  options: VerifyOptions,
  mainFound: Finder,
): Promise<LettersReport> {
  const found = within(mainFound, { table: 'deadLetters' });
  const { history } = main;
  const published = Number(snapshot?.txns.get(publishedAppId(main.snapshot.metaData.id)) ?? -1n);
  const isPublished = ({ tableVersion }: { readonly tableVersion: number }) => tableVersion <= published;
  const waiting = history.letters.filter((file) => !isPublished(file));
  await checkWaiting(letters, waiting, found);
  const report = {
    letters: lettersIn(history.ranges),
    waiting: lettersIn(history.ranges.filter((range) => !isPublished(range))),
    retried: history.retries.reduce((sum, { rows, filtered }) => sum + rows + filtered, 0),
  };
  if (snapshot === undefined) return report;

  const own = await checkHistory(letters, snapshot, found, () => {});
  const forgotten = new Set(
    history.letters
      .filter(({ add }) => own.forgotten.has(decodePath(add.path)))
      .map(({ tableVersion }) => tableVersion),
  );
  const expected = {
    names: LETTER_NAMES,
    ranges: history.ranges
      .filter((range) => isPublished(range) && !forgotten.has(range.tableVersion))
      .map(asLetters),
    retries: [],
    changes: own.changes,
    // A repair whose withdrawals are not published yet: what is there belongs to another branch of the table.
    isWhole: history.firstVersion === 0 && own.firstVersion === 0 && history.repairedVersion <= published,
    mayHoldOthers: own.forgotten.size > 0 || hasOthersLetters(snapshot, main.snapshot.metaData.id),
  };
  const { files, rows } = await checkTable(letters, snapshot, own, expected, options, found, {});
  return {
    ...report,
    table: {
      tableVersion: snapshot.tableVersion,
      files,
      rows,
      notLive: await countNotLive(letters, snapshot),
    },
  };
}

async function checkWaiting(
  { store }: TableToVerify,
  waiting: History['letters'],
  found: Finder,
): Promise<void> {
  for (const { tableVersion, add } of waiting) {
    const path = decodePath(add.path);
    const stat = await store.stat(path);
    const place = { tableVersion, file: path };
    if (stat === undefined)
      found.add('fileMissing', place, 'a file of dead letters is gone before it was published');
    else if (stat.sizeBytes !== add.size)
      found.add(
        'fileSize',
        place,
        `it has ${stat.sizeBytes} bytes, the version that carries it says ${add.size}`,
      );
  }
}

/** Under another epoch the same offset is another letter: so each epoch is a topic of its own. */
function asLetters(range: CommittedRange): CommittedRange {
  return { ...range, topic: `${range.topic}/${range.epoch}`, rows: range.deadLetters, deadLetters: 0 };
}

function lettersIn(ranges: readonly CommittedRange[]): number {
  return ranges.reduce((sum, { deadLetters }) => sum + deadLetters, 0);
}
