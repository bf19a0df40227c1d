import { Failure, type FailureCode } from '../errors.ts';

/** A part of what is looked at, or why it could not be had: a failure's code, and it with the first line. */
export type Part<T> = T | { readonly code: FailureCode; readonly problem: string };

/** A `Failure` takes the place of the part; anything else is thrown. */
export async function part<T>(work: Promise<T>): Promise<Part<T>> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { code: error.code, problem: `${error.code}: ${error.message.split('\n')[0]}` };
  }
}
