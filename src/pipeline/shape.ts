import { z } from 'zod';
import { SHORTEST_VACUUM_MS } from '../contract.ts';
import { TASKS_MAX } from '../kafka/ranges.ts';
import { DEFAULT_KAFKA_COLUMNS, KAFKA_COLUMNS } from '../records/kafka-columns.ts';
import { parseBytes, parseDuration, parseMoment, parseShare } from '../units.ts';

/**
 * The options of a pipeline file: one schema for checking, for `docs/pipeline.schema.json` and for the option
 * table of `docs/pipeline-file.md`. What an `error` says completes "must be ...".
 *
 * Checks across options, and all that needs the record schema, are in `check.ts`.
 */

const TOPIC = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/;
const OFFSETS_EXAMPLE = '{"topicA":{"0":23,"1":-1},"topicB":{"0":-2}}';
const ASSIGN_EXAMPLE = '{"topicA":[0,1],"topicB":[0,1]}';

const topic = z
  .string({ error: 'a topic name' })
  .regex(TOPIC, { error: 'a topic name: 1 to 249 letters, digits, ".", "_" or "-"' });

/** One, several in a list, or several in one text with commas, as Spark takes them. */
const oneOrMore = <Item extends z.ZodType<string>>(item: Item, error: string) =>
  z.preprocess(
    (given) => (typeof given === 'string' ? given.split(',').map((name) => name.trim()) : given),
    z.array(item, { error }),
  );

const count = (error: string, max = Number.MAX_SAFE_INTEGER) =>
  z
    .union([z.int(), z.string().regex(/^\d+$/)], { error })
    .transform(Number)
    .pipe(z.int({ error }).min(1, { error }).max(max, { error }));

const bytes = z
  .union([z.int(), z.string()], { error: 'a size such as 128MiB' })
  .transform((size, context) => {
    const parsed = parseBytes(size);
    if (parsed !== undefined && parsed >= 1024) return parsed;
    context.addIssue({ code: 'custom', message: 'a size of at least 1KiB, such as 128MiB' });
    return z.NEVER;
  });

const duration = (leastMs: number, error: string) =>
  z.union([z.literal(0), z.string()], { error }).transform((given, context) => {
    const parsed = parseDuration(given);
    if (parsed !== undefined && parsed >= leastMs) return parsed;
    context.addIssue({ code: 'custom', message: error });
    return z.NEVER;
  });

const every = duration(1000, 'a duration of at least 1s, such as 10m or 1h30m').describe(
  'Time between two runs.',
);

const cron = z
  .string({ error: 'a cron expression such as "0 * * * *"' })
  .regex(/^((CRON_)?TZ=\S+\s+)?(@(yearly|monthly|weekly|daily|midnight|hourly)|\S+(\s+\S+){4,6})$/, {
    error: 'a cron expression of 5 fields such as "0 * * * *"',
  })
  .describe('Instead of `every`: a cron expression, in UTC or after `CRON_TZ=Europe/Berlin`.');

/** -2 is earliest, -1 latest; text, because an offset may need more digits than a double has. */
const offset = z
  .union([z.int(), z.string()], { error: 'an offset, -2 (earliest) or -1 (latest)' })
  .transform(String)
  .pipe(z.string().regex(/^(-[12]|\d{1,19})$/, { error: 'an offset, -2 (earliest) or -1 (latest)' }));

const perPartition = z.record(
  z.string().regex(/^\d{1,9}$/, { error: `Expected e.g. ${OFFSETS_EXAMPLE}` }),
  offset,
  { error: 'a mapping from partition to offset' },
);

const TIMESTAMPS_ERROR = 'Expected e.g. {"topicA":{"0":1000,"1":1000}}';
const TIMESTAMP_FORMATS =
  'iso8601, epochSeconds, epochMillis, epochMicros, epochNanos, or a pattern such as dd/MM/yyyy HH:mm:ss';

/** Epoch milliseconds. */
const timestamp = z
  .union([z.int(), z.string()], { error: 'a time such as 2026-11-22T00:00:00Z, or epoch milliseconds' })
  .transform((given, context) => {
    const parsed = parseMoment(given);
    if (parsed !== undefined) return parsed;
    context.addIssue({
      code: 'custom',
      message: 'a time such as 2026-11-22T00:00:00Z, or epoch milliseconds',
    });
    return z.NEVER;
  });

const source = z.strictObject(
  {
    bootstrapServers: oneOrMore(z.string({ error: 'host:port' }), 'a list of host:port').describe(
      'Brokers to find the cluster by, `host:port`: a list, or one string with commas.',
    ),
    subscribe: oneOrMore(topic, 'a topic name or a list of them')
      .optional()
      .describe('Topics to drain, all partitions of each: a list, or one string with commas.'),
    subscribePattern: z
      .string({ error: 'a regular expression over topic names' })
      .optional()
      .describe(
        'Instead of `subscribe`: a regular expression that a whole topic name must match. Topics that appear later are found by the next run and read from their beginning.',
      ),
    assign: json(
      z.record(
        topic,
        z.array(z.int({ error: 'a partition number' }).min(0, { error: 'a partition number' }), {
          error: 'a list of partition numbers',
        }),
        { error: `Expected e.g. ${ASSIGN_EXAMPLE}` },
      ),
      `Expected e.g. ${ASSIGN_EXAMPLE}`,
    )
      .optional()
      .describe('Instead of `subscribe`: topics with the partitions to drain, `{orders: [0, 1]}`.'),
    startingOffsets: json(
      z.union([z.enum(['earliest', 'latest']), z.record(topic, perPartition)], {
        error: `earliest, latest or offsets. Expected e.g. ${OFFSETS_EXAMPLE}`,
      }),
      `Expected e.g. ${OFFSETS_EXAMPLE}`,
    )
      .prefault('earliest')
      .describe(
        'Where a pipeline that has committed nothing yet begins: `earliest`, `latest`, or an offset for every partition (-2 earliest, -1 latest).',
      ),
    startingTimestamp: timestamp
      .optional()
      .describe(
        'Instead of `startingOffsets`: begin at the first record at or after this time (ISO 8601, or epoch milliseconds). Takes precedence over both others.',
      ),
    startingOffsetsByTimestamp: json(
      z.record(topic, z.record(z.string().regex(/^\d{1,9}$/, { error: TIMESTAMPS_ERROR }), timestamp), {
        error: TIMESTAMPS_ERROR,
      }),
      TIMESTAMPS_ERROR,
    )
      .optional()
      .describe(
        'Instead of `startingOffsets`: such a time for every partition. Takes precedence over `startingOffsets`.',
      ),
    startingOffsetsByTimestampStrategy: z
      .enum(['error', 'latest'], { error: 'error or latest' })
      .default('error')
      .describe(
        'If a partition has no record at or after its starting time: fail the run (`error`) or begin at its end (`latest`).',
      ),
    failOnDataLoss: z
      .boolean({ error: 'true or false' })
      .default(true)
      .describe(
        'Whether a run fails when offsets that it must read are gone. `false`: they are counted as `lost`, and the run continues.',
      ),
    isolation: z
      .enum(['read_committed', 'read_uncommitted'], { error: 'read_committed or read_uncommitted' })
      .default('read_committed')
      .describe('Whether records of open and aborted transactions are left out.'),
  },
  { error: 'a section with options' },
);

const records = z.strictObject(
  {
    format: z.enum(['json'], { error: 'json' }).default('json').describe('Format of the records.'),
    mode: z
      .enum(['deadLetter', 'permissive', 'dropMalformed', 'failFast'], {
        error: 'deadLetter, permissive, dropMalformed or failFast',
      })
      .default('deadLetter')
      .describe(
        'What happens to a malformed record: it goes to the dead-letter table as it came (`deadLetter`), becomes a row of nulls with its text in `_corrupt_record` (`permissive`), is counted and left out (`dropMalformed`), or fails the run (`failFast`).',
      ),
    maxDeadLetters: z
      .union([z.number(), z.string()], { error: 'a share such as 1%' })
      .transform((given, context) => {
        const share = parseShare(given);
        if (share !== undefined) return share;
        context.addIssue({ code: 'custom', message: 'a share of the records such as 1%' });
        return z.NEVER;
      })
      .prefault('1%')
      .describe(
        "Share of a run's records that may be dead letters. Above it, the run is still committed and ends with exit code 5.",
      ),
    schema: z
      .string({ error: 'columns as in `id STRING NOT NULL, tags ARRAY<STRING>`' })
      .regex(/\S/, { error: 'columns as in `id STRING NOT NULL, tags ARRAY<STRING>`' })
      .describe(
        "The table's columns as Spark's DDL: STRING, BIGINT, INT, SMALLINT, TINYINT, DOUBLE, FLOAT, DECIMAL(p,s), BOOLEAN, BINARY, DATE, TIMESTAMP, ARRAY<...>, MAP<...>, STRUCT<...>, NOT NULL.",
      ),
    timestamps: z
      .record(z.string(), z.string({ error: TIMESTAMP_FORMATS }), {
        error: `a mapping from column to ${TIMESTAMP_FORMATS}`,
      })
      .default({})
      .describe(
        `How TIMESTAMP columns are written in the records, by path (\`seller.since\`): ${TIMESTAMP_FORMATS}. Default: \`iso8601\`. Without a zone: UTC.`,
      ),
    tombstones: z
      .enum(['count', 'row'], { error: 'count or row' })
      .optional()
      .describe(
        'What happens to a record without a value: it is only counted (`count`), or it becomes a row of nulls with its Kafka columns (`row`), so that `_key` says what was deleted. Default: `count`.',
      ),
    from: z
      .record(z.string(), z.string().nullable(), {
        error:
          'a mapping from column to the path of its field, such as `event_time: payload.ts_ms`, or to null',
      })
      .optional()
      .describe(
        'Columns of `schema` that read another field than the one with their own name: its path through objects (`payload.ts_ms`), or `null` for none (the column is null from now on).',
      ),
    truncateTimestamps: z
      .union([z.boolean(), z.array(z.string())], { error: 'true, or a list of TIMESTAMP columns' })
      .optional()
      .describe(
        'Cuts off what is finer than a microsecond: for all TIMESTAMP columns, or for those listed by path. The receipt counts such values. Otherwise they are defects (`tooPrecise`).',
      ),
    quotedNumbers: z
      .boolean({ error: 'true or false' })
      .optional()
      .describe(
        'Columns of numbers, and times since 1970, also take a number in quotes, as proto3 writes 64-bit integers: "9007199254740993".',
      ),
    kafkaColumns: oneOrMore(
      z.enum(KAFKA_COLUMNS, { error: `one of ${KAFKA_COLUMNS.join(', ')}` }),
      `a list of ${KAFKA_COLUMNS.join(', ')}`,
    )
      .prefault([...DEFAULT_KAFKA_COLUMNS])
      .describe(
        'Parts of every Kafka record to add, as columns `_topic`, `_partition`, `_offset`, `_timestamp`, `_key` (BINARY), `_headers` (an array of key and value).',
      ),
    rest: z
      .boolean({ error: 'true or false' })
      .default(false)
      .describe(
        'Adds a column `_rest STRING`: the fields that the schema does not have, as a JSON object from path to value.',
      ),
    clean: z
      .strictObject(
        {
          where: z
            .string({ error: 'a condition such as "price > 0"' })
            .optional()
            .describe('A condition. Rows for which it is not true are left out, and counted as `filtered`.'),
          columns: z
            .record(z.string(), z.string({ error: 'an expression' }), {
              error: 'a mapping from column to expression',
            })
            .default({})
            .describe('Columns to add or to replace, each by an expression over the row.'),
        },
        { error: 'a section with `where` or `columns`' },
      )
      .optional()
      .describe(
        'SQL expressions (DuckDB) over each row by itself: nothing that depends on time, chance or other rows.',
      ),
  },
  { error: 'a section with options' },
);

const RETENTION_MIN_MS = 3_600_000;
/** A thousand years: the moment before which rows go has a date that every engine can write. */
const RETENTION_MAX_MS = 365_000 * 24 * 3_600_000;
const RETENTION_ERROR = 'a duration from 1h to 365000d, such as 90d';

const table = z.strictObject(
  {
    location: z
      .string({ error: 'a folder' })
      .min(1, { error: 'a folder' })
      .describe("The table's folder, relative to this file or absolute."),
    partitionBy: oneOrMore(
      z.string({ error: 'a column, or year, month, day or hour of one' }),
      'a list of columns or day(column)',
    )
      .prefault([])
      .describe(
        'Partition columns: a column, or `year(column)`, `month(column)`, `day(column)`, `hour(column)` of a TIMESTAMP or DATE, which adds a column such as `<column>_day`.',
      ),
    targetFileSize: bytes.prefault('128MiB').describe('Size at which a data file ends and the next begins.'),
    coalesce: count(`a whole number from 1 to ${TASKS_MAX}`, TASKS_MAX)
      .optional()
      .describe('Write tasks per batch. Default: one per 500,000 offsets; two from 100,000 on.'),
    compression: z
      .enum(['zstd', 'snappy', 'gzip', 'none'], { error: 'zstd, snappy, gzip or none' })
      .default('zstd')
      .describe('Compression of the data files.'),
    retention: z
      .strictObject(
        {
          partition: z
            .string({ error: 'one of partitionBy, such as day(crawl_ts)' })
            .describe(
              'Which of `partitionBy` says how old rows are, as it stands there: `year(column)`, `month(column)`, `day(column)` or `hour(column)`.',
            ),
          olderThan: duration(RETENTION_MIN_MS, RETENTION_ERROR)
            .refine((ms) => ms <= RETENTION_MAX_MS, { error: RETENTION_ERROR })
            .describe(
              'Each vacuum drops the rows of table partitions that ended longer ago than this, in UTC. Those with null stay.',
            ),
        },
        { error: 'a section with `partition` and `olderThan`' },
      )
      .optional()
      .describe('Which rows to drop, by the age of their table partition. Default: none.'),
  },
  { error: 'a section with options' },
);

const limits = z.strictObject(
  {
    maxOffsetsPerBatch: count('a whole number from 1')
      .prefault(2_000_000)
      .describe('Offsets that one commit covers at most, shared between partitions in proportion.'),
    maxFilesPerBatch: count('a whole number from 1')
      .prefault(10_000)
      .describe('Data files of one commit; more of them fail the run by name.'),
    maxRecordBytes: bytes.prefault('64MiB').describe('Size of a record; a longer one is malformed.'),
    maxNesting: count('a whole number from 1 to 5000', 5000)
      .prefault(512)
      .describe('Objects and lists within each other; a record with more is malformed.'),
    maxRecordBatchBytes: bytes
      .prefault('256MiB')
      .describe(
        "Size of one of Kafka's record batches when decompressed; a larger one fails the run by name.",
      ),
  },
  { error: 'a section with options' },
);

const schedule = z.strictObject(
  { every: every.optional(), cron: cron.optional() },
  { error: 'a section with `every` or `cron`' },
);

const compaction = z.strictObject(
  {
    targetFileSize: bytes.prefault('128MiB').describe('Size that a rewritten data file should have.'),
    targetFiles: count('a whole number from 1')
      .optional()
      .describe('Instead of a size: data files per table partition. Takes precedence over `targetFileSize`.'),
    minInputFiles: count('a whole number from 1')
      .prefault(8)
      .describe(
        'Number of small files that is worth a rewrite even if they do not fill a file of the target size.',
      ),
    olderThan: duration(0, 'a duration such as 1h, or 0')
      .prefault(0)
      .describe('Skips table partitions whose newest file is younger.'),
    every: every.optional(),
    cron: cron.optional(),
  },
  { error: 'a section with options' },
);

const SHORTEST_VACUUM = `${SHORTEST_VACUUM_MS / 3_600_000}h`;

const vacuum = z.strictObject(
  {
    olderThan: duration(SHORTEST_VACUUM_MS, `a duration of at least ${SHORTEST_VACUUM}, such as 7d`)
      .prefault('7d')
      .describe(
        `Files that no version needs are deleted when they are older than this, so readers of a version that was replaced more recently still find its files. At least ${SHORTEST_VACUUM}: running work may need its files for so long.`,
      ),
    keepLog: duration(0, 'a duration such as 30d, or 0')
      .prefault('30d')
      .describe(
        "Versions that are younger stay in the table's log; older ones are only in the ledger, and other engines cannot go back to them.",
      ),
    every: every.optional(),
    cron: cron.optional(),
  },
  { error: 'a section with options' },
);

export const pipelineShape = z.strictObject({
  source: source.meta({
    description: 'Where the records come from.',
    ...exactlyOneOf('subscribe', 'subscribePattern', 'assign'),
  }),
  records: records.describe('How a record becomes a row.'),
  table: table.describe('Where the rows go.'),
  limits: limits.prefault({}).describe('Bounds of one batch.'),
  schedule: schedule
    .optional()
    .meta({ description: 'When to drain, for `tidemark schedule apply`.', ...exactlyOneOf('every', 'cron') }),
  compaction: compaction.prefault({}).describe('How and when to compact.'),
  vacuum: vacuum.prefault({}).describe('What to delete, and when.'),
});

/** A pipeline file with its defaults filled in, before anything is resolved. */
export type PipelineShape = z.output<typeof pipelineShape>;

/** For the JSON Schema; `check.ts` says it in words. */
function exactlyOneOf(...options: readonly string[]) {
  return { oneOf: options.map((option) => ({ required: [option] })) };
}

/** A mapping, or the same as JSON in a text, as Spark's options and environment variables have it. */
function json<T extends z.ZodType>(schema: T, error: string) {
  return z.preprocess((given, context) => {
    if (typeof given !== 'string' || !given.trim().startsWith('{')) return given;
    try {
      return JSON.parse(given, (_, value: unknown, { source }: { source?: string } = {}) =>
        typeof value === 'number' && !Number.isSafeInteger(value) && source ? source : value,
      );
    } catch {
      context.addIssue({ code: 'custom', message: error });
      return z.NEVER;
    }
  }, schema);
}
