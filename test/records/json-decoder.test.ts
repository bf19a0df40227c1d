/**
 * Goal: what a value becomes in its column, what is a defect of a field and what of the record, and what `defect()` says.
 *
 * Method: one record at a time into fresh columns, put together again from levels and values.
 */
import { describe, expect, test } from 'vitest';
import { Columns } from '../../src/records/columns.ts';
import { nullableSchema, parseDdl } from '../../src/records/ddl.ts';
import { JsonDecoder } from '../../src/records/json-decoder.ts';
import { assembleRows } from './assembly.ts';
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
    ['x TIMESTAMP', '"2024-03-01T12:00Z"', 'invalidTimestamp'],
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
