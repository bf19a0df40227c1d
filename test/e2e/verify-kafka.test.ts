/**
 * Promise: `verify --kafka-records` agrees with a topic of transactions, tombstones and letters as far as
 * Kafka still has it, and names the range of which Kafka has something else. Method: a real topic, two
 * drains, records deleted, then a ledger altered so that it adds up.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { versionPath } from '../../src/delta/log-files.ts';
import {
  disagreements,
  produce,
  produceTransaction,
  tidemark,
  uniqueName,
  withAdmin,
} from './setup/harness.ts';
import { it } from './setup/place.ts';

it('compares what Kafka still has with what was committed', async ({ served }) => {
  const { brokers, location, env } = served;
  const topic = await served.topic('again');
  const name = await served.pipeline(uniqueName('again'), {
    source: { subscribe: [topic] },
    records: { schema: 'n INT NOT NULL', maxDeadLetters: '100%' },
  });
  const record = (value: string | null) => ({ value, partition: 0 });

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

  const version = join(location, versionPath(1));
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
