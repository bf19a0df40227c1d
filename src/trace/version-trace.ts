import type { LedgerAdd, LedgerVersion } from '../delta/ledger.ts';
import { type Origin, originOf } from './origin.ts';

/** One version: who made it, what it stands for, what it put in and took out. */
export interface TracedVersion {
  readonly origin: Origin;
  readonly totals: Readonly<Record<string, unknown>> | null;
  readonly ranges: readonly Readonly<Record<string, unknown>>[];
  readonly retried: readonly unknown[];
  readonly answer: { readonly answer: string; readonly who: string; readonly reason: string } | null;
  readonly added: readonly TracedFile[];
  readonly removed: readonly string[];
}

export interface TracedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly rows: number | null;
  readonly partitionValues: LedgerAdd['partitionValues'];
}

/** Through which versions a file came and went. */
export interface TracedPath {
  readonly path: string;
  readonly file: TracedFile | null;
  readonly addedIn: TracedVersion | null;
  readonly removedIn: TracedVersion | null;
}

export function traceVersion(version: LedgerVersion): TracedVersion {
  const { commitInfo, adds, removes } = version;
  const { totals, ledger, retried, answer, who, reason } = commitInfo ?? {};
  return {
    origin: originOf(version),
    totals: (totals ?? null) as TracedVersion['totals'],
    ranges: (Array.isArray(ledger) ? ledger : []) as TracedVersion['ranges'],
    retried: Array.isArray(retried) ? retried : [],
    answer: typeof answer === 'string' ? { answer, who: String(who), reason: String(reason) } : null,
    added: adds.map(traceFile),
    removed: removes.map(({ path }) => path),
  };
}

/** The last time that a file was added, and what took it out after that. */
export async function tracePath(history: AsyncIterable<LedgerVersion>, path: string): Promise<TracedPath> {
  let traced: TracedPath = { path, file: null, addedIn: null, removedIn: null };
  for await (const version of history) {
    const add = version.adds.find((one) => one.path === path);
    if (add !== undefined)
      traced = { path, file: traceFile(add), addedIn: traceVersion(version), removedIn: null };
    if (version.removes.some((one) => one.path === path))
      traced = { ...traced, removedIn: traceVersion(version) };
  }
  return traced;
}

function traceFile({ path, size, rows, partitionValues }: LedgerAdd): TracedFile {
  return { path, sizeBytes: size, rows: rows ?? null, partitionValues };
}
