import type { ObjectEntry } from '../storage/object-store.ts';

/** Names in `_delta_log/`. Delta protocol, "File Types". */

export const LOG_FOLDER = '_delta_log/';

export function versionPath(tableVersion: number): string {
  return `${LOG_FOLDER}${padded(tableVersion)}.json`;
}

export function logCheckpointPath(tableVersion: number): string {
  return `${LOG_FOLDER}${padded(tableVersion)}.checkpoint.parquet`;
}

/** Sorts before every object of `tableVersion` and after every object of the version before it. */
export function beforeVersion(tableVersion: number): string {
  return `${LOG_FOLDER}${padded(tableVersion)}`;
}

/** What a listing of the log holds, ascending. */
export interface LogListing {
  readonly versions: readonly number[];
  /** Classic V1 log checkpoints, one file each. */
  readonly logCheckpoints: readonly number[];
  /** Names of log checkpoints in other forms (multi-part, V2), which are not read. */
  readonly otherLogCheckpoints: readonly string[];
}

export function readLogListing(entries: readonly ObjectEntry[]): LogListing {
  const names = entries.map(({ path }) => path.slice(LOG_FOLDER.length));
  return {
    versions: names.flatMap((name) => numberIn(name, /^(\d{20})\.json$/)),
    logCheckpoints: names.flatMap((name) => numberIn(name, /^(\d{20})\.checkpoint\.parquet$/)),
    otherLogCheckpoints: names.filter((name) => /^\d{20}\.checkpoint\..+\.(parquet|json)$/.test(name)),
  };
}

/**
 * The version that an object of the log belongs to; undefined for `_last_checkpoint` and what is of no
 * version.
 */
export function versionOfEntry(path: string): number | undefined {
  return numberIn(path.slice(LOG_FOLDER.length), /^(\d{20})\./)[0];
}

function numberIn(name: string, pattern: RegExp): number[] {
  const digits = pattern.exec(name)?.[1];
  return digits === undefined ? [] : [Number(digits)];
}

function padded(tableVersion: number): string {
  return String(tableVersion).padStart(20, '0');
}
