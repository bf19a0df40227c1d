import type { Environment } from '../environment.ts';
import type { OpenStore } from '../storage/stores.ts';

/** The outside world as a command reaches it, a page or metrics. */
export interface Outside {
  readonly environment: Environment;
  /** The store at a location, as a worker with this environment opens it. */
  readonly openStore: OpenStore;
}
