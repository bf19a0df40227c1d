/**
 * Goal: what a decoder has learnt of earlier records (`Lead`) never changes what it says of the next one.
 * Method: texts that differ in order, white space, spelling and defects, each after every other and before
 * the first again; one decoder for the three, against a fresh one for each.
 */
import { expect, it } from 'vitest';
import { Columns } from '../../src/records/columns.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { JsonDecoder } from '../../src/records/json-decoder.ts';
import { assembleRows } from './assembly.ts';
import { decodeRecord } from './decoding.ts';

const SCHEMA = 'a BIGINT, b STRUCT<a: BIGINT, c: STRING>, d ARRAY<STRUCT<a: BIGINT>>';

const TEXTS = [
  '{"a":1,"b":{"a":2,"c":"x"},"d":[{"a":3},{"a":4}]}',
  '{"a": 1, "b": {"a": 2, "c": "x"}, "d": [{"a": 3}, {"a": 4}]}',
  '{ "d":[],"a":1 ,"b":{"c":"x","a":2}}',
  '{"a":1,"z":{"a":9},"b":{"z":1,"a":2}}',
  '{"\\u0061":1,"b":{"\\u0061":2}}',
  '{"a":1,"b":{"a":2,"a":3}}',
  '{"a":1,"a":2}',
  '{"d":[{"a":1},{"a":2,"a":3}]}',
  '{,"b":{"a":2}}',
  '{"a":1 "b":{"a":2}}',
  '{"a":1,,"b":{"a":2}}',
  '{"a":1,"b":',
  '{"a":1,"b":}',
  '{"a":,"b":{"a":2}}',
  '{"a":1,"b":{"a":"no","c":5},"d":null}',
  '{"a":1,"b":{}}',
  '{}',
  '{"b":{"a":1},"a":2,"d":[{}]}',
  '{"a":1,"b":{"a":2,"c":"x"}} x',
] as const;

it(`of ${TEXTS.length ** 2} sequences`, { timeout: 60_000 }, () => {
  const alone = new Map(TEXTS.map((text) => [text, decodeRecord(SCHEMA, text)]));
  for (const first of TEXTS) {
    for (const second of TEXTS) {
      const columns = new Columns(parseDdl(SCHEMA));
      const decoder = new JsonDecoder({ nodes: columns.nodes });
      for (const text of [first, second, first]) {
        columns.clear();
        const bytes = Buffer.from(text);
        const outcome = decoder.decode(bytes, 0, bytes.length);
        const { reason, path, byteOffset } = decoder.defect() ?? {};
        const rows = columns.leaves[0]?.levelCount === 0 ? [] : assembleRows(columns);
        const seen = JSON.stringify([outcome, reason, path, byteOffset, rows], bigints);
        if (seen === expectedOf(text)) continue;
        expect({ sequence: [first, second, first], text, seen }).toEqual({ expected: expectedOf(text) });
      }
    }
  }

  function expectedOf(text: (typeof TEXTS)[number]): string {
    const found = alone.get(text);
    return JSON.stringify(
      [found?.outcome, found?.reason, found?.path, found?.byteOffset, found?.rows],
      bigints,
    );
  }
});

function bigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
