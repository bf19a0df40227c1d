/**
 * Promise: a drain ends when its position has reached the end, whatever lies there. Method: ranges that end
 * in a transaction marker, in aborted records, in a compacted hole and in an idle partition, each drained
 * through the CLI; every offset is in the receipt under its name, and an independent read_committed consumer
 * sees the same rows.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Receipt } from '../../../src/client.ts';
import { BATCH_BYTES, walkAll } from '../../kafka/batches.ts';
import { readTable, readTruth } from '../../readers/environment.ts';
import {
  createTopic,
  produce,
  produceTransaction,
  tidemark,
  uniqueName,
  waitUntil,
  withAdmin,
} from '../setup/harness.ts';
import { it } from '../setup/place.ts';
import { readers, report } from './proof.ts';

const SCHEMA = 'n BIGINT NOT NULL';
const records = (from: number, count: number, partition: number) =>
  Array.from({ length: count }, (_, i) => ({ key: 'k', value: JSON.stringify({ n: from + i }), partition }));

it('completes wherever the range ends', async ({ served }) => {
  const python = await readers();
  const { brokers, folder, env } = served;
  const topic = await served.topic('endings', [], { partitions: 5 });
  const [marker, aborted, abortedOnly, idle, plain] = [0, 1, 2, 3, 4];
  await produceTransaction(brokers, topic, records(0, 10, marker), 'commit');
  await produce(brokers, topic, records(0, 5, aborted));
  await produceTransaction(brokers, topic, records(100, 7, aborted), 'abort');
  await produceTransaction(brokers, topic, records(200, 3, abortedOnly), 'abort');
  await produce(brokers, topic, records(0, 4, plain));
  const receipt = await drain([topic], 'endings');
  const at = (partition: number) => receipt.partitions.find((p) => p.kafkaPartition === partition);
  expect(at(marker)).toMatchObject({ endingOffset: '11', rows: 10, markers: 1, aborted: 0 });
  expect(at(aborted)).toMatchObject({ endingOffset: '13', rows: 5, markers: 1, aborted: 7 });
  expect(at(abortedOnly)).toMatchObject({ endingOffset: '4', rows: 0, markers: 1, aborted: 3 });
  expect(at(idle)).toMatchObject({ endingOffset: '0', rows: 0 });
  expect(at(plain)).toMatchObject({ endingOffset: '4', rows: 4 });

  // The idle partition has its offset all the same: what it gets now is neither skipped nor read twice.
  await produce(brokers, topic, records(0, 6, idle));
  const second = await drain([topic], 'endings');
  expect(second.totals).toMatchObject({ rows: 6, offsets: 6 });
  if (python !== undefined) {
    const [truth, table] = await Promise.all([
      readTruth(python, brokers, [topic]),
      readTable(python, 'delta-rs', join(folder, 'endings')),
    ]);
    expect(table.count).toBe(truth.count);
    report(`ends in a marker, in aborted records, idle: ${truth.count} records, ${table.count} rows`);
  }

  const compacted = await compactedTopic(brokers);
  const hole = await drain([compacted], 'hole', JSON.stringify({ [compacted]: { 0: 15 } }));
  expect(hole.outcome).toBe('complete');
  const [only] = hole.partitions;
  expect(only).toMatchObject({ endingOffset: '15', rows: 0, gaps: 15 });
  const rest = await drain([compacted], 'hole');
  expect(rest.outcome).toBe('complete');
  report(
    `ends in a compacted hole: ${only?.gaps} offsets without a record, then ${rest.totals.rows} rows to the end`,
  );

  async function drain(topics: readonly string[], table: string, until = 'latest'): Promise<Receipt> {
    const name = await served.pipeline(`${table}-${topics[0]}`, {
      source: { subscribe: topics },
      records: { format: 'json', mode: 'failFast', schema: SCHEMA },
      table: { location: join(folder, table) },
    });
    const { stdout, stderr, exitCode } = await tidemark(['drain', name, '--until', until, '-o', 'json'], env);
    // Who waits for seconds is told how far it has come.
    const said = stderr.replaceAll(/^[░█]+ .*\n/gm, '');
    expect({ said, exitCode }).toEqual({ said: '', exitCode: 0 });
    return JSON.parse(stdout);
  }
});

/**
 * Offsets 0 to 19 hold one key; when the cleaner has run, those of the closed segments are gone but for the
 * last.
 */
async function compactedTopic(brokers: string): Promise<string> {
  const name = uniqueName('compacted');
  const config = {
    'cleanup.policy': 'compact',
    'segment.ms': '10',
    'min.cleanable.dirty.ratio': '0.001',
    'delete.retention.ms': '0',
  };
  await createTopic(brokers, { name, partitions: 1, config });
  for (let n = 0; n < 20; n++) {
    await produce(brokers, name, records(n, 1, 0));
    await sleep(30);
  }
  await waitUntil(async () => (await readable(brokers, name)) <= 3);
  return name;
}

/** Records that a consumer still finds. */
async function readable(brokers: string, topic: string): Promise<number> {
  const { connectSource } = await import('../../../src/kafka/connect-source.ts');
  const { RangeWalk } = await import('../../../src/kafka/record-batch.ts');
  const [end] = await withAdmin(brokers, (admin) => admin.fetchTopicOffsets(topic));
  const range = { topic, kafkaPartition: 0, startingOffset: 0n, endingOffset: BigInt(end?.high ?? 0) };
  const source = await connectSource({ bootstrapServers: [brokers] });
  const walk = new RangeWalk(range, 'read_committed', BATCH_BYTES);
  const options = { isolation: 'read_committed', signal: AbortSignal.timeout(30_000) } as const;
  for await (const fetched of source.readRange(range, options)) walkAll(walk, fetched, { record: () => {} });
  await source.close();
  return walk.records;
}
