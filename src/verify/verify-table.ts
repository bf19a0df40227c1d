import type { Snapshot } from '../delta/snapshot.ts';
import { larger } from '../kafka/ranges.ts';
import { fromDeltaSchemaString } from '../records/delta-schema.ts';
import type { RangeGroup } from './coverage.ts';
import type { Finder, Place } from './disagreements.ts';
import { checkFiles, type FileTotals } from './file-check.ts';
import type { Change } from './file-walk.ts';
import type { History, TableToVerify } from './history-check.ts';
import type { CommittedRange, CommittedRetry } from './offset-walk.ts';
import { checkRows, type SeenRows } from './row-check.ts';
import type { ScanLimits } from './row-statistics.ts';
import { Scan, type ScanSettings } from './scan.ts';
import type { KafkaNames } from './scan-sql.ts';

export interface VerifyOptions {
  /** Ledger, sizes and footers alone: no page and no row is read. */
  readonly isQuick: boolean;
  readonly scan: Omit<ScanSettings, 'copiesFolder'>;
  readonly onProgress: (text: string) => void;
}

/** The rows that a table should have. */
export interface ExpectedRows {
  /** Undefined where rows do not say which offsets they are. */
  readonly names: KafkaNames | undefined;
  readonly ranges: readonly CommittedRange[];
  readonly retries: readonly CommittedRetry[];
  /** Rows that others have added, removed or replaced, or that retention has dropped. */
  readonly changes: readonly Change[];
  /** Whether the ranges are all there ever were. */
  readonly isWhole: boolean;
  /** Whether rows of no range are nobody's mistake. */
  readonly mayHoldOthers: boolean;
}

export interface NotLive {
  readonly tombstonedFiles: number;
  readonly tombstonedBytes: number;
  /** In no known version: left by attempts that failed, or not yet committed. */
  readonly orphanedFiles: number;
  readonly orphanedBytes: number;
}

export interface RowReport {
  readonly rows: number;
  /** Rows of which topic, partition and offset are known. */
  readonly located: number;
  /** Located rows that no range covers: others have written them. */
  readonly strays: number;
  /** Rows that the ledger counts and retention has dropped. */
  readonly retained: number;
  /** Rows that the ledger counts and others have removed. */
  readonly takenOut: number;
  /** Of binary columns together. */
  readonly binaryBytes: number;
}

/** The live files, their bytes and their rows, against what the log and the ledger say of them. */
export async function checkTable(
  { store }: TableToVerify,
  snapshot: Snapshot,
  history: Pick<History, 'files'>,
  expected: ExpectedRows,
  { isQuick, scan: settings, onProgress }: VerifyOptions,
  found: Finder,
  place: Place,
): Promise<{ files: FileTotals; rows: RowReport | undefined }> {
  const schema = fromDeltaSchemaString(snapshot.metaData.schemaString);
  const { partitionColumns } = snapshot.metaData;
  const files = [...snapshot.files].map(([path, add]) => {
    const tableVersion = history.files.get(path)?.tableVersion;
    return { path, add, place: { ...place, ...(tableVersion !== undefined && { tableVersion }) } };
  });
  const count = counter(files.length, onProgress);
  const checked = await checkFiles(files, {
    ...{ store, schema, partitionColumns, found, readPages: !isQuick },
    onFile: () => count(isQuick ? 'footers' : 'bytes', 1),
  });
  if (isQuick) return { files: checked.totals, rows: undefined };

  const countRows = counter(files.length, onProgress);
  await using scans = new Scans({ ...settings, copiesFolder: store.copiesFolder });
  const { names, ranges, retries } = expected;
  const { memoryLimitBytes, threads } = settings;
  const limits = { memoryLimitBytes, threads };
  const scanWith = (given: ScanLimits) => scans.with(given);
  const seen = await checkRows(checked.readable, {
    ...{
      scan: await scanWith(limits),
      limits,
      scanWith,
      store,
      schema,
      partitionColumns,
      found,
      place,
      names,
      ranges,
      retries,
    },
    onFiles: (read) => countRows('rows', read),
  });
  const isWhole = seen.isWhole && checked.readable.length === files.length;
  return { files: checked.totals, rows: compareRows(seen, isWhole, expected, found, place) };
}

/** A process for each limits that are asked for; all are closed together. */
class Scans implements AsyncDisposable {
  private readonly settings: ScanSettings;
  private readonly open = new Map<string, Promise<Scan>>();

  constructor(settings: ScanSettings) {
    this.settings = settings;
  }

  with(limits: ScanLimits): Promise<Scan> {
    const key = `${limits.memoryLimitBytes} ${limits.threads}`;
    const scan = this.open.get(key) ?? Scan.open({ ...this.settings, ...limits });
    this.open.set(key, scan);
    return scan;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const scan of await Promise.allSettled(this.open.values()))
      if (scan.status === 'fulfilled') await scan.value.close();
  }
}

/**
 * A missing row is a defect, unless retention or another writer's version took it out; a surplus row is one,
 * unless they put it in.
 */
function compareRows(
  { rows, located, coverage, binaryBytes }: SeenRows,
  isWhole: boolean,
  expected: ExpectedRows,
  found: Finder,
  place: Place,
): RowReport {
  const added = sumOf(expected.changes, 'rowsAdded');
  const removed = sumOf(expected.changes, 'rowsRemoved');
  const retained = sumOf(
    expected.changes.filter(({ by }) => by === 'retention'),
    'rowsRemoved',
  );
  const nameless = rows - located;
  const [rowsMin, rowsMax] = expectedRows(expected);
  const strays = coverage?.strays ?? 0;
  // With a file that cannot be read, or a log that begins in the middle, rows are missing for a reason that
  // is already reported.
  if (isWhole && expected.isWhole && added !== undefined && removed !== undefined) {
    const [least, most] = [rowsMin + added - removed, rowsMax + added - removed];
    if ((rows < least || rows > most) && !expected.mayHoldOthers)
      found.add(
        'rowBalance',
        place,
        `the table has ${rows} rows; by the ledger, and by what others added (${added}), and they and retention removed (${removed}), it should have ${between(least, most)}`,
      );
  }
  if (coverage === undefined)
    return { rows, located, strays, ...goneBy(Math.max(0, rowsMin - rows), retained), binaryBytes };

  if (expected.isWhole && !expected.mayHoldOthers && added !== undefined && strays > added)
    found.add(
      'strayRows',
      place,
      `${strays} rows have offsets that no version has committed; other writers have added ${added} rows`,
    );
  const short = coverage.groups.filter(({ found: there, rowsMin: least }) => there < least);
  const missing = short.reduce((sum, { found: there, rowsMin: least }) => sum + least - there, 0);
  // Files from before the table had the Kafka columns: their rows are counted, not located.
  const namelessOfOurs = Math.max(0, nameless - (added ?? nameless));
  const isExplained =
    !isWhole ||
    removed === undefined ||
    retained === undefined ||
    removed > retained ||
    missing <= namelessOfOurs + retained;
  if (!isExplained) for (const group of short) addMissing(group, { missing, retained }, found, place);
  for (const group of coverage.groups) if (group.found > group.rowsMax) addTooMany(group, found, place);
  return { rows, located, strays, ...goneBy(isExplained ? missing : 0, retained), binaryBytes };
}

/**
 * It is unknown which row retention dropped and which one others removed; only retention's number is known.
 */
function goneBy(missing: number, retained = missing): Pick<RowReport, 'retained' | 'takenOut'> {
  const byRetention = Math.min(missing, retained);
  return { retained: byRetention, takenOut: missing - byRetention };
}

function expectedRows({ ranges, retries }: ExpectedRows): [number, number] {
  const rows = [...ranges, ...retries].reduce((sum, part) => sum + part.rows, 0);
  return [rows, rows];
}

function addMissing(
  group: RangeGroup,
  { missing, retained }: { readonly missing: number; readonly retained: number },
  found: Finder,
  place: Place,
): void {
  const told = between(group.rowsMin, group.rowsMax);
  const dropped =
    retained === 0
      ? ''
      : `; of all ranges together ${missing} are missing, and retention has dropped ${retained}`;
  found.add(
    'missingRows',
    placeOf(group, place),
    `${namesOf(group)} counts ${told} rows, ${group.found} are there, and no other writer has removed any${dropped}`,
  );
}

/**
 * Where offsets are repeated, `duplicateRows` says which; a row where the ledger has a dead letter, or
 * nothing, is only seen here.
 */
function addTooMany(group: RangeGroup, found: Finder, place: Place): void {
  if (!group.isRepeated)
    found.add(
      'strayRows',
      placeOf(group, place),
      `${namesOf(group)} counts ${between(group.rowsMin, group.rowsMax)} rows, ${group.found} are there`,
    );
}

function placeOf({ ranges }: RangeGroup, place: Place): Place {
  const [first] = ranges;
  const ends = ranges.map(({ endingOffset }) => endingOffset);
  return {
    ...place,
    // Of dead letters with their epoch behind it; "/" cannot occur in a topic name.
    topic: first?.topic.split('/')[0] ?? '',
    kafkaPartition: first?.kafkaPartition ?? 0,
    startingOffset: String(first?.startingOffset),
    endingOffset: String(ends.reduce(larger, 0n)),
    ...(ranges.length === 1 &&
      place.table === undefined &&
      first !== undefined && { tableVersion: first.tableVersion }),
  };
}

function namesOf({ ranges }: RangeGroup): string {
  const versions = ranges.map(({ tableVersion }) => tableVersion);
  return versions.length === 1
    ? `the range of version ${versions[0]}`
    : `what versions ${versions.slice(0, 5).join(', ')}${versions.length > 5 ? ', ...' : ''} have committed there`;
}

function between(least: number, most: number): string {
  return least === most ? String(least) : `${least} to ${most}`;
}

/** Undefined where one is not known. */
function sumOf(changes: readonly Change[], of: 'rowsAdded' | 'rowsRemoved'): number | undefined {
  return changes.reduce<number | undefined>((sum, change) => {
    const rows = change[of];
    return sum === undefined || rows === undefined ? undefined : sum + rows;
  }, 0);
}

function counter(total: number, onProgress: (text: string) => void): (what: string, count: number) => void {
  let done = 0;
  return (what, count) => {
    done += count;
    onProgress(`${what}: ${done} of ${total} files`);
  };
}

/**
 * Files in the table's folder that no reader of its newest version sees, as figures: vacuum decides about
 * them.
 */
export async function countNotLive(
  { store }: TableToVerify,
  { files, tombstones }: Snapshot,
): Promise<NotLive> {
  const counts = { tombstonedFiles: 0, tombstonedBytes: 0, orphanedFiles: 0, orphanedBytes: 0 };
  for (const { path, sizeBytes } of await store.list('')) {
    if (/^_(delta_log|tidemark)\//.test(path) || files.has(path)) continue;
    const kind = tombstones.has(path) ? 'tombstoned' : 'orphaned';
    counts[`${kind}Files`]++;
    counts[`${kind}Bytes`] += sizeBytes;
  }
  return counts;
}
