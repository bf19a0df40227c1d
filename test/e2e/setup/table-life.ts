/**
 * A table's whole life by the product's own way, from Kafka on: two partition transforms and an odd partition
 * column, dead letters, three generations of a schema, past two log checkpoints, another writer, a retry, a
 * compaction, a vacuum that cleans the log up. After each stage a copy of the table's folder stays behind, as
 * it was, with the rows that it has to hold.
 */
import { execFileSync } from 'node:child_process';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, inject } from 'vitest';
import { parseDdl, type Schema } from '../../../src/records/ddl.ts';
import { DEAD_LETTER_SCHEMA, deadLettersLocation } from '../../../src/records/dead-letters.ts';
import { conform, type Row, rowOf, type Value } from '../../parquet/rows.ts';
import type { MatrixTable } from '../../readers/matrix.ts';
import { floorDivide, recordJson } from '../../readers/record-json.ts';
import {
  createTopic,
  environment,
  produce,
  startWorker,
  tidemark,
  uniqueName,
  writePipeline,
} from './harness.ts';

const SELLER = 'name: STRING, home: STRUCT<city: STRING, geo: STRUCT<lat: DOUBLE, seen: TIMESTAMP>>';
const UNCHANGED =
  'site STRING, seen TIMESTAMP, hour TIMESTAMP, i INT, l BIGINT, d DOUBLE, f FLOAT, ok BOOLEAN, b BINARY, day DATE, ' +
  'd9 DECIMAL(9,2), d18 DECIMAL(18,4), d38 DECIMAL(38,10), tags ARRAY<STRING>, y TINYINT, h SMALLINT, ' +
  'attributes MAP<STRING, STRUCT<x: DOUBLE, y: ARRAY<MAP<STRING, INT>>>>';
const GENERATIONS = [
  `id BIGINT NOT NULL, n TINYINT, s STRING NOT NULL, seller STRUCT<${SELLER}>, ${UNCHANGED}`,
  `id BIGINT NOT NULL, n SMALLINT, s STRING NOT NULL, seller STRUCT<${SELLER}, since: DATE>, ${UNCHANGED}, added STRING`,
  `id BIGINT NOT NULL, n INT, s STRING, seller STRUCT<${SELLER}, since: DATE>, ${UNCHANGED}, added STRING, more ARRAY<STRUCT<z: DECIMAL(20,2)>>`,
];
const DERIVED = parseDdl(
  '_topic STRING, _partition INT, _offset BIGINT, _timestamp TIMESTAMP, seen_day DATE, hour_hour TIMESTAMP',
);
const DAY_MICROS = 86_400_000_000n;
const HOUR_MICROS = 3_600_000_000n;
const PER_BATCH = 12;
/** Partition values, as they come: odd ones, none, moments before 1970. */
const PLACES: readonly Row[] = [
  { site: "a b/ü=%2F'x", seen: -1n, hour: -HOUR_MICROS - 1n },
  { site: null, seen: null, hour: null },
  { site: '😀.', seen: 1_700_000_000_123_456n, hour: 1_700_000_000_123_456n },
];

export class TableLife {
  readonly stages: MatrixTable[] = [];
  readonly name = uniqueName('life');
  readonly env: Record<string, string>;
  readonly location: string;
  private readonly folder: string;
  private readonly seed: number;
  private topic = '';
  private generation = 0;
  private offset = 0;
  private readonly rows: Row[] = [];
  private readonly letters: Row[] = [];

  constructor(folder: string, seed: number) {
    this.folder = folder;
    this.seed = seed;
    this.env = environment(folder);
    this.location = join(folder, 'table');
  }

  get schema(): Schema {
    return { fields: [...parseDdl(GENERATIONS[this.generation] ?? '').fields, ...DERIVED.fields] };
  }

  async begin(): Promise<void> {
    this.topic = await createTopic(inject('kafkaBrokers'), { name: this.name, partitions: 1 });
    await this.become(0);
    await startWorker(this.env).ready();
  }

  /** The schema from now on. */
  async become(generation: number): Promise<void> {
    this.generation = generation;
    const schema = GENERATIONS[generation];
    await writePipeline(this.folder, this.name, {
      source: { bootstrapServers: inject('kafkaBrokers'), subscribe: [this.topic] },
      records: { schema, maxDeadLetters: '100%' },
      table: { location: this.location, partitionBy: ['site', 'day(seen)', 'hour(hour)'] },
      limits: { maxOffsetsPerBatch: PER_BATCH },
      vacuum: { keepLog: 0 },
    });
  }

  /**
   * As many versions with rows of random values; in each one letter that a wider schema heals and one that
   * nothing does.
   */
  async drain(batches: number): Promise<void> {
    const fields = parseDdl(GENERATIONS[this.generation] ?? '').fields;
    const count = batches * PER_BATCH;
    const seed = this.seed + this.offset;
    const rows = fc.sample(rowOf(fields), { numRuns: count, seed }).map((row, i): Row => {
      const id = BigInt(this.offset + i);
      return { ...finite(row), id, ...PLACES[Number(id % 3n)] };
    });
    const messages = rows.map((row, i) => {
      const at = i % PER_BATCH;
      if (at === 4 && this.generation === 0) row.n = 300;
      const kafka = { _topic: this.topic, _partition: 0, _offset: row.id as bigint };
      const derived = { seen_day: day(row.seen), hour_hour: hour(row.hour) };
      const timestamp = 1_600_000_000_000n + (row.id as bigint);
      const whole = { ...row, ...kafka, _timestamp: timestamp * 1000n, ...derived };
      if (at === 7) return { value: '{"id": oops}', partition: 0, timestamp: String(timestamp) };
      (row.n === 300 ? this.letters : this.rows).push(whole);
      const value = recordJson({ kind: 'struct', fields }, row);
      return { value, partition: 0, timestamp: String(timestamp) };
    });
    this.offset += count;
    await produce(inject('kafkaBrokers'), this.topic, messages);
    const receipt = await this.cli(['drain', this.name]);
    expect(receipt).toMatchObject({ outcome: 'complete', totals: { offsets: count, batches } });
  }

  /**
   * delta-rs as another writer: a row less, small files of every table partition put together, a log
   * checkpoint.
   */
  shareWithDeltaRs(python: string): void {
    const program = fileURLToPath(new URL('../../delta/delta_rs.py', import.meta.url));
    const lines = [
      ['delete', 'id = 9'],
      ['compact', null],
      ['checkpoint', null],
    ].map((line) => JSON.stringify(line));
    const answers = execFileSync(python, [program, this.location], {
      input: `${lines.join('\n')}\n`,
      encoding: 'utf8',
    });
    const [deleted, filesAdded] = answers.trim().split('\n').map(Number);
    expect({ deleted, filesAdded }).toEqual({ deleted: 1, filesAdded: PLACES.length });
    this.rows.splice(
      this.rows.findIndex(({ id }) => id === 9n),
      1,
    );
  }

  async retry(): Promise<void> {
    const receipt = await this.cli(['dead-letters', 'retry', this.name]);
    expect(receipt.totals).toMatchObject({ rows: this.letters.length });
    this.rows.push(...this.letters.splice(0));
  }

  /** Into one file a table partition; `more` of them are there a second time, in another spelling. */
  async compact(more: number): Promise<void> {
    const { filesAfter } = await this.cli(['compact', this.name, '--target-files', '1']);
    expect(filesAfter).toBe(PLACES.length + more);
  }

  /**
   * Everything goes that no reader of the newest version needs: files, and versions below the last log
   * checkpoint. `verify` and `trace` go on.
   */
  async vacuum(): Promise<void> {
    const { table } = await this.cli(['vacuum', this.name, '--older-than', '0', '--force']);
    expect(table.filesDeleted).toBeGreaterThan(0);
    expect(table.log.versionsFolded).toBeGreaterThan(0);
    const proven = await this.cli(['verify', this.name, '--kafka-records']);
    expect(proven).toMatchObject({
      ...{ outcome: 'agrees', ledger: { firstVersion: 0 } },
      kafka: { records: { comparedOffsets: this.offset } },
    });
    const first = await this.cli(['trace', this.name, '--offset', `${this.topic}/0/0`]);
    expect(first.occurrences).toMatchObject([{ outcome: { kind: 'row' }, origin: { tableVersion: 0 } }]);
  }

  /** A copy of the dead-letter table as it is now, to be read as any other. */
  async keepLetters(): Promise<void> {
    const location = join(this.folder, 'stages', 'letters');
    await cp(deadLettersLocation(this.location), location, { recursive: true, preserveTimestamps: true });
    this.stages.push({ name: 'letters', location, schema: DEAD_LETTER_SCHEMA });
  }

  /** A copy of the table as it is now. */
  async keep(name: string, rows: readonly Row[] = this.rows): Promise<void> {
    const location = join(this.folder, 'stages', name);
    await cp(this.location, location, { recursive: true, preserveTimestamps: true });
    const { schema } = this;
    const conformed = rows.map((row) => conform({ kind: 'struct', fields: schema.fields }, row) as Row);
    this.stages.push({ name, location, schema, rows: conformed });
  }

  async cli(args: readonly string[]) {
    const { exitCode, stdout, stderr } = await tidemark([...args, '-o', 'json'], this.env);
    expect(exitCode, `${args.join(' ')}: ${stderr}`).toBe(0);
    return JSON.parse(stdout);
  }
}

function day(seen: Value | undefined): number | null {
  return seen == null ? null : Number(floorDivide(seen as bigint, DAY_MICROS));
}

function hour(at: Value | undefined): bigint | null {
  return at == null ? null : floorDivide(at as bigint, HOUR_MICROS) * HOUR_MICROS;
}

/** What JSON has no number for is null. */
function finite<T extends Value>(value: T): T {
  if (typeof value === 'number') return (Number.isFinite(value) ? value : null) as T;
  if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map(finite) as T;
  if (value instanceof Map)
    return new Map([...(value as Map<string, Value>)].map(([key, item]) => [key, finite(item)])) as T;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, finite(item)])) as T;
}
