import type { Add } from '../delta/actions.ts';
import { traitsOf } from '../delta/kinds.ts';
import type { LedgerVersion } from '../delta/ledger.ts';
import { LedgerReader } from '../delta/ledger-reader.ts';
import type { DeltaLog } from '../delta/log.ts';
import { LOG_FOLDER, readLogListing, versionPath } from '../delta/log-files.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { Finder } from './disagreements.ts';
import { type Change, FileWalk, type KnownFile } from './file-walk.ts';
import { type CommittedRange, type CommittedRetry, OffsetWalk } from './offset-walk.ts';
import { Timeline } from './timeline.ts';

export interface TableToVerify {
  readonly store: ObjectStore;
  readonly log: DeltaLog;
}

/** What the versions of a table have led to, those left out that a RESTORE took back. */
export interface History {
  /** 0, unless somebody else has cleaned the log: what was before is not proven then. */
  readonly firstVersion: number;
  readonly versions: number;
  readonly ranges: readonly CommittedRange[];
  readonly retries: readonly CommittedRetry[];
  /** By topic, the version that has taken up its present identity. */
  readonly topicSince: ReadonlyMap<string, number>;
  readonly changes: readonly Change[];
  /** The live files, by path in the store. */
  readonly files: ReadonlyMap<string, KnownFile>;
  /** Dead-letter files that versions carry, each with its version. */
  readonly letters: readonly { readonly tableVersion: number; readonly add: Add }[];
  /** Of a dead-letter table: files that a person has let be lost, or be left. */
  readonly forgotten: ReadonlySet<string>;
  /** The newest repair of a RESTORE; -1 where there was none. */
  readonly repairedVersion: number;
}

/** Walks all versions up to the snapshot's; holds ranges and live files, not the versions. */
export async function checkHistory(
  { store, log }: TableToVerify,
  snapshot: Snapshot,
  found: Finder,
  onVersion: (tableVersion: number) => void,
): Promise<History> {
  await findHoles(store, snapshot, found);
  const walk = {
    timeline: new Timeline(),
    files: new FileWalk(found),
    letters: [] as History['letters'][number][],
  };
  const forgotten = new Set<string>();
  let offsets: OffsetWalk | undefined;
  let firstVersion = 0;
  let versions = 0;
  let repairedVersion = -1;
  for await (const version of log.history()) {
    if (version.tableVersion > snapshot.tableVersion) break;
    if (offsets === undefined) firstVersion = version.tableVersion;
    offsets ??= new OffsetWalk(found, firstVersion === 0);
    walk.timeline.take(version.tableVersion, version.commitInfo);
    offsets.take(version);
    walk.files.take(version);
    walk.letters.push(...carriedBy(version));
    for (const path of (version.commitInfo?.forgotten ?? []) as string[]) forgotten.add(path);
    if (typeof version.commitInfo?.restoredVersion === 'number') repairedVersion = version.tableVersion;
    versions++;
    onVersion(version.tableVersion);
  }
  offsets?.end(snapshot);
  if (firstVersion === 0) walk.files.end(snapshot);
  if (snapshot.unrepairedRestore !== undefined)
    found.add(
      'restoreUnrepaired',
      { tableVersion: snapshot.unrepairedRestore },
      'a RESTORE took rows back, but not the offsets that stand for them: no drain goes on before `tidemark repair`',
    );
  const counts = ({ tableVersion }: { readonly tableVersion: number }) => walk.timeline.counts(tableVersion);
  return {
    ...{ firstVersion, versions, forgotten, repairedVersion, files: walk.files.live },
    ranges: offsets?.ranges.filter(counts) ?? [],
    retries: offsets?.retries.filter(counts) ?? [],
    topicSince: offsets?.topicSince ?? new Map(),
    changes: walk.files.changes.filter(counts),
    letters: walk.letters.filter(counts),
  };
}

/** A hole below a log checkpoint stops no reader, but still leaves the table unproven. */
async function findHoles(store: ObjectStore, { tableVersion }: Snapshot, found: Finder): Promise<void> {
  const { versions } = readLogListing(await store.list(LOG_FOLDER));
  // The ledger decides about versions that a clean-up has folded, whatever a frozen process has put in their
  // place since.
  const folded = await new LedgerReader(store).end();
  let expected = folded >= 0 ? folded + 1 : (versions[0] ?? 0);
  for (const version of versions) {
    if (version <= folded) continue;
    if (version > tableVersion) break;
    for (; expected < version; expected++) addHole(found, expected);
    expected = version + 1;
  }
  for (; expected <= tableVersion; expected++) addHole(found, expected);
}

function addHole(found: Finder, tableVersion: number): void {
  found.add(
    'logHole',
    { tableVersion, file: versionPath(tableVersion) },
    `version ${tableVersion} is gone, those around it are there`,
  );
}

function carriedBy({ tableVersion, commitInfo }: LedgerVersion): History['letters'][number][] {
  if (traitsOf(commitInfo?.tidemark)?.letters !== 'carried') return [];
  return ((commitInfo?.deadLetters ?? []) as Add[]).map((add) => ({ tableVersion, add }));
}
