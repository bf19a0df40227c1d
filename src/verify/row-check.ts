import { type Add, parseStats } from '../delta/actions.ts';
import { readParquet } from '../duckdb/table-sql.ts';
import { Failure } from '../errors.ts';
import type { Schema } from '../records/ddl.ts';
import { type LocalCopies, localCopies } from '../storage/local-copies.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { Coverage, type Suspicion } from './coverage.ts';
import type { Finder, Place } from './disagreements.ts';
import type { FileToCheck } from './file-check.ts';
import type { CommittedRange, CommittedRetry } from './offset-walk.ts';
import { type FileStatistics, isOutOfMemory, RowStatistics, type ScanLimits } from './row-statistics.ts';
import { type Scan, ScanError } from './scan.ts';
import { collectWords, fileColumnName, type KafkaNames, repeatedOffsets, rowsOf, WORDS } from './scan-sql.ts';
import { statisticsProblems } from './statistics-check.ts';

export interface RowChecks {
  readonly scan: Scan;
  /** Those of `scan`. */
  readonly limits: ScanLimits;
  /** Another process with other limits; its provider closes it. */
  readonly scanWith: (limits: ScanLimits) => Promise<Scan>;
  readonly store: ObjectStore;
  /** The whole table's. */
  readonly schema: Schema;
  readonly partitionColumns: readonly string[];
  readonly found: Finder;
  /** Which table, for places. */
  readonly place: Place;
  /** Undefined where rows do not say which offsets they are. */
  readonly names: KafkaNames | undefined;
  readonly ranges: readonly CommittedRange[];
  readonly retries: readonly CommittedRetry[];
  readonly onFiles: (files: number) => void;
}

export interface SeenRows {
  readonly rows: number;
  /** Rows with a topic, a partition and an offset. */
  readonly located: number;
  /** Undefined where rows do not say which offsets they are. */
  readonly coverage: Coverage | undefined;
  /** Whether every file could be read. */
  readonly isWhole: boolean;
  /** Of binary columns together. */
  readonly binaryBytes: number;
}

/** DuckDB holds the footers of all files of a query. */
const FILES_PER_QUERY = 10;
/** Of a table whose rows are there twice, the first show what has happened. */
const SUSPICIONS_MAX = 100;

/**
 * Reads every row once: the statistics of each file are true, and each offset is there as often as it may be.
 */
export async function checkRows(files: readonly FileToCheck[], checks: RowChecks): Promise<SeenRows> {
  const fileSchema = {
    fields: checks.schema.fields.filter(({ name }) => !checks.partitionColumns.includes(name)),
  };
  const reading = new Reading(checks, fileSchema);
  for (let at = 0; at < files.length; at += FILES_PER_QUERY) {
    const slice = files.slice(at, at + FILES_PER_QUERY);
    await reading.read(slice);
    checks.onFiles(slice.length);
  }
  const { names, ranges, retries } = checks;
  const coverage = names && new Coverage(ranges, retries);
  const located = coverage === undefined ? 0 : await fill(coverage, checks.scan, reading.topics);
  if (coverage !== undefined && names !== undefined)
    await lookCloser(coverage, names, files, checks, fileSchema);
  const { rows, isWhole, binaryBytes } = reading;
  return { rows, located, coverage, isWhole, binaryBytes };
}

/** Reads files slice by slice; where a slice fails, file by file, to find the one that cannot be read. */
class Reading {
  rows = 0;
  binaryBytes = 0;
  isWhole = true;
  readonly topics: readonly string[];
  private readonly checks: RowChecks;
  private readonly schema: Schema;
  private readonly statistics: RowStatistics;
  private readonly fileColumn: string;

  constructor(checks: RowChecks, schema: Schema) {
    this.checks = checks;
    this.schema = schema;
    this.fileColumn = fileColumnName(schema);
    this.statistics = new RowStatistics(schema, this.fileColumn, checks.limits, checks.scanWith);
    this.topics = [...new Set(checks.ranges.map(({ topic }) => topic))];
  }

  async read(files: readonly FileToCheck[]): Promise<void> {
    try {
      await this.readTogether(files);
    } catch (error) {
      if (!(error instanceof ScanError)) throw error;
      if (isOutOfMemory(error) || /no space left|max_temp_directory_size/i.test(error.message))
        throw noRoom(error);
      const [only, ...others] = files;
      if (only !== undefined && others.length === 0) {
        this.isWhole = false;
        this.checks.found.add('unreadable', { ...only.place, file: only.path }, firstLine(error.message));
      } else for (const file of files) await this.read([file]);
    }
  }

  private async readTogether(files: readonly FileToCheck[]): Promise<void> {
    const { scan, store, names } = this.checks;
    await using copies = await copiesOf(store, files);
    const byCopy = new Map(files.map((file) => [copies.fileOf(file.path), file]));
    const paths = [...byCopy.keys()];
    const stored = await scan.storedColumns(`FROM ${readParquet(paths)}`);
    const seen = await this.statistics.of(paths, stored);
    if (names !== undefined) {
      const rows = rowsOf(paths, this.schema, this.fileColumn, stored);
      await scan.run(collectWords(rows, this.topics, names));
    }
    for (const [copy, statistics] of seen) {
      const file = byCopy.get(copy);
      if (file !== undefined) this.compare(file, statistics);
    }
  }

  private compare(
    { path, add, place }: FileToCheck,
    { rowCount, leaves, binaryBytes }: FileStatistics,
  ): void {
    this.rows += rowCount;
    this.binaryBytes += binaryBytes;
    const problems = statisticsProblems(add.stats, this.statistics.leaves, rowCount, (leaf) =>
      leaves.get(leaf),
    );
    for (const { column, problem } of problems)
      this.checks.found.add('statistics', { ...place, file: path, column }, problem);
  }
}

function noRoom(error: ScanError): Failure {
  return new Failure(
    'VERIFY_FAILED',
    `DuckDB has no room for the offsets of the table's rows: ${firstLine(error.message)}`,
    'Nothing was changed. Set TMPDIR to a larger disk, or check without the rows: --quick.',
  );
}

async function copiesOf(store: ObjectStore, files: readonly FileToCheck[]): Promise<LocalCopies> {
  return await localCopies(
    store,
    files.map(({ path }) => path),
  );
}

async function sourceOf(
  files: readonly string[],
  schema: Schema,
  fileColumn: string,
  scan: Scan,
): Promise<string> {
  return rowsOf(files, schema, fileColumn, await scan.storedColumns(`FROM ${readParquet(files)}`));
}

/** @returns how many rows have an offset */
async function fill(coverage: Coverage, scan: Scan, topics: readonly string[]): Promise<number> {
  let located = 0;
  for await (const [topic, partition, word, bits, count] of scan.rows(WORDS)) {
    located += Number(count);
    coverage.take({
      topic: topics[Number(topic)] ?? '',
      kafkaPartition: Number(partition),
      word: BigInt(word as bigint),
      bits: BigInt(bits as bigint),
      count: Number(count),
    });
  }
  return located;
}

async function lookCloser(
  coverage: Coverage,
  names: KafkaNames,
  files: readonly FileToCheck[],
  checks: RowChecks,
  schema: Schema,
): Promise<void> {
  const { scan, store } = checks;
  const fileColumn = fileColumnName(schema);
  for (const suspicion of coverage.suspicions.slice(0, SUSPICIONS_MAX)) {
    const candidates = files.filter(({ add }) => mayHold(add, suspicion, offsetColumn(names)));
    await using copies = await copiesOf(store, candidates);
    const paths = new Map(candidates.map(({ path }) => [copies.fileOf(path), path]));
    const rows = await sourceOf([...paths.keys()], schema, fileColumn, scan);
    const repeated = scan.rows(repeatedOffsets(rows, suspicion, suspicion.moreThan, names, fileColumn));
    const runs = new Runs(suspicion, checks);
    for await (const [offset, count, first, last] of repeated) {
      if (coverage.takeRepeated(suspicion, BigInt(offset as bigint), Number(count)))
        runs.add(
          BigInt(offset as bigint),
          Number(count),
          paths.get(String(first)) ?? '',
          paths.get(String(last)) ?? '',
        );
    }
    runs.end();
  }
}

/**
 * Whether a file may have one of these offsets, by its statistics; they were compared with the rows before.
 */
function mayHold({ stats }: Add, { from, until }: Suspicion, column: string): boolean {
  const { minValues, maxValues } = parseStats(stats) ?? {};
  const [least, greatest] = [minValues?.[column], maxValues?.[column]];
  const isNumber = (value: unknown): value is number | bigint =>
    typeof value === 'number' || typeof value === 'bigint';
  return !(isNumber(least) && least >= until) && !(isNumber(greatest) && greatest < from);
}

function offsetColumn({ offset }: KafkaNames): string {
  return offset.replaceAll('"', '');
}

/** Joins neighbouring offsets that are repeated in the same files into one disagreement. */
class Runs {
  private run: { from: bigint; until: bigint; count: number; first: string; last: string } | undefined;
  private readonly suspicion: Suspicion;
  private readonly checks: RowChecks;

  constructor(suspicion: Suspicion, checks: RowChecks) {
    this.suspicion = suspicion;
    this.checks = checks;
  }

  add(offset: bigint, count: number, first: string, last: string): void {
    const { run } = this;
    if (run?.until === offset && run.count === count && run.first === first && run.last === last)
      run.until = offset + 1n;
    else {
      this.end();
      this.run = { from: offset, until: offset + 1n, count, first, last };
    }
  }

  end(): void {
    if (this.run === undefined) return;
    const { from, until, count, first, last } = this.run;
    const { kafkaPartition } = this.suspicion;
    // Of dead letters with their epoch behind it; "/" cannot occur in a topic name.
    const [topic = ''] = this.suspicion.topic.split('/');
    const where = first === last ? `all in ${first}` : `among them in ${first} and ${last}`;
    const place = {
      ...this.checks.place,
      topic,
      kafkaPartition,
      startingOffset: String(from),
      endingOffset: String(until),
      file: last,
    };
    this.checks.found.add(
      'duplicateRows',
      place,
      `${until - from} offsets are there ${count} times each, ${where}`,
    );
    this.run = undefined;
  }
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text;
}
