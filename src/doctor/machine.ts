import type { OpenStore } from '../storage/stores.ts';

/** What of this machine the checks look at: a test puts its own in place. */
export interface Machine {
  now(): number;
  readonly openStore: OpenStore;
}
