/**
 * Promise: memory and history are bounded by configuration, not by lag, partitions, columns or sizes. Method:
 * one drain per shape through a worker of its own, whose peak of resident memory it tells itself when it
 * ends; the run's history as Temporal counts it. Small under `npm test`; the limits are judged at full size.
 */
import { afterAll, beforeAll, describe, expect, inject } from 'vitest';
import { Tidemark } from '../../../src/client.ts';
import { drainId } from '../../../src/contract.ts';
import { countRecords, produce, uniqueName, withAdmin } from '../setup/harness.ts';
import { it, type Place, type Sections } from '../setup/place.ts';
import { crawlPipeline, isFullSize, produceCrawl, readers, report, sized } from './proof.ts';

const PEAK_MEMORY_MIB = 700;
const HISTORY_EVENTS = 2_000;
const HISTORY_BYTES = 1_000_000;

const topics: string[] = [];
beforeAll(() =>
  report(
    'shape | offsets | rows | files | seconds | rows/s | worker peak MiB | history events | history bytes',
  ),
);
// Gigabytes that nobody reads again.
afterAll(() => withAdmin(inject('kafkaBrokers'), (admin) => admin.deleteTopics({ topics })));

describe('a worker stays small', () => {
  it('over many records', { timeout: 3_600_000 }, async ({ own, skip }) => {
    const python = await readers();
    if (python === undefined) return skip();
    const records = sized(20_000, 10_000_000);
    const [first, second] = [uniqueName('many'), uniqueName('many')];
    await Promise.all([first, second].map((topic) => produceCrawl(python, topic, records / 2, 4, 'lz4')));
    await measure(own, 'records', [first, second], crawlPipeline([first, second], own.location), {
      rows: records,
    });
  });

  it('over many Kafka partitions', { timeout: 1_200_000 }, async ({ own }) => {
    const partitions = sized(100, 1_000);
    const topic = await own.topic('partitions', [], { partitions });
    const records = partitions * 100;
    // A producer that waits too long for one of so many partitions sends again: what is there counts.
    await fill(own, topic, records, (n) => ({
      partition: n % partitions,
      fields: { id: n, text: `record ${n}` },
    }));
    const rows = Number(await countRecords(own.brokers, topic));
    await measure(own, 'Kafka partitions', [topic], pipeline(topic, 'id BIGINT, text STRING'), { rows });
  });

  it('over many table partitions in one batch', { timeout: 1_200_000 }, async ({ own }) => {
    const [partitions, records] = [sized(100, 1_000), sized(10_000, 500_000)];
    const topic = await own.topic('sites', [], { partitions: 4 });
    await fill(own, topic, records, (n) => ({
      partition: n % 4,
      fields: { id: n, site: `site-${n % partitions}.example`, text: 'x'.repeat(200) },
    }));
    const schema = 'id BIGINT, site STRING, text STRING';
    const table = { partitionBy: ['site'] };
    const expected = { rows: records, files: partitions };
    await measure(own, 'table partitions', [topic], pipeline(topic, schema, table), expected);
  });

  it('over many columns', { timeout: 1_200_000 }, async ({ own }) => {
    const [columns, records] = [200, sized(2_000, 200_000)];
    const topic = await own.topic('columns', [], { partitions: 4 });
    const names = Array.from({ length: columns }, (_, i) => `c${i}`);
    await fill(own, topic, records, (n) => ({
      partition: n % 4,
      fields: Object.fromEntries(names.map((name, i) => [name, i % 2 === 0 ? n + i : `text ${n % (i + 1)}`])),
    }));
    const schema = names.map((name, i) => `${name} ${i % 2 === 0 ? 'BIGINT' : 'STRING'}`).join(', ');
    await measure(own, 'columns', [topic], pipeline(topic, schema), { rows: records });
  });

  it('over nested documents of 8 KB', { timeout: 1_200_000 }, async ({ own }) => {
    const records = sized(2_000, 100_000);
    const topic = await own.topic('nested', [], { partitions: 4 });
    await fill(own, topic, records, (n) => ({ partition: n % 4, fields: nestedDocument(n) }));
    const schema = `id BIGINT, offers ARRAY<STRUCT<seller: STRUCT<name: STRING, since: BIGINT>, price: DECIMAL(12,2),
      tags: ARRAY<STRING>, attributes: MAP<STRING, STRING>>>`;
    await measure(own, 'nested documents', [topic], pipeline(topic, schema), { rows: records });
  });
});

interface Expected {
  readonly rows: number;
  readonly files?: number;
}

async function measure(
  own: Place,
  shape: string,
  from: readonly string[],
  sections: Sections,
  expected: Expected,
): Promise<void> {
  topics.push(...from);
  const name = await own.pipeline(uniqueName('limits'), sections);
  const worker = await own.worker();
  const client = await own.temporal();
  const { totals, outcome, durationMs } = await new Tidemark(client).drain(name);
  expect({ outcome, rows: totals.rows }).toEqual({ outcome: 'complete', rows: expected.rows });
  if (expected.files !== undefined) expect(totals.files).toBeGreaterThanOrEqual(expected.files);
  const { historyLength, historySize = 0 } = await client.workflow.getHandle(drainId(name)).describe();
  await worker.stop();
  const [, memory] = /peak memory (\d+) MiB/.exec(worker.output()) ?? [];
  const seconds = durationMs / 1000;
  const figures = [
    totals.offsets,
    totals.rows,
    totals.files,
    seconds.toFixed(1),
    Math.round(totals.rows / seconds),
  ];
  report([shape, ...figures, memory, historyLength, historySize].join(' | '));
  if (!isFullSize) return;
  expect(Number(memory)).toBeLessThan(PEAK_MEMORY_MIB);
  expect(historyLength).toBeLessThan(HISTORY_EVENTS);
  expect(historySize).toBeLessThan(HISTORY_BYTES);
}

function pipeline(topic: string, schema: string, table: object = {}): Sections {
  return { source: { subscribe: topic }, records: { mode: 'failFast', schema }, table };
}

async function fill(
  { brokers }: Place,
  topic: string,
  records: number,
  make: (n: number) => { partition: number; fields: object },
): Promise<void> {
  for (let from = 0; from < records; from += 20_000) {
    const messages = Array.from({ length: Math.min(20_000, records - from) }, (_, i) => {
      const { partition, fields } = make(from + i);
      return { partition, value: JSON.stringify(fields) };
    });
    await produce(brokers, topic, messages, { batchSize: 2_000 });
  }
}

/** Some 8 KB of text. */
function nestedDocument(n: number): object {
  const offers = Array.from({ length: 20 }, (_, i) => ({
    seller: { name: `seller ${(n * 31 + i) % 1_000}`, since: 1_700_000_000_000 + n },
    price: Number(`${n % 1_000}.${10 + (i % 90)}`),
    tags: [`tag-${i % 7}`, `tag-${n % 11}`, 'sale'],
    attributes: { colour: 'green', size: `${i}`, text: `${'word '.repeat(40)}${n}` },
  }));
  return { id: n, offers };
}
