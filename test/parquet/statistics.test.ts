/**
 * Goal: bounds are true bounds, in the order of each type, and the Delta statistics say only what is true, in
 * the words that readers expect. Method: random columns against a naive model over plain values; every trap
 * known from other writers by name.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { boundsOf } from '../../src/parquet/bounds.ts';
import { deltaStats, footerBounds, leafKey } from '../../src/parquet/statistics.ts';
import { LeafColumn } from '../../src/records/columns.ts';
import { type DataType, parseDdl } from '../../src/records/ddl.ts';
import type { LeafType } from '../../src/records/leaf-buffers.ts';
import { type Row, tables, type Value, writeRows } from './rows.ts';

async function writtenStats(ddl: string, values: Value[][], rowsPerGroup?: number): Promise<string> {
  const schema = parseDdl(ddl);
  const rows = values.map((row) =>
    Object.fromEntries(row.map((value, i) => [schema.fields[i]?.name ?? '', value])),
  );
  return (await writeRows(schema, rows, 'none', rowsPerGroup)).stats;
}

const column = (ddl: string, ...values: Value[]) =>
  writtenStats(
    `v ${ddl}`,
    values.map((value) => [value]),
  );

function plainText(...texts: string[]): Buffer {
  return Buffer.concat(
    texts.flatMap((text) => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}

describe('Delta statistics', () => {
  test('64-bit integers keep all digits', async () => {
    expect(await column('BIGINT', 2n ** 63n - 1n, null, -(2n ** 63n))).toBe(
      '{"numRecords":3,"minValues":{"v":-9223372036854775808},"maxValues":{"v":9223372036854775807},"nullCount":{"v":1}}',
    );
  });

  test('strings sort by UTF-8 bytes, not by UTF-16 units', async () => {
    expect(await column('STRING', 'a', '\uFFFDz', '😀')).toBe(
      '{"numRecords":3,"minValues":{"v":"a"},"maxValues":{"v":"😀"},"nullCount":{"v":0}}',
    );
  });

  test('long strings are cut to 32 characters, the greatest one raised above what it was', async () => {
    const cut = async (text: string) => JSON.parse(await column('STRING', text));
    const a31 = 'a'.repeat(31);
    expect(await cut(`${a31}bc`)).toMatchObject({ minValues: { v: `${a31}b` }, maxValues: { v: `${a31}c` } });
    expect(await cut(`${a31}b`)).toMatchObject({ minValues: { v: `${a31}b` }, maxValues: { v: `${a31}b` } });
    expect(await cut('😀'.repeat(33))).toMatchObject({
      minValues: { v: '😀'.repeat(32) },
      maxValues: { v: `${'😀'.repeat(31)}😁` },
    });
    expect(await cut(`${a31}\uD7FFx`)).toMatchObject({ maxValues: { v: `${a31}\uE000` } });
    expect(await cut(`${a31}\u{10FFFF}x`)).toMatchObject({ maxValues: { v: `${'a'.repeat(30)}b` } });
    expect(await cut('\u{10FFFF}'.repeat(33))).toEqual({ numRecords: 1, nullCount: { v: 0 } });
  });

  test('timestamps are cut to milliseconds, down and up; dates are days', async () => {
    expect(await column('TIMESTAMP', 1_700_000_000_000_001n)).toContain(
      '"minValues":{"v":"2023-11-14T22:13:20.000Z"},"maxValues":{"v":"2023-11-14T22:13:20.001Z"}',
    );
    expect(await column('TIMESTAMP', -1n)).toContain(
      '"minValues":{"v":"1969-12-31T23:59:59.999Z"},"maxValues":{"v":"1970-01-01T00:00:00.000Z"}',
    );
    expect(await column('DATE', -719_162, 2_932_896)).toContain(
      '"minValues":{"v":"0001-01-01"},"maxValues":{"v":"9999-12-31"}',
    );
  });

  test('what JSON cannot say is left out: NaN, infinities, years beyond four digits', async () => {
    const only = '{"numRecords":1,"nullCount":{"v":0}}';
    expect(await column('DOUBLE', Number.NaN)).toBe(only);
    expect(await column('DOUBLE', Infinity)).toBe(only);
    expect(await column('DOUBLE', -Infinity)).toBe(only);
    expect(await column('DATE', 2_932_897)).toBe(only);
    expect(await column('DATE', -719_163)).toBe(only);
    expect(await column('TIMESTAMP', 253_402_300_799_999_999n)).toBe(only);
    expect(await column('DOUBLE', 1, Number.NaN, 2)).toBe('{"numRecords":3,"nullCount":{"v":0}}');
    // A NaN of one row group is one of the file.
    expect(await writtenStats('v DOUBLE', [[Number.NaN], [1]], 1)).toBe(
      '{"numRecords":2,"nullCount":{"v":0}}',
    );
  });

  test('a column whose bounds cannot be said silences those of the others, a column of nulls does not', async () => {
    const ddl = 'a BIGINT, s STRUCT<d: DOUBLE>, n STRING';
    const stats = async (d: number) => JSON.parse(await writtenStats(ddl, [[1n, { d }, null]], 1));
    const nullCount = { a: 0, s: { d: 0 }, n: 1 };
    expect(await stats(Infinity)).toEqual({ numRecords: 1, nullCount });
    const bounds = { a: 1, s: { d: 2.5 } };
    expect(await stats(2.5)).toEqual({ numRecords: 1, minValues: bounds, maxValues: bounds, nullCount });
  });

  test('decimals keep all digits, the zeros after the point too', async () => {
    const bounds = (min: string, max: string) => `"minValues":{"v":${min}},"maxValues":{"v":${max}}`;
    expect(await column('DECIMAL(5,2)', 150n, -5n)).toContain(bounds('-0.05', '1.50'));
    expect(await column('DECIMAL(18,0)', 10n ** 18n - 1n, 0n)).toContain(bounds('0', '999999999999999999'));
    const nines = '9'.repeat(38);
    expect(await column('DECIMAL(38,38)', BigInt(nines), -BigInt(nines))).toContain(
      bounds(`-0.${nines}`, `0.${nines}`),
    );
    expect(await column('DECIMAL(38,10)', BigInt(nines))).toContain(
      `"v":${'9'.repeat(28)}.${'9'.repeat(10)}}`,
    );
  });

  test('small integers and floats; binary has a null count alone, and silences nobody', async () => {
    expect(await column('TINYINT', -128, 127)).toContain('"minValues":{"v":-128},"maxValues":{"v":127}');
    expect(await column('SMALLINT', -32768, 32767)).toContain('"v":-32768},"maxValues":{"v":32767}');
    const tenth = Math.fround(0.1);
    expect(await column('FLOAT', tenth, 2)).toContain(`"minValues":{"v":${tenth}},"maxValues":{"v":2}`);
    expect(await column('FLOAT', -0, 0)).toContain('"minValues":{"v":-0.0},"maxValues":{"v":0}');
    expect(await column('FLOAT', Number.NaN)).toBe('{"numRecords":1,"nullCount":{"v":0}}');
    expect(await writtenStats('a BINARY, b INT', [[Buffer.of(1), 7]])).toBe(
      '{"numRecords":1,"minValues":{"b":7},"maxValues":{"b":7},"nullCount":{"a":0,"b":0}}',
    );
  });

  test('booleans', async () => {
    expect(await column('BOOLEAN', true, null, false)).toContain(
      '"minValues":{"v":false},"maxValues":{"v":true}',
    );
    expect(await column('BOOLEAN', true)).toContain('"minValues":{"v":true},"maxValues":{"v":true}');
  });

  test('zeros reach from -0.0 to 0.0', async () => {
    const zeros = '"minValues":{"v":-0.0},"maxValues":{"v":0}';
    expect(await column('DOUBLE', 0)).toContain(zeros);
    expect(await column('DOUBLE', -0)).toContain(zeros);
  });

  test('nothing but nulls: their count alone; no rows: no more than that', async () => {
    expect(await column('STRING', null, null)).toBe('{"numRecords":2,"nullCount":{"v":2}}');
    expect(await column('STRING')).toBe('{"numRecords":0,"nullCount":{"v":0}}');
  });

  test('structs nest, a null struct counts for each of its fields, lists and maps stay out', async () => {
    const ddl = 's STRUCT<a: BIGINT, t: STRUCT<b: STRING>>, l ARRAY<BIGINT>, m MAP<STRING, BIGINT>';
    const rows = [
      [{ a: 1n, t: { b: 'x' } }, [5n], new Map([['k', 1n]])],
      [null, null, null],
      [{ a: null, t: null }, [], new Map()],
    ];
    expect(await writtenStats(ddl, rows, 2)).toBe(
      '{"numRecords":3,"minValues":{"s":{"a":1,"t":{"b":"x"}}},"maxValues":{"s":{"a":1,"t":{"b":"x"}}},' +
        '"nullCount":{"s":{"a":2,"t":{"b":2}}}}',
    );
  });

  test('the first 32 leaves count, and names are escaped', async () => {
    const names = Array.from({ length: 40 }, (_, i) => (i === 0 ? '"ä"' : `c${i}`));
    const fields = names.map(
      (name) => ({ name, nullable: true, type: { kind: 'primitive', name: 'long' } }) as const,
    );
    const leaves = new Map(names.map((name, i) => [leafKey([name]), known(BigInt(i))]));
    const stats = JSON.parse(deltaStats({ fields }, 1, leaves));
    for (const member of ['minValues', 'maxValues', 'nullCount']) {
      expect(Object.keys(stats[member])).toEqual(names.slice(0, 32));
    }
  });
  const known = (value: bigint) => ({
    nullCount: 0,
    bounds: { kind: 'bounded', min: value, max: value } as const,
  });

  test('every value of random columns lies within its bounds, over all row groups', async () => {
    await fc.assert(
      fc.asyncProperty(tables, fc.integer({ min: 1, max: 9 }), async ({ schema, rows }, perGroup) => {
        const stats = parseExact((await writeRows(schema, rows, 'none', perGroup)).stats);
        expect(stats.numRecords).toBe(BigInt(rows.length));
        const leaves = schema.fields.flatMap(({ name, type }) => {
          return leavesBelow(type, valuesOf(rows, name), statsOf(stats, name));
        });
        const isSilent = leaves.some(({ type, values }) =>
          values.some((value) => value !== null && isUnspeakable(type, value)),
        );
        for (const { type, values, nulls, min, max } of leaves) {
          const present = values.filter((value) => value !== null);
          expect(nulls).toBe(BigInt(values.length - present.length));
          const isBinary = type.kind === 'primitive' && type.name === 'binary';
          expect(min === undefined && max === undefined).toBe(isSilent || isBinary || present.length === 0);
          if (min !== undefined) for (const value of present) checkWithin(type, value, min, max);
        }
      }),
      { numRuns: 300 },
    );
  });
});

interface ColumnStats {
  readonly min: unknown;
  readonly max: unknown;
  readonly nulls: unknown;
}

interface Leaf extends ColumnStats {
  readonly type: LeafType;
  readonly values: Value[];
}

/** The leaves outside lists and maps, each with its values and what the statistics say of it. */
function leavesBelow(type: DataType, values: Value[], stats: ColumnStats): Leaf[] {
  if (type.kind === 'primitive' || type.kind === 'decimal') return [{ type, values, ...stats }];
  if (type.kind === 'array' || type.kind === 'map') {
    expect(stats).toEqual({ min: undefined, max: undefined, nulls: undefined });
    return [];
  }
  return type.fields.flatMap(({ name, type }) => {
    const { min, max, nulls } = stats;
    return leavesBelow(
      type,
      valuesOf(values, name),
      statsOf({ minValues: min, maxValues: max, nullCount: nulls }, name),
    );
  });
}

function valuesOf(structs: readonly Value[], name: string): Value[] {
  return structs.map((struct) => (struct === null ? null : ((struct as Row)[name] as Value)));
}

function statsOf({ minValues, maxValues, nullCount }: Record<string, unknown>, name: string): ColumnStats {
  return { min: member(minValues, name), max: member(maxValues, name), nulls: member(nullCount, name) };
}

/** Values that JSON, or every reader's clock, cannot hold in a bound. */
function isUnspeakable(leaf: LeafType, value: Value): boolean {
  if (leaf.kind === 'decimal') return false;
  const type = leaf.name;
  if (type === 'double' || type === 'float') return !Number.isFinite(value);
  if (type === 'timestamp') return (value as bigint) > 253_402_300_799_999_000n;
  return type === 'string' && /^\u{10FFFF}{32}./su.test(value as string);
}

function checkWithin(leaf: LeafType, value: Value, min: unknown, max: unknown): void {
  if (leaf.kind === 'decimal') {
    expect(unscaledOf(min, leaf.scale) <= (value as bigint)).toBe(true);
    expect(unscaledOf(max, leaf.scale) >= (value as bigint)).toBe(true);
    return;
  }
  const type = leaf.name;
  if (type === 'string') {
    expect([...(min as string)].length).toBeLessThanOrEqual(32);
    expect([...(max as string)].length).toBeLessThanOrEqual(32);
    expect(Buffer.compare(Buffer.from(min as string), Buffer.from(value as string))).toBeLessThanOrEqual(0);
    expect(Buffer.compare(Buffer.from(max as string), Buffer.from(value as string))).toBeGreaterThanOrEqual(
      0,
    );
  } else if (type === 'timestamp') {
    expect(BigInt(Date.parse(min as string)) * 1000n <= (value as bigint)).toBe(true);
    expect(BigInt(Date.parse(max as string)) * 1000n >= (value as bigint)).toBe(true);
  } else if (type === 'date') {
    expect(Date.parse(min as string)).toBeLessThanOrEqual((value as number) * 86_400_000);
    expect(Date.parse(max as string)).toBeGreaterThanOrEqual((value as number) * 86_400_000);
  } else if (type === 'double' || type === 'float') {
    expect(Number(min)).toBeLessThanOrEqual(value as number);
    expect(Number(max)).toBeGreaterThanOrEqual(value as number);
  } else {
    expect((min as number | bigint) <= (value as number | bigint)).toBe(true);
    expect((max as number | bigint) >= (value as number | bigint)).toBe(true);
  }
}

/** Of a decimal bound with all its digits. */
function unscaledOf(bound: unknown, scale: number): bigint {
  const [whole = '', fraction = ''] = String(bound).split('.');
  expect(fraction.length).toBe(scale);
  return BigInt(whole + fraction);
}

/** JSON with its integers as bigints, and other numbers that a double would round as their text. */
function parseExact(json: string): Record<string, unknown> {
  return JSON.parse(json, (_, value, context?: { source?: string }) =>
    typeof value === 'number' ? exactNumber(value, context?.source ?? '') : value,
  );
}

function exactNumber(value: number, source: string): unknown {
  if (/^-?\d+$/.test(source)) return BigInt(source);
  return /^-?\d+\.\d+$/.test(source) && String(value) !== source ? source : value;
}

function member(object: unknown, name: string): unknown {
  return (object as Record<string, unknown> | undefined)?.[name];
}

function leafOf(ddl: string): LeafColumn {
  const type = parseDdl(`v ${ddl}`).fields[0]?.type;
  if (type?.kind !== 'primitive' && type?.kind !== 'decimal') throw new Error(`${ddl} is no leaf`);
  return new LeafColumn(['v'], type, 0, 0);
}

describe('footer statistics', () => {
  const footer = (ddl: string, plain: Buffer) =>
    footerBounds(leafOf(ddl), boundsOf(leafOf(ddl), plain, plain.length));

  test('long strings are cut, say so, and still enclose', () => {
    const long = 'ä'.repeat(100);
    const bounds = footer('STRING', plainText(long));
    expect(bounds?.min.toString()).toBe('ä'.repeat(64));
    expect(bounds?.max.toString()).toBe(`${'ä'.repeat(63)}å`);
    expect([bounds?.minIsExact, bounds?.maxIsExact]).toEqual([false, false]);
    const short = footer('STRING', plainText('b', 'a', ''));
    expect(short).toEqual({ min: Buffer.of(), max: Buffer.from('b'), minIsExact: true, maxIsExact: true });
  });

  test('infinities are bounds there, a NaN forbids any, zeros have both signs', () => {
    const doubles = (...values: number[]) => Buffer.from(Float64Array.from(values).buffer);
    const bounds = (...values: number[]) => footer('DOUBLE', doubles(...values));
    expect(bounds(1, -Infinity)).toMatchObject({ min: doubles(-Infinity), max: doubles(1) });
    expect(bounds(1, Number.NaN)).toBeUndefined();
    expect(bounds(0)).toMatchObject({ min: doubles(-0), max: doubles(0) });
  });

  test('floats are bounds in 4 bytes, with the same care for NaN and zeros; binary has none', () => {
    const floats = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer);
    expect(footer('FLOAT', floats(1, -Infinity))).toMatchObject({ min: floats(-Infinity), max: floats(1) });
    expect(footer('FLOAT', floats(1, Number.NaN))).toBeUndefined();
    expect(footer('FLOAT', floats(0))).toMatchObject({ min: floats(-0), max: floats(0) });
    expect(footer('BINARY', plainText('a'))).toBeUndefined();
  });

  test('long decimals compare as signed big-endian integers', () => {
    const max = 10n ** 25n - 1n;
    const values = fc.array(
      fc.oneof(fc.constantFrom(0n, -1n, 1n, 255n, -256n, max, -max), fc.bigInt(-max, max)),
      {
        minLength: 1,
      },
    );
    fc.assert(
      fc.property(values, (values) => {
        const leaf = leafOf('DECIMAL(25,3)');
        for (const value of values) leaf.appendFixed(value, 0);
        const sorted = values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
        const [min, max] = [sorted[0] as bigint, sorted.at(-1) as bigint];
        const bounds = boundsOf(leaf, leaf.values, leaf.valuesEnd);
        expect(bounds).toEqual({ kind: 'bounded', min, max });
        for (const [bound, side] of [
          [min, 'min'],
          [max, 'max'],
        ] as const) {
          leaf.clear();
          leaf.appendFixed(bound, 0);
          expect(footerBounds(leaf, bounds)?.[side]).toEqual(
            Buffer.from(leaf.values.subarray(0, leaf.valuesEnd)),
          );
        }
      }),
    );
  });

  test('64-bit integers compare by value, whatever their halves', () => {
    const border = [
      0n,
      -1n,
      1n,
      2n ** 31n,
      2n ** 32n - 1n,
      2n ** 32n,
      -(2n ** 32n),
      -(2n ** 63n),
      2n ** 63n - 1n,
    ];
    const int64s = fc.array(fc.oneof(fc.constantFrom(...border), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)), {
      minLength: 1,
    });
    fc.assert(
      fc.property(int64s, (values) => {
        const plain = Buffer.from(BigInt64Array.from(values).buffer);
        const sorted = values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
        expect(boundsOf(leafOf('BIGINT'), plain, plain.length)).toEqual({
          kind: 'bounded',
          min: sorted[0],
          max: sorted.at(-1),
        });
      }),
    );
  });
});
