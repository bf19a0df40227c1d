/**
 * Goal: JSONTestSuite on the whole way: what is JSON is in the table, what is not is a dead letter with its
 * bytes, what the standard leaves open is as the checked-in list decides; and no file of it ends a worker.
 * Method: each file as the value of a field that the schema does not have, so that any JSON value is a row
 * with that value in `_rest`.
 */
import { expect } from 'vitest';
import { jsonTestSuite } from '../records/json-test-suite.ts';
import { tidemark } from './setup/harness.ts';
import { it } from './setup/place.ts';

it('takes what is JSON, sets the rest aside', async ({ own }) => {
  const suite = jsonTestSuite();
  const { env } = own;
  const value = (bytes: Buffer) => Buffer.concat([Buffer.from('{"v":'), bytes, Buffer.from('}')]);
  const topic = await own.topic(
    'json',
    suite.map(({ bytes }) => ({ partition: 0, value: value(bytes) })),
  );
  const name = await own.pipeline(topic, {
    source: { subscribe: topic },
    records: { schema: 'id BIGINT', rest: true },
  });
  const worker = await own.worker();
  const { totals } = await (await own.client()).drain(name);

  const valid = suite.filter(({ isJson }) => isJson);
  expect(totals).toMatchObject({
    offsets: suite.length,
    rows: valid.length,
    deadLetters: suite.length - valid.length,
  });
  const rows = await query(name, env, `SELECT _offset, _rest FROM "${name}" ORDER BY _offset`);
  expect(rows.map(({ _offset }) => suite[Number(_offset)]?.name)).toEqual(valid.map((file) => file.name));
  for (const { _offset, _rest } of rows) {
    const { bytes } = suite[Number(_offset)] ?? { bytes: Buffer.alloc(0) };
    expect(String(_rest)).toBe(`{"v":${bytes.toString().trim()}}`);
  }
  const letters = await tidemark(['dead-letters', 'list', name, '-o', 'jsonl'], env);
  const offsets = letters.stdout
    .trim()
    .split('\n')
    .map((line) => Number(JSON.parse(line).offset));
  const invalid = suite.flatMap(({ isJson }, offset) => (isJson ? [] : [offset]));
  expect(offsets.toSorted((a, b) => a - b)).toEqual(invalid);
  expect(worker.output()).not.toMatch(/write thread|failed, attempt/);
});

async function query(
  pipeline: string,
  env: Record<string, string>,
  sql: string,
): Promise<Record<string, unknown>[]> {
  const { stdout, stderr } = await tidemark(['query', pipeline, sql, '-o', 'json'], env);
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}
