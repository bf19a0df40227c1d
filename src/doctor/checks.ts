import { FAILURES, Failure, type FailureCode, firstLine } from '../errors.ts';

/** `skip`: it could not be looked at, because of another check's verdict. */
export type Verdict = 'ok' | 'warn' | 'fail' | 'skip';

export interface Check {
  readonly name: string;
  readonly verdict: Verdict;
  readonly text: string;
  /** Of `warn` and `fail`. */
  readonly fix?: string;
  /** Of a `fail`, where a run would fail with it. */
  readonly code?: FailureCode;
}

export const ok = (name: string, text: string): Check => ({ name, verdict: 'ok', text });
export const warn = (name: string, text: string, fix: string): Check => ({
  name,
  verdict: 'warn',
  text,
  fix,
});
export const skip = (name: string, text: string): Check => ({ name, verdict: 'skip', text });
export const fail = (name: string, text: string, fix: string, code?: FailureCode): Check => ({
  name,
  verdict: 'fail',
  text,
  fix,
  ...(code && { code }),
});

/** A check takes so long at most: a server that accepts and never answers is a finding too. */
export const WITHIN_MS = 8_000;

/** Runs one check. A `Failure` is its finding; no answer in time is one too. */
export async function checked(
  name: string,
  work: () => Promise<Check | readonly Check[]>,
  withinMs = WITHIN_MS,
): Promise<readonly Check[]> {
  const { promise: late, resolve } = Promise.withResolvers<Check>();
  const timer = setTimeout(
    () =>
      resolve(
        fail(name, `No answer within ${withinMs / 1000} s.`, 'Check whether it hangs or cannot be reached.'),
      ),
    withinMs,
  );
  try {
    const found = await Promise.race([work(), late]);
    return 'verdict' in found ? [found] : found;
  } catch (error) {
    if (error instanceof Failure) return [fail(name, error.message, error.fix, error.code)];
    // What one check could not do must not hide what the others found.
    return [
      fail(
        name,
        `It could not be checked: ${firstLine(error)}.`,
        'Check what the message names, then try again.',
      ),
    ];
  } finally {
    clearTimeout(timer);
  }
}

/**
 * That of the worst finding: a decision that a person has to make before what cannot be reached before what
 * is written wrong.
 */
export function exitCodeOf(checks: readonly Check[]): number {
  const failed = checks.filter(({ verdict }) => verdict === 'fail');
  return Math.max(0, ...failed.map(({ code }) => (code === undefined ? 1 : FAILURES[code].exitCode)));
}

/** Clocks that are further apart than this are a finding. */
export const CLOCKS_APART_MS = 5_000;
