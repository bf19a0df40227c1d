import type { Command } from 'commander';
import type { Specification } from '../pipeline/specification.ts';
import type { OpenStore } from '../storage/stores.ts';
import type { Output } from './output.ts';

/** What a verb's file in `src/cli` exports. `main.ts` imports it only when that verb is asked for. */
export interface Verb {
  /**
   * Adds arguments, options and the action to `command`, which already has the verb's name and summary.
   * The action may throw a `Failure`, which `main.ts` prints, and ends with a code other than 0 by setting
   * `process.exitCode`. It closes what it opens: the process ends by itself when nothing is left to do.
   */
  register(command: Command, context: Context): void;
}

/**
 * The global options, for an action. Its fields are known once the command line is parsed: not in `register`.
 */
export interface Context {
  readonly output: Output;
  /** Absolute path of the folder with the pipeline files. */
  readonly pipelinesFolder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The store at a location, as a worker with this environment opens it. */
  readonly openStore: OpenStore;
  /** The pipeline from its file. Throws as `loadPipeline` in pipeline/load.ts does. */
  loadPipeline(name: string): Promise<Specification>;
  /** The whole command line, with the arguments and options of every verb: for completion. */
  allVerbs(): Promise<Command>;
  /**
   * Replaces what SIGINT, SIGTERM and SIGHUP do: `handler` runs once, then the process ends with 130
   * (SIGINT), 143 (SIGTERM) or 129 (SIGHUP). A second signal ends it at once. Without a handler the first one
   * does.
   */
  onInterrupt(handler: (signal: NodeJS.Signals) => unknown): void;
}
