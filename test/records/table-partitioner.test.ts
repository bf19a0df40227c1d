/**
 * Goal: a row's table partition as Delta writes it, one key per partition, and folders from which every value
 * can be read back; what cannot be is a defect of the record.
 *
 * Method: rows decoded from JSON; time units and decimals against slow models; folders over hostile values
 * and random ones, decoded as Polars does, which takes values from them instead of from the log.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Columns } from '../../src/records/columns.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { JsonDecoder } from '../../src/records/json-decoder.ts';
import type { PartitionTerm, TimeUnit } from '../../src/records/partition-term.ts';
import { partitionFolder, partitionType, TablePartitioner } from '../../src/records/table-partitioner.ts';

const DDL = `s STRING, l BIGINT, i INT, h SMALLINT, y TINYINT, b BOOLEAN, d DATE, t TIMESTAMP, x DOUBLE, f FLOAT, n STRING,
  bin BINARY, a ARRAY<INT>, m MAP<STRING, INT>, d5 DECIMAL(5,0), d9 DECIMAL(9,2), d18 DECIMAL(18,3), d38 DECIMAL(38,10)`;
const of = (kind: TimeUnit, source: string): PartitionTerm => ({ kind, source, column: `${source}_${kind}` });
const column = (source: string): PartitionTerm => ({ kind: 'column', source, column: source });

function partitionOf(record: object | string, terms: readonly PartitionTerm[], ddl = DDL) {
  const row = new Columns(parseDdl(ddl));
  const partitioner = new TablePartitioner(row, terms);
  const decoder = new JsonDecoder({ nodes: row.nodes });
  const bytes = Buffer.from(typeof record === 'string' ? record : JSON.stringify(record));
  expect(decoder.decode(bytes, 0, bytes.length)).toBe('row');
  const key = partitioner.key();
  return {
    key,
    values: key === undefined ? undefined : partitioner.partitionValues(),
    defect: partitioner.defect(),
  };
}

describe('partition values', () => {
  test('of every type, in the order of the terms', () => {
    const terms = [of('day', 't'), ...['s', 'l', 'i', 'h', 'y', 'b', 'd'].map(column), of('month', 'd')];
    const record = {
      ...{ s: '爬 / 虫', l: -5, i: 7, h: -300, y: 8, b: false },
      ...{ d: '2024-02-29', t: '2024-03-01T00:30:00+01:00' },
    };
    expect(Object.entries(partitionOf(record, terms).values ?? {})).toEqual([
      ['t_day', '2024-02-29'],
      ['s', '爬 / 虫'],
      ['l', '-5'],
      ['i', '7'],
      ['h', '-300'],
      ['y', '8'],
      ['b', 'false'],
      ['d', '2024-02-29'],
      ['d_month', '2024-02-01'],
    ]);
    expect(new Set(Object.values(partitionOf({}, terms).values ?? {}))).toEqual(new Set([null]));
  });

  test.each([
    ['d5', '-99999', '-99999'],
    ['d9', '0.5', '0.50'],
    ['d9', '-0.01', '-0.01'],
    ['d9', '-1234567.8', '-1234567.80'],
    ['d18', '123456789012345.678', '123456789012345.678'],
    ['d38', '-1234567890123456789012345678.0123456789', '-1234567890123456789012345678.0123456789'],
    ['d38', '0.0000000001', '0.0000000001'],
    ['d38', '0', '0.0000000000'],
  ])('the decimal %s %s, with all digits of its scale', (name, given, expected) => {
    expect(partitionOf(`{"${name}":${given}}`, [column(name)]).values).toEqual({ [name]: expected });
  });

  test.each([
    ['0001-01-01T00:00:00Z', '0001-01-01', '0001-01-01', '0001-01-01', '0001-01-01T00'],
    ['0099-12-31T23:59:59Z', '0099-01-01', '0099-12-01', '0099-12-31', '0099-12-31T23'],
    ['1969-12-31T23:59:59.999999Z', '1969-01-01', '1969-12-01', '1969-12-31', '1969-12-31T23'],
    ['1970-01-01T00:00:00Z', '1970-01-01', '1970-01-01', '1970-01-01', '1970-01-01T00'],
    ['1600-02-29T23:59:59.999999Z', '1600-01-01', '1600-02-01', '1600-02-29', '1600-02-29T23'],
    ['2024-03-31T02:30:00+02:00', '2024-01-01', '2024-03-01', '2024-03-31', '2024-03-31T00'],
    ['9999-12-31T23:59:59.999999Z', '9999-01-01', '9999-12-01', '9999-12-31', '9999-12-31T23'],
  ])('the year, month, day and hour of %s', (t, year, month, day, hour) => {
    const terms = (['year', 'month', 'day', 'hour'] as const).map((unit) => of(unit, 't'));
    expect(partitionOf({ t }, terms).values).toEqual({
      t_year: year,
      t_month: month,
      t_day: day,
      t_hour: `${hour}:00:00.000000Z`,
    });
  });

  test('equal keys are equal units of time, for any two moments', () => {
    const moment = fc.date({
      min: new Date(-62_135_596_800_000),
      max: new Date(253_402_300_799_999),
      noInvalidDate: true,
    });
    const near = fc.tuple(moment, fc.integer({ min: -7_200_000, max: 7_200_000 }));
    fc.assert(
      fc.property(
        near,
        fc.constantFrom<TimeUnit>('year', 'month', 'day', 'hour'),
        ([one, distance], unit) => {
          const other = new Date(
            Math.min(253_402_300_799_999, Math.max(-62_135_596_800_000, one.getTime() + distance)),
          );
          const length = { year: 4, month: 7, day: 10, hour: 13 }[unit];
          const cut = (date: Date) => date.toISOString().slice(0, length);
          const [a, b] = [one, other].map((t) =>
            partitionOf({ t: t.toISOString() }, [of(unit, 't')], 't TIMESTAMP'),
          );
          expect(a?.key === b?.key).toBe(cut(one) === cut(other));
          expect(a?.values?.[`t_${unit}`]?.startsWith(cut(one))).toBe(true);
        },
      ),
    );
  });

  test('keys are equal exactly where the values are', () => {
    const texts = [
      ...[null, 'null', 'a', 'ab', 'b', '"', '1:"a', '爬'],
      ...['\u00e7\u0088\u00ac', '0', '1:', 'a"b', 'bnull', 'é', 'e\u0301'],
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

  test('more than one row is a bug of the caller', () => {
    const row = new Columns(parseDdl('i INT'));
    const decoder = new JsonDecoder({ nodes: row.nodes });
    for (let i = 0; i < 2; i++) decoder.decode(Buffer.from('{"i":1}'), 0, 7);
    expect(() => new TablePartitioner(row, [column('i')]).key()).toThrow('one row');
  });
});

describe('a value that some reader would not give back is a defect', () => {
  test.each([
    ['', 'partitionValueEmpty', "s is '', and Delta cannot tell '' from null"],
    ['__HIVE_DEFAULT_PARTITION__', 'partitionValueReserved', 'stands for null in the name of a folder'],
    ['x'.repeat(254), 'partitionValueTooLong', '254 bytes percent-encoded, at most 253 fit'],
    ['é'.repeat(43), 'partitionValueTooLong', '258 bytes percent-encoded'],
    ['x'.repeat(2_000), 'partitionValueTooLong', '2000 bytes'],
    ['/'.repeat(100_000), 'partitionValueTooLong', '300000 bytes'],
  ])('%.30j', (s, code, message) => {
    const found = partitionOf({ s, i: 1 }, [column('i'), column('s')]);
    expect(found).toEqual({
      key: undefined,
      values: undefined,
      defect: { code, column: 's', message: expect.stringContaining(message) },
    });
    expect(partitionOf({ s }, [column('i')])).toMatchObject({ key: expect.any(String), defect: undefined });
  });

  test.each([['x'.repeat(253)], ['é'.repeat(42)], ['__hive_default_partition__'], ['null'], [' ']])(
    'but not %.30j',
    (s) => {
      expect(partitionOf({ s }, [column('s')])).toMatchObject({ values: { s }, defect: undefined });
    },
  );
});

describe('the type of a partition column', () => {
  const typeOf = (term: PartitionTerm) => {
    const field = parseDdl(DDL).fields.find(({ name }) => name === term.source);
    if (field === undefined) throw new Error(`no column ${term.source}`);
    return partitionType(field, term);
  };

  test('is the source’s, a DATE of a year, month or day, a TIMESTAMP of an hour', () => {
    expect(typeOf(column('d9'))).toEqual({ kind: 'decimal', precision: 9, scale: 2 });
    expect(typeOf(column('h'))).toEqual({ kind: 'primitive', name: 'short' });
    for (const unit of ['year', 'month', 'day'] as const)
      for (const source of ['t', 'd'])
        expect(typeOf(of(unit, source))).toEqual({ kind: 'primitive', name: 'date' });
    expect(typeOf(of('hour', 't'))).toEqual({ kind: 'primitive', name: 'timestamp' });
  });

  test.each<[PartitionTerm, string]>([
    [column('x'), 'DOUBLE'],
    [column('f'), 'FLOAT'],
    [column('bin'), 'BINARY'],
    [column('a'), 'ARRAY'],
    [column('m'), 'MAP'],
    [column('t'), 'hour(t)'],
    [of('hour', 'd'), 'hour() takes a TIMESTAMP.'],
    [of('day', 's'), 'day() takes a TIMESTAMP or a DATE.'],
  ])('%o is refused, with what to do', (term, told) => {
    expect(() => typeOf(term)).toThrow(expect.objectContaining({ code: 'SCHEMA_INVALID' }));
    try {
      typeOf(term);
    } catch (error) {
      const { message, fix } = error as { message: string; fix: string };
      expect(`${message} ${fix}`).toContain(told);
    }
  });

  test.each(['a/b', 'a\u0001', 'x'.repeat(129)])(
    'a name that no folder can have is refused: %.20j',
    (name) => {
      const field = { name, type: { kind: 'primitive', name: 'string' }, nullable: true } as const;
      expect(() => partitionType(field, column(name))).toThrow(
        expect.objectContaining({ code: 'SCHEMA_INVALID' }),
      );
    },
  );
});

describe('folders', () => {
  const HOSTILE = [
    ...[
      '..',
      '.',
      '../../etc',
      '/etc',
      'a/b',
      '%2F',
      '%',
      'a%20b',
      'a=b',
      '=',
      ' ',
      'a b',
      'trail ',
      'trail.',
    ],
    ...[
      '爬虫',
      'e\u0301',
      '\u202eabc',
      '😀',
      '\u{10ffff}',
      '\ufeff',
      '\0',
      '\u0001',
      '\u007f',
      '\n',
      '\r\n',
      '\t',
    ],
    ...[
      'C:\\x',
      'x'.repeat(253),
      '~',
      '-',
      '_x',
      'null',
      '"',
      "'",
      '`',
      '*',
      '?',
      '#',
      '&',
      '+',
      ':',
      '!',
      '()',
      '$',
    ],
  ];

  test('are plain where values are', () => {
    expect(partitionFolder({})).toBe('');
    expect(partitionFolder({ site: 'shop-01.example', crawl_ts_day: '2024-03-01' })).toBe(
      'site=shop-01.example/crawl_ts_day=2024-03-01',
    );
    expect(partitionFolder({ day: null })).toBe('day=__HIVE_DEFAULT_PARTITION__');
    expect(partitionFolder({ 'Ünï.a': "it's" })).toBe('Ünï.a=it%27s');
  });

  test('stay within the root, and give every value back that is no defect', () => {
    const codePoints = fc.array(fc.nat(0x10ffff), { minLength: 1, maxLength: 120 });
    const text = fc.oneof(
      fc.constantFrom(...HOSTILE),
      codePoints.map((points) => String.fromCodePoint(...points)),
    );
    fc.assert(
      fc.property(text, (s) => {
        fc.pre(s.isWellFormed());
        const { values, defect } = partitionOf({ s }, [column('s')], 's STRING');
        if (values === undefined) {
          expect(Buffer.byteLength(partitionFolder({ s }))).toBeGreaterThan(255);
          expect(defect?.code).toBe('partitionValueTooLong');
          return;
        }
        const folder = partitionFolder(values);
        expect(folder).toMatch(/^s=[A-Za-z0-9._%-]{1,253}$/);
        expect(decodeURIComponent(folder.slice(2))).toBe(s);
      }),
    );
    for (const s of HOSTILE) expect(partitionOf({ s }, [column('s')]).defect).toBeUndefined();
  });
});
