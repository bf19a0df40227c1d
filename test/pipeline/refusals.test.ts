// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these texts are what is tested
/**
 * Goal: what is wrong is refused by name, at its place, all at once; what is not built yet is never ignored.
 * Method: a wrong file per rule with the place and words it gives, loops over the lists of what is not
 * supported, and a golden of everything wrong at once.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UNSUPPORTED_OPTIONS } from '../../src/pipeline/unsupported.ts';
import { UNSUPPORTED_SCHEMES } from '../../src/storage/location.ts';
import { briefly, parse, problemsOf, VALID, withLines, withOption } from './parse.ts';

describe('not supported yet is refused by name', () => {
  it.each(Object.keys(UNSUPPORTED_OPTIONS))('%s', (name) => {
    const [section = '', option = ''] = name.split('.');
    expect(briefly(problemsOf(withLines(section, `${option}: {}`)))).toContainEqual(
      expect.stringMatching(new RegExp(`^\\d+:3 ${name} is not supported yet\\.$`)),
    );
  });

  it.each(UNSUPPORTED_SCHEMES)('table.location: %s://', (scheme) => {
    expect(briefly(problemsOf(withOption('location', `location: ${scheme}://bucket/orders`)))).toEqual([
      `11:13 table.location: ${scheme}:// is not supported yet.`,
    ]);
  });

  it.each(['INTERVAL', 'VARIANT', 'CHAR(3)'])('type %s', (type) => {
    const [problem, ...more] = problemsOf(VALID.replace('TIMESTAMP', type));
    expect(problem).toMatchObject({ line: 8, column: 8, option: 'records.schema' });
    expect(more).toEqual([]);
  });
});

const ONE_OF =
  'One of the following options must be specified for Kafka source: subscribe, subscribepattern, assign.';

const REFUSALS: readonly (readonly [what: string, text: string, ...problems: readonly string[]])[] = [
  // Options.
  ['an unknown option', withLines('table', 'colesce: 4'), '11:3 table.colesce is not an option.'],
  ['an unknown section', `${VALID}sink: {}\n`, '12:1 sink is not an option.'],
  ['a missing option', VALID.replace(/ {2}location.*\n/, ''), '10:1 table is missing. Where the rows go.'],
  [
    'a section that is a text',
    VALID.replace(/table:\n.*\n/, 'table: orders\n'),
    "10:8 table cannot be 'orders'.",
  ],
  ['a name, even its own', `name: products\n${VALID}`, '1:1 name is not an option.'],
  [
    'a size without a unit we know',
    withLines('table', 'targetFileSize: 12 parsecs'),
    "11:19 table.targetFileSize cannot be '12 parsecs'.",
  ],
  [
    'a size of nothing',
    withLines('compaction', 'targetFileSize: 5'),
    '13:19 compaction.targetFileSize cannot be 5.',
  ],
  [
    'a vacuum that takes what running work needs',
    withLines('vacuum', 'olderThan: 4h'),
    "13:14 vacuum.olderThan cannot be '4h'.",
  ],
  ['no write task', withLines('table', 'coalesce: 0'), '11:13 table.coalesce cannot be 0.'],
  [
    'half an offset',
    withLines('limits', 'maxOffsetsPerBatch: 1.5'),
    '13:23 limits.maxOffsetsPerBatch cannot be 1.5.',
  ],
  ['a compression', withLines('table', 'compression: lzo'), "11:16 table.compression cannot be 'lzo'."],
  ['a schedule without a time', `${VALID}schedule: {}\n`, '12:11 schedule says neither every nor cron.'],
  [
    'a schedule with two times',
    withLines('schedule', 'every: 5m', 'cron: 5 * * * *'),
    '14:9 schedule has every and cron.',
  ],
  [
    'a schedule that never rests',
    withLines('schedule', 'every: 10ms'),
    "13:10 schedule.every cannot be '10ms'.",
  ],
  [
    'a cron of four fields',
    withLines('compaction', 'cron: 5 * * *'),
    "13:9 compaction.cron cannot be '5 * * *'.",
  ],
  // Source.
  ['no topics', VALID.replace('  subscribe: [orders]\n', ''), `2:3 ${ONE_OF}`],
  [
    'topics and partitions',
    withLines('source', 'assign: {orders: [0]}'),
    '2:11 Only one of the following options can be specified for Kafka source: subscribe, assign.',
  ],
  [
    'an empty list of topics',
    withOption('subscribe', 'subscribe: []'),
    "3:14 No topics to subscribe to as specified value for option 'subscribe' is '[]'.",
  ],
  [
    'no partitions',
    withOption('subscribe', 'assign: {}'),
    "3:11 No topicpartitions to assign as specified value for option 'assign' is '{}'.",
  ],
  [
    'assign with a text',
    withOption('subscribe', 'assign: orders'),
    '3:11 source.assign: Expected e.g. {"topicA":[0,1],"topicB":[0,1]}, got \'orders\'',
  ],
  [
    'assign with broken JSON',
    withOption('subscribe', `assign: '{"orders":'`),
    `3:11 source.assign: Expected e.g. {"topicA":[0,1],"topicB":[0,1]}, got '{"orders":'`,
  ],
  [
    'a partition below 0',
    withOption('subscribe', 'assign: {orders: [-1]}'),
    '3:21 source.assign.orders[0] cannot be -1.',
  ],
  [
    'a partition twice',
    withOption('subscribe', 'assign: {orders: [1, 1]}'),
    '3:20 Partition 1 of orders is named twice.',
  ],
  ['a topic twice', withOption('subscribe', 'subscribe: [a, b, a]'), '3:14 Topic a is named twice.'],
  [
    'a topic name with a space',
    withOption('subscribe', 'subscribe: [a b]'),
    "3:15 source.subscribe[0] cannot be 'a b'.",
  ],
  [
    'a topic name of two dots',
    withOption('subscribe', 'subscribe: ..'),
    "3:14 source.subscribe[0] cannot be '..'.",
  ],
  [
    'a broker without a port',
    withOption('bootstrapServers', 'bootstrapServers: localhost'),
    "2:21 source.bootstrapServers must be host:port, not 'localhost'.",
  ],
  [
    'a broker with a scheme',
    withOption('bootstrapServers', 'bootstrapServers: PLAINTEXT://h:1'),
    "2:21 source.bootstrapServers has a scheme: 'PLAINTEXT://h:1'.",
  ],
  [
    'no broker',
    withOption('bootstrapServers', 'bootstrapServers: []'),
    '2:21 source.bootstrapServers is empty.',
  ],
  [
    'offsets that are a word',
    withLines('source', 'startingOffsets: begin'),
    `2:20 source.startingOffsets cannot be 'begin'.`,
  ],
  [
    'an offset below -2',
    withLines('source', 'startingOffsets: {orders: {0: -3}}'),
    '2:33 source.startingOffsets.orders["0"] cannot be -3.',
  ],
  [
    'offsets of another topic',
    withLines('source', 'startingOffsets: {order: {0: 1}}'),
    "2:20 If startingOffsets contains specific offsets, you must specify all TopicPartitions.\nUse -1 for latest, -2 for earliest, if you don't care.\nSpecified: order Assigned: orders",
  ],
  [
    'offsets of other partitions',
    withOption('subscribe', 'assign: {orders: [0, 1]}').replace(
      'records:',
      '  startingOffsets: {orders: {0: 1, 2: 1}}\nrecords:',
    ),
    "4:20 If startingOffsets contains specific offsets, you must specify all TopicPartitions.\nUse -1 for latest, -2 for earliest, if you don't care.\nSpecified: orders-0, orders-2 Assigned: orders-0, orders-1",
  ],
  [
    'topics and a pattern',
    withLines('source', 'subscribePattern: orders.*'),
    '2:21 Only one of the following options can be specified for Kafka source: subscribe, subscribePattern.',
  ],
  [
    'an empty pattern',
    withOption('subscribe', 'subscribePattern: ""'),
    "3:21 Pattern to subscribe is empty as specified value for option 'subscribePattern' is ''.",
  ],
  [
    'a pattern that is none',
    withOption('subscribe', 'subscribePattern: "a("'),
    '3:21 source.subscribePattern is not a regular expression: Unterminated group.',
  ],
  [
    'a pattern that only a group around it would balance',
    withOption('subscribe', 'subscribePattern: "a)|(b"'),
    "3:21 source.subscribePattern is not a regular expression: Unmatched ')'.",
  ],
  [
    'a starting time that is none',
    withLines('source', 'startingTimestamp: yesterday'),
    "2:22 source.startingTimestamp cannot be 'yesterday'.",
  ],
  [
    'starting times of another topic',
    withLines('source', 'startingOffsetsByTimestamp: {order: {0: 1000}}'),
    '2:31 If startingOffsetsByTimestamp contains specific offsets, you must specify all TopicPartitions.\nSpecified: order Assigned: orders',
  ],
  [
    'a strategy for starting times that are not there',
    withLines('source', 'startingOffsetsByTimestampStrategy: latest'),
    '2:39 source.startingOffsetsByTimestampStrategy is given, but no time to begin at.',
  ],
  // Modes.
  [
    'a threshold for dead letters that are not made',
    withLines('records', 'maxDeadLetters: 1%'),
    '5:19 records.maxDeadLetters is given, but mode failFast makes no dead letters.',
  ],
  [
    'a share beyond all',
    withLines('records', 'maxDeadLetters: 101%').replace('failFast', 'deadLetter'),
    "5:19 records.maxDeadLetters cannot be '101%'.",
  ],
  [
    'nesting beyond the stack',
    withLines('limits', 'maxNesting: 5001'),
    '13:15 limits.maxNesting cannot be 5001.',
  ],
  // Columns.
  [
    'a timestamp format for no column',
    withLines('records', 'timestamps: {on: iso8601}'),
    expect.stringMatching(/^5:20 records\.timestamps: .*\bon\b/),
  ],
  [
    'a timestamp format for a STRING',
    withLines('records', 'timestamps: {at: iso8601, id: iso8601}'),
    expect.stringMatching(/^5:33 records\.timestamps: .*\bid\b/),
  ],
  [
    'truncation of a STRING',
    withLines('records', 'truncateTimestamps: [at, id]'),
    '5:23 records.truncateTimestamps names id, which is not a TIMESTAMP of the schema.',
  ],
  [
    'another field for a column that is not there',
    withLines('records', 'from: {on: a.b}'),
    '5:14 records.from names on, which is not a column of the schema.',
  ],
  [
    'a path that is none',
    withLines('records', 'from: {at: "a..b"}'),
    '5:14 records.from: at: a..b is not a path.',
  ],
  [
    'no field for a column that must have a value',
    withLines('records', 'from: {id: null}'),
    '5:10 records.from: id takes no field, but is NOT NULL.',
  ],
  [
    'rows of nulls where null is not allowed',
    withLines('records', 'tombstones: row'),
    expect.stringMatching(/tombstones: row makes rows of nulls, but id must not be null/),
  ],
  [
    'rows of tombstones without their key',
    withLines('records', 'tombstones: row').replace('id STRING NOT NULL', 'id STRING'),
    expect.stringMatching(/tombstones: row .* kafkaColumns does not have it/),
  ],
  [
    'a Kafka column twice',
    withLines('records', 'kafkaColumns: [offset, offset]'),
    '5:17 records.kafkaColumns names offset twice.',
  ],
  [
    'a column that Kafka adds',
    VALID.replace('id STRING', '_Offset STRING'),
    '6:11 records.kafkaColumns adds _offset, but records.schema has the column _Offset.',
  ],
  [
    'a _corrupt_record of another type',
    withOption('mode', 'mode: permissive').replace('id STRING NOT NULL', '_corrupt_record INT'),
    '6:11 In mode permissive _corrupt_record takes the text of malformed records: it must be a STRING.',
  ],
  [
    'a column that rest adds',
    withLines('records', 'rest: true').replace('id STRING', '_rest STRING'),
    '7:11 records.rest adds _rest, but records.schema has the column _rest.',
  ],
  [
    'a column for the key that is there',
    withLines('records', 'kafkaColumns: [key]').replace('id STRING', '_key STRING'),
    '7:11 records.kafkaColumns adds _key, but records.schema has the column _key.',
  ],
  // Clean.
  [
    'nothing to clean',
    withLines('records', 'clean: {}'),
    '5:10 records.clean has neither where nor columns.',
  ],
  ['an empty condition', withLines('records', 'clean: {where: " "}'), '5:18 records.clean.where is empty.'],
  [
    'an empty expression',
    withLines('records', 'clean: {columns: {n: ""}}'),
    '5:24 records.clean.columns: n has no expression.',
  ],
  [
    'a cleaned column in another case',
    withLines('records', 'clean: {columns: {ID: upper(id)}}'),
    '5:25 records.clean.columns: ID and id differ only in case.',
  ],
  [
    'two cleaned columns of a name',
    withLines('records', 'clean: {columns: {n: "1", N: "2"}}'),
    '5:32 records.clean.columns: N and n differ only in case.',
  ],
  [
    'a cleaned column that Delta would not take',
    withLines('records', 'clean: {columns: {a b: "1"}}'),
    '5:26 records.clean.columns: column name "a b" has " ", which Delta does not allow.',
  ],
  [
    'a partition column that is replaced',
    withLines('records', 'clean: {columns: {at: now}}').replace('table:', 'table:\n  partitionBy: day(at)'),
    expect.stringMatching(/partitionBy: at is a column of records\.clean/),
  ],
  [
    'a partition column that clean makes',
    withLines('records', 'clean: {columns: {n: "1"}}').replace('table:', 'table:\n  partitionBy: n'),
    '12:16 table.partitionBy: n is a column of records.clean, computed after a row gets its table partition.',
  ],
  [
    'a column that a partition term adds',
    withLines('records', 'clean: {columns: {at_day: "1"}}').replace(
      'table:',
      'table:\n  partitionBy: day(at)',
    ),
    "5:29 records.clean.columns: at_day decides a row's table partition before clean runs, so it cannot be replaced.",
  ],
  [
    'no such partition column',
    withLines('table', 'partitionBy: nope'),
    '11:16 table.partitionBy: there is no column nope.',
  ],
  [
    'a partition column in another case',
    withLines('table', 'partitionBy: ID'),
    '11:16 table.partitionBy: there is no column ID.',
  ],
  [
    'a partition column twice',
    withLines('table', 'partitionBy: [id, id]'),
    '11:16 table.partitionBy names id twice.',
  ],
  [
    'a transform that nobody has',
    withLines('table', 'partitionBy: week(at)'),
    '11:16 table.partitionBy: week(...) is not a partition transform.',
  ],
  [
    'the day of a STRING',
    withLines('table', 'partitionBy: day(id)'),
    '11:16 table.partitionBy: The table cannot be partitioned by day(id): the column is of type STRING.',
  ],
  [
    'retention by a plain column',
    withLines('table', 'partitionBy: [id, day(at)]', 'retention: {partition: id, olderThan: 90d}'),
    '12:26 table.retention.partition is id, a plain column, which has no unit of time that could end.',
  ],
  [
    'retention by another unit of time',
    withLines(
      'table',
      'partitionBy: [id, day(at)]',
      'retention:',
      '  partition: month(at)',
      '  olderThan: 90d',
    ),
    '13:16 table.retention.partition is month(at), but the table is partitioned by id, day(at).',
  ],
  [
    'retention by the name of the partition column',
    withLines('table', 'partitionBy: day(at)', 'retention: {partition: at_day, olderThan: 90d}'),
    '12:26 table.retention.partition is at_day, but the table is partitioned by day(at).',
  ],
  [
    'retention of a table without partitions',
    withLines('table', 'retention: {partition: day(at), olderThan: 90d}'),
    '11:26 table.retention.partition is day(at), but the table is not partitioned.',
  ],
  [
    'retention by a term that is wrong itself',
    withLines('table', 'partitionBy: day(id)', 'retention: {partition: day(id), olderThan: 90d}'),
    '11:16 table.partitionBy: The table cannot be partitioned by day(id): the column is of type STRING.',
  ],
  [
    'retention by what is no term',
    withLines('table', 'partitionBy: day(at)', 'retention: {partition: week(at), olderThan: 90d}'),
    '12:26 table.retention.partition is week(at), but the table is partitioned by day(at).',
  ],
  [
    'retention without an age',
    withLines('table', 'partitionBy: day(at)', 'retention: {partition: day(at)}'),
    '12:3 table.retention.olderThan is missing. Each vacuum drops the rows of table partitions that ended longer ago than this, in UTC. Those with null stay.',
  ],
  [
    'retention of minutes',
    withLines('table', 'partitionBy: day(at)', 'retention: {partition: day(at), olderThan: 59m}'),
    "12:46 table.retention.olderThan cannot be '59m'.",
  ],
  [
    'retention for longer than there are dates',
    withLines('table', 'partitionBy: day(at)', 'retention: {partition: day(at), olderThan: 365001d}'),
    "12:46 table.retention.olderThan cannot be '365001d'.",
  ],
  [
    'an ARRAY as partition',
    withLines('table', 'partitionBy: tags'),
    '11:16 table.partitionBy: The table cannot be partitioned by tags: the column is of type ARRAY<STRING>.',
  ],
  [
    'a day column that exists',
    withLines('table', 'partitionBy: day(at)').replace('id STRING', 'AT_day STRING'),
    '11:16 table.partitionBy: day(at) adds the column at_day, but there is one already.',
  ],
  [
    'nothing but partition columns',
    withLines('records', 'kafkaColumns: []')
      .replace(/ {4}id.*\n.*\n.*\n/, '    id STRING\n')
      .replace('table:\n', 'table:\n  partitionBy: id\n'),
    '10:16 table.partitionBy names every column, which leaves none for the data files.',
  ],
  // Locations.
  [
    'a home folder',
    withOption('location', 'location: ~/orders'),
    '11:13 table.location begins with ~, which only a shell replaces.',
  ],
  [
    'a file of another machine',
    withOption('location', 'location: file://host/orders'),
    '11:13 table.location is not on this machine: file://host/orders',
  ],
  [
    'a scheme that nobody has',
    withOption('location', 'location: gopher://orders'),
    '11:13 table.location: gopher:// is not a place for a table.',
  ],
  // YAML.
  [
    'a key twice',
    withLines('table', 'coalesce: 1', 'coalesce: 2'),
    '12:3 This key occurs twice in its section.',
  ],
  ['two documents', `${VALID}---\n${VALID}`, '12:1 The file holds several YAML documents.'],
  ['an anchor', withOption('mode', 'mode: &mode failFast'), '5:15 YAML anchors (`&name`) are not supported.'],
  [
    'an alias',
    withOption('subscribe', 'subscribe: *orders'),
    '3:14 YAML aliases (`*name`) are not supported.',
  ],
  ['a tag', withOption('mode', 'mode: !!js/function failFast'), '5:9 YAML tags (`!name`) are not supported.'],
  ['a tab', VALID.replace('  mode', '\tmode'), '5:1 YAML does not allow tabs as indentation.'],
  [
    'an open bracket',
    withOption('subscribe', 'subscribe: [orders'),
    expect.stringMatching(/^\d+:\d+ This is not YAML: /),
  ],
  ['a merge key', withLines('table', '<<: {coalesce: 1}'), '11:3 table["<<"] is not an option.'],
  [
    'an empty file',
    '',
    '1:1 source is missing. Where the records come from.',
    '1:1 records is missing. How a record becomes a row.',
    '1:1 table is missing. Where the rows go.',
  ],
  ['a list', '- source\n', '1:1 The file cannot be ["source"].'],
];

describe('what is wrong is refused at its place', () => {
  it.each(REFUSALS)('%s', (_, text, ...problems) => {
    expect(briefly(problemsOf(text))).toEqual(problems);
  });

  it('a variable in brackets without quotes gets its own advice', () => {
    const [problem] = problemsOf(withOption('subscribe', 'subscribe: [${TOPIC}]'));
    expect(problem).toMatchObject({ line: 3, fix: expect.stringContaining('needs quotes') });
  });

  it('the nearest name is suggested', () => {
    const fixes = (text: string) => problemsOf(text).map(({ fix }) => fix);
    expect(fixes(withLines('table', 'partitonBy: id'))).toEqual(['Did you mean table.partitionBy?']);
    expect(fixes(`${VALID}maxOffsetsPerTrigger: 5\n`)).toEqual([
      'Here it is called limits.maxOffsetsPerBatch.',
    ]);
    expect(fixes(`${VALID}name: products\n`)).toEqual([
      "Remove it: the file's name without .yaml is the pipeline's name.",
    ]);
    expect(fixes(withLines('limits', 'qqq: 5'))).toEqual([
      'Known here: maxOffsetsPerBatch, maxFilesPerBatch, maxRecordBytes, maxNesting, maxRecordBatchBytes.',
    ]);
  });
});

describe('expressions of other languages get advice', () => {
  it.each([
    ['(?i)crawl.*', '(?i:'],
    ['crawl.*+', 'possessive'],
    ['(?>crawl).*', 'atomic'],
    ['\\\\Qcrawl.\\\\E.*', 'special character'],
    ['\\\\Acrawl', 'whole name'],
    ['\\\\p{Alnum}+', '[a-zA-Z0-9]'],
  ])('%s', (pattern, advice) => {
    const [problem, ...more] = problemsOf(withOption('subscribe', `subscribePattern: "${pattern}"`));
    expect(problem).toMatchObject({ line: 3, column: 21, fix: expect.stringContaining(advice) });
    expect(more).toEqual([]);
  });
});

describe('everything at once', () => {
  it('is reported as test/pipeline/golden/everything-wrong.txt says', async () => {
    const text = readFileSync(join(import.meta.dirname, 'golden/everything-wrong.yaml'), 'utf8');
    let message = '';
    try {
      parse(text);
    } catch (error) {
      message = (error as Error).message;
    }
    await expect(`${message}\n`).toMatchFileSnapshot('golden/everything-wrong.txt');
  });
});

describe('places in the schema', () => {
  it('are exact in block literals, whatever lines and indentation are around', () => {
    const column = fc.constantFrom('a STRING,', '', '-- a comment', 'b ARRAY<INT>,', '  c DATE,');
    fc.assert(
      fc.property(
        fc.array(column),
        fc.array(column),
        fc.integer({ min: 1, max: 8 }),
        fc.boolean(),
        (before, after, indent, crlf) => {
          // The block's indentation is its first line's.
          const lines = ['x0 INT,', ...before, '   wrong DUBBLE,', ...after, 'last INT'].map((line, at) =>
            line.replace(/^(\s*)(\w) /, `$1$2${at} `),
          );
          const block = lines.map((line) => `${line === '' ? '' : ' '.repeat(2 + indent)}${line}\n`).join('');
          const text = `source:\n  bootstrapServers: h:1\n  subscribe: t\nrecords:\n  mode: failFast\n  schema: |\n${block}table:\n  location: x\n`;
          const [problem, ...more] = problemsOf(crlf ? text.replaceAll('\n', '\r\n') : text);
          const line = 7 + lines.findIndex((content) => content.includes('DUBBLE'));
          expect(problem).toMatchObject({ line, column: 2 + indent + 3 + 'wrong '.length + 1 });
          expect(more).toEqual([]);
        },
      ),
    );
  });

  it.each([
    ['schema: id STRING, price DUBBLE', 28],
    ['schema: "id STRING, price DUBBLE"', 29],
    ['schema: "id \\x53TRING, price DUBBLE"', 11],
  ])('%s: column %d', (line, column) => {
    const text = VALID.replace(/ {2}schema: \|\n.*\n.*\n.*\n/, `  ${line}\n`);
    expect(problemsOf(text)).toEqual([expect.objectContaining({ line: 6, column })]);
  });
});
