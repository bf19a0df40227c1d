/**
 * `npm run bench:stages`: what each stage of a write task costs alone, over the same captured record batches:
 * CPU microseconds a record and MB of JSON a CPU second, with the limit of this machine beside it. CPU time
 * is the whole process's, so a stage that collects garbage or works on other threads pays for it.
 *
 * Options: --records (200000), --partitions (4), --codec (lz4), --shape (crawler), --compression (snappy),
 * --rounds (5), --only STAGE, -o json. A Kafka of its own unless KAFKA_BROKERS names one.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { CrawlCodec } from '../src/dev/crawler.ts';
import { findOrStartKafka } from '../src/dev/kafka-server.ts';
import { decompress } from '../src/kafka/codecs.ts';
import { connectSource } from '../src/kafka/connect-source.ts';
import { crc32c } from '../src/kafka/crc32c.ts';
import { RangeWalk, type RecordVisitor } from '../src/kafka/record-batch.ts';
import type { FetchedBatches, KafkaSource, OffsetRange } from '../src/kafka/source.ts';
import { boundsOf } from '../src/parquet/bounds.ts';
import { type Compression, compress } from '../src/parquet/compression.ts';
import { DictionaryBuilder } from '../src/parquet/dictionary.ts';
import { PageEncoder } from '../src/parquet/pages.ts';
import { parsePipeline } from '../src/pipeline/load.ts';
import type { Specification } from '../src/pipeline/specification.ts';
import { Columns } from '../src/records/columns.ts';
import { parseDdl } from '../src/records/ddl.ts';
import { JsonDecoder } from '../src/records/json-decoder.ts';
import { LocalStore } from '../src/storage/local-store.ts';
import { writeTask } from '../src/tasks/write-task.ts';
import { table } from '../src/terminal/output.ts';
import { SHAPES, type Shape } from './shapes.ts';
import { fillTopic } from './topics.ts';

/** Of a record batch: what the checksum covers begins at its attributes. */
const CHECKED_FROM = 21;
const HEADER_BYTES = 61;

const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '200000' },
    partitions: { type: 'string', default: '4' },
    codec: { type: 'string', default: 'lz4' },
    shape: { type: 'string', default: 'crawler' },
    compression: { type: 'string', default: 'snappy' },
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    output: { type: 'string', short: 'o', default: 'text' },
  },
});
const records = Number(options.records);
const shape = SHAPES[options.shape];
if (shape === undefined) throw new Error(`--shape is one of ${Object.keys(SHAPES).join(', ')}`);
const compression = options.compression as Compression;
const folder = await mkdtemp(join(tmpdir(), 'tidemark-stages-'));
const kafka = await findOrStartKafka();
try {
  await measureStages(shape);
} finally {
  await kafka.stop();
  await rm(folder, { recursive: true, force: true });
}

interface Figures {
  readonly stage: string;
  readonly cpuMicrosPerRecord: number;
  /** Of JSON. */
  readonly megabytesPerCpuSecond: number;
}

async function measureStages(shape: Shape): Promise<void> {
  const topic = `stages-${randomUUID()}`;
  const codec = options.codec as CrawlCodec;
  const { bytes } = await fillTopic(kafka.bootstrapServers, shape, {
    topic,
    records,
    partitions: Number(options.partitions),
    codec,
  });
  const captured = await capture(topic);
  const stages: Figures[] = [];
  for (const [stage, run] of Object.entries(stagesOver(shape, captured))) {
    if (options.only !== undefined && options.only !== stage) continue;
    const micros = await cpuMicros(run);
    stages.push({
      stage,
      cpuMicrosPerRecord: micros / records,
      megabytesPerCpuSecond: bytes / micros,
    });
  }
  await captured.close();
  if (options.output === 'json') return console.log(JSON.stringify({ records, bytes, codec, stages }));
  const rows = stages.map(({ stage, cpuMicrosPerRecord, megabytesPerCpuSecond }) => [
    stage,
    cpuMicrosPerRecord.toFixed(3),
    megabytesPerCpuSecond.toFixed(0),
  ]);
  console.log(`${records} records, ${(bytes / 1e6).toFixed(0)} MB of JSON, ${codec}, pages ${compression}`);
  console.log(table(['stage', 'CPU µs/record', 'MB/CPU s'], rows, ['CPU µs/record', 'MB/CPU s']));
}

interface Captured {
  readonly ranges: readonly OffsetRange[];
  /** By Kafka partition. */
  readonly fetches: ReadonlyMap<number, readonly FetchedBatches[]>;
  readonly readAgain: () => Promise<void>;
  readonly close: () => Promise<void>;
}

async function capture(topic: string): Promise<Captured> {
  const source = () => connectSource({ bootstrapServers: kafka.bootstrapServers.split(',') });
  const reader = await source();
  const [description] = await reader.describeTopics([topic]);
  const ranges = (description?.partitions ?? []).map(({ kafkaPartition, logStartOffset, highWatermark }) => ({
    topic,
    kafkaPartition,
    startingOffset: logStartOffset,
    endingOffset: highWatermark,
  }));
  const read = async (range: OffsetRange, keep: (fetched: FetchedBatches) => void) => {
    for await (const fetched of reader.readRange(range, { isolation: 'read_committed' })) keep(fetched);
  };
  const fetches = new Map<number, FetchedBatches[]>();
  for (const range of ranges) {
    const ofRange: FetchedBatches[] = [];
    // The source lends its memory only.
    await read(range, (fetched) => ofRange.push({ ...fetched, records: Buffer.from(fetched.records) }));
    fetches.set(range.kafkaPartition, ofRange);
  }
  const readAgain = async () => {
    for (const range of ranges) await read(range, () => {});
  };
  return { ranges, fetches, readAgain, close: () => reader.close() };
}

type Stage = () => void | Promise<void>;

function stagesOver(shape: Shape, captured: Captured): Record<string, Stage> {
  const { ranges, fetches } = captured;
  const batches = [...fetches.values()].flat().flatMap(({ records }) => batchesOf(records));
  const values = valuesOf(captured);
  const columns = new Columns(parseDdl(shape.schema));
  const decoder = new JsonDecoder({ nodes: columns.nodes });
  const decode = () => {
    columns.clear();
    for (const { body, starts, ends } of values) {
      for (let i = 0; i < starts.length; i++) {
        if (decoder.decode(body, starts[i] as number, ends[i] as number) !== 'recordDefect')
          columns.rowCount++;
      }
    }
  };
  decode();
  const pages = columns.leaves.flatMap((leaf) =>
    [...new PageEncoder().pages(leaf)].map(({ body }) => Buffer.from(body)),
  );
  const stored = pages.map((page) => compress(compression, page));
  const target = Buffer.alloc(8 << 20);
  const store = new LocalStore(join(folder, 'files'));
  return {
    fetch: captured.readAgain,
    checksum: () => {
      for (const batch of batches) crc32c(batch, CHECKED_FROM, batch.length);
    },
    'decompress batches': () => {
      for (const batch of batches) bodyOf(batch);
    },
    'walk, with both': () => {
      const visitor: RecordVisitor = { record() {} };
      for (const range of ranges) walk(range, fetches, visitor);
    },
    decode,
    dictionaries: () => {
      const builder = new DictionaryBuilder();
      for (const leaf of columns.leaves) builder.build(leaf);
    },
    'pages, with dictionaries': () => {
      const encoder = new PageEncoder();
      for (const leaf of columns.leaves) for (const _ of encoder.pages(leaf));
    },
    statistics: () => {
      for (const leaf of columns.leaves) boundsOf(leaf, leaf.values, leaf.valuesEnd);
    },
    'compress pages': () => {
      for (const page of pages) compress(compression, page);
    },
    'write and sync': async () => {
      const file = await store.create(`${randomUUID()}.parquet`);
      for (const page of stored) await file.write(page);
      await file.finish();
    },
    'whole task, without fetch': () => wholeTask(shape, captured),
    'limit: copy the JSON once': () => {
      for (const { body } of values) body.copy(target);
    },
  };
}

function batchesOf(records: Buffer): Buffer[] {
  const batches: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= records.length; ) {
    const end = at + 12 + records.readInt32BE(at + 8);
    if (end > records.length) break;
    batches.push(records.subarray(at, end));
    at = end;
  }
  return batches;
}

function bodyOf(batch: Buffer): Buffer {
  const codec = batch.readInt16BE(CHECKED_FROM) & 7;
  const body = batch.subarray(HEADER_BYTES);
  return codec === 0 ? body : decompress(codec, body, 256 << 20);
}

function walk(range: OffsetRange, fetches: Captured['fetches'], visitor: RecordVisitor): void {
  const walk = new RangeWalk(range, 'read_committed', 256 << 20);
  for (const fetched of fetches.get(range.kafkaPartition) ?? []) {
    walk.begin(fetched);
    while (walk.next(visitor));
  }
}

interface Values {
  readonly body: Buffer;
  readonly starts: number[];
  readonly ends: number[];
}

/** Every batch decompressed, with the places of its records' values. */
function valuesOf({ ranges, fetches }: Captured): Values[] {
  const found: Values[] = [];
  let lent: Buffer | undefined;
  for (const range of ranges) {
    walk(range, fetches, {
      record(_offset, _timestampMs, buffer, valueStart, valueEnd) {
        if (buffer !== lent || valueStart < (found.at(-1)?.starts.at(-1) ?? 0)) {
          found.push({ body: Buffer.from(buffer), starts: [], ends: [] });
          lent = buffer;
        }
        found.at(-1)?.starts.push(valueStart);
        found.at(-1)?.ends.push(valueEnd);
      },
    });
  }
  return found;
}

async function wholeTask(shape: Shape, { ranges, fetches }: Captured): Promise<void> {
  const specification = specificationOf(shape);
  const source = {
    async *readRange({ kafkaPartition }: OffsetRange) {
      yield* fetches.get(kafkaPartition) ?? [];
    },
    topicIds: async () => new Map(),
  } as unknown as KafkaSource;
  const planned = ranges.map((range) => ({
    ...range,
    startingOffset: String(range.startingOffset),
    endingOffset: String(range.endingOffset),
  }));
  await writeTask({
    source,
    store: new LocalStore(join(folder, randomUUID())),
    letterStore: new LocalStore(join(folder, randomUUID())),
    run: 'bench',
    specification,
    plan: {
      batchId: randomUUID(),
      pipeline: specification.name,
      tableId: null,
      epoch: '0',
      tableVersion: -1,
      specificationHash: '',
      topics: [],
      partitions: [],
      tasks: [planned],
    },
    task: 0,
    onProgress: () => {},
  });
}

function specificationOf(shape: Shape): Specification {
  const pipeline = {
    source: { bootstrapServers: kafka.bootstrapServers.split(','), subscribe: ['stages'] },
    records: { schema: shape.schema, mode: 'deadLetter' },
    table: { location: folder, compression },
  };
  return parsePipeline(JSON.stringify(pipeline), join(folder, 'stages.yaml'), {});
}

/** The least of several rounds after one to warm up: what the machine does beside only ever adds. */
async function cpuMicros(run: Stage): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= Number(options.rounds); round++) {
    globalThis.gc?.();
    const before = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(before);
    if (round > 0) least = Math.min(least, user + system);
  }
  return least;
}
