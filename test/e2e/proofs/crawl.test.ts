/**
 * Promise: what is in the topic is in the table, once, with the same values, for every reader; and the worker
 * stays small and responsive meanwhile. Method: crawler records in two codecs, one drain through the CLI,
 * then Spark's own reading of the topic against every reader's reading of the table, by sorted checksum.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { type Reader, readTable, readTopicWithSpark } from '../../readers/environment.ts';
import { tidemark, uniqueName } from '../setup/harness.ts';
import { it } from '../setup/place.ts';
import { CRAWL_SCHEMA, crawlPipeline, isFullSize, produceCrawl, readers, report, sized } from './proof.ts';

const RECORDS = sized(20_000, 1_000_000);

it('equals the topic in every reader', { timeout: sized(600_000, 1_200_000) }, async ({ own, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const { folder, location, env } = own;
  const [topic, name] = [uniqueName('crawl'), uniqueName('crawl')];
  await produceCrawl(python, topic, RECORDS / 2, 4, 'lz4');
  await produceCrawl(python, topic, RECORDS / 2, 4, 'gzip');
  report(`${RECORDS} records in 4 partitions, half lz4, half gzip`);

  await own.pipeline(name, crawlPipeline([topic], location));
  const worker = await own.worker();

  const drained = await tidemark(['drain', name, '-o', 'json'], env);
  expect(drained.stderr).not.toContain('error');
  expect(drained.exitCode).toBe(0);
  const receipt = JSON.parse(drained.stdout);
  expect(receipt).toMatchObject({ outcome: 'complete', totals: { rows: RECORDS, offsets: RECORDS } });
  const seconds = receipt.durationMs / 1000;
  report(
    `drained in ${seconds.toFixed(2)} s (${Math.round(RECORDS / seconds)} rows/s), ${receipt.totals.files} files, ${receipt.totals.bytes} bytes`,
  );

  const empty = JSON.parse((await tidemark(['drain', name, '-o', 'json'], env)).stdout);
  expect(empty).toMatchObject({ outcome: 'complete', totals: { rows: 0, batches: 0 } });
  report(`an empty drain takes ${empty.durationMs} ms`);

  await worker.stop();
  const [, delay, memory] = /p99\.9 ([\d.]+) ms.*peak memory (\d+) MiB/.exec(worker.output()) ?? [];
  report(`worker: event loop delay p99.9 ${delay} ms, peak memory ${memory} MiB`);
  if (isFullSize) {
    expect(empty.durationMs).toBeLessThan(1000);
    expect(Number(delay)).toBeLessThan(100);
    expect(Number(memory)).toBeLessThan(700);
  }

  const files = join(folder, 'files.json');
  await writeFile(files, (await tidemark(['files', name, '-o', 'json'], env)).stdout);
  const spark = await readTopicWithSpark(python, inject('kafkaBrokers'), {
    topics: [topic],
    schema: CRAWL_SCHEMA.replaceAll('\n', ' '),
    timestamps: { crawl_ts: 'epochMillis' },
    kafkaColumns: ['topic', 'partition', 'offset', 'timestamp'],
  });
  report(`spark over the topic: ${spark.count} rows, checksum ${spark.checksum}`);
  expect(spark.count).toBe(RECORDS);
  for (const reader of ['spark', 'delta-rs', 'polars', 'duckdb'] satisfies Reader[]) {
    const table = await readTable(python, reader, reader === 'duckdb' ? files : location);
    report(
      `${reader} over the table: ${table.count} rows, checksum ${table.checksum}, ${table.seconds.toFixed(1)} s`,
    );
    expect(table).toMatchObject({ count: RECORDS, checksum: spark.checksum, sums: spark.sums });
  }
});
