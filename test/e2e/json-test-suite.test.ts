/**
 * Goal: JSONTestSuite on the whole way: what is JSON is in the table, what is not is a dead letter with its bytes, what the standard
 * leaves open is as the checked-in list decides; and no file of it ends a worker. Method: each file as the value of a field that
 * the schema does not have, so that any JSON value is a row with that value in `_rest`.
 */
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { Tidemark } from '../../src/client.ts';
import { jsonTestSuite } from '../records/json-test-suite.ts';
import {
  createTopic,
  environment,
  produce,
  startWorker,
  temporalClient,
  temporaryFolder,
  tidemark,
  uniqueName,
  writePipeline,
} from './setup/harness.ts';

it('takes what is JSON, sets the rest aside', async () => {
  const suite = jsonTestSuite();
  const folder = await temporaryFolder();
  const env = environment(folder);
  const topic = await createTopic(inject('kafkaBrokers'), { name: uniqueName('json'), partitions: 1 });
  const value = (bytes: Buffer) => Buffer.concat([Buffer.from('{"v":'), bytes, Buffer.from('}')]);
  await produce(
    inject('kafkaBrokers'),
    topic,
    suite.map(({ bytes }) => ({ partition: 0, value: value(bytes) })),
  );
  const name = await writePipeline(folder, topic, {
    source: { bootstrapServers: inject('kafkaBrokers'), subscribe: topic },
    records: { schema: 'id BIGINT', rest: true },
    table: { location: join(folder, 'table') },
  });
  const worker = startWorker(env);
  await worker.ready();
  const { totals } = await new Tidemark(await temporalClient()).drain(name);

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
