import { Failure } from '../errors.ts';

/** What stopped a process that runs DuckDB, as its parent can be told. */
export interface FailureMessage extends Pick<Failure, 'code' | 'message' | 'fix'> {
  readonly kind: 'failed';
}

/** As its parent throws it. */
export function failureOf({ code, message, fix }: FailureMessage): Failure {
  return new Failure(code, message, fix);
}

/**
 * @param work what DuckDB was to do, such as "clean rows"
 * @param fix where the disk is not what was missing
 */
export function describeFailure(
  error: unknown,
  work: string,
  scratchFolder: string,
  fix: string,
): FailureMessage {
  if (error instanceof Failure)
    return { kind: 'failed', code: error.code, message: error.message, fix: error.fix };
  const message = error instanceof Error ? error.message : String(error);
  if (/No space left on device|max_temp_directory_size/i.test(message)) {
    return {
      kind: 'failed',
      code: 'STORAGE_FULL',
      message: `No space left to ${work} in ${scratchFolder}: ${message}`,
      fix: "Nothing was committed. Free space there, or set the worker's TMPDIR to another disk.",
    };
  }
  return { kind: 'failed', code: 'REWRITE_FAILED', message: `DuckDB could not ${work}: ${message}`, fix };
}
