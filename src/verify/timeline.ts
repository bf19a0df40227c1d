import type { CommitInfo } from '../delta/actions.ts';
import { traitsOf } from '../delta/kinds.ts';

/** Table versions [from, to]. */
interface Versions {
  readonly from: number;
  readonly to: number;
}

/**
 * Which versions the table's rows come from. Without a RESTORE all; a RESTORE takes those after the restored
 * version out, and brings back what an earlier one had taken out, if it goes back to before that.
 */
export class Timeline {
  private readonly states: { readonly since: number; readonly versions: readonly Versions[] }[] = [
    { since: -1, versions: [{ from: 0, to: Number.POSITIVE_INFINITY }] },
  ];

  take(tableVersion: number, commitInfo: CommitInfo | undefined): void {
    if (commitInfo?.operation === 'RESTORE') {
      const restored = namedVersion(commitInfo);
      if (restored !== undefined) this.restore(tableVersion, restored);
    }
    // The repair knows better: a RESTORE to a time names no version, or the restored version was itself a
    // RESTORE.
    const { restore, restoredVersion } = commitInfo ?? {};
    if (
      traitsOf(commitInfo?.tidemark)?.offsets === 'answered' &&
      typeof restore === 'number' &&
      typeof restoredVersion === 'number'
    ) {
      while (this.newest.since >= restore) this.states.pop();
      this.restore(restore, restoredVersion);
    }
  }

  /** Whether what this version did is part of the table as it is. */
  counts(tableVersion: number): boolean {
    return this.newest.versions.some(({ from, to }) => from <= tableVersion && tableVersion <= to);
  }

  private restore(since: number, restored: number): void {
    const then = this.states.findLast((state) => state.since <= restored)?.versions ?? [];
    const kept = then
      .filter(({ from }) => from <= restored)
      .map(({ from, to }) => ({ from, to: Math.min(to, restored) }));
    this.states.push({ since, versions: [...kept, { from: since, to: Number.POSITIVE_INFINITY }] });
  }

  private get newest() {
    return this.states.at(-1) as (typeof this.states)[number];
  }
}

/** `{"version": "1"}` of delta-rs and Spark. */
function namedVersion({ operationParameters }: CommitInfo): number | undefined {
  const version = String(
    (operationParameters as Readonly<Record<string, unknown>> | undefined)?.version ?? '',
  );
  return /^\d{1,15}$/.test(version) ? Number(version) : undefined;
}
