/**
 * Options of the contract that this version does not have: refused by name, since ignoring one would
 * surprise.
 */
export const UNSUPPORTED_OPTIONS: Readonly<Record<string, string>> = {
  'source.ssl': 'Use a listener without TLS (PLAINTEXT).',
  'source.sasl': 'Use a listener without authentication (PLAINTEXT).',
};

/** Options that people will look for, with what says the same: nothing in the file. */
export const SAID_ELSEWHERE: Readonly<Record<string, string>> = {
  name: "Remove it: the file's name without .yaml is the pipeline's name.",
};

/** Options of Spark's that people will try first, and what says the same here. */
export const OTHER_NAMES: Readonly<Record<string, string>> = {
  'kafka.bootstrap.servers': 'source.bootstrapServers',
  brokers: 'source.bootstrapServers',
  topic: 'source.subscribe',
  topics: 'source.subscribe',
  maxOffsetsPerTrigger: 'limits.maxOffsetsPerBatch',
  path: 'table.location',
  columns: 'records.schema',
  ddl: 'records.schema',
  interval: 'schedule.every',
};
