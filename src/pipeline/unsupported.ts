/** Options of the contract that this version does not have: refused by name, since ignoring one would surprise. */
export const UNSUPPORTED_OPTIONS: Readonly<Record<string, string>> = {
  'source.subscribePattern': 'List the topics in source.subscribe.',
  'source.startingTimestamp': 'Give offsets in source.startingOffsets, or begin at earliest.',
  'source.startingOffsetsByTimestamp': 'Give offsets in source.startingOffsets, or begin at earliest.',
  'source.ssl': 'Use a listener without TLS (PLAINTEXT).',
  'source.sasl': 'Use a listener without authentication (PLAINTEXT).',
  'records.maxDeadLetters': 'Remove it, and choose records.mode failFast or permissive.',
  'records.clean': 'Remove it; clean when you read, with SQL.',
};

/** Values of the contract that this version does not have, by option. */
export const UNSUPPORTED_VALUES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'source.failOnDataLoss': {
    false: 'Keep true: a run that would skip lost offsets fails and says which.',
  },
  'records.mode': {
    deadLetter: 'Write failFast, or permissive to keep malformed records as text in _corrupt_record.',
    dropMalformed: 'Write failFast, or permissive to keep malformed records as text in _corrupt_record.',
  },
  'records.kafkaColumns': {
    key: 'Leave key out: topic, partition, offset and timestamp exist.',
    headers: 'Leave headers out: topic, partition, offset and timestamp exist.',
  },
};

/** Partition transforms of the contract other than `day`. */
export const UNSUPPORTED_TRANSFORMS: readonly string[] = ['year', 'month', 'hour'];

/** Where tables will live, other than the local disk, by the scheme of their location. */
export const UNSUPPORTED_SCHEMES: readonly string[] = [
  's3',
  's3a',
  'webhdfs',
  'hdfs',
  'gs',
  'abfss',
  'http',
  'https',
];

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
