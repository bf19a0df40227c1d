import { traitsOf } from '../delta/kinds.ts';
import type { DeltaLog } from '../delta/log.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { fromDeltaSchemaString } from '../records/delta-schema.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { ScanSettings } from '../verify/scan.ts';
import { locateRows, type RowPlace } from './locate-row.ts';
import { OffsetTrace, type Reading, type Skipped, type TracedOffset } from './offset-trace.ts';

/** A letter of the traced offset, from the dead-letter table. */
export interface FoundLetter {
  readonly epoch: bigint;
  readonly reason: string;
  readonly path: string;
  readonly message: string;
}

export type Outcome =
  | { readonly kind: 'row'; readonly place: RowPlace }
  | { readonly kind: 'deadLetter'; readonly letter: FoundLetter }
  /** Its row was there, and no longer is: the steps include the versions that touched its file since. */
  | { readonly kind: 'rowTakenOut' }
  /** Its table partition was old: `table.retention` dropped it, in one of these versions. */
  | { readonly kind: 'retainedAway'; readonly tableVersions: readonly number[] }
  /** A RESTORE took the reading back. */
  | { readonly kind: 'restoredAway' }
  /** One of these, by the range's accounting; a single one is certain. */
  | { readonly kind: 'counted'; readonly as: readonly string[] };

export interface Occurrence extends Omit<Reading, 'files'> {
  readonly outcome: Outcome;
  /** Where a retried letter has become a row: the letter. */
  readonly letter: FoundLetter | undefined;
}

export interface TracedFate {
  readonly traced: TracedOffset;
  /** The next offset that will be read; undefined where the table has none of this partition. */
  readonly committedOffset: bigint | undefined;
  readonly occurrences: readonly Occurrence[];
  readonly skipped: readonly Skipped[];
}

/**
 * What became of one offset, under each epoch that has read it: as exactly as the ledger, the live files and
 * the dead-letter table can tell.
 *
 * @param lettersOf the dead letters of this offset
 */
export async function traceOffset(
  { store, log }: { readonly store: ObjectStore; readonly log: DeltaLog },
  snapshot: Snapshot,
  traced: TracedOffset,
  lettersOf: () => Promise<readonly FoundLetter[]>,
  scan: Omit<ScanSettings, 'copiesFolder'>,
): Promise<TracedFate> {
  const trace = new OffsetTrace(traced);
  for await (const version of log.history()) {
    if (version.tableVersion > snapshot.tableVersion) break;
    trace.take(version);
  }
  const readings = trace.end();
  const isLocated = tellsOffsets(snapshot);
  const places =
    readings.length > 0 && isLocated ? await locateRows(store, [...snapshot.files], traced, scan) : [];
  const letters = readings.some(({ range }) => (range.deadLetters ?? 0) > 0) ? await lettersOf() : [];
  return {
    ...{ traced, committedOffset: trace.committedOffset, skipped: trace.skipped },
    occurrences: readings.map(({ files, ...reading }) => {
      const letter = letters.find(({ epoch }) => epoch === reading.epoch);
      const place = placeFor({ ...reading, files }, readings, places);
      return { ...reading, letter, outcome: outcomeOf(reading, place, letter, isLocated) };
    }),
  };
}

function tellsOffsets({ metaData }: Snapshot): boolean {
  const names = fromDeltaSchemaString(metaData.schemaString).fields.map(({ name }) => name);
  const stored = names.filter((name) => !metaData.partitionColumns.includes(name));
  return ['_topic', '_partition', '_offset'].every((name) => stored.includes(name));
}

/** Under several epochs there may be several rows: each belongs to the reading whose files lead to it. */
function placeFor(
  reading: Reading,
  readings: readonly Reading[],
  places: readonly RowPlace[],
): RowPlace | undefined {
  if (!reading.isCurrent) return undefined;
  const isOnly = readings.filter(({ isCurrent }) => isCurrent).length === 1;
  return places.find(({ file }) => reading.files.has(file)) ?? (isOnly ? places[0] : undefined);
}

function outcomeOf(
  { isCurrent, possible, retried, steps }: Omit<Reading, 'files'>,
  place: RowPlace | undefined,
  letter: FoundLetter | undefined,
  isLocated: boolean,
): Outcome {
  if (!isCurrent) return { kind: 'restoredAway' };
  if (place !== undefined) return { kind: 'row', place };
  if (letter !== undefined && retried === undefined) return { kind: 'deadLetter', letter };
  const isTouched = steps.some(({ dataChange }) => dataChange);
  const rest = possible.filter(
    (term) =>
      (term !== 'rows' || isTouched || !isLocated) && (term !== 'deadLetters' || letter === undefined),
  );
  // Its row was made in a version that did not leave it out, and it is not there.
  if (rest.length === 0 || (retried !== undefined && isTouched)) return goneBy(steps);
  if (retried !== undefined) return { kind: 'counted', as: isLocated ? ['filtered'] : ['rows', 'filtered'] };
  return rest.length === 1 && rest[0] === 'rows' && isLocated ? goneBy(steps) : { kind: 'counted', as: rest };
}

function goneBy(steps: Reading['steps']): Outcome {
  const changes = steps.filter(({ dataChange }) => dataChange);
  return changes.length > 0 && changes.every(({ kind }) => traitsOf(kind)?.files === 'dropped')
    ? { kind: 'retainedAway', tableVersions: changes.map(({ tableVersion }) => tableVersion) }
    : { kind: 'rowTakenOut' };
}
