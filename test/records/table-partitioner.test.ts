/**
 * Goal: a row's table partition as Delta writes it, one key per partition, and folders that are safe for any value.
 *
 * Method: rows decoded from JSON; folders over hostile values and random ones.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PartitionTerm } from '../../src/pipeline/specification.ts';
import { Columns } from '../../src/records/columns.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { JsonDecoder } from '../../src/records/json-decoder.ts';
import { partitionFolder, TablePartitioner } from '../../src/records/table-partitioner.ts';

const DDL = 's STRING, l BIGINT, i INT, b BOOLEAN, d DATE, t TIMESTAMP, x DOUBLE, n STRING';
const day = (source: string): PartitionTerm => ({ kind: 'day', source, column: `${source}_day` });
const column = (source: string): PartitionTerm => ({ kind: 'column', source, column: source });

function partitionOf(record: object, terms: readonly PartitionTerm[]) {
  const row = new Columns(parseDdl(DDL));
  const partitioner = new TablePartitioner(row, terms);
  const decoder = new JsonDecoder({ nodes: row.nodes });
  const bytes = Buffer.from(JSON.stringify(record));
  expect(decoder.decode(bytes, 0, bytes.length)).toBe('row');
  const key = partitioner.key();
  return {
    key,
    values: key === undefined ? undefined : partitioner.partitionValues(),
    empty: partitioner.emptyColumn(),
  };
}

describe('partition values', () => {
  test('of every type, in the order of the terms', () => {
    const terms = [day('t'), column('s'), column('l'), column('i'), column('b'), column('d'), day('d')];
    const record = { s: '爬 / 虫', l: -5, i: 7, b: false, d: '2024-02-29', t: '2024-03-01T00:30:00+01:00' };
    expect(Object.entries(partitionOf(record, terms).values ?? {})).toEqual([
      ['t_day', '2024-02-29'],
      ['s', '爬 / 虫'],
      ['l', '-5'],
      ['i', '7'],
      ['b', 'false'],
      ['d', '2024-02-29'],
      ['d_day', '2024-02-29'],
    ]);
    expect(new Set(Object.values(partitionOf({}, terms).values ?? {}))).toEqual(new Set([null]));
  });

  test.each([
    ['0001-01-01T00:00:00Z', '0001-01-01'],
    ['1969-12-31T23:59:59.999999Z', '1969-12-31'],
    ['1970-01-01T00:00:00Z', '1970-01-01'],
    ['1600-02-29T23:59:59.999999Z', '1600-02-29'],
    ['9999-12-31T00:00:00Z', '9999-12-31'],
    ['9999-12-31T23:59:59.999999Z', '9999-12-31'],
  ])('the day of %s', (t, expected) => {
    expect(partitionOf({ t }, [day('t')]).values).toEqual({ t_day: expected });
  });

  test("'' is a defect, and named", () => {
    expect(partitionOf({ s: '', i: 1 }, [column('i'), column('s')])).toEqual({
      key: undefined,
      values: undefined,
      empty: 's',
    });
    expect(partitionOf({ s: '' }, [column('i')]).key).toBeDefined();
  });

  test('keys are equal exactly where the values are', () => {
    const texts = [
      null,
      'null',
      'a',
      'ab',
      'b',
      '"',
      '1:"a',
      '爬',
      '\u00e7\u0088\u00ac',
      '0',
      '1:',
      'a"b',
      'bnull',
    ];
    const keys = new Map<string, string>();
    for (const s of texts) {
      for (const n of texts) {
        for (const i of [null, 1, 11]) {
          const { key, values } = partitionOf({ s, n, i }, [column('s'), column('n'), column('i')]);
          const seen = keys.get(key ?? '') ?? JSON.stringify(values);
          expect(JSON.stringify(values)).toBe(seen);
          keys.set(key ?? '', seen);
        }
      }
    }
    expect(keys.size).toBe(texts.length * texts.length * 3);
  });

  test.each(['x', 't'])('column %s cannot partition a table', (name) => {
    expect(() => new TablePartitioner(new Columns(parseDdl(DDL)), [column(name)])).toThrow(
      expect.objectContaining({ code: 'SCHEMA_INVALID' }),
    );
  });

  test('more than one row is a bug of the caller', () => {
    const row = new Columns(parseDdl('i INT'));
    const decoder = new JsonDecoder({ nodes: row.nodes });
    for (let i = 0; i < 2; i++) decoder.decode(Buffer.from('{"i":1}'), 0, 7);
    expect(() => new TablePartitioner(row, [column('i')]).key()).toThrow('one row');
  });
});

describe('folders', () => {
  const HOSTILE = [
    '..',
    '.',
    '../../etc',
    'a/b',
    '%2F',
    'a=b',
    ' ',
    'a b',
    '爬虫',
    '\0',
    '\n',
    'C:\\x',
    'x'.repeat(300),
    '~',
    '-',
    '_x',
  ];

  test('are plain where names and values are', () => {
    expect(partitionFolder({})).toBe('');
    expect(partitionFolder({ site: 'shop-01.example', crawl_ts_day: '2024-03-01' })).toBe(
      'site=shop-01.example/crawl_ts_day=2024-03-01',
    );
    expect(partitionFolder({ day: null })).toBe('day=__HIVE_DEFAULT_PARTITION__');
  });

  test('are safe and bounded for any name and value, the same every time', () => {
    const text = fc.oneof(
      fc.constantFrom(...HOSTILE),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 400 }),
    );
    fc.assert(
      fc.property(text, fc.option(text), (name, value) => {
        const folder = partitionFolder({ [name]: value });
        expect(folder).toMatch(/^[A-Za-z0-9-][A-Za-z0-9._=-]{0,149}$/);
        expect(partitionFolder({ [name]: value })).toBe(folder);
      }),
    );
  });

  test('differ where values do', () => {
    const values = [null, '__HIVE_DEFAULT_PARTITION__', ...HOSTILE, 'a-b', '--', '---', 'x'.repeat(301), 'X'];
    values.push(...HOSTILE.map((value) => partitionFolder({ c: value }).split('c=')[1] ?? ''));
    const distinct = new Set(values);
    expect(new Set([...distinct].map((value) => partitionFolder({ c: value }))).size).toBe(distinct.size);
  });
});
