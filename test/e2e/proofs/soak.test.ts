/**
 * Promise: readers of any kind see whole, growing versions while drains, compactions, vacuums and log
 * clean-ups run at once. Method: a producer that never stops; drains, compactions and vacuums, each every few
 * seconds; four readers in loops, each of which holds its version for a while before it opens the files, as a
 * slow reader does. No read may fail, show fewer rows than the one before, another number than its version's
 * log, or a position twice. Vacuum has to wait longer than readers hold: here both are seconds, forced; where
 * readers take hours, `vacuum.olderThan` has to be days.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, inject } from 'vitest';
import type { Tidemark, VacuumReceipt } from '../../../src/client.ts';
import { DeltaLog } from '../../../src/delta/log.ts';
import { LocalStore } from '../../../src/storage/local-store.ts';
import { type ReadersEnvironment, readTable, readTruth } from '../../readers/environment.ts';
import { waitUntil } from '../setup/harness.ts';
import { it } from '../setup/place.ts';
import { type Judgement, judge, type LoopingReader, startOwnReader, startReader } from './looping-readers.ts';
import {
  type CaseFigures,
  decimalSum,
  keepFigures,
  offsetsChecksum,
  readers,
  report,
  sized,
} from './proof.ts';
import { startProducer } from './steady-producer.ts';

const DURATION_MS = sized(25_000, 600_000);
/** A slow machine's log takes longer to be ripe for a clean-up. */
const DURATION_MAX_MS = sized(180_000, 660_000);
const DRAIN_EVERY_MS = sized(1_500, 2_000);
const COMPACT_EVERY_MS = sized(6_000, 10_000);
/** Sooner than readers let go of a version, or a vacuum that takes what they hold would not show. */
const VACUUM_EVERY_MS = sized(1_000, 3_000);
const PARTITIONS = 2;
const SITES = 3;
const HOLD_MS = sized(1_000, 4_000);
/** Removed and never committed files, and versions: longer than a reader holds and reads. */
const OLDER_THAN_S = sized(10, 30);
/**
 * Each drain adds one per site. What a slow machine drains between two compactions, not what it drains in
 * all.
 */
const FILES_MAX = sized(45, 120);
const PEAK_MEMORY_MIB_MAX = 1024;

it('readers see whole versions while everything runs at once', {
  timeout: sized(600_000, 780_000),
}, async ({ own, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const { brokers, location } = own;
  const topic = await own.topic('soak', [], { partitions: PARTITIONS });
  const name = await own.pipeline(topic, {
    source: { subscribe: [topic] },
    records: { schema: 'site STRING NOT NULL, n BIGINT, text STRING', maxDeadLetters: '100%' },
    table: { partitionBy: ['site'] },
    vacuum: { keepLog: `${OLDER_THAN_S}s` },
  });
  const tidemark = await own.client();
  const worker = await own.worker();
  const producer = await startProducer(brokers, {
    topic,
    partitions: PARTITIONS,
    everyMs: 200,
    records: 50,
    value: recordOf,
  });
  await waitUntil(() => producer.sent() > 0);
  await tidemark.drain(name);

  const looping = [
    ...(['delta-rs', 'polars', 'duckdb'] as const).map((reader) =>
      startReader(python, reader, location, HOLD_MS),
    ),
    startOwnReader(location, HOLD_MS),
  ];
  const { compactions, vacuums } = await runAtOnce(tidemark, name, location);
  await producer.stop();
  await tidemark.drain(name);
  await Promise.all(looping.map((reader) => reader.stop()));
  await worker.stop();

  for (const judgement of looping.map(judged)) expectWholeReads(judgement);
  const figures = await expectEveryRecordOnce(python, topic, location);
  expect(figures.records).toBe(producer.sent());
  keepFigures('soak', [
    {
      case: 'four readers beside drains, compactions, vacuums and log clean-ups',
      faults: compactions + vacuums,
      ...figures,
    },
  ]);
  const [, memory] = /peak memory (\d+) MiB/.exec(worker.output()) ?? [];
  report(`worker: peak memory ${memory} MiB`);
  expect(Number(memory)).toBeLessThan(PEAK_MEMORY_MIB_MAX);
});

/** One of a hundred records is a dead letter. */
const isLetter = (offset: number) => offset % 100 === 99;

function recordOf(partition: number, offset: number): string {
  return JSON.stringify({
    site: `site-${offset % SITES}`,
    n: isLetter(offset) ? 'no number' : offset,
    text: `record ${partition}/${offset}`,
  });
}

/** Drains, compacts and vacuums, each in a loop of its own, until all of them have had something to do. */
async function runAtOnce(tidemark: Tidemark, name: string, location: string) {
  const log = new DeltaLog(new LocalStore(location), { now: Date.now });
  const startedMs = Date.now();
  const elapsedMs = () => Date.now() - startedMs;
  const counts = { drains: 0, compactions: 0, vacuums: 0 };
  const vacuumed = { files: 0, versions: 0, letterVersions: 0 };
  let filesMax = 0;
  const isOver = () =>
    elapsedMs() > DURATION_MS && (isEachAboveZero(vacuumed) || elapsedMs() > DURATION_MAX_MS);
  const every = async (ms: number, work: () => Promise<unknown>) => {
    while (!isOver()) await Promise.all([work(), sleep(ms)]);
  };
  const olderThan = `${OLDER_THAN_S}s`;
  await Promise.all([
    every(DRAIN_EVERY_MS, async () => {
      expect((await tidemark.drain(name)).outcome).toBe('complete');
      counts.drains++;
    }),
    every(COMPACT_EVERY_MS, async () => {
      await tidemark.compact({ pipeline: name, targetFiles: 1 });
      counts.compactions++;
    }),
    every(VACUUM_EVERY_MS, async () => {
      const { table, deadLetters }: VacuumReceipt = await tidemark.vacuum({
        pipeline: name,
        olderThan,
        force: true,
      });
      counts.vacuums++;
      vacuumed.files += table.filesDeleted;
      vacuumed.versions += table.log.versionsFolded;
      vacuumed.letterVersions += deadLetters?.log.versionsFolded ?? 0;
    }),
    every(500, async () => {
      filesMax = Math.max(filesMax, (await log.snapshot())?.files.size ?? 0);
    }),
  ]);
  const versions = ((await log.snapshot())?.tableVersion ?? -1) + 1;
  report(
    `${Math.round(elapsedMs() / 1000)} s: ${counts.drains} drains, ${counts.compactions} compactions, ${counts.vacuums} vacuums (older than ${olderThan}), ${versions} table versions, at most ${filesMax} live files`,
  );
  report(
    `vacuumed: ${vacuumed.files} data files; ${vacuumed.versions} versions of the table and ${vacuumed.letterVersions} of its dead letters folded into ledgers`,
  );
  expect(vacuumed).toSatisfy(isEachAboveZero);
  expect(filesMax).toBeLessThan(FILES_MAX);
  return counts;
}

function isEachAboveZero(numbers: Readonly<Record<string, number>>): boolean {
  return Object.values(numbers).every((n) => n > 0);
}

function judged({ name, reads }: LoopingReader): Judgement {
  const judgement = judge(reads, OLDER_THAN_S);
  const { errors, tooLate, shrunk, inconsistent, doubled, versions, secondsMax } = judgement;
  report(
    `${name}: ${reads.length} reads of ${versions} versions, each held ${HOLD_MS / 1000} s, ${secondsMax.toFixed(1)} s at most; ${errors.length} errors (and ${tooLate} of reads longer than ${OLDER_THAN_S} s), ${shrunk} with fewer rows than before, ${inconsistent} other than its version's log, ${doubled} with a position twice`,
  );
  return judgement;
}

function expectWholeReads({ errors, shrunk, inconsistent, doubled, versions }: Judgement): void {
  expect({ errors, shrunk, inconsistent, doubled }).toEqual({
    errors: [],
    shrunk: 0,
    inconsistent: 0,
    doubled: 0,
  });
  expect(versions).toBeGreaterThan(sized(3, 30));
}

/** Of both tables, as delta-rs reads them, against an independent consumer. */
async function expectEveryRecordOnce(
  python: ReadersEnvironment,
  topic: string,
  location: string,
): Promise<Pick<CaseFigures, 'records' | 'lost' | 'duplicate'>> {
  const truth = await readTruth(python, inject('kafkaBrokers'), [topic]);
  const table = await readTable(python, 'delta-rs', location);
  const letters = await readTable(python, 'delta-rs', `${location}.dead_letters`);
  const partitions = Object.entries(truth.offsets[topic] ?? {}).map(([partition, { count }]) => {
    const offsets = Array.from({ length: count }, (_, offset) => offset);
    const rows = offsets.filter((offset) => !isLetter(offset));
    return { rows, letters: offsets.filter(isLetter), read: table.offsets?.[topic]?.[partition] };
  });
  const distinct = partitions.reduce((sum, { read }) => sum + (read?.distinct ?? 0), 0);
  const letterOffsets = partitions.flatMap((partition) => partition.letters);
  const lost = Math.max(0, truth.count - distinct - letters.count);
  const duplicate = table.count - distinct + Math.max(0, letters.count - letterOffsets.length);
  report(
    `delta-rs against an independent consumer: ${truth.count} records, ${table.count} rows, ${letters.count} dead letters, ${lost} lost, ${duplicate} duplicate`,
  );
  expect({ lost, duplicate }).toEqual({ lost: 0, duplicate: 0 });
  for (const { rows, read } of partitions)
    expect(read).toMatchObject({ count: rows.length, checksum: offsetsChecksum(rows) });
  expect(letters).toMatchObject({ count: letterOffsets.length, sums: { offset: decimalSum(letterOffsets) } });
  return { records: truth.count, lost, duplicate };
}
