/**
 * Goal: what a value becomes in its column, what is a defect of a field and what of the record, and what
 * `defect()` says.
 *
 * Method: one record at a time into fresh columns, put together again from levels and values.
 */
import { describe, expect, test } from 'vitest';
import { Columns, type LeafColumn } from '../../src/records/columns.ts';
import { nullableSchema, parseDdl, type Schema } from '../../src/records/ddl.ts';
import type { ValueRules } from '../../src/records/decode-plan.ts';
import { JsonDecoder } from '../../src/records/json-decoder.ts';
import { stepsOf } from '../../src/records/json-path.ts';
import type { JsonLimits } from '../../src/records/json-scanner.ts';
import { type Assembled, assembleRows } from './assembly.ts';
import { decodeRecord } from './decoding.ts';

const misfit = (reason: string) => ({ outcome: 'fieldDefect', reason, path: 'x', rows: [{ x: null }] });

describe('values', () => {
  test.each([
    ['x BIGINT', '9223372036854775807', 2n ** 63n - 1n],
    ['x BIGINT', '-9223372036854775808', -(2n ** 63n)],
    ['x BIGINT', '9007199254740993', 9007199254740993n],
    ['x BIGINT', '-1', -1n],
    ['x BIGINT', '-0', 0n],
    ['x INT', '2147483647', 2147483647],
    ['x INT', '-2147483648', -2147483648],
    ['x SMALLINT', '-32768', -32768],
    ['x TINYINT', '127', 127],
    ['x FLOAT', '0.1', Math.fround(0.1)],
    ['x FLOAT', '16777217', 16777216],
    // As a double 16777217 exactly, which would round down.
    ['x FLOAT', '16777217.000000000000000001', 16777218],
    ['x FLOAT', '3.4028235677973366e38', 2 ** 128 - 2 ** 104],
    ['x FLOAT', '7.006492321624086e-46', 2 ** -149],
    ['x FLOAT', '-1e-60', -0],
    ['x DECIMAL(5,2)', '1.5e2', 15000],
    ['x DECIMAL(5,2)', '-999.99', -99999],
    ['x DECIMAL(5,2)', '1.230000000000000000000', 123],
    ['x DECIMAL(5,2)', '0e99999999999', 0],
    ['x DECIMAL(18,6)', '123456789012.345678', 123456789012345678n],
    ['x DECIMAL(38,0)', '9'.repeat(38), 10n ** 38n - 1n],
    ['x DECIMAL(38,38)', `-0.${'9'.repeat(38)}`, 1n - 10n ** 38n],
    ['x DECIMAL(38,2)', '-1', -100n],
    ['x DECIMAL(3,0)', `0.${'0'.repeat(200_000)}1e200003`, 100],
    ['x DOUBLE', `0.${'0'.repeat(200_000)}1e200003`, 100],
    ['x BINARY', '""', '0x'],
    ['x BINARY', '"AA=="', '0x00'],
    ['x BINARY', '"+\\/\\u002fA"', '0xfbffc0'],
    ['x MAP<STRING, INT>', '{}', []],
    [
      'x MAP<STRING, INT>',
      '{"__proto__":1,"":2,"\\u0061":null}',
      [
        { key: '__proto__', value: 1 },
        { key: '', value: 2 },
        { key: 'a', value: null },
      ],
    ],
    [
      'x MAP<STRING, MAP<STRING, ARRAY<INT>>>',
      '{"a":{"a":[1,2],"b":[]},"b":{},"c":null}',
      [
        {
          key: 'a',
          value: [
            { key: 'a', value: [1, 2] },
            { key: 'b', value: [] },
          ],
        },
        { key: 'b', value: [] },
        { key: 'c', value: null },
      ],
    ],
    ['x DOUBLE', '7', 7],
    ['x DOUBLE', '-0', -0],
    ['x DOUBLE', '0.1', 0.1],
    ['x DOUBLE', '9007199254740993', 9007199254740992],
    ['x DOUBLE', '1e-400', 0],
    ['x DOUBLE', '1.7976931348623157e308', Number.MAX_VALUE],
    ['x BOOLEAN', 'false', false],
    ['x STRING', '""', ''],
    ['x STRING', '"a\\u0000\\n\\u722c虫😀"', 'a\0\n爬虫😀'],
    ['x DATE', '"1970-01-02"', 1],
    ['x DATE', '"0001-01-01"', -719_162],
    ['x DATE', '"9999-12-31"', 2_932_896],
    ['x DATE', '"2024\\u002d02-29"', 19_782],
    ['x TIMESTAMP', '"1970-01-01T00:00:01Z"', 1_000_000n],
    ['x TIMESTAMP', '"1969-12-31T23:59:59.999999Z"', -1n],
    ['x TIMESTAMP', '"2024-03-01T12:00:00.5+05:30"', 1_709_274_600_500_000n],
    ['x TIMESTAMP', '"2024-03-01 12:00:00-0800"', 1_709_323_200_000_000n],
    ['x TIMESTAMP', '"1970-01-01T00:00:00.123456000"', 123_456n],
    ['x TIMESTAMP', '"1970-01-02"', 86_400_000_000n],
    ['x TIMESTAMP', '"9999-12-31T23:59:59.999999Z"', 253_402_300_799_999_999n],
    ['x ARRAY<INT>', '[]', []],
    ['x ARRAY<INT>', '[1,null,3]', [1, null, 3]],
    ['x ARRAY<ARRAY<INT>>', '[[],[1],null,[2,3]]', [[], [1], null, [2, 3]]],
    ['x STRUCT<a: INT>', '{}', { a: null }],
    ['x STRUCT<a: STRUCT<b: ARRAY<INT>>>', '{"a":{"b":[1]}}', { a: { b: [1] } }],
    [
      'x ARRAY<STRUCT<a: INT, b: ARRAY<INT>>>',
      '[{"b":[1,2]},{"a":1,"b":[]}]',
      [
        { a: null, b: [1, 2] },
        { a: 1, b: [] },
      ],
    ],
  ])('%s takes %s', (ddl, value, stored) => {
    expect(decodeRecord(ddl, `{"x":${value}}`)).toMatchObject({ outcome: 'row', reason: undefined });
    expect(decodeRecord(ddl, `{"x":${value}}`).rows).toStrictEqual([{ x: stored }]);
  });

  test.each([
    ['x BIGINT', '9223372036854775808', 'outOfRange'],
    ['x BIGINT', `1${'0'.repeat(1000)}`, 'outOfRange'],
    ['x BIGINT', '1.0', 'notAnInteger'],
    ['x BIGINT', '1e3', 'notAnInteger'],
    ['x BIGINT', '"1"', 'wrongType'],
    ['x INT', '2147483648', 'outOfRange'],
    ['x INT', '-2147483649', 'outOfRange'],
    ['x SMALLINT', '32768', 'outOfRange'],
    ['x TINYINT', '-129', 'outOfRange'],
    ['x TINYINT', '1.0', 'notAnInteger'],
    ['x FLOAT', '3.4028235677973367e38', 'outOfRange'],
    ['x FLOAT', '1e400', 'outOfRange'],
    ['x FLOAT', '"NaN"', 'wrongType'],
    ['x DECIMAL(5,2)', '1000', 'outOfRange'],
    ['x DECIMAL(5,2)', '1e400', 'outOfRange'],
    ['x DECIMAL(5,2)', '0.001', 'tooPrecise'],
    ['x DECIMAL(38,38)', `0.${'1'.repeat(39)}`, 'tooPrecise'],
    ['x DECIMAL(5,2)', '"1.00"', 'wrongType'],
    ['x BINARY', '"AA"', 'invalidBase64'],
    ['x BINARY', '"AB=="', 'invalidBase64'],
    ['x BINARY', '"AA==\\n"', 'invalidBase64'],
    ['x BINARY', '"_-8="', 'invalidBase64'],
    ['x MAP<STRING, INT>', '[]', 'wrongType'],
    ['x DOUBLE', '1e400', 'outOfRange'],
    ['x DOUBLE', '"1.5"', 'wrongType'],
    ['x DOUBLE', 'true', 'wrongType'],
    ['x STRING', '1', 'wrongType'],
    ['x STRING', '{"a":[1]}', 'wrongType'],
    ['x STRING', '"\\ud800"', 'loneSurrogate'],
    ['x BOOLEAN', '1', 'wrongType'],
    ['x BOOLEAN', '"true"', 'wrongType'],
    ['x DATE', '"2023-02-29"', 'invalidDate'],
    ['x DATE', '"0000-01-01"', 'invalidDate'],
    ['x DATE', '"2024-03-01T00:00:00Z"', 'invalidDate'],
    ['x DATE', '"\\ud800"', 'invalidDate'],
    ['x DATE', '19782', 'wrongType'],
    ['x TIMESTAMP', '"2024-03-01T12Z"', 'invalidTimestamp'],
    ['x TIMESTAMP', '"2024-03-01T12:00.5Z"', 'invalidTimestamp'],
    ['x TIMESTAMP', '"2024-03-01T12:00:"', 'invalidTimestamp'],
    ['x TIMESTAMP', '"2024-03-01T12:00+1"', 'invalidTimestamp'],
    ['x TIMESTAMP', '"2024-03-01T12:00+01:"', 'invalidTimestamp'],
    ['x TIMESTAMP', '"2024-03-01T24:00:00Z"', 'invalidTimestamp'],
    ['x TIMESTAMP', '"2024-03-01T00:00:60Z"', 'invalidTimestamp'],
    ['x TIMESTAMP', '"2024-03-01T00:00:00+19:00"', 'invalidTimestamp'],
    ['x TIMESTAMP', '"\\ud800"', 'invalidTimestamp'],
    ['x TIMESTAMP', '"2024-03-01T00:00:00.1234567Z"', 'tooPrecise'],
    ['x TIMESTAMP', '"0001-01-01T00:00:00+00:01"', 'outOfRange'],
    ['x TIMESTAMP', '"9999-12-31T23:59:59-00:01"', 'outOfRange'],
    ['x TIMESTAMP', '1700000000000', 'wrongType'],
    ['x ARRAY<INT>', '{}', 'wrongType'],
    ['x STRUCT<a: INT>', '[]', 'wrongType'],
  ])('%s cannot hold %s', (ddl, value, reason) => {
    expect(decodeRecord(ddl, `{"x":${value}}`)).toMatchObject(misfit(reason));
    expect(decodeRecord(`${ddl} NOT NULL`, `{"x":${value}}`)).toMatchObject({
      outcome: 'recordDefect',
      reason,
      rows: [],
    });
  });

  test('epochMillis is an integer of milliseconds, for the top-level column that it names', () => {
    const decode = (value: string) => decodeRecord('x TIMESTAMP', `{"x":${value}}`, { x: 'epochMillis' });
    expect(decode('1700000000123').rows).toEqual([{ x: 1_700_000_000_123_000n }]);
    expect(decode('-1').rows).toEqual([{ x: -1000n }]);
    expect(decode('253402300799999').rows).toEqual([{ x: 253_402_300_799_999_000n }]);
    expect(decode('-62135596800000').rows).toEqual([{ x: -62_135_596_800_000_000n }]);
    for (const value of ['253402300800000', '-62135596800001', '9'.repeat(30)]) {
      expect(decode(value)).toMatchObject(misfit('outOfRange'));
    }
    expect(decode('1.5')).toMatchObject(misfit('notAnInteger'));
    expect(decode('"2024-03-01"')).toMatchObject(misfit('wrongType'));
    const nested = decodeRecord('x TIMESTAMP, s STRUCT<x: TIMESTAMP>', '{"s":{"x":"1970-01-01"}}', {
      x: 'epochMillis',
    });
    expect(nested.rows).toEqual([{ x: null, s: { x: 0n } }]);
  });

  test.each<[string, string, bigint | string]>([
    ['epochSeconds', '1700000000', 1_700_000_000_000_000n],
    ['epochSeconds', '1700000000.123456', 1_700_000_000_123_456n],
    ['epochSeconds', '-0.000001', -1n],
    ['epochSeconds', '1.7e9', 1_700_000_000_000_000n],
    ['epochSeconds', '1700000000.1234567', 'tooPrecise'],
    ['epochSeconds', '253402300799.999999', 253_402_300_799_999_999n],
    ['epochSeconds', '253402300800', 'outOfRange'],
    ['epochSeconds', '"1700000000"', 'wrongType'],
    ['epochMicros', '1700000000123456', 1_700_000_000_123_456n],
    ['epochMicros', '-62135596800000000', -62_135_596_800_000_000n],
    ['epochMicros', '-62135596800000001', 'outOfRange'],
    ['epochMicros', '1e6', 1_000_000n],
    ['epochMicros', '1.5', 'notAnInteger'],
    ['epochMillis', '1.7E12', 1_700_000_000_000_000n],
    ['epochMillis', '1700000000000.0', 1_700_000_000_000_000n],
    ['epochNanos', '1700000000123456000', 1_700_000_000_123_456n],
    ['epochNanos', '1700000000123456789', 'tooPrecise'],
    ['epochNanos', '-1000', -1n],
    ['epochNanos', '0.5', 'notAnInteger'],
    ['epochNanos', '253402300800000000000', 'outOfRange'],
    ['iso8601', '"1970-01-01T00:01"', 60_000_000n],
    ['iso8601', '"1970-01-01T00:01Z"', 60_000_000n],
    ['iso8601', '"1970-01-01 00:00:01.5+00"', 1_500_000n],
    ['iso8601', '"1970-01-01T00:00-01"', 3_600_000_000n],
    ['dd/MM/yyyy HH:mm', '"02\\/01\\/1970 00:00"', 86_400_000_000n],
    ['dd/MM/yyyy HH:mm', '"1970-01-02"', 'invalidTimestamp'],
    ['dd/MM/yyyy HH:mm', '"\\ud800"', 'invalidTimestamp'],
  ])('%s reads %s', (format, value, expected) => {
    const ddl = 'm MAP<STRING, ARRAY<STRUCT<x: TIMESTAMP>>>';
    const { rows, reason } = decodeRecord(ddl, `{"m":{"k":[{"x":${value}}]}}`, { 'm.x': format });
    const x = typeof expected === 'bigint' ? expected : null;
    expect(rows).toEqual([{ m: [{ key: 'k', value: [{ x }] }] }]);
    expect(reason).toBe(typeof expected === 'bigint' ? undefined : expected);
  });
});

describe('options for values', () => {
  test.each<[string, string, bigint]>([
    ['iso8601', '"1970-01-01T00:00:01.123456789Z"', 1_123_456n],
    ['iso8601', '"1969-12-31T23:59:59.999999999Z"', -1n],
    ['epochSeconds', '1.1234567', 1_123_456n],
    ['epochSeconds', '-0.0000001', -1n],
    ['epochSeconds', '-1.1234567', -1_123_457n],
    ['epochNanos', '1999', 1n],
    ['epochNanos', '-1', -1n],
    ["yyyy-MM-dd'T'HH:mm:ss.SSSSSSSSS", '"1970-01-01T00:00:00.000001999"', 1n],
  ])('%s cuts %s to the microsecond before it, and counts that', (format, value, expected) => {
    for (const truncateTimestamps of [true, ['x']] as const) {
      const { rows, outcome, truncated } = decodeWith(
        { timestamps: { x: format }, truncateTimestamps },
        value,
      );
      expect({ rows, outcome, truncated }).toEqual({ rows: [{ x: expected }], outcome: 'row', truncated: 1 });
    }
    const other = decodeWith({ timestamps: { x: format }, truncateTimestamps: ['y'] }, value);
    expect(other).toMatchObject({ outcome: 'fieldDefect', truncated: 0 });
  });

  test.each<[string, string, Assembled | 'wrongType' | 'outOfRange']>([
    ['BIGINT', '"9223372036854775807"', 9_223_372_036_854_775_807n],
    ['INT', '"-5"', -5],
    ['DOUBLE', '"1.5e3"', 1500],
    ['DECIMAL(5,2)', '"1.00"', 100],
    ['BIGINT', '"9223372036854775808"', 'outOfRange'],
    ['BIGINT', '" 1"', 'wrongType'],
    ['BIGINT', '"1 "', 'wrongType'],
    ['BIGINT', '"+1"', 'wrongType'],
    ['BIGINT', '"\\u0031"', 'wrongType'],
    ['BIGINT', '""', 'wrongType'],
    ['DOUBLE', '"NaN"', 'wrongType'],
    ['BOOLEAN', '"true"', 'wrongType'],
  ])('quotedNumbers: %s takes %s', (type, value, expected) => {
    const decoded = decodeWith({ quotedNumbers: true }, value, type);
    if (expected === 'wrongType' || expected === 'outOfRange')
      expect(decoded).toMatchObject(misfit(expected));
    else expect(decoded).toMatchObject({ outcome: 'row', rows: [{ x: expected }] });
  });

  test('quotedNumbers: an epoch in quotes is a time, ISO 8601 stays text', () => {
    const rules = { quotedNumbers: true, timestamps: { x: 'epochMillis' } };
    expect(decodeWith(rules, '"1700000000123"').rows).toEqual([{ x: 1_700_000_000_123_000n }]);
    expect(decodeWith({ quotedNumbers: true }, '"1970-01-01"').rows).toEqual([{ x: 0n }]);
  });

  function decodeWith(rules: ValueRules, value: string, type = 'TIMESTAMP') {
    return decodeRecord(`x ${type}`, `{"x":${value}}`, rules.timestamps, {}, rules);
  }
});

describe('from', () => {
  const read = (ddl: string, from: Record<string, string | null>, record: string) =>
    decodeRecord(ddl, record, {}, {}, { from });

  test('a column takes the field at a path, several columns one field, and one none', () => {
    const ddl = 'id STRING NOT NULL, price BIGINT, price_d DOUBLE, at BIGINT, dot INT';
    const from = { price: null, price_d: 'price', at: 'payload.source.ts', dot: '`a.b`' };
    const record = '{"price":1.5,"payload":{"source":{"ts":7,"x":1}},"a.b":3,"id":"a"}';
    expect(read(ddl, from, record)).toMatchObject({
      outcome: 'row',
      rows: [{ id: 'a', price: null, price_d: 1.5, at: 7n, dot: 3 }],
    });
    for (const absent of ['{"id":"a"}', '{"id":"a","payload":null}', '{"id":"a","payload":{"source":{}}}'])
      expect(read(ddl, from, absent)).toMatchObject({ outcome: 'row', rows: [{ at: null }] });
  });

  test('a STRUCT and a column from within it, and two columns of one field', () => {
    const ddl = 'payload STRUCT<ts: BIGINT, name: STRING>, event_time TIMESTAMP, again STRING, name STRING';
    const rules = {
      from: { event_time: 'payload.ts', again: 'name' },
      timestamps: { event_time: 'epochMillis' },
    };
    const record = '{"payload":{"name":"n","ts":5},"name":"m"}';
    expect(decodeRecord(ddl, record, rules.timestamps, {}, rules).rows).toEqual([
      { payload: { ts: 5n, name: 'n' }, event_time: 5000n, again: 'm', name: 'm' },
    ]);
  });

  test.each([
    ['x INT NOT NULL', '{"p":{}}', 'missing', 'p.x'],
    ['x INT NOT NULL', '{"p":null}', 'missing', 'p.x'],
    ['x INT NOT NULL', '{}', 'missing', 'p.x'],
    ['x INT NOT NULL', '{"p":{"x":"1"}}', 'wrongType', 'p.x'],
    ['x INT', '{"p":{"x":1,"x":2}}', 'duplicateField', 'p.x'],
  ])('%s from p.x of %s is a defect of the record: %s', (ddl, record, reason) => {
    expect(read(ddl, { x: 'p.x' }, record)).toMatchObject({ outcome: 'recordDefect', reason, rows: [] });
  });

  test('a path through what is no object is a defect of the field', () => {
    expect(read('x INT', { x: 'p.x' }, '{"p":[1]}')).toMatchObject({
      outcome: 'fieldDefect',
      reason: 'wrongType',
      path: 'p',
      rows: [{ x: null }],
    });
  });

  test.each<[string, readonly string[] | undefined]>([
    ['a', ['a']],
    ['a.b.c', ['a', 'b', 'c']],
    ['`a.b`.c', ['a.b', 'c']],
    ['`a``b`', ['a`b']],
    ['@timestamp', ['@timestamp']],
    ['', undefined],
    ['a.', undefined],
    ['.a', undefined],
    ['a..b', undefined],
    ['`a', undefined],
    ['`a`b', undefined],
  ])('the path %j', (path, steps) => {
    expect(stepsOf(path)).toEqual(steps);
  });
});

describe('maps', () => {
  test.each([
    ['{"m":{"a":1,"b":2,"\\u0061":3}}', 'duplicateField', 'm.a'],
    ['{"m":{"k":1,"\\ud800":1}}', 'loneSurrogate', 'm.k'],
  ])('%s is a defect of the record: %s', (record, reason, path) => {
    const decoded = decodeRecord('m MAP<STRING, INT>', record);
    expect(decoded).toMatchObject({ outcome: 'recordDefect', reason, rows: [] });
    if (reason === 'duplicateField') expect(decoded.path).toBe(path);
  });

  test('keys are told apart map by map', () => {
    expect(decodeRecord('m ARRAY<MAP<STRING, INT>>', '{"m":[{"a":1},{"a":2},{}]}').rows).toEqual([
      { m: [[{ key: 'a', value: 1 }], [{ key: 'a', value: 2 }], []] },
    ]);
  });

  test('a value that does not fit is null, or a defect of the record where null is not allowed', () => {
    const ddl = parseDdl('m MAP<STRING, INT>');
    expect(decodeRecord(ddl, '{"m":{"a":"x","b":2}}')).toMatchObject({
      outcome: 'fieldDefect',
      path: 'm.a',
      rows: [
        {
          m: [
            { key: 'a', value: null },
            { key: 'b', value: 2 },
          ],
        },
      ],
    });
    const [field] = ddl.fields;
    const strict = { fields: [{ ...field, type: { ...field?.type, valueContainsNull: false } }] } as Schema;
    for (const value of ['"x"', 'null'])
      expect(decodeRecord(strict, `{"m":{"a":${value}}}`).outcome).toBe('recordDefect');
  });
});

describe('unknown fields', () => {
  const ddl =
    'id INT, seller STRUCT<name: STRING>, items ARRAY<STRUCT<a: INT>>, m MAP<STRING, STRUCT<b: INT>>';

  test.each([
    ['{"id":1}', null],
    ['{"extra":1,"id":1}', '{"extra":1}'],
    [
      '{ "extra" : 1, "seller":{"x":"é","name":"n"}, "items":[{"y": { "a" : 1 }, "a":1}, {"y":[ ]}]}',
      '{"extra":1,"seller.x":"é","items[0].y":{ "a" : 1 },"items[1].y":[ ]}',
    ],
    ['{"m":{"a":{"c":null},"b c":{"d":-0.10e5}}}', '{"m.a.c":null,"m.`b c`.d":-0.10e5}'],
    ['{"a.b":1,"seller":{"`":"\\u0041"}}', '{"`a.b`":1,"seller.````":"\\u0041"}'],
    ['{"\\ud800":"\\udc00"}', '{"`\\ud800`":"\\udc00"}'],
    ['{"u":1,"u":[2]}', '{"u":1,"u":[2]}'],
    [`{"${'u'.repeat(300)}":1}`, `{"${'u'.repeat(300)}":1}`],
    ['{"id":{"not":"kept"},"x":1}', '{"x":1}'],
  ])('of %s', (record, rest) => {
    expect(decodeWithRest(ddl, record)).toEqual([{ _rest: rest }]);
  });

  test('are not kept of a record that is refused, and a row of nulls has none', () => {
    const columns = new Columns(parseDdl('id INT, _rest STRING'));
    const decoder = new JsonDecoder({
      nodes: columns.nodes.slice(0, 1),
      rest: columns.leaves[1] as LeafColumn,
    });
    for (const [text, outcome] of [
      ['{"u":1,"id":1}', 'row'],
      ['{"u":1,', 'recordDefect'],
      ['{"u":2,"id":"x"}', 'fieldDefect'],
      ['{}', 'row'],
    ] as const) {
      expect(decoder.decode(Buffer.from(text), 0, text.length)).toBe(outcome);
      if (outcome === 'recordDefect') decoder.appendNullRow();
      if (outcome === 'fieldDefect') decoder.rollback();
    }
    expect(assembleRows(columns).map((row) => ({ ...(row as object) }))).toEqual([
      { id: 1, _rest: '{"u":1}' },
      { id: null, _rest: null },
      { id: null, _rest: null },
    ]);
  });

  test('cannot make a record grow without bound', () => {
    const name = 'k'.repeat(10_000);
    const fields = Array.from({ length: 1000 }, (_, i) => `"u${i}":1`).join();
    const limits = { maxRecordBytes: 100_000 };
    expect(() =>
      decodeWithRest('m MAP<STRING, STRUCT<b: INT>>', `{"m":{"${name}":{${fields}}}}`, limits),
    ).toThrow('tooLarge');
  });
});

describe('fields', () => {
  const ddl = 'id STRING NOT NULL, price DOUBLE, s STRUCT<a: INT, b: INT NOT NULL>, t ARRAY<STRING>';

  test('come in any order, with others among them, in any spelling', () => {
    const rows = [{ id: 'i', price: 1.5, s: { a: null, b: 2 }, t: ['x'] }];
    expect(
      decodeRecord(ddl, '{"t":["x"],"u":{"id":[{}]},"s":{"b":2},"price":1.5,"\\u0069d":"i"}').rows,
    ).toEqual(rows);
    expect(decodeRecord(ddl, '{"id":"i","price":1.5,"s":{"c":1,"\\u0062":2},"t":["x"]}').rows).toEqual(rows);
  });

  test('are told apart exactly: case, prefixes and prototypes', () => {
    expect(decodeRecord('id INT', '{"ID":1,"i":2,"idd":3,"id ":4}').rows).toEqual([{ id: null }]);
    const [row] = decodeRecord(
      '`__proto__` INT, constructor INT',
      '{"__proto__":1,"constructor":2,"toString":3}',
    ).rows;
    expect(Object.entries(row as object)).toEqual([
      ['__proto__', 1],
      ['constructor', 2],
    ]);
  });

  test('whose names need escapes are found only where they are escaped', () => {
    const names = 'x INT, `a"b` INT, `c\\d` INT, `爬` INT';
    expect(decodeRecord(names, '{"x":1,"a\\"b":2,"c\\\\d":3,"\\u722c":4}').rows).toEqual([
      { x: 1, 'a"b': 2, 'c\\d': 3, 爬: 4 },
    ]);
    expect(decodeRecord(names, '{"x":1,"a"b":2}')).toMatchObject({
      outcome: 'recordDefect',
      reason: 'syntax',
    });
    expect(decodeRecord(names, '{"x":1,"c\\d":2}')).toMatchObject({
      outcome: 'recordDefect',
      reason: 'syntax',
    });
  });

  test('of more than 32 columns, every second one absent', () => {
    const names = Array.from({ length: 200 }, (_, i) => `column_${i}`);
    const present = names.filter((_, i) => i % 2 === 0);
    const record = JSON.stringify(Object.fromEntries(present.map((name, i) => [name, i])));
    const [row] = decodeRecord(names.map((name) => `${name} INT`).join(), record).rows;
    expect(row).toEqual(Object.fromEntries(names.map((name, i) => [name, i % 2 === 0 ? i / 2 : null])));
  });

  test.each([
    ['{"id":"a","id":"b"}', 'duplicateField', 'id'],
    ['{"id":"a","s":{"b":1,"a":1,"\\u0062":2}}', 'duplicateField', 's.b'],
    ['{"id":"a","price":null,"price":null}', 'duplicateField', 'price'],
    ['{"price":1}', 'missing', 'id'],
    ['{"id":"a","s":{"a":1},"t":[]}', 'missing', 's.b'],
    ['{"id":null}', 'nullNotAllowed', 'id'],
    ['{"id":7}', 'wrongType', 'id'],
    ['{"id":"a","s":{"b":1.5}}', 'notAnInteger', 's.b'],
  ])('%s is a defect of the record: %s at %s', (record, reason, path) => {
    expect(decodeRecord(ddl, record)).toMatchObject({ outcome: 'recordDefect', reason, path, rows: [] });
  });

  test('that are not in the schema may occur twice', () => {
    expect(decodeRecord('id INT', '{"u":1,"u":2,"id":1}').outcome).toBe('row');
  });
});

describe('records', () => {
  test.each([
    ['', 'emptyRecord'],
    [' \n', 'emptyRecord'],
    ['\ufeff{}', 'byteOrderMark'],
    ['[]', 'notAnObject'],
    ['[{"x":1}]', 'notAnObject'],
    ['1', 'notAnObject'],
    ['"x"', 'notAnObject'],
    ['null', 'notAnObject'],
    ['nope', 'syntax'],
    ['{"x":1', 'unexpectedEnd'],
    ['{"x', 'unexpectedEnd'],
    ['{"x":"\\u00', 'unexpectedEnd'],
    ['{}{}', 'trailingBytes'],
    ['{"x":1}\0', 'trailingBytes'],
    ['{"x":"\n"}', 'controlCharacter'],
    [Buffer.from('{"u":"\xc0\xaf"}', 'latin1'), 'invalidUtf8'],
    [Buffer.from('{"x":"\xed\xa0\x80"}', 'latin1'), 'invalidUtf8'],
    [Buffer.from('{"\xf4\x90\x80\x80":1}', 'latin1'), 'invalidUtf8'],
    [Buffer.from('{"x":"\xe7\x88', 'latin1'), 'invalidUtf8'],
  ])('%j is refused: %s', (record, reason) => {
    expect(decodeRecord('x INT', record)).toMatchObject({ outcome: 'recordDefect', reason, rows: [] });
  });

  test('a record that ends inside the buffer is not completed from the bytes behind it', () => {
    const columns = new Columns(parseDdl('x INT, y STRING'));
    const decoder = new JsonDecoder({ nodes: columns.nodes });
    const buffer = Buffer.from('{"x":12345,"y":"\\u0041爬"}');
    for (let end = 0; end < buffer.length; end++) {
      expect(decoder.decode(buffer, 0, end), buffer.toString('utf8', 0, end)).toBe('recordDefect');
    }
    expect(decoder.decode(buffer, 0, buffer.length)).toBe('row');
    expect(assembleRows(columns)).toHaveLength(1);
  });

  test('nesting is bounded: 512 by default, in skipped values too, and 5,000,000 brackets cost nothing', () => {
    const nested = (depth: number): string => `{"u":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
    expect(decodeRecord('x INT', nested(512)).outcome).toBe('row');
    expect(decodeRecord('x INT', nested(513))).toMatchObject({ outcome: 'recordDefect', reason: 'tooDeep' });
    for (const opening of ['[', '{"x":', '[{"":']) {
      const bomb = opening.repeat(5_000_000);
      expect(decodeRecord('x INT', bomb).reason).toBe('tooDeep');
      expect(decodeRecord('x ARRAY<ARRAY<INT>>', `{"x":${bomb}`).reason).toBe('tooDeep');
    }
    expect(decodeRecord('x ARRAY<INT>', '{"x":[1]}', {}, { maxDepth: 1 }).reason).toBe('tooDeep');
  });

  test('5,000 levels, where they are allowed, take no stack: passed over, kept, or in a defect', () => {
    const limits = { maxDepth: 5000 };
    for (const [open, close] of [
      ['[', ']'],
      ['{"x":', '}'],
    ] as const) {
      const deep = `${open.repeat(4999)}1${close.repeat(4999)}`;
      expect(decodeRecord('x INT', `{"u":${deep}}`, {}, limits).outcome).toBe('row');
      expect(decodeRecord('x INT', `{"x":${deep}}`, {}, limits)).toMatchObject(misfit('wrongType'));
      expect(decodeRecord('x INT', `{"x":[${deep}]}`, {}, limits).reason).toBe('tooDeep');
      expect(decodeRecord('x INT', `{"x":${deep.slice(0, -4999)}}`, {}, limits).reason).toBe(
        open === '[' ? 'syntax' : 'unexpectedEnd',
      );
      expect(decodeWithRest('x INT', `{"u":${deep}}`, limits)).toEqual([{ _rest: `{"u":${deep}}` }]);
    }
  });

  test('size is bounded', () => {
    const record = '{"x":1}';
    expect(decodeRecord('x INT', record, {}, { maxRecordBytes: record.length }).outcome).toBe('row');
    expect(decodeRecord('x INT', record, {}, { maxRecordBytes: record.length - 1 }).reason).toBe('tooLarge');
  });
});

describe('defects', () => {
  test.each([
    ['{"s":{"b":[{"c":"x"}]}}', 's.b[0].c', 16],
    ['{"s":{"b":[{"c":1},{"c":2,"u":[1,[2,}', 's.b[1].u[1][1]', 36],
    ['{"a.b":1,"we`ird":{"":[nul', '`we``ird`.``[0]', 26],
    ['{"s":{"b":[{"c":1},[]]}}', 's.b[1]', 19],
  ])('%s is named by its path', (record, path, byteOffset) => {
    const decoded = decodeRecord('s STRUCT<b: ARRAY<STRUCT<c: INT>>>', record);
    expect(decoded).toMatchObject({ path, byteOffset });
  });

  test('the first misfit is kept, and a defect of the record replaces it', () => {
    expect(decodeRecord('a INT, b INT', '{"a":1.5,"b":"x"}')).toMatchObject({
      reason: 'notAnInteger',
      path: 'a',
    });
    expect(decodeRecord('a INT, b INT', '{"a":1.5,"b":}')).toMatchObject({
      reason: 'syntax',
      path: 'b',
      byteOffset: 13,
    });
  });

  test('the message is one line with place and reason', () => {
    const columns = new Columns(parseDdl('seller STRUCT<since: BIGINT>'));
    const decoder = new JsonDecoder({ nodes: columns.nodes });
    const buffer = Buffer.from('....{"seller":{"since":1.5}}');
    expect(decoder.decode(buffer, 4, buffer.length)).toBe('fieldDefect');
    expect(decoder.defect()?.message).toBe(
      'a number with a fraction or an exponent is not an integer (seller.since, byte 19)',
    );
    expect(decoder.decode(Buffer.from('{}'), 0, 2)).toBe('row');
    expect(decoder.defect()).toBeUndefined();
  });
});

describe('mode permissive', () => {
  const schema = nullableSchema(parseDdl('id STRING NOT NULL, s STRUCT<a: INT NOT NULL, b: ARRAY<INT>>'));

  test('nothing is required, and what fits is kept', () => {
    expect(decodeRecord(schema, '{"id":1,"s":{"b":[1,"x",3]}}')).toMatchObject({
      outcome: 'fieldDefect',
      path: 'id',
      rows: [{ id: null, s: { a: null, b: [1, null, 3] } }],
    });
  });

  test('a row of nulls stands for a record that cannot be decoded', () => {
    const columns = new Columns(schema);
    const decoder = new JsonDecoder({ nodes: columns.nodes });
    const rows = ['{"id":"a"}', '{"id":"b","s":{"b":[1,2', '{"id":"c","s":{"a":1,"b":[]}}'].map((text) => {
      const outcome = decoder.decode(Buffer.from(text), 0, text.length);
      if (outcome === 'recordDefect') decoder.appendNullRow();
      return outcome;
    });
    expect(rows).toEqual(['row', 'recordDefect', 'row']);
    expect(assembleRows(columns).map((row) => ({ ...(row as object) }))).toMatchObject([
      { id: 'a', s: null },
      { id: null, s: null },
      { id: 'c', s: { a: 1, b: [] } },
    ]);
  });
});

/** What `_rest` holds; a record that is refused throws its reason. */
function decodeWithRest(ddl: string, record: string, limits: Partial<JsonLimits> = {}): readonly object[] {
  const columns = new Columns(parseDdl(ddl));
  const rest = new Columns(parseDdl('_rest STRING'));
  const decoder = new JsonDecoder({ nodes: columns.nodes, limits, rest: rest.leaves[0] as LeafColumn });
  const bytes = Buffer.from(record);
  if (decoder.decode(bytes, 0, bytes.length) === 'recordDefect') throw new Error(decoder.defect()?.reason);
  return assembleRows(rest).map((row) => ({ ...(row as object) }));
}
