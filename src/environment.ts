/** Variables as `process.env` has them: of a command, or of a worker, which hands its own to its threads. */
export type Environment = Readonly<Record<string, string | undefined>>;
