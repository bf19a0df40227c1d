// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a pipeline file has them
/**
 * Goal: whatever a sample looks like, the file that `init` proposes is valid, and the decoder makes of the
 * sample what the inference has foretold, record by record. Method: random records with conflicting types,
 * odd names, times, MAPs and damage, each proposal read back by `parsePipeline` and tried by the real
 * `RecordSink` (in `propose`).
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Proposed, propose } from '../../src/init/propose.ts';
import type { SampledRecord } from '../../src/kafka/sample.ts';
import { parsePipeline } from '../../src/pipeline/load.ts';
import { formatDdl } from '../../src/records/ddl.ts';

const FOLDER = '/pipelines';

/** @param values JSON text, or null for a tombstone */
function proposalFor(
  values: readonly (string | Buffer | null)[],
  more: Partial<Parameters<typeof propose>[0]> = {},
): Proposed {
  const records: SampledRecord[] = values.map((value, offset) => ({
    topic: 'shop.items',
    kafkaPartition: 0,
    offset,
    timestampMs: 1_700_000_000_000,
    value: value === null ? null : Buffer.from(value),
  }));
  return propose({
    pipeline: 'items',
    path: `${FOLDER}/items.yaml`,
    bootstrapServers: '${KAFKA_BROKERS:-127.0.0.1:9092}',
    location: '../tables/items',
    jsonSchema: '../pipeline.schema.json',
    environment: {},
    topics: [
      {
        topic: 'shop.items',
        identity: undefined,
        compacted: false,
        partitions: [
          {
            kafkaPartition: 0,
            logStartOffset: 0n,
            lastStableOffset: BigInt(values.length),
            highWatermark: BigInt(values.length),
          },
        ],
      },
    ],
    sample: { records, cutBy: undefined },
    decimals: new Set(),
    ...more,
  });
}

const json = (value: unknown) => JSON.stringify(value);
const many = (count: number, make: (at: number) => unknown) =>
  Array.from({ length: count }, (_, at) => json(make(at)));
const ddlOf = (proposed: Proposed) => formatDdl(proposed.proposal.inferred.schema);
const leftOutOf = ({ proposal }: Proposed) =>
  proposal.inferred.fields
    .filter(({ type }) => type === undefined)
    .map(({ path, note }) => `${path}: ${note}`);

describe('a proposal', () => {
  /**
   * JSON text with what `JSON.stringify` would not write: `1.0`, `1e3`, doubled fields, half a surrogate
   * pair.
   */
  const scalarText = fc.oneof(
    fc.constantFrom(
      'null',
      'true',
      'false',
      '0',
      '-0',
      '1.0',
      '1e3',
      '1e400',
      '9223372036854775808',
      '0.10',
      '""',
      '"\\ud800"',
    ),
    fc.constantFrom(
      '"2024-05-06"',
      '"2024-05-06T07:08:09Z"',
      '"2024-05-06T07:08:09.1234567Z"',
      '"06.05.2024"',
      '"03/04/2024"',
      '"13/04/2024"',
    ),
    fc.constantFrom(
      '1700000000',
      '1700000000123',
      '1700000000123456',
      '1700000000.25',
      '12345678901234567890123.5',
    ),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(json),
    fc.integer().map(json),
    fc.string({ unit: 'binary' }).map(json),
  );
  const name = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.constantFrom(
        'id',
        'ID',
        'price',
        'ts',
        'crawl_ts',
        'createdAt',
        'a.b',
        'tags',
        'Ünïcode',
        '_topic',
        '_rest',
        '__proto__',
        'x y',
        '',
      ),
    },
    { weight: 1, arbitrary: fc.string({ maxLength: 6 }) },
  );
  const { value } = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      { weight: 5, arbitrary: scalarText },
      { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 4 }).map((all) => `[${all.join(' , ')}]`) },
      { weight: 2, arbitrary: fc.array(fc.tuple(name, tie('value')), { maxLength: 5 }).map(objectText) },
    ),
  }));
  function objectText(fields: readonly (readonly [string, string])[]): string {
    return `{${fields.map(([key, text]) => `${json(key)}: ${text}`).join(',')}}`;
  }
  const record = fc.oneof(
    { weight: 20, arbitrary: fc.array(fc.tuple(name, value), { maxLength: 8 }).map(objectText) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('', '[]', '{"id":1', '{"id":1}}', '{"id":1,}', '\ufeff{}', '{"a":"\t"}'),
    },
  );
  /** Alike records with a few strangers: where shares decide. */
  const alike = fc
    .tuple(
      fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 6 }),
      fc.array(record, { maxLength: 3 }),
      fc.integer({ min: 1, max: 300 }),
    )
    .map(([fields, strangers, copies]) => [...Array<string>(copies).fill(objectText(fields)), ...strangers]);

  it('is valid, and its sample decodes as foretold', () => {
    let columns = 0;
    fc.assert(
      fc.property(fc.oneof(fc.array(record, { minLength: 1, maxLength: 40 }), alike), (values) => {
        const proposed = proposalOrNone(values);
        if (proposed === undefined) return;
        const { proposal, trial, text, observed } = proposed;
        columns += proposal.inferred.schema.fields.length;
        expect(parsePipeline(text, `${FOLDER}/items.yaml`, {}).name).toBe('items');
        expect(trial.deadLetters).toBe(proposal.inferred.misfits);
        expect(trial.rows).toBe(values.length - proposal.inferred.misfits);
        expect(observed.records).toBe(values.length);
      }),
      { numRuns: 500 },
    );
    expect(columns).toBeGreaterThan(500);
  });

  function proposalOrNone(values: readonly string[]): Proposed | undefined {
    try {
      return proposalFor(values);
    } catch (error) {
      expect(error).toMatchObject({ code: 'SCHEMA_NOT_INFERRED' });
      return undefined;
    }
  }

  it('holds no value of a record', () => {
    const secret = proposalFor(
      many(5, (at) => ({ email: 'jane.doe@example.org', phone: 4_915_112_345_678 + at })),
    );
    expect(secret.text).not.toMatch(/jane|example\.org|49151/);
  });

  it('takes more and more of a conflict as dead letters, up to 1 %', () => {
    const mixed = (texts: number) =>
      proposalFor(many(1000, (at) => ({ id: at, price: at < texts ? 'n/a' : at / 100 })));
    expect(ddlOf(mixed(10))).toContain('price DOUBLE');
    expect(mixed(10).trial).toMatchObject({
      rows: 990,
      deadLetters: 10,
      reasons: [{ reason: 'wrongType', path: 'price', records: 10 }],
    });
    expect(leftOutOf(mixed(11))).toEqual(['price: values of different types: text in 11, number in 989']);
    expect(mixed(11).trial.deadLetters).toBe(0);
  });
});

describe('types', () => {
  it.each([
    ['whole numbers', [1, -5, 2 ** 53], 'BIGINT'],
    ['whole numbers and fractions', [1, 0.5], 'DOUBLE'],
    ['booleans', [true, false], 'BOOLEAN'],
    ['text', ['a', ''], 'STRING'],
    ['days', ['2024-02-29', '2024-03-01'], 'DATE'],
    ['days and times', ['2024-02-29', '2024-03-01T00:00:00Z'], 'TIMESTAMP'],
    ['times but for one', ['2024-03-01T00:00:00Z', ''], 'STRING'],
    ['a list of texts', [['a'], []], 'ARRAY<STRING>'],
    ['a list of lists', [[[1]], [[]]], 'ARRAY<ARRAY<BIGINT>>'],
    ['objects', [{ name: 'x' }, { since: 2 }], 'STRUCT<name: STRING, since: BIGINT>'],
    ['objects with numbers for names', [{ '1': 2.5, '2': 1 }, { '77': 0 }], 'MAP<STRING, DOUBLE>'],
  ])('%s', (_, values, type) => {
    expect(ddlOf(proposalFor(values.map((value) => json({ v: value }))))).toBe(`v ${type}`);
  });

  it.each([
    ['more digits than BIGINT', ['123456789012345678901234567890', '1'], 'DECIMAL(38,0)'],
    ['more digits than DOUBLE', ['1.2345678901234567891', '2'], 'DECIMAL(38,19)'],
    ['large whole numbers beside fractions', ['9007199254740993', '0.5'], 'DECIMAL(38,1)'],
    ['as a double is written', ['0.30000000000000004', '1'], 'DOUBLE'],
    ['with an exponent', ['1e3', '2'], 'DOUBLE'],
  ])('%s', (_, texts, type) => {
    expect(ddlOf(proposalFor(texts.map((text) => `{"v": ${text}}`)))).toBe(`v ${type}`);
  });

  it('many names, each in few objects, are a MAP', () => {
    const proposed = proposalFor(many(50, (at) => ({ stock: { [`shop${at}`]: at, [`shop${at + 1}`]: 1 } })));
    expect(ddlOf(proposed)).toBe('stock MAP<STRING, BIGINT>');
    expect(proposed.text).toContain('51 names, 2 in one object');
  });

  it('a fraction that is an exact amount is DECIMAL where that is asked for', () => {
    const values = many(3, (at) => ({ price: at + 0.25, weight: 0.5 }));
    expect(ddlOf(proposalFor(values, { decimals: new Set(['price']) }))).toBe(
      'price DECIMAL(18,2), weight DOUBLE',
    );
  });

  it.each(['@timestamp', 'event-time', 'timestamp.utc'])('a table is partitioned by %s, too', (name) => {
    const { text } = proposalFor([`{"${name}": "2026-11-22T10:00:00Z", "n": 1}`]);
    const { table } = parsePipeline(text, `${FOLDER}/items.yaml`, {});
    expect(table.partitionBy).toEqual([{ kind: 'day', source: name, column: `${name}_day` }]);
  });

  it.each(['/', 'crawl/time', 'ü'.repeat(63)])(
    'no table is partitioned by a name no folder can have: %s',
    (name) => {
      const { text } = proposalFor([`{"${name}": "2026-11-22T10:00:00Z", "n": 1}`]);
      expect(parsePipeline(text, `${FOLDER}/items.yaml`, {}).table.partitionBy).toEqual([]);
    },
  );

  it.each([
    ['fetched', '"2026-11-22T10:00:00.123456789Z"', undefined, ['fetched']],
    ['fetched', '"2026-11-22T10:00:00.123456000Z"', undefined, []],
    ['fetched', '"2026-11-22T10:00Z"', undefined, []],
    ['ts', '1700000000.1234567', 'epochSeconds', ['ts']],
    ['time_unix_nano', '1700000000123456789', 'epochNanos', ['time_unix_nano']],
    ['ts', '1700000000123456000', 'epochNanos', []],
    ['ts', '1.7E12', 'epochMillis', []],
  ])('%s: %s is a TIMESTAMP, if need be with truncateTimestamps', (name, value, format, truncated) => {
    const { text, trial } = proposalFor([`{"${name}": ${value}}`]);
    const { records } = parsePipeline(text, `${FOLDER}/items.yaml`, {});
    expect(records.schema).toContain(`${name} TIMESTAMP`);
    expect(records.timestamps).toEqual(format === undefined ? {} : { [name]: format });
    expect(records.truncateTimestamps ?? []).toEqual(truncated);
    expect(trial).toMatchObject({ rows: 1, deadLetters: 0 });
    expect(text.includes('finer than a microsecond: truncateTimestamps cuts it off')).toBe(
      truncated.length > 0,
    );
  });

  it.each([
    ['crawl_ts', 1_700_000_000_000, 'epochMillis'],
    ['createdAt', 1_700_000_000, 'epochSeconds'],
    ['event_time_us', 1_700_000_000_000_000, 'epochMicros'],
    ['ts', 1_700_000_000.25, 'epochSeconds'],
    ['fetched', '06.05.2024 07:08:09', 'dd.MM.yyyy HH:mm:ss[.SSSSSS]'],
  ])('%s: %s is a TIMESTAMP', (name, value, format) => {
    const proposed = proposalFor([json({ [name]: value })]);
    expect(ddlOf(proposed)).toBe(`${name} TIMESTAMP`);
    expect(parsePipeline(proposed.text, `${FOLDER}/items.yaml`, {}).records.timestamps).toEqual({
      [name]: format,
    });
  });

  it('a number is no time by its size alone, and a day is not guessed from 03/04/2024', () => {
    const proposed = proposalFor([json({ sku: 1_700_000_000, sold_on: '03/04/2024' })]);
    expect(ddlOf(proposed)).toBe('sku BIGINT, sold_on STRING');
    expect(proposed.text).toContain('the sample does not tell which');
    expect(ddlOf(proposalFor([json({ sold_on: '03/04/2024' }), json({ sold_on: '13/04/2024' })]))).toBe(
      'sold_on TIMESTAMP',
    );
  });

  it('what has no type is left out by name', () => {
    const records = [
      '{"id":1,"x":null,"list":[],"o":{},"ID":2,"_offset":1,"a b":1,"deep":[[[[[[[[[[[[[1]]]]]]]]]]]]]}',
      '{"id":1}',
    ];
    expect(leftOutOf(proposalFor(records))).toEqual([
      'x: always null',
      'list: always an empty list',
      'o: always an object without fields',
      'ID: it differs from id in case alone',
      '_offset: Tidemark has a column of that name',
      'a b: its name has a character that Delta does not allow',
      expect.stringMatching(/^deep: /),
    ]);
  });
});

describe('names of a MAP', () => {
  it('that are no text make its record a dead letter, as foretold', () => {
    const odd = [...many(200, (at) => ({ m: { [at]: 1, [at + 1]: 2 } })), '{"m": {"7": 1, "\\ud800": 2}}'];
    const { proposal, trial } = proposalFor(odd);
    expect(trial).toMatchObject({ deadLetters: 1, reasons: [{ reason: 'loneSurrogate' }] });
    expect(proposal.inferred.misfits).toBe(1);
  });
});

describe('NOT NULL', () => {
  it('is for an identifier that is in all of a hundred records, and for what is asked for', () => {
    expect(ddlOf(proposalFor(many(100, (id) => ({ id, name: 'n' }))))).toBe(
      'id BIGINT NOT NULL, name STRING',
    );
    expect(ddlOf(proposalFor(many(99, (id) => ({ id }))))).toBe('id BIGINT');
    expect(ddlOf(proposalFor([...many(150, (id) => ({ id })), '{"id":null}']))).toBe('id BIGINT');
    expect(ddlOf(proposalFor([...many(150, (id) => ({ id })), '{"a":1}']))).toBe('id BIGINT, a BIGINT');
    const asked = proposalFor(
      many(100, (at) => ({ id: at, ...(at > 0 && { name: 'n' }) })),
      { notNull: new Set(['name']) },
    );
    expect(ddlOf(asked)).toBe('id BIGINT, name STRING NOT NULL');
    expect(asked.trial).toMatchObject({ deadLetters: 1, reasons: [{ reason: 'missing', path: 'name' }] });
    expect(asked.proposal.inferred.misfits).toBe(1);
  });
});

describe('table partitions', () => {
  const DAY_MS = 86_400_000;
  const crawls = (days: number, column = 'crawl_ts') =>
    many(days, (day) => ({
      id: day,
      [column]: 1_700_000_000_000 + day * DAY_MS,
      since: 1_700_000_000_000,
    }));

  it.each([
    [crawls(5), ['day(crawl_ts)']],
    [crawls(5, 'written_at'), ['day(written_at)']],
    [crawls(400), ['month(crawl_ts)']],
    [crawls(4000), ['year(crawl_ts)']],
    [many(3, (id) => ({ id })), []],
    [[...crawls(9), '{"id":1}'], ['day(since)']].map((one, at) =>
      at === 0 ? [...crawls(9), '{"id":1,"since":1700000000000}'] : one,
    ),
  ])('%#', (values, partitionBy) => {
    expect(proposalFor(values as string[]).proposal.partitionBy).toEqual(partitionBy);
  });

  it('are counted on the sample', () => {
    expect(proposalFor(crawls(5)).trial.tablePartitions).toHaveLength(5);
  });

  it('are as asked for, or refused as in any pipeline file', () => {
    expect(proposalFor(crawls(5), { partitionBy: ['none'] }).proposal.partitionBy).toEqual([]);
    expect(proposalFor(crawls(5), { partitionBy: ['hour(since)'] }).trial.tablePartitions).toHaveLength(1);
    expect(() => proposalFor(crawls(5), { partitionBy: ['week(since)'] })).toThrow(
      'not a partition transform',
    );
  });
});

describe('no schema', () => {
  it.each([
    [['Objv\u0001'], 'is a JSON object: the record is not JSON'.slice(0, 16)],
    [['[1]', '"x"'], 'the record is not a JSON object (2)'],
    [[null], 'tombstones'],
    [['{}'], 'No field of'],
  ])('%j', (values, text) => {
    expect(() => proposalFor(values)).toThrow(text);
  });
});
