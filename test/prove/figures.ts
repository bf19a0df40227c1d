/** What proofs leave for RELIABILITY.md. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { CaseFigures } from '../e2e/proofs/proof.ts';

export const PROOFS = resolve(import.meta.dirname, '../../docs/proofs');

/** By proof: what `keepFigures` has kept. */
export function readCases(): [proof: string, cases: readonly CaseFigures[]][] {
  const files = readdirSync(PROOFS).filter((file) => file.endsWith('.json'));
  return files.sort().map((file) => {
    const { cases } = JSON.parse(readFileSync(join(PROOFS, file), 'utf8')) as { cases: CaseFigures[] };
    return [file.replace('.json', ''), cases];
  });
}

/** A value a line; none where there is no file. */
export function readLines<T>(file: string): T[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
