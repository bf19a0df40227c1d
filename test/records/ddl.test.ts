/**
 * Goal: schemas read as Spark's DDL has it, problems are located, and DDL and Delta's schema JSON lose
 * nothing.
 *
 * Method: examples with their exact meaning or position; round trips over random schemas.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DataType,
  DdlError,
  formatDdl,
  MAX_SCHEMA_DEPTH,
  nullableSchema,
  parseDdl,
} from '../../src/records/ddl.ts';
import { fromDeltaSchemaString, toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { JsonGenerator } from './json-generator.ts';

const INT: DataType = { kind: 'primitive', name: 'integer' };

describe('parseDdl', () => {
  test('the example of the contract', () => {
    const text = `
      id STRING NOT NULL,
      price DOUBLE,
      tags ARRAY<STRING>,
      seller STRUCT<name: STRING, since: BIGINT>,
      crawl_ts TIMESTAMP`;
    expect(formatDdl(parseDdl(text))).toBe(
      'id STRING NOT NULL, price DOUBLE, tags ARRAY<STRING>, seller STRUCT<name: STRING, since: BIGINT>, crawl_ts TIMESTAMP',
    );
  });

  test.each([
    ['a long, b Integer, c bigint, d int', 'a BIGINT, b INT, c BIGINT, d INT'],
    ['a: INT, s struct<x INT,y:STRING not null>', 'a INT, s STRUCT<x: INT, y: STRING NOT NULL>'],
    ['a ARRAY<ARRAY<STRUCT<b:ARRAY<DATE>>>>', 'a ARRAY<ARRAY<STRUCT<b: ARRAY<DATE>>>>'],
    ['a SMALLINT, b short, c TINYINT, d byte', 'a SMALLINT, b SMALLINT, c TINYINT, d TINYINT'],
    ['a FLOAT, b real, c BINARY', 'a FLOAT, b FLOAT, c BINARY'],
    ['a DECIMAL, b dec(5), c NUMERIC ( 38 , 38 )', 'a DECIMAL(10,0), b DECIMAL(5,0), c DECIMAL(38,38)'],
    [
      'a map<string,array<int>>, b MAP<STRING, MAP<STRING, STRUCT<c: INT>>> NOT NULL',
      'a MAP<STRING, ARRAY<INT>>, b MAP<STRING, MAP<STRING, STRUCT<c: INT>>> NOT NULL',
    ],
    ['a INT -- the key\n, /* more */ b INT', 'a INT, b INT'],
    ['`a.b` INT, `q``q` INT, `爬虫` INT', '`a.b` INT, `q``q` INT, `爬虫` INT'],
    ['date DATE, not INT, `array` ARRAY<INT>', 'date DATE, not INT, array ARRAY<INT>'],
    [
      `a INT COMMENT 'it''s \\'x\\' \\\\ ""' , b INT NOT NULL COMMENT "q""q"`,
      `a INT COMMENT 'it\\'s \\'x\\' \\\\ ""', b INT NOT NULL COMMENT 'q"q'`,
    ],
  ])('%s', (text, formatted) => {
    expect(formatDdl(parseDdl(text))).toBe(formatted);
    expect(parseDdl(formatted)).toEqual(parseDdl(text));
  });

  test('comments are kept, with their escapes undone', () => {
    expect(parseDdl(`a INT COMMENT 'it''s\\n"x"'`).fields).toEqual([
      { name: 'a', type: INT, nullable: true, comment: 'it\'s\n"x"' },
    ]);
  });

  test.each([
    ['', 0, 'expected a column name, found the end'],
    ['a', 1, 'expected a type, found the end'],
    ['a INT,', 6, 'expected a column name, found the end'],
    ['a INT b INT', 6, 'expected a comma or the end, found "b"'],
    ['a INT NULL', 6, 'expected a comma or the end, found "NULL"'],
    ['a INT NOT', 9, 'expected NULL after NOT, found the end'],
    ['a TEXT', 2, 'unknown type TEXT'],
    ['a DECIMAL(39,0)', 10, 'a DECIMAL has 1 to 38 digits, not 39'],
    ['a DECIMAL(0)', 10, 'a DECIMAL has 1 to 38 digits, not 0'],
    ['a DECIMAL(5, 6)', 12, 'a DECIMAL of 5 digits cannot have 6 after the point'],
    ['a DECIMAL(5,-2)', 12, 'expected a number of digits, found "-"'],
    ['a DECIMAL(5', 11, "expected ) after the DECIMAL's digits, found the end"],
    ['a MAP<INT, INT>', 6, 'a MAP with keys of type INT: keys of a JSON object are STRING'],
    ['a MAP<STRING>', 12, 'expected , after the key type, found ">"'],
    [
      'a MAP<STRING, STRUCT<b: INT NOT NULL>>',
      28,
      'NOT NULL below an ARRAY or a MAP: Delta does not allow it',
    ],
    ['a VARCHAR(3)', 2, 'type VARCHAR is not supported'],
    ['a TIMESTAMP_NTZ', 2, 'type TIMESTAMP_NTZ is not supported'],
    ['a ARRAY', 7, 'expected < after ARRAY, found the end'],
    ['a ARRAY<INT', 11, 'expected > after the element type, found the end'],
    ['a ARRAY<INT NOT NULL>', 12, 'expected > after the element type, found "NOT"'],
    ['a STRUCT<>', 9, 'a STRUCT without fields cannot be stored in Parquet'],
    ['a STRUCT<b INT', 14, "expected > after the STRUCT's fields, found the end"],
    ['a ARRAY<STRUCT<b INT NOT NULL>>', 21, 'NOT NULL below an ARRAY or a MAP: Delta does not allow it'],
    ['a INT, A STRING', 7, 'two columns named A (names are compared ignoring case)'],
    ['s STRUCT<b INT, B INT>', 16, 'two columns named B (names are compared ignoring case)'],
    ['`a b` INT', 0, 'column name "a b" has " ", which Delta does not allow'],
    ['s STRUCT<`x=y`: INT>', 9, 'column name "x=y" has "=", which Delta does not allow'],
    ['`a INT', 0, 'a backquote is not closed'],
    ['`` INT', 0, 'a column name is empty'],
    [
      'a INT, 爬 INT',
      7,
      'expected a column name, found "爬": put other names than plain words in `backquotes`',
    ],
    ['a.b INT', 1, 'expected a type, found "."'],
    ['a INT COMMENT x', 14, 'expected the comment in quotes, found "x"'],
  ])('%j is refused at %i: %s', (text, position, problem) => {
    const error = problemOf(text);
    expect(error.problem).toBe(problem);
    expect(error.position).toBe(position);
  });

  test('the message has line and column', () => {
    expect(problemOf('a INT,\n  b TEXT').message).toBe('unknown type TEXT (line 2, column 5 of the schema)');
  });

  test('nesting is bounded', () => {
    const nested = (depth: number): string => `a ${'ARRAY<'.repeat(depth)}INT${'>'.repeat(depth)}`;
    expect(parseDdl(nested(MAX_SCHEMA_DEPTH)).fields).toHaveLength(1);
    expect(problemOf(nested(MAX_SCHEMA_DEPTH + 1)).problem).toBe('types are nested deeper than 64');
    const maps = (depth: number): string => `a ${'MAP<STRING,'.repeat(depth)}INT${'>'.repeat(depth)}`;
    expect(parseDdl(maps(MAX_SCHEMA_DEPTH)).fields).toHaveLength(1);
    expect(problemOf(maps(MAX_SCHEMA_DEPTH + 1)).problem).toBe('types are nested deeper than 64');
    expect(problemOf(nested(100_000)).problem).toBe('types are nested deeper than 64');
  });

  test('any text gives a schema or a DdlError inside the text', () => {
    const piece = fc.constantFrom(
      'a',
      'INT',
      'ARRAY',
      'STRUCT',
      'MAP',
      'DECIMAL',
      '5',
      ')',
      '<',
      '>',
      ',',
      ':',
      ' ',
      '`',
      "'",
      'NOT',
      'NULL',
      'COMMENT',
      '--',
      '\n',
      '爬',
      '(',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        try {
          parseDdl(text);
        } catch (error) {
          if (!(error instanceof DdlError)) throw error;
          expect(error.position).toBeGreaterThanOrEqual(0);
          expect(error.position).toBeLessThanOrEqual(text.length);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('round trips', () => {
  const schema = fc.noShrink(fc.integer()).map((seed) => new JsonGenerator(seed).schema());

  test('DDL, where elements may be null and nothing is required', () => {
    fc.assert(
      fc.property(schema, (generated) => {
        const relaxed = nullableSchema(generated);
        expect(parseDdl(formatDdl(relaxed))).toEqual(relaxed);
      }),
    );
  });

  test("Delta's schema JSON", () => {
    fc.assert(
      fc.property(schema, (generated) => {
        expect(fromDeltaSchemaString(toDeltaSchemaString(generated))).toEqual(generated);
      }),
    );
  });
});

describe("Delta's schema JSON", () => {
  test('is as the protocol has it', () => {
    const ddl =
      "id BIGINT NOT NULL COMMENT 'key', s STRUCT<d: DATE>, t ARRAY<TIMESTAMP>, m MAP<STRING, DECIMAL(10,2)>";
    expect(JSON.parse(toDeltaSchemaString(parseDdl(ddl)))).toEqual({
      type: 'struct',
      fields: [
        { name: 'id', type: 'long', nullable: false, metadata: { comment: 'key' } },
        {
          name: 's',
          type: { type: 'struct', fields: [{ name: 'd', type: 'date', nullable: true, metadata: {} }] },
          nullable: true,
          metadata: {},
        },
        {
          name: 't',
          type: { type: 'array', elementType: 'timestamp', containsNull: true },
          nullable: true,
          metadata: {},
        },
        {
          name: 'm',
          type: { type: 'map', keyType: 'string', valueType: 'decimal(10,2)', valueContainsNull: true },
          nullable: true,
          metadata: {},
        },
      ],
    });
  });

  const column = (type: unknown, metadata: object = {}): string =>
    JSON.stringify({ type: 'struct', fields: [{ name: 'c', type, nullable: true, metadata }] });

  test.each([
    [column('decimal(39,2)'), 'c has type decimal(39,2)'],
    [column('decimal(3,4)'), 'c has type decimal(3,4)'],
    [column('decimal'), 'c has type decimal'],
    [column('timestamp_ntz'), 'c has type timestamp_ntz'],
    [
      column({ type: 'map', keyType: 'long', valueType: 'long', valueContainsNull: true }),
      'c is a map whose keys are not strings',
    ],
    [column({ type: 'array', elementType: 'variant', containsNull: true }), 'c.element has type variant'],
    [column('long', { 'delta.columnMapping.id': 1 }), 'c has delta.columnMapping.id'],
    [column('string', { 'delta.invariants': '{}' }), 'c has delta.invariants'],
    [column('string', { __CHAR_VARCHAR_TYPE_STRING: 'varchar(3)' }), 'c has __CHAR_VARCHAR_TYPE_STRING'],
  ])('%s is unsupported', (json, problem) => {
    expect(() => fromDeltaSchemaString(json)).toThrow(problem);
    expect(() => fromDeltaSchemaString(json)).toThrow(expect.objectContaining({ code: 'TABLE_UNSUPPORTED' }));
  });

  test.each([
    '',
    '{',
    '[]',
    'null',
    '"long"',
    '{"type":"struct"}',
    '{"type":"struct","fields":[1]}',
    '{"type":"struct","fields":[{}]}',
  ])('%s is corrupt', (json) => {
    expect(() => fromDeltaSchemaString(json)).toThrow(expect.objectContaining({ code: 'TABLE_CORRUPT' }));
  });
});

function problemOf(text: string): DdlError {
  try {
    parseDdl(text);
  } catch (error) {
    if (error instanceof DdlError) return error;
    throw error;
  }
  return expect.fail(`${text} was accepted`);
}
