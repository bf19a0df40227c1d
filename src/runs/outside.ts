import type { Environment } from '../environment.ts';

/** The outside world as a command reaches it, a page or metrics. */
export interface Outside {
  readonly environment: Environment;
}
