/**
 * What `verify` can find wrong, by its stable name. docs/verify.md says what each means and what to do; a
 * test holds the two together.
 */
export const CHECKS = [
  'logHole',
  'logCheckpoint',
  'restoreUnrepaired',
  'ledgerGap',
  'ledgerOverlap',
  'accounting',
  'txn',
  'txnSetBack',
  'totals',
  'rewriteRows',
  'fileMissing',
  'fileSize',
  'footer',
  'schema',
  'checksum',
  'unreadable',
  'rowCount',
  'statistics',
  'duplicateRows',
  'missingRows',
  'strayRows',
  'rowBalance',
  'topic',
  'kafkaRecords',
] as const;
export type Check = (typeof CHECKS)[number];

/** Where it is wrong, as exactly as is known. Offsets are decimal strings, the ending one exclusive. */
export interface Place {
  /** Absent: the pipeline's own table. */
  readonly table?: 'deadLetters';
  readonly tableVersion?: number;
  readonly file?: string;
  readonly rowGroup?: number;
  readonly column?: string;
  readonly topic?: string;
  readonly kafkaPartition?: number;
  readonly startingOffset?: string;
  readonly endingOffset?: string;
}

/** Two things that should say the same and do not. */
export interface Disagreement extends Place {
  readonly check: Check;
  readonly problem: string;
}

/** More of a kind tell a person nothing new, and a table may have a million of them. */
const KEPT_PER_CHECK = 100;

/** Collects disagreements in bounded memory: all are counted, the first of each kind are kept. */
export class Disagreements {
  readonly kept: Disagreement[] = [];
  private readonly counts = new Map<Check, number>();

  add(check: Check, place: Place, problem: string): void {
    const count = (this.counts.get(check) ?? 0) + 1;
    this.counts.set(check, count);
    if (count <= KEPT_PER_CHECK) this.kept.push({ check, ...place, problem });
  }

  get total(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** How many there are of each kind, kept or not. */
  get byCheck(): Readonly<Partial<Record<Check, number>>> {
    return Object.fromEntries(this.counts);
  }
}

/** Where a check says what it has found. */
export type Finder = Pick<Disagreements, 'add'>;

/** Everything that is added is about one place. */
export function within(found: Finder, place: Place): Finder {
  return { add: (check, more, problem) => found.add(check, { ...place, ...more }, problem) };
}
