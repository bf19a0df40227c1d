/**
 * Goal: JSONTestSuite: what must be accepted is, what must be rejected is, and the rest as written down with
 * its reason.
 *
 * Method: every file as the value of a field, passed over and kept as text; and as a record of its own, where
 * only an object is one.
 */
import { describe, expect, test } from 'vitest';
import { Columns, type LeafColumn } from '../../src/records/columns.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { JsonDecoder } from '../../src/records/json-decoder.ts';
import { assembleRows } from './assembly.ts';
import { decodeRecord } from './decoding.ts';
import { jsonTestSuite } from './json-test-suite.ts';

const SUITE = jsonTestSuite();

test('the suite is whole, and every implementation-defined file is decided', () => {
  const count = (kind: string) => SUITE.filter(({ name }) => name.startsWith(kind)).length;
  expect({ y: count('y_'), n: count('n_'), i: count('i_') }).toEqual({ y: 95, n: 188, i: 35 });
  expect(SUITE.filter(({ name, why }) => name.startsWith('i_') !== (why !== undefined))).toEqual([]);
});

describe.each(SUITE)('$name', ({ bytes, isJson }) => {
  const record = asField(bytes);

  test(`is ${isJson ? '' : 'not '}a value`, () => {
    expect(decodeRecord('no_such_name INT', record).outcome).toBe(isJson ? 'row' : 'recordDefect');
    const rest = new Columns(parseDdl('_rest STRING'));
    const columns = new Columns(parseDdl('no_such_name INT'));
    const decoder = new JsonDecoder({ nodes: columns.nodes, rest: rest.leaves[0] as LeafColumn });
    decoder.decode(record, 0, record.length);
    const kept = isJson ? [{ _rest: `{"v":${bytes.toString().trim()}}` }] : [];
    expect(rest.leaves[0]?.levelCount === 0 ? [] : assembleRows(rest)).toMatchObject(kept);
  });

  test('is a record if it is an object', () => {
    const { outcome, reason } = decodeRecord('no_such_name INT', bytes);
    const isObject = isJson && bytes.toString().trimStart().startsWith('{');
    expect(outcome).toBe(isObject ? 'row' : 'recordDefect');
    if (isJson && !isObject) expect(reason).toBe('notAnObject');
  });
});

test.each(SUITE.filter(({ stored }) => stored))(
  '$name in $stored.type is $stored.outcome',
  ({ bytes, stored }) => {
    const { outcome, reason } = decodeRecord(`v ${stored?.type}`, asField(bytes));
    expect(reason ?? outcome).toBe(stored?.outcome);
  },
);

function asField(value: Buffer): Buffer {
  return Buffer.concat([Buffer.from('{"v": '), value, Buffer.from('}')]);
}
