import type { CommittedVersion } from '../delta/version.ts';

/** Who made a version, as its commitInfo tells it; null where its writer left none. */
export interface Origin {
  readonly tableVersion: number;
  /** ISO 8601. */
  readonly committedAt: string | null;
  /** `drain`, `retry`, `compact`, `repair`, ... of ours; the operation of others. */
  readonly kind: string;
  readonly writer: string | null;
  readonly workflowId: string | null;
  readonly runId: string | null;
  /** The worker's: package version and what `TIDEMARK_BUILD` named. */
  readonly build: string | null;
  /** Hash of the specification that was followed. */
  readonly specification: string | null;
}

export function originOf({ tableVersion, commitInfo }: CommittedVersion): Origin {
  const { timestamp, tidemark, operation, engineInfo, clientVersion, run, build, specification } =
    commitInfo ?? {};
  // `drain-products.<run id>`: a run id has no point in it.
  const [, workflowId, runId] = /^(.+)\.([^.]+)$/.exec(String(run ?? '')) ?? [];
  return {
    tableVersion,
    committedAt: typeof timestamp === 'number' ? new Date(timestamp).toISOString() : null,
    kind: String(tidemark ?? operation ?? 'unknown'),
    writer: text(engineInfo ?? clientVersion),
    workflowId: workflowId ?? text(run),
    runId: runId ?? null,
    build: text(build),
    specification: text(specification),
  };
}

function text(value: unknown): string | null {
  return value === undefined || value === null ? null : String(value);
}
