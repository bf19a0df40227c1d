import { randomUUID } from 'node:crypto';
import { DeltaLog } from '../delta/log.ts';
import { formatBytes, formatDuration } from '../format.ts';
import type { Specification } from '../pipeline/specification.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import { readTable } from '../runs/table-state.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { type Check, CLOCKS_APART_MS, checked, fail, ok, skip, warn } from './checks.ts';
import type { Machine } from './machine.ts';

const ATTEMPTS_AT_ONCE = 4;
const ROUNDS = 3;
/** Below it a write task of ordinary size does not fit. */
const FREE_BYTES_MIN = 256 * 1024 * 1024;
const FREE_FILES_MIN = 1_000;

/**
 * Whether table and dead letters can be written as the commit protocol needs it, the disk, the clock, whose
 * table it is.
 */
export async function checkTable(specification: Specification, machine: Machine): Promise<Check[]> {
  const { location } = specification.table;
  const probes = async () => {
    // One after the other: both may have to make the folder that holds them, and remove it again.
    const table = await checked('location', async () => await probe('location', location, machine));
    const besideIt = deadLettersLocation(location);
    const letters = await checked('dead letters', async () => await probe('dead letters', besideIt, machine));
    return [...table, ...letters.filter(({ name }) => name === 'dead letters')];
  };
  const parts = await Promise.all([
    probes(),
    checked('disk', async () => await checkSpace(specification, machine)),
    checked('table', async () => await checkOwner(specification, machine)),
  ]);
  return parts.flat();
}

/**
 * Several attempts at once to create one object: exactly one may be told that it did, and its content stays.
 * Everything exactly-once rests on that. Leaves nothing behind, no folder either.
 */
async function probe(name: string, location: string, { openStore, now }: Machine): Promise<Check[]> {
  const store = openStore(location);
  return await store.leavingNoFolders(FOLDER, () => probeStore(name, location, store, now));
}

const FOLDER = '_tidemark';

async function probeStore(
  name: string,
  location: string,
  store: ObjectStore,
  now: () => number,
): Promise<Check[]> {
  const paths = Array.from({ length: ROUNDS }, () => `${FOLDER}/doctor-${randomUUID()}`);
  try {
    for (const path of paths) {
      const problem = await raceFor(store, path);
      if (problem !== undefined) return [overwrites(name, location, problem)];
    }
    const beforeMs = now();
    await store.put(paths[0] ?? '', Buffer.from('clock'));
    const stored = await store.stat(paths[0] ?? '');
    const text = `${location}: writable, and a second put-if-absent is refused`;
    return [
      ok(name, text),
      ...(stored === undefined ? [] : [clockOfStore(stored.modifiedMs, beforeMs, now())]),
    ];
  } finally {
    for (const path of paths) await store.delete(path).catch(() => {});
  }
}

/** @returns what went wrong, in words */
async function raceFor(store: ObjectStore, path: string): Promise<string | undefined> {
  const contents = Array.from({ length: ATTEMPTS_AT_ONCE }, (_, at) => Buffer.from(`attempt ${at}`));
  const answers = await Promise.all(contents.map((content) => store.putIfAbsent(path, content)));
  const created = answers.filter((answer) => answer === 'created').length;
  if (created !== 1)
    return `${created} of ${ATTEMPTS_AT_ONCE} attempts at once were told that they had created the same object`;
  const late = await store.putIfAbsent(path, Buffer.from('late'));
  if (late !== 'exists') return 'an object that existed was created once more';
  const kept = await store.read(path);
  return kept?.equals(contents[answers.indexOf('created')] ?? Buffer.alloc(0))
    ? undefined
    : 'the object was replaced by another attempt';
}

function overwrites(name: string, location: string, problem: string): Check {
  return fail(
    name,
    `${location} does not refuse to overwrite: ${problem}. Two drains could both commit the same version.`,
    'Put the table on a disk with hard links that are atomic: a local one, or NFS without caching of attributes.',
    'STORAGE_FAILED',
  );
}

function clockOfStore(modifiedMs: number, beforeMs: number, afterMs: number): Check {
  const apart = Math.max(beforeMs - modifiedMs, modifiedMs - afterMs);
  const name = 'clock of the store';
  if (apart < CLOCKS_APART_MS) return ok(name, 'agrees with this machine');
  return warn(
    name,
    `It is ${formatDuration(apart)} ${modifiedMs > afterMs ? 'ahead of' : 'behind'} this machine's.`,
    "Synchronize both with NTP: the store's clock sets the age of files, which decides what may be committed and deleted.",
  );
}

async function checkSpace({ table }: Specification, { openStore }: Machine): Promise<Check> {
  const space = await openStore(table.location).space();
  if (space === undefined) return ok('disk', `the free space of ${table.location} is not known`);
  const { freeBytes, freeFiles, at } = space;
  const text = `${formatBytes(freeBytes)} free at ${at}`;
  const fix = 'Free space on that disk, or name another table.location.';
  if (freeBytes < FREE_BYTES_MIN) return fail('disk', `Only ${text}.`, fix, 'STORAGE_FULL');
  if (freeFiles < FREE_FILES_MIN)
    return fail('disk', `Only ${freeFiles} more files can be made at ${at}.`, fix, 'STORAGE_FULL');
  if (freeBytes < 8 * table.targetFileBytes)
    return warn('disk', `Only ${text}, less than 8 files of table.targetFileSize.`, fix);
  return ok('disk', text);
}

/** As a drain looks at it before it reads a byte: owner, RESTORE, columns. */
async function checkOwner(specification: Specification, { openStore, now }: Machine): Promise<Check> {
  const { location } = specification.table;
  const log = new DeltaLog(openStore(location), { now });
  const { tableVersion, epoch } = await readTable(log, specification);
  if (tableVersion < 0) return ok('table', 'not there yet: the first drain creates it');
  return ok('table', `version ${tableVersion}, of this pipeline${epoch > 0n ? `, epoch ${epoch}` : ''}`);
}

export function skipTable(): Check[] {
  return ['location', 'disk', 'table'].map((name) => skip(name, 'not known without the pipeline'));
}
