/**
 * Goal: pages are what the format asks for: about 1 MiB, whole rows, as many levels as they say; and a
 * dictionary is made exactly where it is smaller, whatever the values. Method: leaves of many sizes; page
 * bodies taken apart with a decoder of our own.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Page, PageEncoder } from '../../src/parquet/pages.ts';
import { Columns, type LeafColumn } from '../../src/records/columns.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { decodeHybrid } from './hybrid.ts';
import { appendRow, type Row } from './rows.ts';

function leafOf(ddl: string, rows: Iterable<Row>): LeafColumn {
  const columns = new Columns(parseDdl(ddl));
  for (const row of rows) appendRow(columns, row);
  const [leaf] = columns.leaves;
  if (leaf === undefined || columns.leaves.length !== 1) throw new Error('one leaf expected');
  return leaf;
}

function pagesOf(leaf: LeafColumn): Page[] {
  return Array.from(new PageEncoder().pages(leaf), (page) => ({ ...page, body: Buffer.from(page.body) }));
}

test('every page begins with a row and holds about 1 MiB, unless one row is larger', () => {
  const rows = Array.from({ length: 2000 }, (_, i) => ({
    a: Array.from({ length: i === 700 ? 9000 : i % 40 }, (_, n) => `${i} ${n} ${'x'.repeat(200)}`),
  }));
  const leaf = leafOf('a ARRAY<STRING>', rows);
  const pages = pagesOf(leaf);
  expect(pages.length).toBeGreaterThan(5);
  let levels = 0;
  for (const page of pages) {
    if (page.kind !== 'data') throw new Error('no dictionary expected');
    const length = page.body.readUInt32LE(0);
    const repetitionLevels = decodeHybrid(page.body.subarray(4, 4 + length), 1, page.levelCount);
    expect(repetitionLevels[0]).toBe(0);
    expect(repetitionLevels).toEqual([...leaf.repetitionLevels.subarray(levels, levels + page.levelCount)]);
    levels += page.levelCount;
    const firstRow = [...leaf.repetitionLevels.subarray(0, levels)].filter((level) => level === 0).length - 1;
    if (firstRow !== 700) expect(page.body.length).toBeLessThan(1.1 * 1024 * 1024);
  }
  expect(levels).toBe(leaf.levelCount);
});

test('values that a dictionary pays for get one, others stay plain', () => {
  const encoded = (ddl: string, count: number, value: (i: number) => Row['a']) => {
    const rows = Array.from({ length: count }, (_, i) => ({ a: value(i) as Exclude<Row['a'], undefined> }));
    const [first] = pagesOf(leafOf(ddl, rows));
    return first?.kind === 'dictionary' ? first.entryCount : undefined;
  };
  expect(encoded('a STRING', 50_000, (i) => `site ${i % 20}`)).toBe(20);
  expect(encoded('a STRING', 50_000, () => 'always the same')).toBe(1);
  expect(encoded('a STRING', 50_000, (i) => `value ${(i * 7919) % 5000}`)).toBe(5000);
  expect(encoded('a STRING', 50_000, (i) => `value ${i}`)).toBeUndefined();
  expect(encoded('a BIGINT', 50_000, (i) => BigInt(i % 300) * 10n ** 15n)).toBe(300);
  expect(encoded('a BIGINT', 50_000, (i) => BigInt(i))).toBeUndefined();
  expect(encoded('a DATE', 50_000, (i) => i % 365)).toBe(365);
  expect(encoded('a BOOLEAN', 50_000, (i) => i % 2 === 0)).toBeUndefined();
  expect(encoded('a STRING', 50_000, () => null)).toBeUndefined();
  // Repeats, but too few: the entries and their indices would be larger than the values.
  expect(encoded('a INT', 10_000, (i) => i % 9000)).toBeUndefined();
  // More than a dictionary page holds, in bytes and in entries.
  expect(encoded('a STRING', 20_000, (i) => `${i % 6000} ${'x'.repeat(300)}`)).toBeUndefined();
  expect(encoded('a INT', 200_000, (i) => (i * 3) % 100_000)).toBeUndefined();
});

test('a dictionary and its indices give the values back, each entry once', () => {
  const value = fc.oneof(fc.constantFrom('', 'a', 'ab', 'b'), fc.string({ maxLength: 6 }));
  fc.assert(
    fc.property(
      fc.array(value, { maxLength: 12 }),
      fc.array(fc.nat(), { maxLength: 300 }),
      (values, picks) => {
        const rows = picks.map((pick) => ({ a: values[pick % values.length] ?? null }));
        const pages = pagesOf(leafOf('a STRING', rows));
        const [dictionary, data] = pages;
        if (dictionary?.kind !== 'dictionary' || data === undefined) return;
        const entries: string[] = [];
        for (let at = 0; at < dictionary.body.length; ) {
          const end = at + 4 + dictionary.body.readUInt32LE(at);
          entries.push(dictionary.body.toString('utf8', at + 4, end));
          at = end;
        }
        expect(new Set(entries).size).toBe(entries.length);
        expect(entries.length).toBe(dictionary.entryCount);
        const valuesAt = 4 + data.body.readUInt32LE(0);
        const present = rows.flatMap(({ a }) => (a === null ? [] : [a]));
        const bits = data.body[valuesAt] as number;
        const indices = decodeHybrid(data.body.subarray(valuesAt + 1), bits, present.length);
        expect(indices.map((index) => entries[index])).toEqual(
          present.map((text) => Buffer.from(text).toString()),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test('keys made to collide end the dictionary instead of walking through each other', () => {
  const crowded: bigint[] = [];
  for (let key = 0n; crowded.length < 10_000; key++) if (slot(key) < 1024) crowded.push(key);
  const dictionaryOf = (keys: readonly bigint[]) =>
    pagesOf(
      leafOf(
        'a BIGINT',
        Array.from({ length: 100_000 }, (_, i) => ({ a: keys[(i * 7) % keys.length] as bigint })),
      ),
    )[0]?.kind;
  expect(dictionaryOf(crowded)).toBe('data');
  expect(dictionaryOf(crowded.map((_, i) => BigInt(i)))).toBe('dictionary');
});

/** Where the dictionary would put a key among its 131,072 slots. */
function slot(key: bigint): number {
  let hash = 8;
  for (const word of [key & 0xffffffffn, key >> 32n]) {
    hash = Math.imul(hash ^ Number(word), 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) & 0x1ffff;
}
