/** What proofs leave for RELIABILITY.md: counted faults and what an independent reader found after them. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const PROOFS = resolve(import.meta.dirname, '../../docs/proofs');
const FIGURES = join(PROOFS, 'figures');

/** One row: what ran, what was done to it, what was then found. */
export interface Figures {
  /** `drain`, `frozen before its put, a retry commits` */
  readonly what: string;
  /** Calls through the injected interfaces that were tried, of all that there are. */
  readonly calls?: string;
  readonly kills?: number;
  readonly lostAnswers?: number;
  readonly zombies?: number;
  /** Servers that were killed, connections that were cut. */
  readonly outages?: number;
  readonly lost: number;
  readonly duplicate: number;
  readonly wrong: number;
  /** Files that no version names, over all runs. */
  readonly orphans?: number;
  /** Of each fault: from it to the run's end, less what is needed without a fault. */
  readonly recoveryMs?: readonly number[];
}

/** Replaces this proof's rows in what RELIABILITY.md is made of. At full size only, else nothing is kept. */
export function keepFigures(proof: string, rows: readonly Figures[]): void {
  if (process.env.TIDEMARK_PROOF !== 'full') return;
  mkdirSync(FIGURES, { recursive: true });
  const lines = rows.map((row) => JSON.stringify(row));
  writeFileSync(join(FIGURES, `${proof}.jsonl`), `${lines.join('\n')}\n`);
}

/** By proof. */
export function readFigures(): Map<string, Figures[]> {
  const files = existsSync(FIGURES) ? readdirSync(FIGURES).sort() : [];
  return new Map(files.map((file) => [file.replace('.jsonl', ''), readLines<Figures>(join(FIGURES, file))]));
}

/** A value a line; none where there is no file. */
export function readLines<T>(file: string): T[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
