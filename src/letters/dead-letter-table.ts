import type { LetterSet } from '../commits/letters.ts';
import { newestRetryOf } from '../commits/pipeline-state.ts';
import { lettersRetried } from '../commits/retried-letters.ts';
import { type Add, parseStats } from '../delta/actions.ts';
import type { Specification } from '../pipeline/specification.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import { type OpenTable, openTable, requireSnapshot } from '../runs/open-table.ts';
import type { Outside } from '../runs/outside.ts';
import {
  IDENTITY,
  type LetterSlice,
  letterFilesOf,
  letterId,
  letterSlices,
  type StoredLetter,
} from './stored-letters.ts';

export type LetterState = 'open' | 'retried';

/** The dead-letter table of a pipeline, for looking at it. Nothing is created. */
export interface DeadLetterTable {
  readonly location: string;
  /**
   * Letters with the named columns, slice by slice, oldest file first; of the files that `wanted` lets pass.
   */
  read<Column extends keyof StoredLetter>(
    columns: readonly Column[],
    wanted?: (add: Add) => boolean,
  ): AsyncGenerator<readonly FoundLetter<Column>[]>;
}

export type FoundLetter<Column extends keyof StoredLetter> = Pick<
  StoredLetter,
  Column | (typeof IDENTITY)[number]
> & {
  readonly state: LetterState;
  /** All columns of this letter. */
  whole(): Promise<StoredLetter>;
};

/** The table that holds a pipeline's dead letters, for looking at its log. Nothing is created. */
export function openLetterTable(specification: Specification, outside: Outside): OpenTable {
  const location = deadLettersLocation(specification.table.location);
  return openTable({ ...specification, table: { ...specification.table, location } }, outside);
}

/** Throws TABLE_NOT_FOUND where nothing was drained yet. */
export async function openDeadLetters(
  specification: Specification,
  outside: Outside,
): Promise<DeadLetterTable> {
  const main = openTable(specification, outside);
  const snapshot = await requireSnapshot(main, specification);
  const retried = await lettersRetried(main.log, newestRetryOf(snapshot));
  const { store, log } = openLetterTable(specification, outside);
  const letters = await log.snapshot();
  return {
    location: store.root,
    async *read(columns, wanted = () => true) {
      for (const [path, add] of await letterFilesOf(main.log, snapshot.metaData.id, letters)) {
        if (!wanted(add)) continue;
        for await (const slice of letterSlices(store, path)) yield await found(slice, columns, retried);
      }
    },
  };
}

async function found<Column extends keyof StoredLetter>(
  slice: LetterSlice,
  columns: readonly Column[],
  retried: LetterSet,
): Promise<FoundLetter<Column>[]> {
  const letters = await slice.read([...new Set([...IDENTITY, ...columns])]);
  return letters.map((letter, index) => {
    const row = slice.startRow + index;
    return {
      ...letter,
      state: retried.has(letterId(letter)) ? 'retried' : 'open',
      whole: async () => (await slice.read(COLUMNS, row, row + 1))[0] as StoredLetter,
    };
  });
}

const COLUMNS = [
  ...IDENTITY,
  'timestamp',
  'key',
  'headers',
  'value',
  'reason',
  'path',
  'byte_offset',
  'message',
  'run',
  'batch',
] as const;

/** The letters of one offset: several where a topic was accepted again and has the offset a second time. */
export async function* lettersAt<Column extends keyof StoredLetter>(
  table: DeadLetterTable,
  { topic, partition, offset }: Pick<StoredLetter, 'topic' | 'partition' | 'offset'>,
  columns: readonly Column[],
): AsyncGenerator<FoundLetter<Column>> {
  for await (const slice of table.read(columns, (add) => mayHoldOffset(add, offset)))
    for (const letter of slice)
      if (letter.offset === offset && letter.partition === partition && letter.topic === topic) yield letter;
}

/** Whether a file may hold a letter of this offset, by its statistics. */
function mayHoldOffset({ stats }: Add, offset: bigint): boolean {
  const { minValues, maxValues } = parseStats(stats) ?? {};
  const [least, greatest] = [minValues?.offset, maxValues?.offset].map(asBigInt);
  return (least === undefined || least <= offset) && (greatest === undefined || offset <= greatest);
}

function asBigInt(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value;
  return Number.isSafeInteger(value) ? BigInt(value as number) : undefined;
}

/** `TOPIC/PARTITION/OFFSET`, which `show` takes. */
export function letterName({
  topic,
  partition,
  offset,
}: Pick<StoredLetter, 'topic' | 'partition' | 'offset'>) {
  return `${topic}/${partition}/${offset}`;
}

/** `2026-11-22T20:15:03.123Z`; null for a record without a timestamp. */
export function letterTime({ timestamp }: Pick<StoredLetter, 'timestamp'>): string | null {
  return timestamp === null || timestamp === undefined
    ? null
    : new Date(Number(timestamp / 1000n)).toISOString();
}
