import type { Add } from '../delta/actions.ts';
import { traitsOf } from '../delta/kinds.ts';
import type { LedgerVersion } from '../delta/ledger.ts';
import type { Finder } from './disagreements.ts';

/** Rows that somebody put into the table, took out of it or replaced, other than by a drain or a retry. */
export interface Change {
  readonly tableVersion: number;
  /** `retention`: table partitions that the pipeline itself calls old. */
  readonly by: 'retention' | 'others';
  /** `engineInfo`, as far as its writer told. */
  readonly who: string;
  readonly operation: string;
  /** Undefined where a file had no statistics. */
  readonly rowsAdded: number | undefined;
  readonly rowsRemoved: number | undefined;
}

export interface KnownFile {
  readonly rows: number | undefined;
  /** The version that added it. */
  readonly tableVersion: number;
}

/**
 * Walks the files from the first version on: what a version of ours adds is what it says it adds, what replaces files
 * without a change of data has as many rows as they had, retention takes out what it says, and whoever else changed rows is
 * remembered by name.
 */
export class FileWalk {
  /** The live files, by path in the store. */
  readonly live = new Map<string, KnownFile>();
  readonly changes: Change[] = [];
  private readonly found: Finder;

  constructor(found: Finder) {
    this.found = found;
  }

  take(version: LedgerVersion): void {
    const { tableVersion, commitInfo, adds, removes } = version;
    const removed = removes.map(({ path }) => this.live.get(path)?.rows);
    for (const { path } of removes) this.live.delete(path);
    for (const { path, rows } of adds) this.live.set(path, { rows, tableVersion });
    const files = traitsOf(commitInfo?.tidemark)?.files;
    if (files === 'appended') this.checkTotals(version);
    else if (files === 'published') return;
    else if (files === 'rewritten') this.checkCompaction(version, removed);
    else if (files === 'dropped') this.takeRetention(version, removed);
    else if (removes.length > 0 && [...adds, ...removes].every(({ dataChange }) => !dataChange))
      this.checkRewrite(version, removed);
    else if (commitInfo?.operation !== 'RESTORE' && adds.length + removes.length > 0)
      this.addChange(version, 'others', removed);
  }

  /** A log checkpoint tells all live files at once: it must be what the versions before it have led to. */
  end({
    tableVersion,
    files,
  }: {
    readonly tableVersion: number;
    readonly files: ReadonlyMap<string, Add>;
  }): void {
    for (const [path, { tableVersion: added }] of this.live) {
      if (!files.has(path))
        this.found.add(
          'logCheckpoint',
          { tableVersion, file: path },
          `version ${added} has added it and none removed it, but readers that begin at a log checkpoint do not see it`,
        );
    }
    for (const path of files.keys()) {
      if (!this.live.has(path))
        this.found.add(
          'logCheckpoint',
          { tableVersion, file: path },
          'readers that begin at a log checkpoint see it, but no version has added it or one has removed it',
        );
    }
  }

  private checkTotals({ tableVersion, commitInfo, adds }: LedgerVersion): void {
    const totals = (commitInfo?.totals ?? {}) as { rows?: number; files?: number; bytes?: number };
    const [rows, bytes] = [
      sum(adds.map((add) => add.rows)),
      adds.reduce((total, { size }) => total + size, 0),
    ];
    this.compare(tableVersion, 'rows', rows, totals.rows);
    this.compare(tableVersion, 'files', adds.length, totals.files);
    this.compare(tableVersion, 'bytes', bytes, totals.bytes);
    if (commitInfo === undefined || traitsOf(commitInfo.tidemark)?.offsets !== 'counted') return;
    const ledger = (commitInfo.ledger ?? []) as { rows?: number; deadLetters?: number }[];
    const letters = sum(((commitInfo.deadLetters ?? []) as Add[]).map(rowsOf)) ?? 0;
    this.compare(
      tableVersion,
      'rows in the ranges',
      ledger.reduce((total, entry) => total + (entry.rows ?? 0), 0),
      totals.rows,
    );
    this.compare(
      tableVersion,
      'dead letters in the files',
      letters,
      ledger.reduce((total, entry) => total + (entry.deadLetters ?? 0), 0),
    );
  }

  private checkCompaction(version: LedgerVersion, removed: readonly (number | undefined)[]): void {
    const { tableVersion, commitInfo, adds, removes } = version;
    const totals = (commitInfo?.totals ?? {}) as {
      rows?: number;
      filesAdded?: number;
      filesRemoved?: number;
    };
    this.compare(tableVersion, 'rows', sum(adds.map(({ rows }) => rows)), totals.rows);
    this.compare(tableVersion, 'files added', adds.length, totals.filesAdded);
    this.compare(tableVersion, 'files removed', removes.length, totals.filesRemoved);
    this.checkRewrite(version, removed);
  }

  private takeRetention(version: LedgerVersion, removed: readonly (number | undefined)[]): void {
    const { tableVersion, commitInfo, adds, removes } = version;
    const totals = (commitInfo?.totals ?? {}) as { rows?: number | null; files?: number };
    this.compare(tableVersion, 'rows dropped', sum(removed), totals.rows ?? undefined);
    this.compare(tableVersion, 'files dropped', removes.length, totals.files);
    this.compare(tableVersion, 'files added', adds.length, 0);
    this.addChange(version, 'retention', removed);
  }

  private addChange(
    version: LedgerVersion,
    by: Change['by'],
    removed: readonly (number | undefined)[],
  ): void {
    this.changes.push({
      tableVersion: version.tableVersion,
      by,
      ...writerOf(version),
      rowsAdded: sum(version.adds.map(({ rows }) => rows)),
      rowsRemoved: sum(removed),
    });
  }

  private checkRewrite(version: LedgerVersion, removed: readonly (number | undefined)[]): void {
    const [before, after] = [sum(removed), sum(version.adds.map(({ rows }) => rows))];
    if (before === undefined || after === undefined || before === after) return;
    const { who, operation } = writerOf(version);
    this.found.add(
      'rewriteRows',
      { tableVersion: version.tableVersion },
      `${operation} by ${who} says that it changes no data, but replaces ${before} rows by ${after}`,
    );
  }

  private compare(
    tableVersion: number,
    what: string,
    found: number | undefined,
    told: number | undefined,
  ): void {
    if (found !== undefined && found !== told)
      this.found.add(
        'totals',
        { tableVersion },
        `${what}: the version says ${told ?? 'none'}, but it holds ${found}`,
      );
  }
}

function rowsOf({ stats }: Add): number | undefined {
  const rows = (JSON.parse(stats ?? '{}') as { numRecords?: unknown }).numRecords;
  return typeof rows === 'number' ? rows : undefined;
}

function writerOf({ commitInfo }: LedgerVersion): Pick<Change, 'who' | 'operation'> {
  const { engineInfo, clientVersion, operation, tidemark } = commitInfo ?? {};
  return {
    who: String(engineInfo ?? clientVersion ?? 'an unknown writer'),
    operation: String(tidemark ?? operation ?? 'a version without a name'),
  };
}

/** Undefined where one is not known. */
function sum(numbers: readonly (number | undefined)[]): number | undefined {
  return numbers.reduce<number | undefined>(
    (total, number) => (total === undefined || number === undefined ? undefined : total + number),
    0,
  );
}
