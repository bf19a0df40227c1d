/**
 * The fate of every offset of a range, each term counted where it happens:
 * `endingOffset - startingOffset` is the sum of them all.
 */
export const ACCOUNTING_TERMS = [
  'rows',
  'deadLetters',
  'dropped',
  'filtered',
  'tombstones',
  'markers',
  'aborted',
  'gaps',
  'lost',
] as const;

export type AccountingTerm = (typeof ACCOUNTING_TERMS)[number];
export type Accounting = Readonly<Record<AccountingTerm, number>>;
export type AccountingCounter = Record<AccountingTerm, number>;

export function emptyAccounting(): AccountingCounter {
  return {
    rows: 0,
    deadLetters: 0,
    dropped: 0,
    filtered: 0,
    tombstones: 0,
    markers: 0,
    aborted: 0,
    gaps: 0,
    lost: 0,
  };
}

export function addAccounting(into: AccountingCounter, terms: Accounting): void {
  for (const term of ACCOUNTING_TERMS) into[term] += terms[term];
}

export function accountedOffsets(terms: Accounting): number {
  return ACCOUNTING_TERMS.reduce((sum, term) => sum + terms[term], 0);
}
