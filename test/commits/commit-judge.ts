import { readBatchRecord } from '../../src/commits/batch-record.ts';
import { decodePath } from '../../src/delta/actions.ts';
import { isLetter, rowName, tableKey, type Version, type World } from './commit-world.ts';

/**
 * The naive model: walks the log from its beginning, with nothing of the product but its readers of actions,
 * and says what a user of the table would find wrong. Undefined where everything is right.
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
    ofTable(world) ??
    letterVerdict(world) ??
    world.writers.map((_, i) => writerVerdict(world, i, goals)).find(Boolean);
}

type Goals = readonly (readonly [number, number])[];

function tableVerdict({ log, files, letters }: World): string | undefined {
  const position: (number | undefined)[] = [undefined, undefined];
  const expected = new Set<string>();
  let incarnation = 0;
  let restored = false;
  let columns = 2;
  for (const version of log) {
    if (version.kind === 'restore') restored = true;
    columns = columnsOf(version) ?? columns;
    if (version.kind === 'accept') {
      incarnation = 1;
      for (const p of [0, 1]) if (position[p] !== undefined) position[p] = 0;
    }
    if (version.kind !== 'drain' && version.kind !== 'table') continue;
    if (restored) return 'LOST: a batch on a RESTORE';
    if (version.kind === 'drain' && columns !== 2)
      return 'SCHEMA: a batch whose columns the table does not have';
    for (const { kafkaPartition, startingOffset, endingOffset, accounting } of ledgerOf(version)) {
      const start = startingOffset === undefined ? undefined : Number(startingOffset);
      if (start !== position[kafkaPartition])
        return `TILING: partition ${kafkaPartition} goes on at ${start}`;
      if (Number(endingOffset) - (start ?? 0) !== accounting.rows + accounting.deadLetters)
        return 'ACCOUNTING: an offset without a fate';
      for (let o = start ?? 0; o < Number(endingOffset); o++)
        if (!letters || !isLetter(kafkaPartition, o)) expected.add(rowName(incarnation, kafkaPartition, o));
      position[kafkaPartition] = Number(endingOffset);
    }
  }
  return restored ? missingFile(log, files) : (missingFile(log, files) ?? rowVerdict(log, files, expected));
}

/** How many columns the table has from this version on, where the version says so. */
function columnsOf({ actions }: Version): number | undefined {
  for (const action of actions)
    if ('metaData' in action) return JSON.parse(action.metaData.schemaString).fields.length;
  return undefined;
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

/**
 * Letters that are readable are those of committed batches, each once; a run that is done has published its
 * own.
 */
function letterVerdict({ log, letterLog, files, writers, letters, incarnation }: World): string | undefined {
  if (!letters) return undefined;
  const lettersOf = (versions: readonly Version[]) =>
    versions.flatMap(({ kind, actions }, tableVersion) =>
      kind !== 'drain'
        ? []
        : (ledgerOf({ actions } as Version) ?? []).flatMap(
            ({ kafkaPartition, startingOffset, endingOffset }) =>
              offsetsBetween(Number(startingOffset ?? 0n), Number(endingOffset))
                .filter((offset) => isLetter(kafkaPartition, offset))
                .map((offset) => ({ tableVersion, name: rowName(incarnation, kafkaPartition, offset) })),
          ),
    );
  const committed = lettersOf(log);
  const isCommitted = new Set(committed.map(({ name }) => name));
  const seen = new Set<string>();
  for (const path of letterLog.flatMap(({ actions }) =>
    actions.flatMap((action) => ('add' in action ? [action.add.path] : [])),
  )) {
    for (const letter of files.get(path)?.rows ?? []) {
      if (!isCommitted.has(letter)) return `LEADS: the letter ${letter} of no committed batch`;
      if (seen.has(letter)) return `TWICE: the letter ${letter}`;
      seen.add(letter);
    }
  }
  const owed = committed.find(
    ({ name, tableVersion }) =>
      !seen.has(name) && writers.some(({ state, own }) => state === 'done' && own.includes(tableVersion)),
  );
  return owed === undefined ? undefined : `UNPUBLISHED: the letter ${owed.name} of a run that is done`;
}

function offsetsBetween(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/**
 * A receipt names every version that holds a batch of its run and no other; a run that is done has reached
 * its goal.
 */
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
