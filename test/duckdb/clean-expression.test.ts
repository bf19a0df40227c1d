/**
 * Goal: an expression of `clean` says the same of a row whenever it is asked, and what it gives has a type
 * that tables have; everything else is refused by name before a record is read. Method: expressions of each
 * kind, through the process that workers use; every function that DuckDB does not call consistent, from its
 * own list; and texts that try to get out of their place.
 */

import { afterAll, describe, expect, test } from 'vitest';
import { ExpressionRules } from '../../src/duckdb/clean-expression.ts';
import { Database } from '../../src/duckdb/database.ts';
import { describeClean } from '../../src/duckdb/describe-clean.ts';
import { describeExpressions } from '../../src/duckdb/describe-expressions.ts';
import { parsePipeline } from '../../src/pipeline/load.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import type { CleanSpecification } from '../../src/records/records-specification.ts';

const SCHEMA =
  'id STRING, price DOUBLE, n BIGINT, tags ARRAY<STRING>, seller STRUCT<name: STRING, since: BIGINT>, seen TIMESTAMP, d DATE, raw BINARY, m MAP<STRING, INT>, dec DECIMAL(10,2)';

const database = await Database.open({ memoryLimitBytes: 256 * 1024 ** 2, threads: 1, readableFiles: [] });
afterAll(() => database.close());

async function typeOf(expression: string): Promise<string> {
  const clean = { columns: [{ name: 'x', expression, type: '' }] };
  const [type = ''] = await describeExpressions(database, clean, parseDdl(SCHEMA));
  return type;
}

async function refusal(expression: string): Promise<string> {
  return await typeOf(expression).then(
    (type) => `accepted as ${type}`,
    (error) => `${error.code}: ${error.message}`,
  );
}

describe('what an expression gives', () => {
  test.each([
    ['CAST(price * 100 AS BIGINT)', 'BIGINT'],
    ['id.lower()', 'STRING'],
    ['seller.name', 'STRING'],
    ['ID', 'STRING'],
    ["date_trunc('day', seen)", 'TIMESTAMP'],
    ['seen::DATE', 'DATE'],
    ["seen + INTERVAL '1 day'", 'TIMESTAMP'],
    ["strftime(seen, '%Y')", 'STRING'],
    ['CASE WHEN price > 0 THEN n ELSE 0 END', 'BIGINT'],
    ['n IN (1, 2) AND id IS NOT NULL', 'BOOLEAN'],
    ['coalesce(n, 0)', 'BIGINT'],
    ['TRY_CAST(id AS SMALLINT)', 'SMALLINT'],
    ['TRY(CAST(id AS TINYINT))', 'TINYINT'],
    ['price::FLOAT', 'FLOAT'],
    ['dec + 1::DECIMAL(2,0)', 'DECIMAL(11,2)'],
    ['list_transform(tags, lambda tag: upper(tag) || id)', 'ARRAY<STRING>'],
    ['[tag FOR tag IN tags IF tag > id]', 'ARRAY<STRING>'],
    ['list_reverse(tags)[1:2]', 'ARRAY<STRING>'],
    ["list_aggregate(tags, 'string_agg', ',')", 'STRING'],
    ["{'a': n, 'b': [seller.since]}", 'STRUCT<`a`: BIGINT, `b`: ARRAY<BIGINT>>'],
    ["MAP {'a': n}", 'MAP<STRING, BIGINT>'],
    ["m['a']", 'INT'],
    ['from_base64(id)', 'BINARY'],
    ["id ->> '$.a'", 'STRING'],
    ['md5(id)', 'STRING'],
    ["age(seen, TIMESTAMPTZ '2026-01-01')::VARCHAR", 'STRING'],
    ['id -- a comment', 'STRING'],
    ["split_part(id, '-', 1)", 'STRING'],
  ])('%s: %s', async (expression, type) => {
    expect(await typeOf(expression)).toBe(type);
  });
});

describe('what is refused, and by which words', () => {
  test.each([
    ['prize + 1', 'there is no column prize'],
    ['id +', 'syntax error'],
    ['price + id', 'No function matches'],
    ['frobnicate(id)', 'there is no function frobnicate()'],
    ['current_timestamp', 'current_timestamp does not depend on the row alone'],
    ['CURRENT_DATE', 'current_date does not depend on the row alone'],
    ["current_date -> 'a'", 'current_date does not depend on the row alone'],
    ["current_timestamp.strftime('%d')", 'current_timestamp does not depend on the row alone'],
    ['list_filter(tags, lambda t: t > uuid()::VARCHAR)', 'uuid() does not depend on the row alone'],
    ['CASE WHEN n > 0 THEN random() END', 'random() does not depend on the row alone'],
    ['ago(INTERVAL 1 DAY)', 'ago() does not depend on the row alone: current_timestamp'],
    ['pg_sleep(1)', 'sleep_ms() does not depend on the row alone'],
    ['age(seen)', 'age() does not depend on the row alone'],
    ['current_localtimestamp()', 'current_localtimestamp() does not depend on the row alone'],
    ["current_setting('threads')", 'current_setting() does not depend on the row alone'],
    ["getvariable('x')", 'getvariable() does not depend on the row alone'],
    ["list_aggregate(tags, 'reservoir_quantile', 0.5)", 'does not depend on the row alone'],
    ["list_aggregate(tags, 'reservoir_' || 'quantile', 0.5)", 'does not depend on the row alone'],
    ['sum(n)', 'sum() is an aggregate over many rows'],
    ['geomean(n)', 'avg() is an aggregate over many rows'],
    ['row_number() OVER ()', 'a window reads other rows'],
    ['(SELECT max(n) FROM tidemark_row)', 'a subquery reads other rows'],
    ['n IN (SELECT 1)', 'a subquery reads other rows'],
    ["(FROM read_text('/etc/passwd'))", 'a subquery reads other rows'],
    ["read_text('/etc/passwd')", 'read_text() gives several rows'],
    ['unnest(tags)', 'unnest() gives several rows'],
    ['*', 'name single columns instead of *'],
    ['COLUMNS(*)', 'name single columns instead of *'],
    ['#1', 'name columns instead of counting them'],
    ['DEFAULT', 'there are no defaults'],
    ['rowid', 'there is no column rowid'],
    ['tidemark_row', 'there is no column tidemark_row'],
    ['id) FROM other; DROP TABLE tidemark_row; SELECT (1', 'CLEAN_INVALID'],
    ['id), (n', 'it must be one expression'],
    ['id) FROM (SELECT 1', 'CLEAN_INVALID'],
    ['id) FROM tidemark_row WHERE (true', 'CLEAN_INVALID'],
    ['id AS x', 'syntax error'],
    ['CAST(n AS HUGEINT)', 'tables have no HUGEINT: write CAST(... AS DECIMAL(38,0))'],
    ['CAST(n AS UBIGINT)', 'tables have no UBIGINT: write CAST(... AS DECIMAL(20,0))'],
    ['list_sum([n, n])', 'tables have no HUGEINT'],
    ['[CAST(n AS UTINYINT)]', 'tables have no UTINYINT: write CAST(... AS SMALLINT)'],
    ['seen::TIMESTAMP', 'tables have no TIMESTAMP: write CAST(... AS TIMESTAMPTZ)'],
    ['uuid_extract_version(id::UUID)', 'tables have no UINTEGER: write CAST(... AS BIGINT)'],
    ['id::UUID', 'tables have no UUID: write CAST(... AS VARCHAR)'],
    ['seen - seen', 'tables have no INTERVAL: write CAST(... AS VARCHAR)'],
    ['(id, n)', 'STRUCT(name type, ...)'],
    ['MAP {n: id}', 'MAP(VARCHAR, VARCHAR)'],
  ])('%s: %s', async (expression, words) => {
    const refused = await refusal(expression);
    expect(refused).toContain('CLEAN_INVALID');
    expect(refused).toContain(words);
  });

  test('every function that DuckDB does not call consistent, and every aggregate', async () => {
    {
      const rules = await ExpressionRules.load(database);
      const names = await database.all(
        `SELECT DISTINCT function_name FROM duckdb_functions()
         WHERE (function_type = 'scalar' AND stability <> 'CONSISTENT' OR function_type = 'aggregate')
           AND regexp_full_match(function_name, '\\w+')`,
      );
      expect(names.length).toBeGreaterThan(100);
      for (const [name] of names)
        expect
          .soft(await rules.problem(`"${name}"(1)`, new Set()), String(name))
          .toMatch(/does not depend|aggregate/);
    }
  });

  test('a condition that is neither true nor false', async () => {
    const described = describeExpressions(database, { where: 'n', columns: [] }, parseDdl(SCHEMA));
    await expect(described).rejects.toMatchObject({
      code: 'CLEAN_INVALID',
      message: expect.stringContaining('records.clean.where: it must be true or false, not BIGINT'),
    });
  });
});

describe('describeClean, in the process that workers use', { timeout: 60_000 }, () => {
  const described = async (clean: CleanSpecification) => {
    const text = `source: {bootstrapServers: "h:1", subscribe: t}\nrecords: {schema: "${SCHEMA}"}\ntable: {location: x}`;
    const { records } = parsePipeline(text, '/pipelines/p.yaml', {});
    return await describeClean({ ...records, clean }, []);
  };

  test('fills in the types, and refuses names within a STRUCT that Delta does not allow', async () => {
    const column = (expression: string) => ({ columns: [{ name: 'x', expression, type: '' }] });
    const records = await described(column('price > 0'));
    expect(records.clean).toEqual({ columns: [{ name: 'x', expression: 'price > 0', type: 'BOOLEAN' }] });
    await expect(described(column("{'a b': 1}"))).rejects.toMatchObject({
      code: 'CLEAN_INVALID',
      message: expect.stringContaining('which Delta does not allow'),
    });
  });

  test('tells all that is wrong at once', async () => {
    const clean = { where: 'nope', columns: [{ name: 'x', expression: 'now()', type: '' }] };
    await expect(described(clean)).rejects.toMatchObject({
      message: expect.stringMatching(
        /clean\.where: there is no column nope[\s\S]*clean\.columns\.x: now\(\)/,
      ),
    });
  });
});
