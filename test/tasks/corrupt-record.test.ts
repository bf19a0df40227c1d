/**
 * Goal: `_corrupt_record` holds the record byte for byte if it is UTF-8, else with U+FFFD, always as UTF-8.
 *
 * Method: examples, among them one that lies inside a larger buffer.
 */
import { expect, test } from 'vitest';
import { LeafColumn } from '../../src/records/columns.ts';
import { appendCorruptRecord } from '../../src/tasks/corrupt-record.ts';

test.each([
  [Buffer.from('{"爬":'), '{"爬":'],
  [Buffer.from(''), ''],
  [Buffer.from('\ufeff\0{'), '\ufeff\0{'],
  [Buffer.from('a\xff\xe7\x88b', 'latin1'), 'a\ufffd\ufffdb'],
])('%j', (record, stored) => {
  const leaf = new LeafColumn(['_corrupt_record'], { kind: 'primitive', name: 'string' }, 1, 0);
  appendCorruptRecord(
    leaf,
    Buffer.concat([Buffer.from('<<'), record, Buffer.from('>>')]),
    2,
    2 + record.length,
  );
  expect(leaf.values.subarray(4, leaf.valuesEnd)).toEqual(Buffer.from(stored));
  expect(leaf.values.readUInt32LE(0)).toBe(leaf.valuesEnd - 4);
});
