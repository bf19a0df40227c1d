import { decodePath } from '../../src/delta/actions.ts';
import { readBatchRecord } from '../../src/delta/batch-record.ts';
import { rowName, tableKey, type Version, type World } from './commit-world.ts';

/**
 * The naive model: walks the log from its beginning, with nothing of the product but its readers of actions, and says
 * what a user of the table would find wrong. Undefined where everything is right.
 */
export function judgeOf(goals: Goals): (world: World) => string | undefined {
  // Most steps leave log and files alone.
  const known = new Map<string, string | undefined>();
  const ofTable = (world: World) => {
    const key = tableKey(world);
    if (!known.has(key)) known.set(key, tableVerdict(world));
    return known.get(key);
  };
  return (world) =>
    ofTable(world) ?? world.writers.map((_, i) => writerVerdict(world, i, goals)).find(Boolean);
}

type Goals = readonly (readonly [number, number])[];

function tableVerdict({ log, files }: World): string | undefined {
  const position: (number | undefined)[] = [undefined, undefined];
  const expected = new Set<string>();
  let incarnation = 0;
  let restored = false;
  let columns = 2;
  for (const version of log) {
    if (version.kind === 'restore') restored = true;
    if (version.kind === 'alter') columns = 1;
    if (version.kind === 'accept') {
      incarnation = 1;
      for (const p of [0, 1]) if (position[p] !== undefined) position[p] = 0;
    }
    if (version.kind !== 'drain' && version.kind !== 'table') continue;
    if (restored) return 'LOST: a batch upon a RESTORE';
    if (version.kind === 'drain' && columns !== 2)
      return 'SCHEMA: a batch whose columns the table does not have';
    for (const { kafkaPartition, startingOffset, endingOffset, accounting } of ledgerOf(version)) {
      const start = startingOffset === undefined ? undefined : Number(startingOffset);
      if (start !== position[kafkaPartition])
        return `TILING: partition ${kafkaPartition} goes on at ${start}`;
      if (Number(endingOffset) - (start ?? 0) !== accounting.rows)
        return 'ACCOUNTING: an offset without a fate';
      for (let o = start ?? 0; o < Number(endingOffset); o++)
        expected.add(rowName(incarnation, kafkaPartition, o));
      position[kafkaPartition] = Number(endingOffset);
    }
  }
  return restored ? missingFile(log, files) : (missingFile(log, files) ?? rowVerdict(log, files, expected));
}

function ledgerOf({ actions }: Version) {
  const [first] = actions;
  const commitInfo = first !== undefined && 'commitInfo' in first ? first.commitInfo : undefined;
  return readBatchRecord({ tableVersion: 0, commitInfo })?.partitions ?? [];
}

function liveFiles(log: readonly Version[]): Set<string> {
  const live = new Set<string>();
  for (const action of log.flatMap(({ actions }) => actions)) {
    if ('add' in action) live.add(decodePath(action.add.path));
    if ('remove' in action) live.delete(decodePath(action.remove.path));
  }
  return live;
}

function missingFile(log: readonly Version[], files: World['files']): string | undefined {
  const missing = [...liveFiles(log)].find((path) => files.get(path)?.exists !== true);
  return missing === undefined ? undefined : `MISSING: the live file ${missing}`;
}

function rowVerdict(
  log: readonly Version[],
  files: World['files'],
  expected: ReadonlySet<string>,
): string | undefined {
  const seen = new Set<string>();
  for (const path of liveFiles(log)) {
    for (const row of files.get(path)?.rows ?? []) {
      if (seen.has(row)) return `DUPLICATE: ${row}`;
      if (!expected.has(row)) return `EXTRA: ${row}`;
      seen.add(row);
    }
  }
  const lost = [...expected].find((row) => !seen.has(row));
  return lost === undefined ? undefined : `LOST: ${lost}`;
}

/** A receipt names every version that holds a batch of its run and no other; a run that is done has reached its goal. */
function writerVerdict(
  { log, writers }: World,
  index: number,
  goals: readonly (readonly [number, number])[],
) {
  const writer = writers[index];
  const versions = log.flatMap(({ batch }, version) =>
    batch?.batchId.startsWith(`w${index}`) ? [version] : [],
  );
  const wrong = writer?.own.find((version) => !versions.includes(version));
  if (wrong !== undefined) return `RECEIPT: ${wrong} is another's`;
  if (writer?.state !== 'done') return undefined;
  const unknown = versions.find((version) => !writer.own.includes(version));
  if (unknown !== undefined) return `RECEIPT: writer ${index} does not know its version ${unknown}`;
  return goals[index]?.some((goal, p) => goal > reached(log, p))
    ? `GOAL: writer ${index} is done too early`
    : undefined;
}

function reached(log: readonly Version[], kafkaPartition: number): number {
  let offset = 0;
  for (const version of log) {
    if (version.kind === 'accept') offset = 0;
    for (const entry of ledgerOf(version))
      if (entry.kafkaPartition === kafkaPartition) offset = Number(entry.endingOffset);
  }
  return offset;
}
