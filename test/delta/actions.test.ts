import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Action,
  decodePath,
  encodePath,
  parseActions,
  parseStats,
  serializeActions,
} from '../../src/delta/actions.ts';
import { parseJson, writeJson } from '../../src/delta/json.ts';

/**
 * What is written into the log is read back the same, to the last digit and character; what we must not
 * ignore is refused by name. By property, over all integers and strings.
 */

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const text = fc.string({ unit: 'binary' });
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    int64,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    text,
    fc.boolean(),
    tie('list'),
    tie('map'),
  ),
  list: fc.array(tie('value'), { maxLength: 3 }),
  map: fc.dictionary(text, tie('value'), { maxKeys: 3 }),
})).value;

describe('JSON', () => {
  test('every 64-bit integer and double survives; integers beyond 2^53 come as bigint', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(parseJson(writeJson(value))).toEqual(asRead(value));
      }),
    );
    expect(
      parseJson('{"a":9007199254740993,"b":[1.5e3,-9223372036854775808],"s":"12345678901234567890"}'),
    ).toEqual({
      a: 9007199254740993n,
      b: [1500, -9223372036854775808n],
      s: '12345678901234567890',
    });
    expect(writeJson({ version: 9223372036854775807n })).toBe('{"version":9223372036854775807}');
  });
});

describe('actions', () => {
  const maps = fc.dictionary(text, fc.option(text), { maxKeys: 3 });
  const size = fc.maxSafeNat();
  const action: fc.Arbitrary<Action> = fc.oneof(
    fc.record({ txn: fc.record({ appId: text, version: int64 }) }),
    fc.record({
      add: fc.record(
        {
          path: text,
          partitionValues: maps,
          size,
          modificationTime: size,
          dataChange: fc.boolean(),
          stats: text,
          tags: maps,
        },
        { requiredKeys: ['path', 'partitionValues', 'size', 'modificationTime', 'dataChange'] },
      ),
    }),
    fc.record({ remove: fc.record({ path: text, deletionTimestamp: size, dataChange: fc.boolean(), size }) }),
    fc.record({ protocol: fc.constant({ minReaderVersion: 1, minWriterVersion: 2 }) }),
    fc.record({
      metaData: fc.record({
        id: text,
        format: fc.record({ provider: text, options: fc.dictionary(text, text, { maxKeys: 2 }) }),
        schemaString: text,
        partitionColumns: fc.array(text, { maxLength: 2 }),
        configuration: fc.dictionary(text, text, { maxKeys: 2 }),
      }),
    }),
  );

  test('are read back as they were written, one line each', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 5 }), (actions) => {
        const written = serializeActions(actions);
        expect(written.split('\n').length).toBe(actions.length + 1);
        expect(parseActions(written, 'here')).toEqual(actions);
      }),
    );
  });

  test('of unknown kinds and fields are ignored, as the protocol asks', () => {
    const lines =
      '{"somethingNew":{"a":1}}\n\n{"txn":{"appId":"a","version":1,"lastUpdated":null,"extra":true}}\n';
    expect(parseActions(lines, 'here')).toEqual([{ txn: { appId: 'a', version: 1n } }]);
  });

  test.each(['cdc', 'domainMetadata', 'checkpointMetadata', 'sidecar'])('%s is refused by name', (name) => {
    expect(() => parseActions(`{"${name}":{"path":"x"}}`, 'here')).toThrow(name);
  });

  test('a deletion vector is refused by name', () => {
    const add = {
      path: 'x',
      partitionValues: {},
      size: 1,
      modificationTime: 1,
      dataChange: true,
      deletionVector: {},
    };
    expect(() => parseActions(JSON.stringify({ add }), 'here')).toThrow('deletionVector');
  });

  test.each([
    ['{"add":', 'v7.json, line 1 is not JSON'],
    ['{"txn":{"appId":"a"}}', 'txn.version is not an integer'],
    ['{"txn":{"appId":"a","version":1.5}}', 'txn.version is not an integer'],
    ['{"add":{"path":"x","partitionValues":{"p":1},"size":1}}', 'partitionValues is not a map of strings'],
    ['[]', 'v7.json is not an object'],
  ])('%s is corrupt, and the message says where', (line, problem) => {
    expect(() => parseActions(line, 'v7.json')).toThrow(problem);
  });
});

describe('paths', () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1 })
    .filter((s) => !s.startsWith('.') && !/[/\0]/.test(s));

  test('any file name survives the encoding, which is a valid URI path', () => {
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), (names) => {
        const path = names.join('/');
        const encoded = encodePath(path);
        expect(encoded).toMatch(/^[A-Za-z0-9\-._~!*'()=%/]+$/);
        expect(decodePath(encoded)).toBe(path);
      }),
    );
    expect(encodePath('p=a%20b/ü c.parquet')).toBe('p=a%2520b/%C3%BC%20c.parquet');
  });

  test('other writers encode less: the same file all the same', () => {
    expect(decodePath('p=a+b@c:1/x.parquet')).toBe(decodePath(encodePath('p=a+b@c:1/x.parquet')));
  });

  test.each(['/abs', 's3://bucket/x', 'file:///x', '../x', 'a/../../x', '%2e%2e/x', 'a//b', '.hidden'])(
    '%s is none of the table’s files',
    (path) => {
      expect(() => decodePath(path)).toThrow(expect.objectContaining({ code: 'TABLE_UNSUPPORTED' }));
    },
  );

  test('a broken encoding is corrupt', () => {
    expect(() => decodePath('a%zz')).toThrow(expect.objectContaining({ code: 'TABLE_CORRUPT' }));
  });
});

test('statistics keep 64 bits, and what is no JSON is no statistics', () => {
  expect(parseStats('{"numRecords":3,"maxValues":{"id":9223372036854775807}}')).toEqual({
    numRecords: 3,
    maxValues: { id: 9223372036854775807n },
  });
  expect([parseStats(undefined), parseStats('{')]).toEqual([undefined, undefined]);
});

function asRead(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(asRead);
  if (Object.is(value, -0)) return 0;
  if (typeof value !== 'object' || value === null) {
    const unsafe = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value);
    // The shortest digits that name a double are what is written, and read back exactly.
    return unsafe && /^-?\d+$/.test(String(value)) ? BigInt(String(value)) : value;
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asRead(item)]));
}
