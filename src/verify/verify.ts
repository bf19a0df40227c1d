import type { Snapshot } from '../delta/snapshot.ts';
import { fromDeltaSchemaString } from '../records/delta-schema.ts';
import { type Disagreement, Disagreements } from './disagreements.ts';
import type { FileTotals } from './file-check.ts';
import type { Change } from './file-walk.ts';
import { checkHistory, type History, type TableToVerify } from './history-check.ts';
import { checkLetters, type LettersReport } from './letters-check.ts';
import { KAFKA_NAMES } from './scan-sql.ts';
import {
  checkTable,
  countNotLive,
  type NotLive,
  type RowReport,
  type VerifyOptions,
} from './verify-table.ts';

/** The comparisons made, and all that did not agree. */
export interface Verified {
  readonly outcome: 'agrees' | 'disagrees';
  readonly tableVersion: number;
  readonly ledger: {
    /** 0, unless others have cleaned the log: what was before is not proven. */
    readonly firstVersion: number;
    readonly versions: number;
    readonly ranges: number;
    readonly kafkaPartitions: number;
  };
  readonly files: FileTotals & { readonly live: number };
  /** Null where rows were not read. */
  readonly rows:
    | (RowReport & { /** Whether rows say which offsets they are. */ readonly byOffset: boolean })
    | null;
  readonly deadLetters: LettersReport;
  /** What the pipeline's own retention has dropped, oldest first. */
  readonly retention: readonly Change[];
  /** What other writers did to rows, oldest first. Not a defect. */
  readonly others: readonly Change[];
  readonly notLive: NotLive;
  readonly disagreements: number;
  readonly byCheck: Disagreements['byCheck'];
  /** The first of each kind. */
  readonly found: readonly Disagreement[];
}

/** The dead-letter table's is taken first: it lags, so it then has no letter that the other does not know. */
export interface SnapshotsToVerify {
  readonly letterSnapshot: Snapshot | undefined;
  readonly snapshot: Snapshot;
}

export interface TablesToVerify {
  readonly main: TableToVerify;
  readonly letters: TableToVerify;
}

/**
 * Proves a table against its own ledger: versions, files, bytes, rows and dead letters. Reads only.
 *
 * @param alsoCheck what else is to be compared with the snapshot
 */
export async function verify(
  { main, letters }: TablesToVerify,
  { snapshot, letterSnapshot }: SnapshotsToVerify,
  options: VerifyOptions,
  alsoCheck: (snapshot: Snapshot, history: History, found: Disagreements) => Promise<void> = async () => {},
): Promise<Verified> {
  const found = new Disagreements();
  const history = await checkHistory(main, snapshot, found, (version) =>
    options.onProgress(`ledger: version ${version} of ${snapshot.tableVersion}`),
  );
  const { partitionColumns, schemaString } = snapshot.metaData;
  const columns = fromDeltaSchemaString(schemaString)
    .fields.map(({ name }) => name)
    .filter((name) => !partitionColumns.includes(name));
  const byOffset = ['_topic', '_partition', '_offset'].every((name) => columns.includes(name));
  const expected = {
    names: byOffset ? KAFKA_NAMES : undefined,
    ...{ ranges: history.ranges, retries: history.retries, changes: history.changes },
    isWhole: history.firstVersion === 0,
    mayHoldOthers: false,
  };
  const { files, rows } = await checkTable(main, snapshot, history, expected, options, found, {});
  const deadLetters = await checkLetters(
    { snapshot, history },
    { ...letters, snapshot: letterSnapshot },
    options,
    found,
  );
  await alsoCheck(snapshot, history, found);
  return {
    outcome: found.total === 0 ? 'agrees' : 'disagrees',
    tableVersion: snapshot.tableVersion,
    ledger: {
      ...{ firstVersion: history.firstVersion, versions: history.versions, ranges: history.ranges.length },
      kafkaPartitions: new Set(
        history.ranges.map(({ topic, kafkaPartition }) => `${topic}/${kafkaPartition}`),
      ).size,
    },
    files: { live: snapshot.files.size, ...files },
    rows: rows === undefined ? null : { ...rows, byOffset },
    deadLetters,
    retention: history.changes.filter(({ by }) => by === 'retention'),
    others: history.changes.filter(({ by }) => by === 'others'),
    notLive: await countNotLive(main, snapshot),
    ...{ disagreements: found.total, byCheck: found.byCheck, found: found.kept },
  };
}
