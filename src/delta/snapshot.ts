import { assert, Failure } from '../errors.ts';
import {
  type Action,
  type Add,
  type CommitInfo,
  decodePath,
  type MetaData,
  type Protocol,
  type Remove,
} from './actions.ts';
import { movesOffsets } from './kinds.ts';
import type { LogVersion } from './version.ts';

/** The table's state at one version. */
export interface Snapshot {
  readonly tableVersion: number;
  readonly protocol: Protocol;
  readonly metaData: MetaData;
  /** By `appId`; `docs/commit-protocol.md` says what the names mean. */
  readonly txns: ReadonlyMap<string, bigint>;
  /** The live files, by path in the store (decoded). */
  readonly files: ReadonlyMap<string, Add>;
  /** Removed files that a reader of an older version may still hold, by path in the store. */
  readonly tombstones: ReadonlyMap<string, Remove>;
  /** A RESTORE that no repair has followed: its offsets and its rows do not belong together. */
  readonly unrepairedRestore: number | undefined;
}

/**
 * Replays versions on a snapshot; without one, the first version is a log checkpoint or version 0. Cost: the
 * new actions and one copy of each map that changes.
 *
 * @throws Failure TABLE_UNSUPPORTED naming every feature that stands in the way, TABLE_CORRUPT without
 * protocol or metaData
 */
export function replay(base: Snapshot | undefined, versions: readonly LogVersion[]): Snapshot {
  const state = new ReplayState(base);
  for (const version of versions) state.apply(version);
  const snapshot = state.finish();
  refuseUnsupported(snapshot.protocol, snapshot.metaData);
  return snapshot;
}

class ReplayState {
  private tableVersion: number | undefined;
  private protocol: Protocol | undefined;
  private metaData: MetaData | undefined;
  private unrepairedRestore: number | undefined;
  private readonly txns: CopyOnWrite<bigint>;
  private readonly files: CopyOnWrite<Add>;
  private readonly tombstones: CopyOnWrite<Remove>;

  constructor(base: Snapshot | undefined) {
    this.tableVersion = base?.tableVersion;
    this.protocol = base?.protocol;
    this.metaData = base?.metaData;
    this.unrepairedRestore = base?.unrepairedRestore;
    this.txns = new CopyOnWrite(base?.txns);
    this.files = new CopyOnWrite(base?.files);
    this.tombstones = new CopyOnWrite(base?.tombstones);
  }

  apply({ tableVersion, actions }: LogVersion): void {
    assert(
      this.tableVersion === undefined || tableVersion === this.tableVersion + 1,
      'versions are replayed in order',
    );
    this.tableVersion = tableVersion;
    for (const action of actions) this.applyAction(action, tableVersion);
  }

  finish(): Snapshot {
    const { tableVersion, protocol, metaData, unrepairedRestore } = this;
    if (tableVersion === undefined || protocol === undefined || metaData === undefined) {
      throw new Failure(
        'TABLE_CORRUPT',
        `The table's log has no ${protocol === undefined ? 'protocol' : 'metaData'} up to version ${tableVersion}.`,
        'Nothing was changed. Restore _delta_log from a backup, or use another location.',
      );
    }
    const [txns, files, tombstones] = [this.txns.map, this.files.map, this.tombstones.map];
    return { tableVersion, protocol, metaData, txns, files, tombstones, unrepairedRestore };
  }

  private applyAction(action: Action, tableVersion: number): void {
    if ('add' in action) this.add(action.add);
    else if ('remove' in action) this.remove(action.remove);
    else if ('txn' in action) this.txns.set(action.txn.appId, action.txn.version);
    else if ('metaData' in action) this.metaData = action.metaData;
    else if ('protocol' in action) this.protocol = action.protocol;
    else this.unrepairedRestore = restoreAfter(this.unrepairedRestore, tableVersion, action.commitInfo);
  }

  private add(add: Add): void {
    const path = decodePath(add.path);
    this.files.set(path, add);
    this.tombstones.delete(path);
  }

  private remove(remove: Remove): void {
    const path = decodePath(remove.path);
    this.files.delete(path);
    this.tombstones.set(path, remove);
  }
}

/**
 * The RESTORE that is unrepaired after a version with this `commitInfo`, given the one that was before it.
 */
export function restoreAfter(
  before: number | undefined,
  tableVersion: number,
  commitInfo: CommitInfo | undefined,
): number | undefined {
  if (commitInfo?.operation === 'RESTORE') return tableVersion;
  return movesOffsets(commitInfo) ? undefined : before;
}

/** A map that is shared with the snapshot it came from until the first change. */
class CopyOnWrite<V> {
  map: ReadonlyMap<string, V>;
  private own: Map<string, V> | undefined;

  constructor(map: ReadonlyMap<string, V> | undefined) {
    this.map = map ?? new Map<string, V>();
  }

  set(key: string, value: V): void {
    this.mutable().set(key, value);
  }

  delete(key: string): void {
    if (this.map.has(key)) this.mutable().delete(key);
  }

  private mutable(): Map<string, V> {
    if (this.own === undefined) {
      this.own = new Map(this.map);
      this.map = this.own;
    }
    return this.own;
  }
}

/**
 * The features that protocol versions stand for where no feature list is given. PROTOCOL.md, "Table
 * Features".
 */
const FEATURES_OF_READER: Readonly<Record<number, string>> = { 2: 'columnMapping' };
const FEATURES_OF_WRITER: Readonly<Record<number, string>> = {
  3: 'checkConstraints',
  4: 'changeDataFeed, generatedColumns',
  5: 'columnMapping',
  6: 'identityColumns',
};

function refuseUnsupported(protocol: Protocol, metaData: MetaData): void {
  const problems = [
    ...featuresBeyondOurs(protocol),
    ...propertiesRefused(metaData),
    ...columnsRefused(metaData),
  ];
  if (problems.length === 0) return;
  throw new Failure(
    'TABLE_UNSUPPORTED',
    `The table uses what Tidemark does not support (it reads version 1 and writes version 2 of the protocol): ${problems.join('; ')}.`,
    'Turn it off with the tool that turned it on (in Spark: ALTER TABLE ... DROP FEATURE, or UNSET TBLPROPERTIES), or use another location.',
  );
}

function featuresBeyondOurs(protocol: Protocol): string[] {
  const { minReaderVersion, minWriterVersion, readerFeatures, writerFeatures } = protocol;
  if (minReaderVersion <= 1 && minWriterVersion <= 2) return [];
  const listed = new Set([...(readerFeatures ?? []), ...(writerFeatures ?? [])]);
  const implied = [
    ...range(2, minReaderVersion).map((version) => FEATURES_OF_READER[version]),
    ...range(3, minWriterVersion).map((version) => FEATURES_OF_WRITER[version]),
  ];
  const names = listed.size > 0 ? [...listed] : [...new Set(implied.filter((name) => name !== undefined))];
  return [
    `protocol reader ${minReaderVersion}, writer ${minWriterVersion}, with ${names.join(', ') || 'no feature named'}`,
  ];
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, Math.min(to, 7) - from + 1) }, (_, index) => from + index);
}

function propertiesRefused({ configuration, format }: MetaData): string[] {
  const retention = configuration['delta.setTransactionRetentionDuration'];
  const mapping = configuration['delta.columnMapping.mode'] ?? 'none';
  return [
    // An expired txn is a lost offset, and a lost offset means that every record is read again.
    ...(retention === undefined ? [] : [`the property delta.setTransactionRetentionDuration = ${retention}`]),
    ...(mapping === 'none' ? [] : [`the property delta.columnMapping.mode = ${mapping}`]),
    ...(format.provider === 'parquet' ? [] : [`the file format ${format.provider}`]),
  ];
}

/**
 * Writer 2 has to honour invariants; we evaluate no SQL, so we refuse them. `delta.appendOnly` is
 * `decideRetention`'s.
 */
const COLUMN_RULES = ['delta.invariants', 'delta.generationExpression', 'delta.identity.start'];

function columnsRefused({ schemaString }: MetaData): string[] {
  return COLUMN_RULES.filter((rule) => schemaString.includes(`"${rule}"`)).map(
    (rule) => `a column with ${rule}`,
  );
}
