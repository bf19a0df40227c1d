/**
 * Goal: the columns of table, row and file for a pipeline; what cannot work is refused by name before
 * anything is written.
 *
 * Method: one example per rule.
 */

import { describe, expect, test } from 'vitest';
import { formatDdl } from '../../src/records/ddl.ts';
import type { PartitionTerm } from '../../src/records/partition-term.ts';
import type { RecordsSpecification } from '../../src/records/records-specification.ts';
import { tableSchemas } from '../../src/records/table-schema.ts';

const DDL = 'id STRING NOT NULL, price DOUBLE, tags ARRAY<STRING>, crawl_ts TIMESTAMP';
const day = (source: string): PartitionTerm => ({ kind: 'day', source, column: `${source}_day` });
const column = (source: string): PartitionTerm => ({ kind: 'column', source, column: source });

function records(changes: Partial<RecordsSpecification> = {}): RecordsSpecification {
  return {
    format: 'json',
    mode: 'failFast',
    maxDeadLetterShare: 0.01,
    schema: DDL,
    timestamps: {},
    kafkaColumns: [],
    rest: false,
    ...changes,
  };
}

describe('columns', () => {
  test('of a plain table are those of the schema', () => {
    const { recordSchema, rowSchema, fileSchema, tableSchema, partitionColumns } = tableSchemas(
      records(),
      [],
    );
    for (const schema of [recordSchema, rowSchema, fileSchema, tableSchema])
      expect(formatDdl(schema)).toBe(DDL);
    expect(partitionColumns).toEqual([]);
  });

  test('of Kafka and of partition terms are added, and partition columns are not in files', () => {
    const kafkaColumns = ['topic', 'partition', 'offset', 'timestamp'] as const;
    const schemas = tableSchemas(records({ kafkaColumns }), [
      day('crawl_ts'),
      column('_topic'),
      column('id'),
    ]);
    const kafka = '_partition INT, _offset BIGINT, _timestamp TIMESTAMP';
    expect(formatDdl(schemas.recordSchema)).toBe(DDL);
    expect(formatDdl(schemas.rowSchema)).toBe(`${DDL}, _topic STRING, ${kafka}`);
    expect(formatDdl(schemas.fileSchema)).toBe(
      `price DOUBLE, tags ARRAY<STRING>, crawl_ts TIMESTAMP, ${kafka}`,
    );
    expect(formatDdl(schemas.tableSchema)).toBe(`${DDL}, _topic STRING, ${kafka}, crawl_ts_day DATE`);
    expect(schemas.partitionColumns).toEqual(['crawl_ts_day', '_topic', 'id']);
  });

  test('in mode permissive are nullable, with _corrupt_record after the record, declared or not', () => {
    const nullable = DDL.replace(' NOT NULL', '');
    for (const schema of [DDL, `_corrupt_record STRING, ${DDL}`]) {
      const schemas = tableSchemas(records({ mode: 'permissive', schema, kafkaColumns: ['offset'] }), []);
      expect(formatDdl(schemas.recordSchema)).toBe(nullable);
      expect(formatDdl(schemas.tableSchema)).toBe(`${nullable}, _corrupt_record STRING, _offset BIGINT`);
    }
  });

  test('with unknown fields have _rest after the record', () => {
    const schemas = tableSchemas(
      records({ mode: 'permissive', schema: 'a INT', rest: true, kafkaColumns: ['key', 'headers'] }),
      [],
    );
    expect(formatDdl(schemas.recordSchema)).toBe('a INT');
    expect(formatDdl(schemas.rowSchema)).toBe(
      'a INT, _rest STRING, _corrupt_record STRING, _key BINARY, _headers ARRAY<STRUCT<key: STRING, value: BINARY>>',
    );
    const declared = tableSchemas(records({ schema: '_rest INT' }), []);
    expect(formatDdl(declared.recordSchema)).toBe('_rest INT');
  });

  test('name TIMESTAMPs by their path', () => {
    const schema = 'a INT, s STRUCT<t: TIMESTAMP>, u ARRAY<TIMESTAMP>';
    const timestamps = { 's.t': 'epochSeconds', u: 'dd/MM/yyyy HH:mm' };
    expect(() => tableSchemas(records({ schema, timestamps }), [])).not.toThrow();
    const unknown = () => tableSchemas(records({ schema, timestamps: { 's.u': 'iso8601' } }), []);
    expect(unknown).toThrow(expect.objectContaining({ fix: 'There are: s.t, u.' }));
  });

  test('in mode failFast _corrupt_record is a field like any other', () => {
    const schema = 'id INT, _corrupt_record BIGINT';
    expect(formatDdl(tableSchemas(records({ schema }), []).recordSchema)).toBe(schema);
  });
});

describe('refused by name', () => {
  test.each<[string, Partial<RecordsSpecification>, PartitionTerm[], string]>([
    ['a Kafka column twice', { schema: 'a INT, _OFFSET INT', kafkaColumns: ['offset'] }, [], '_OFFSET'],
    [
      'another type of _corrupt_record',
      { mode: 'permissive', schema: 'a INT, _corrupt_record INT' },
      [],
      '_corrupt_record',
    ],
    [
      'another case of _corrupt_record',
      { mode: 'permissive', schema: 'a INT, _CORRUPT_record STRING' },
      [],
      '_CORRUPT_record',
    ],
    [
      'nothing but _corrupt_record',
      { mode: 'permissive', schema: '_corrupt_record STRING' },
      [],
      '_corrupt_record',
    ],
    ['a derived column twice', { schema: 'a INT, T DATE, t_DAY DATE' }, [day('T')], 'T_day'],
    ['an unknown partition column', {}, [column('nope')], 'nope'],
    ['a partition column in another case', {}, [column('ID')], 'ID'],
    ['a partition column twice', {}, [column('id'), column('id')], 'id twice'],
    ['a DOUBLE', {}, [column('price')], 'price: the column is of type DOUBLE'],
    ['a TIMESTAMP', {}, [column('crawl_ts')], 'crawl_ts: the column is of type TIMESTAMP'],
    ['an ARRAY', {}, [column('tags')], 'tags: the column is of type ARRAY<STRING>'],
    [
      'a STRUCT',
      { schema: 'a INT, s STRUCT<b: INT>' },
      [column('s')],
      's: the column is of type STRUCT<b: INT>',
    ],
    ['the day of a STRING', {}, [day('id')], 'day(id): the column is of type STRING'],
    ['_corrupt_record as partition', { mode: 'permissive' }, [column('_corrupt_record')], '_corrupt_record'],
    ['nothing left for files', { schema: 'a INT, b INT' }, [column('a'), column('b')], 'Every column'],
    ['a timestamp format of no column', { timestamps: { nope: 'iso8601' } }, [], 'nope'],
    ['a timestamp format of a STRING', { timestamps: { id: 'epochMillis' } }, [], 'id'],
    ['the timestamps there are', { timestamps: { 's.t': 'iso8601' } }, [], 's.t'],
    [
      'an unknown format',
      { timestamps: { crawl_ts: 'epochMilis' } },
      [],
      "crawl_ts: 'epochMilis' is neither",
    ],
    ['a wrong pattern', { timestamps: { crawl_ts: 'YYYY-MM-dd' } }, [], 'YYYY is not supported'],
    ['unknown fields twice', { rest: true, schema: 'a INT, _REST INT' }, [], '_REST'],
  ])('%s', (_, changes, partitionBy, named) => {
    const refused = () => tableSchemas(records(changes), partitionBy);
    expect(refused).toThrow(named);
    expect(refused).toThrow(expect.objectContaining({ code: 'SCHEMA_INVALID' }));
  });
});
