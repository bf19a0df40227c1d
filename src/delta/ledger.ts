import { Failure } from '../errors.ts';
import { type Action, decodePath, type PartitionValues, parseStats } from './actions.ts';
import { parseJson, writeJson } from './json.ts';
import { type CommittedVersion, commitInfoOf } from './version.ts';

/**
 * The part of a version that is kept for good. Log clean-up folds versions into files of one JSON line each
 * before it deletes them: ascending from version 0 on, without a hole.
 */
export interface LedgerVersion extends CommittedVersion {
  readonly adds: readonly LedgerAdd[];
  readonly removes: readonly LedgerRemove[];
  /** By `appId`, as decimal strings. */
  readonly txns: Readonly<Record<string, string>>;
  /** Whether the version changed the table's metaData: its columns, properties, or all of it. */
  readonly metaData?: true;
}

export interface LedgerAdd {
  /** In the table's store, not encoded as in the log. */
  readonly path: string;
  readonly size: number;
  /** Absent where its writer left no statistics. */
  readonly rows?: number;
  readonly partitionValues: PartitionValues;
  readonly dataChange: boolean;
  readonly tags?: PartitionValues;
}

export interface LedgerRemove {
  readonly path: string;
  readonly dataChange: boolean;
}

export const LEDGER_FOLDER = '_tidemark/ledger/';

/**
 * A file is named by its first version, so that of two that begin at the ledger's end only one can be put.
 */
export function ledgerPath(firstVersion: number): string {
  return `${LEDGER_FOLDER}${String(firstVersion).padStart(20, '0')}.jsonl`;
}

/** The first version of the file at `path`; undefined where it is not a file of the ledger. */
export function firstVersionOf(path: string): number | undefined {
  const digits = /^(\d{20})\.jsonl$/.exec(path.slice(LEDGER_FOLDER.length))?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function ledgerVersion(tableVersion: number, actions: readonly Action[]): LedgerVersion {
  const txns = actions.flatMap((action) => ('txn' in action ? [action.txn] : []));
  return {
    tableVersion,
    commitInfo: commitInfoOf(actions),
    adds: actions.flatMap((action) => ('add' in action ? [ledgerAdd(action.add)] : [])),
    removes: actions.flatMap((action) =>
      'remove' in action
        ? [{ path: decodePath(action.remove.path), dataChange: action.remove.dataChange }]
        : [],
    ),
    txns: Object.fromEntries(txns.map(({ appId, version }) => [appId, String(version)])),
    ...(actions.some((action) => 'metaData' in action) ? { metaData: true } : {}),
  };
}

function ledgerAdd({
  path,
  size,
  stats,
  partitionValues,
  dataChange,
  tags,
}: Extract<Action, { add: unknown }>['add']): LedgerAdd {
  const rows = parseStats(stats)?.numRecords;
  return {
    path: decodePath(path),
    size,
    ...(rows === undefined ? {} : { rows }),
    partitionValues,
    dataChange,
    ...(tags === undefined ? {} : { tags }),
  };
}

/** One line, its end included. Integers keep all their digits. */
export function ledgerLine(version: LedgerVersion): string {
  return `${writeJson(version)}\n`;
}

/** Throws TABLE_CORRUPT where the line is not the ledger's line of `tableVersion`. */
export function parseLedgerLine(line: string, tableVersion: number, where: string): LedgerVersion {
  const value = parsed(line) as Partial<LedgerVersion> | undefined;
  if (value?.tableVersion !== tableVersion)
    throw ledgerCorrupt(`${where} does not hold version ${tableVersion}`);
  const { commitInfo, adds = [], removes = [], txns = {}, metaData } = value;
  return { tableVersion, commitInfo, adds, removes, txns, ...(metaData ? { metaData } : {}) };
}

/** The version of a line; undefined where it is not a line of the ledger. */
export function tableVersionOf(line: string): number | undefined {
  const version = (parsed(line) as Partial<LedgerVersion> | undefined)?.tableVersion;
  return Number.isSafeInteger(version) ? version : undefined;
}

function parsed(line: string): unknown {
  try {
    return parseJson(line);
  } catch {
    return undefined;
  }
}

export function ledgerCorrupt(problem: string): Failure {
  return new Failure(
    'TABLE_CORRUPT',
    `The ledger of cleaned-up versions cannot be read: ${problem}.`,
    'Nothing was changed. Restore the named object from a backup: it holds what is no longer in _delta_log.',
  );
}
