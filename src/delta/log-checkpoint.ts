import { readParquetRows } from '../parquet/file-reader.ts';
import { encodeParquetRows, type RowField, type RowType } from '../parquet/row-writer.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { type Action, type Remove, readAction } from './actions.ts';
import { LOG_FOLDER, logCheckpointPath } from './log-files.ts';
import type { Snapshot } from './snapshot.ts';

/**
 * Versions between log checkpoints: 10, and more for tables of many files. A log checkpoint names every live
 * file again, so at a fixed interval its cost per commit would grow with the table; this way it stays below
 * 1,000 rows.
 */
export function logCheckpointInterval(liveFiles: number): number {
  return Math.max(10, Math.ceil(liveFiles / 1000));
}

/**
 * Writes the snapshot as a V1 classic log checkpoint, then points `_last_checkpoint` at it. Each replaces its
 * object as one step; written twice, the second says the same.
 */
export async function writeLogCheckpoint(
  store: ObjectStore,
  snapshot: Snapshot,
  nowMs: number,
): Promise<void> {
  const { tableVersion } = snapshot;
  const actions = logCheckpointActions(snapshot, nowMs);
  const content = await encodeParquetRows(LOG_CHECKPOINT_COLUMNS, actions);
  await store.put(logCheckpointPath(tableVersion), content);
  // Another process may have written a newer one meanwhile: never go back. One that freezes right here still
  // can; a reader then starts at the older one, or finds the newer by listing.
  if (((await readLastCheckpoint(store)) ?? -1) > tableVersion) return;
  await putPointer(store, tableVersion, actions, content.length);
}

/** Points `_last_checkpoint` at a log checkpoint that is there. */
export async function pointToLogCheckpoint(store: ObjectStore, tableVersion: number): Promise<void> {
  const path = logCheckpointPath(tableVersion);
  const content = await store.read(path);
  if (content === undefined) return;
  const actions = await decodeLogCheckpoint(content, `${store.root}/${path}`);
  await putPointer(store, tableVersion, actions, content.length);
}

async function putPointer(
  store: ObjectStore,
  version: number,
  actions: readonly Action[],
  sizeInBytes: number,
): Promise<void> {
  const numOfAddFiles = actions.filter((action) => 'add' in action).length;
  const pointer = { version, size: actions.length, sizeInBytes, numOfAddFiles };
  await store.put(LAST_CHECKPOINT_PATH, Buffer.from(JSON.stringify(pointer)));
}

/**
 * The actions of a V1 classic log checkpoint, also of other writers'.
 *
 * @throws Failure TABLE_CORRUPT, TABLE_UNSUPPORTED
 */
export async function decodeLogCheckpoint(content: Buffer, where: string): Promise<Action[]> {
  const rows = await readParquetRows(content, where);
  return rows.flatMap((row) => readAction(row, where) ?? []);
}

/** The version that `_last_checkpoint` names: a hint, undefined where it is missing or not readable. */
export async function readLastCheckpoint(store: ObjectStore): Promise<number | undefined> {
  const content = await store.read(LAST_CHECKPOINT_PATH);
  if (content === undefined) return undefined;
  try {
    const { version } = JSON.parse(content.toString('utf8')) as { version?: unknown };
    return Number.isSafeInteger(version) ? (version as number) : undefined;
  } catch {
    return undefined;
  }
}

const STRINGS: RowType = { map: 'string' };

/** Delta protocol, "Checkpoint Schema", as far as reader 1 and writer 2 go. */
const LOG_CHECKPOINT_COLUMNS: readonly RowField[] = [
  group('txn', { appId: 'string', version: 'long', lastUpdated: 'long' }),
  group('add', {
    path: 'string',
    partitionValues: STRINGS,
    size: 'long',
    modificationTime: 'long',
    dataChange: 'boolean',
    stats: 'string',
    tags: STRINGS,
  }),
  group('remove', {
    path: 'string',
    deletionTimestamp: 'long',
    dataChange: 'boolean',
    extendedFileMetadata: 'boolean',
    partitionValues: STRINGS,
    size: 'long',
  }),
  group('metaData', {
    id: 'string',
    name: 'string',
    description: 'string',
    format: { struct: fields({ provider: 'string', options: STRINGS }) },
    schemaString: 'string',
    partitionColumns: { list: 'string' },
    configuration: STRINGS,
    createdTime: 'long',
  }),
  group('protocol', { minReaderVersion: 'integer', minWriterVersion: 'integer' }),
];

function group(name: string, types: Readonly<Record<string, RowType>>): RowField {
  return { name, type: { struct: fields(types) } };
}

function fields(types: Readonly<Record<string, RowType>>): RowField[] {
  return Object.entries(types).map(([name, type]) => ({ name, type }));
}

const LAST_CHECKPOINT_PATH = `${LOG_FOLDER}_last_checkpoint`;

/**
 * Delta protocol, "Checkpoints": protocol, metaData, every txn, every live file, every tombstone that has not
 * expired.
 */
function logCheckpointActions(snapshot: Snapshot, nowMs: number): Action[] {
  const { protocol, metaData, txns, files } = snapshot;
  return [
    { protocol },
    { metaData },
    ...[...txns].map(([appId, version]) => ({ txn: { appId, version } })),
    // "All actions in a checkpoint ... dataChange ... false": a streaming reader has seen them already.
    ...[...files.values()].map((add) => ({ add: { ...add, dataChange: false } })),
    ...[...liveTombstones(snapshot, nowMs).values()].map((remove) => ({
      remove: { ...remove, dataChange: false },
    })),
  ];
}

/** Tombstones that a vacuum still has to respect. */
export function liveTombstones(
  { tombstones, metaData }: Snapshot,
  nowMs: number,
): ReadonlyMap<string, Remove> {
  const retentionMs = tombstoneRetentionMs(metaData);
  return new Map(
    [...tombstones].filter(([, { deletionTimestamp }]) => (deletionTimestamp ?? 0) >= nowMs - retentionMs),
  );
}

/**
 * How long our log checkpoints remember removed files: half a day longer than the table asks for, so that a
 * vacuum of just that age finds them there.
 */
export function tombstoneRetentionMs({ configuration }: Snapshot['metaData']): number {
  return readInterval(configuration['delta.deletedFileRetentionDuration']) + DAY_MS / 2;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const UNIT_MS: Readonly<Record<string, number>> = {
  millisecond: 1,
  second: 1000,
  minute: 60 * 1000,
  hour: 60 * 60 * 1000,
  day: DAY_MS,
  week: 7 * DAY_MS,
};

/**
 * Spark's `interval 7 days` or `1 week 2 days`. An interval that is not understood keeps every tombstone,
 * which is safe.
 */
function readInterval(text = 'interval 1 week'): number {
  const words = text
    .trim()
    .toLowerCase()
    .replace(/^interval\s+/, '')
    .split(/\s+/);
  const parts = words.flatMap((word, index) =>
    index % 2 === 0
      ? [Number(word) * (UNIT_MS[words[index + 1]?.replace(/s$/, '') ?? ''] ?? Number.NaN)]
      : [],
  );
  const total = parts.reduce((sum, part) => sum + part, 0);
  return Number.isNaN(total) ? Number.POSITIVE_INFINITY : total;
}
