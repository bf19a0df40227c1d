import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BATCH } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import { COMPACTION } from '../../src/commits/compaction.ts';
import { committedOffsetOf, epochOf, newestRetryOf } from '../../src/commits/pipeline-state.ts';
import { publishLetters } from '../../src/commits/publish.ts';
import { RETENTION } from '../../src/commits/retention.ts';
import { RETRY } from '../../src/commits/retry.ts';
import type { Action } from '../../src/delta/actions.ts';
import { writeJson } from '../../src/delta/json.ts';
import { DeltaLog } from '../../src/delta/log.ts';
import { versionPath } from '../../src/delta/log-files.ts';
import type { Snapshot } from '../../src/delta/snapshot.ts';
import { rewriteBins } from '../../src/duckdb/rewrite-bins.ts';
import { parsePipeline } from '../../src/pipeline/load.ts';
import type { Specification } from '../../src/pipeline/specification.ts';
import { emptyAccounting } from '../../src/records/accounting.ts';
import { fromDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { tableSchemas } from '../../src/records/table-schema.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { LetterFiles } from '../../src/tasks/letter-files.ts';
import { RecordSink } from '../../src/tasks/record-sink.ts';
import { TableFiles } from '../../src/tasks/table-files.ts';
import { type Verified, verify } from '../../src/verify/verify.ts';
import { makeBatch, ORIGIN } from '../commits/batches.ts';

/**
 * A real table of real files with its dead letters, made by what drains, retries and compactions are made of,
 * without Kafka.
 */
export class World {
  readonly folder: string;
  readonly specification: Specification;
  readonly store: LocalStore;
  readonly letterStore: LocalStore;
  private batches = 0;

  constructor(records = 'schema: "n BIGINT, text STRING, at TIMESTAMP, price DOUBLE"', table = '') {
    this.folder = mkdtempSync(join(tmpdir(), 'tidemark-verify-test-'));
    const location = join(this.folder, 'table');
    const yaml = `source: {bootstrapServers: "127.0.0.1:1", subscribe: [t, u]}
records: {${records}}
table: {location: ${location}${table}}
`;
    this.specification = parsePipeline(yaml, join(this.folder, 'orders.yaml'), {});
    writeFileSync(join(this.folder, 'orders.yaml'), yaml);
    this.store = new LocalStore(location);
    this.letterStore = new LocalStore(`${location}.dead_letters`);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }

  /** Fresh, so that nothing is remembered of a log that a test has changed. */
  get log(): DeltaLog {
    return new DeltaLog(this.store, { now: Date.now });
  }

  get letterLog(): DeltaLog {
    return new DeltaLog(this.letterStore, { now: Date.now });
  }

  async snapshot(): Promise<Snapshot> {
    const snapshot = await this.log.snapshot();
    if (snapshot === undefined) throw new Error('there is a table');
    return snapshot;
  }

  /**
   * Commits one batch of one partition, as many records as `values`, and publishes its letters. @returns its
   * version
   */
  async drain(values: readonly string[], kafkaPartition = 0, topic = 't'): Promise<number> {
    const snapshot = await this.log.snapshot();
    const start = committedOffsetOf(snapshot, topic, kafkaPartition);
    const batchId = `batch-${this.batches++}`;
    const written = await this.write(values, Number(start ?? 0n), {
      topic,
      kafkaPartition,
      batchId,
      epoch: epochOf(snapshot),
    });
    const batch = makeBatch({
      batchId,
      pipeline: 'orders',
      schema: written.schemas.tableSchema,
      partitionColumns: written.schemas.partitionColumns,
      plannedOn: {
        tableId: snapshot?.metaData.id,
        tableVersion: snapshot?.tableVersion ?? -1,
        epoch: epochOf(snapshot),
      },
      topics: [{ topic, identity: undefined }],
      partitions: [
        {
          ...{ topic, kafkaPartition, startingOffset: start, readFrom: start ?? 0n },
          endingOffset: (start ?? 0n) + BigInt(values.length),
          accounting: {
            ...emptyAccounting(),
            rows: written.rows,
            deadLetters: written.letters,
            dropped: written.dropped,
          },
        },
      ],
      files: written.files,
      deadLetterFiles: written.letterFiles,
    });
    const outcome = await commit(this.log, BATCH, batch, this.letterStore);
    if (outcome.kind !== 'committed') throw new Error(outcome.kind);
    return outcome.record.tableVersion;
  }

  async publish(): Promise<void> {
    await publishLetters(this.letterLog, this.log, 'orders');
  }

  /** Makes a row of the letter at `offset`, as if `value` had been sent. */
  async retry(offset: number, value: string): Promise<void> {
    const snapshot = await this.snapshot();
    const batchId = `batch-${this.batches++}`;
    const written = await this.write([value], offset, { topic: 't', kafkaPartition: 0, batchId, epoch: 0n });
    const span = { from: BigInt(offset), until: BigInt(offset) + 1n };
    const outcome = await commit(this.log, RETRY, {
      ...{ batchId, pipeline: 'orders', run: 'retry-dead-letters-orders.1', origin: ORIGIN },
      plannedOn: {
        tableId: snapshot.metaData.id,
        tableVersion: snapshot.tableVersion,
        epoch: epochOf(snapshot),
      },
      previousRetry: newestRetryOf(snapshot),
      schema: written.schemas.tableSchema,
      partitionColumns: written.schemas.partitionColumns,
      retried: [{ topic: 't', kafkaPartition: 0, epoch: 0n, spans: [span] }],
      filtered: 0,
      files: written.files,
    });
    if (outcome.kind !== 'committed') throw new Error(outcome.kind);
  }

  /** Merges all live files into one, by the compaction's own parts. */
  async compact(): Promise<void> {
    const snapshot = await this.snapshot();
    const inputs = [...snapshot.files.keys()];
    const output = `compacted-${randomUUID()}.parquet`;
    const schema = fromDeltaSchemaString(snapshot.metaData.schemaString);
    const bin = { inputs, output, schema, compression: 'zstd' as const };
    const [file] = await rewriteBins(this.store, [bin], () => {}, new AbortController().signal);
    if (file === undefined) throw new Error('a file was written');
    const outcome = await commit(this.log, COMPACTION, {
      ...{ batchId: `batch-${this.batches++}`, pipeline: 'orders', run: 'compact-orders.1', origin: ORIGIN },
      tableId: snapshot.metaData.id,
      tableVersion: snapshot.tableVersion,
      inputs: inputs.map((path, index) => ({ path, rowCount: file.inputRowCounts[index] ?? 0 })),
      outputs: [{ ...file, partitionValues: {} }],
    });
    if (outcome.kind !== 'committed') throw new Error(outcome.kind);
  }

  /**
   * Drops the days of `at` that were over at `cutOff`, in a table that is partitioned by them. @returns its
   * version
   */
  async retain(cutOff: string): Promise<number> {
    const snapshot = await this.snapshot();
    const outcome = await commit(this.log, RETENTION, {
      ...{ batchId: `batch-${this.batches++}`, pipeline: 'orders', run: 'vacuum-orders.1', origin: ORIGIN },
      tableId: snapshot.metaData.id,
      tableVersion: snapshot.tableVersion,
      rule: { column: 'at_day', unit: 'day', cutOffMs: Date.parse(cutOff) },
    });
    if (outcome.kind !== 'committed') throw new Error(outcome.kind);
    return outcome.record.tableVersion;
  }

  /** Puts a version as another writer would. */
  async commitForeign(actions: readonly Action[], commitInfo: Record<string, unknown>): Promise<number> {
    const tableVersion = (await this.snapshot()).tableVersion + 1;
    const lines = [
      { commitInfo: { timestamp: Date.now(), engineInfo: 'other-writer:1.0', ...commitInfo } },
      ...actions,
    ];
    await this.store.putIfAbsent(
      versionPath(tableVersion),
      Buffer.from(lines.map((line) => `${writeJson(line)}\n`).join('')),
    );
    return tableVersion;
  }

  /** Rewrites the lines of a version in place: what no writer does. */
  alter(tableVersion: number, change: (line: string) => string, store = this.store): void {
    const file = store.address(versionPath(tableVersion));
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n').map(change);
    writeFileSync(
      file,
      lines
        .filter((line) => line !== '')
        .map((line) => `${line}\n`)
        .join(''),
    );
  }

  /** @param store through which the main table is read */
  async verify(isQuick = false, store: ObjectStore = this.store): Promise<Verified> {
    const spillFolder = mkdtempSync(join(this.folder, 'spill-'));
    return await verify(
      {
        main: { store, log: this.log },
        letters: { store: this.letterStore, log: this.letterLog },
      },
      { letterSnapshot: await this.letterLog.snapshot(), snapshot: await this.snapshot() },
      {
        isQuick,
        scan: { spillFolder, memoryLimitBytes: 96 * 1024 ** 2, threads: 2 },
        onProgress: () => {},
      },
    );
  }

  async write(
    values: readonly string[],
    from: number,
    at: { topic: string; kafkaPartition: number; batchId: string; epoch: bigint },
  ) {
    const { records, table } = this.specification;
    const schemas = tableSchemas(records, table.partitionBy);
    const files = new TableFiles({
      store: this.store,
      ...schemas,
      table,
      maxFiles: 10,
      keyValueMetadata: {},
      task: 0,
    });
    const origin = { epoch: at.epoch, run: 'drain-orders.1', batch: at.batchId };
    const letters = new LetterFiles({ store: this.letterStore, origin, task: 0 });
    const sink = new RecordSink(this.specification, schemas, files, letters);
    sink.begin(at.topic, at.kafkaPartition);
    for (const [index, value] of values.entries()) {
      const record = Buffer.from(`${value}\0`);
      const end = record.length - 1;
      sink.record(from + index, 1_790_000_000_000 + from + index, record, 0, end, -1, -1, end, record.length);
    }
    return {
      schemas,
      files: await files.finish(),
      letterFiles: await letters.finish(),
      rows: sink.rows,
      letters: sink.deadLetters,
      dropped: sink.dropped,
    };
  }
}

/** Records that fit; every seventh text is long, so that bounds are cut. */
export function records(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => {
    const n = from + index;
    const text = n % 7 === 0 ? `${'long '.repeat(20)}${n}` : `text ${n}`;
    return JSON.stringify({
      n,
      text,
      at: new Date(1_790_000_000_000 + n * 1_001).toISOString().replace('Z', '123Z'),
      price: n / 3,
    });
  });
}

/** Does not fit: a dead letter. */
export const UNFIT = '{"n": "seven"}';
