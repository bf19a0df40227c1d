/**
 * Promise: `verify --kafka-records` agrees with a topic of transactions, tombstones and letters as far as Kafka still has it, and names the
 * range of which Kafka has something else. Method: a real topic, two drains, records deleted, then a ledger altered so that it adds up.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { versionPath } from '../../src/delta/log-files.ts';
import {
  createTopic,
  disagreements,
  environment,
  produce,
  produceTransaction,
  startWorker,
  temporaryFolder,
  tidemark,
  uniqueName,
  withAdmin,
  writePipeline,
} from './setup/harness.ts';

it('compares what Kafka still has with what was committed', async () => {
  const brokers = inject('kafkaBrokers');
  const folder = await temporaryFolder();
  const topic = await createTopic(brokers, { name: uniqueName('again'), partitions: 1 });
  const name = await writePipeline(folder, uniqueName('again'), {
    source: { bootstrapServers: brokers, subscribe: [topic] },
    records: { schema: 'n INT NOT NULL', maxDeadLetters: '100%' },
    table: { location: join(folder, 'table') },
  });
  const env = environment(folder);
  const record = (value: string | null) => ({ value, partition: 0 });
  await startWorker(env).ready();

  await produce(brokers, topic, [record('{"n":0}'), record(null), record('{}')]);
  await produceTransaction(brokers, topic, [record('{"n":1}'), record('{"n":2}')], 'abort');
  expect(await tidemark(['drain', name], env)).toMatchObject({ exitCode: 0 });
  await produceTransaction(brokers, topic, [record('{"n":3}'), record(null)], 'commit');
  expect(await tidemark(['drain', name], env)).toMatchObject({ exitCode: 0 });

  const args = ['--kafka-records'];
  expect(await disagreements(name, env, args)).toEqual([]);
  const whole = await tidemark(['verify', name, ...args], env);
  expect(whole.stdout).toContain('9 of 9 committed offsets read again');

  // Of the two ranges [0, 6) and [6, 9) the first is no longer whole.
  await withAdmin(brokers, async (admin) => {
    await admin.fetchTopicOffsets(topic); // kafkajs wants to know the topic first
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] });
  });
  const rest = await tidemark(['verify', name, ...args, '-o', 'json'], env);
  expect(JSON.parse(rest.stdout)).toMatchObject({
    outcome: 'agrees',
    kafka: { topics: 1, records: { committedOffsets: 9, comparedOffsets: 3 } },
  });

  const version = join(folder, 'table', versionPath(1));
  const before = readFileSync(version, 'utf8');
  const altered = before.replace(/"tombstones":1,"markers":1/g, '"tombstones":2,"markers":0');
  expect(altered).not.toBe(before);
  writeFileSync(version, altered);
  expect(await disagreements(name, env)).toEqual([]);
  expect(await disagreements(name, env, args)).toEqual([
    {
      check: 'kafkaRecords',
      ...{ topic, kafkaPartition: 0, tableVersion: 1, startingOffset: '6', endingOffset: '9' },
      problem: expect.stringMatching(
        /counts 1 records with a value, 2 tombstones, 0 markers.*Kafka has 1 .*, 1 tombstones, 1 markers/,
      ),
    },
  ]);
});
