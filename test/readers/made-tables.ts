/**
 * Tables of hand-made and of random rows, committed by our log, in files of either of our writers: ours and
 * DuckDB's.
 */

import fc from 'fast-check';
import { BATCH } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import type { DataFile } from '../../src/commits/data-files.ts';
import { DeltaLog } from '../../src/delta/log.ts';
import { rewriteBins } from '../../src/duckdb/rewrite-bins.ts';
import { parseDdl, type Schema } from '../../src/records/ddl.ts';
import { partitionFolder } from '../../src/records/table-partitioner.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { makeBatch, range } from '../commits/batches.ts';
import { type Row, rowOf, writeRows } from '../parquet/rows.ts';

/** A table and the rows that it was made of. */
export interface MadeTable {
  readonly location: string;
  readonly schema: Schema;
  readonly rows: readonly Row[];
}

const LEAVES =
  's STRING, b BINARY, l BIGINT, i INT, h SMALLINT, y TINYINT, d DOUBLE, f FLOAT, t BOOLEAN, day DATE, at TIMESTAMP, ' +
  'd5 DECIMAL(5,2), d18 DECIMAL(18,0), d20 DECIMAL(20,10), d38 DECIMAL(38,38)';
const STRUCT = `STRUCT<${LEAVES.replaceAll(/(^|, )(\w+) /g, '$1$2: ')}>`;
const FILE_SCHEMA = parseDdl(
  `${LEAVES}, id BIGINT NOT NULL, struct ${STRUCT}, list ARRAY<${STRUCT}>, map MAP<STRING, ${STRUCT}>, ` +
    'lists ARRAY<ARRAY<DECIMAL(20,2)>>, maps ARRAY<MAP<STRING, MAP<STRING, FLOAT>>>, binaries MAP<STRING, ARRAY<BINARY>>, ' +
    'deep STRUCT<a: STRUCT<b: STRUCT<s: STRING, at: TIMESTAMP, l: ARRAY<BIGINT>>>>',
);
const PARTITION_SCHEMA = parseDdl(
  'ps STRING, pi INT, ph SMALLINT, py TINYINT, pl BIGINT, pt BOOLEAN, pd DATE, pa TIMESTAMP, pdec DECIMAL(20,2)',
);
/** Of every partition column a value, as the log has it and as it is, or null. */
const PARTITION_VALUES: readonly (readonly [text: string, value: Row[string]])[] = [
  ['x y', 'x y'],
  ['-7', -7],
  ['-32768', -32768],
  ['127', 127],
  ['9007199254740993', 9007199254740993n],
  ['true', true],
  ['2026-11-22', Date.UTC(2026, 10, 22) / 86_400_000],
  ['2026-11-22 10:00:00', BigInt(Date.UTC(2026, 10, 22, 10)) * 1000n],
  ['123456789012345678.50', 12345678901234567850n],
];

/** Of every type in every nesting, under partition values of every type. */
export async function randomTable(location: string, count: number, seed: number): Promise<MadeTable> {
  const rows = fc
    .sample(rowOf(FILE_SCHEMA.fields), { numRuns: count, seed })
    .map((row, i) => ({ ...row, id: BigInt(i) }));
  const half = Math.ceil(rows.length / 2);
  const partitions = [PARTITION_VALUES, PARTITION_VALUES.map(() => [null, null] as const)];
  const groups = partitions.flatMap((partition, p) =>
    inHalves(rows.slice(p * half, (p + 1) * half)).map((rows, writer) => ({
      ...{ rows, partition, writer: writer === 0 ? ('ours' as const) : ('duckdb' as const) },
      perGroup: 7,
    })),
  );
  return await commitTable(location, PARTITION_SCHEMA, groups);
}

/** Few rows a file, so that each file's statistics say something of its own. */
export async function borderTable(location: string): Promise<MadeTable> {
  let id = 0n;
  const groups = BORDERS.flatMap((some) =>
    (['ours', 'duckdb'] as const).map((writer) => ({
      ...{ writer, partition: [], perGroup: 3 },
      rows: some.map((leaves) => borderRow(id++, leaves)),
    })),
  );
  return await commitTable(location, { fields: [] }, groups);
}

const YEAR_1_MICROS = -62_135_596_800_000_000n;
const YEAR_10000_MICROS = 253_402_300_800_000_000n;
const digits = (count: number) => 10n ** BigInt(count) - 1n;
const LAST = '\u{10FFFF}';
const [a31, a32, a63, a64] = [31, 32, 63, 64].map((count) => 'a'.repeat(count)) as [
  string,
  string,
  string,
  string,
];

/** The leaves of the rows of one file each; what is not named is null. */
const BORDERS: readonly (readonly Row[])[] = [
  [
    {
      ...{ s: '', b: Buffer.alloc(0), l: -(2n ** 63n), i: -(2 ** 31), h: -(2 ** 15), y: -128, t: false },
      ...{ d: -Number.MAX_VALUE, f: -(2 - 2 ** -23) * 2 ** 127, day: -719_162, at: YEAR_1_MICROS },
      ...{ d5: -digits(5), d18: -digits(18), d20: -digits(20), d38: -digits(38) },
    },
  ],
  [
    {
      ...{ s: LAST.repeat(40), b: Buffer.alloc(40, 0xff), l: 2n ** 63n - 1n, i: 2 ** 31 - 1, h: 2 ** 15 - 1 },
      ...{ y: 127, t: true, d: Number.MAX_VALUE, f: (2 - 2 ** -23) * 2 ** 127, day: 2_932_896 },
      ...{ at: YEAR_10000_MICROS - 1n, d5: digits(5), d18: digits(18), d20: digits(20), d38: digits(38) },
    },
  ],
  ...[-1, 0, 1].map((n) => [leavesNear(n)]),
  [-1, 0, 1].map(leavesNear),
  [{ d: -0, f: -0 }],
  [{ d: -0, f: -0 }, { d: 0, f: 0 }, leavesNear(1)],
  [{ d: Number.NaN, f: Number.NaN, s: 'NaN only', l: 5n }],
  [{ d: Number.NaN, f: 1 }, { d: 2, f: Number.NaN }, leavesNear(2)],
  [{ d: Infinity, f: -Infinity }, leavesNear(3), { d: -Infinity, f: Infinity }],
  [{}, {}],
  [{ at: -1_500_001n }, { at: -1_499_999n }, { at: 1_700_000_000_123_456n }, { at: -999n }, { at: 999n }],
  [{ s: a31 }, { s: a32 }, { s: `${a32}b` }, { s: `${a32}B` }],
  [{ s: `${a31}\uD7FFtail` }, { s: `${a31}\uD7FF` }],
  [{ s: `${a31}😀${a31}` }, { s: `${a31}\uFFFD${a31}` }],
  [{ s: `${a31}${LAST}${LAST}` }, { s: `${a32}b` }],
  [{ s: `${a63}${LAST}x` }, { s: `${a64}${LAST}` }, { s: `${a64}a` }],
  [{ s: '\uFFFDz' }, { s: '😀' }, { s: '\uE000' }, { s: 'z' }],
  [{ s: '"' }, { s: "'" }, { s: '\\' }, { s: '\n' }, { s: '\u2028' }, { s: '%_' }, { s: '\u007f' }],
  [{ s: '\u0000' }, { s: 'a\u0000b' }, { s: ' ' }, { s: 'e\u0301' }, { s: 'é' }],
];

function leavesNear(n: number): Row {
  const big = BigInt(n);
  return {
    ...{ s: `near ${n}`, b: Buffer.from([n & 0xff]), l: big, i: n, h: n, y: n, t: n > 0, day: n, at: big },
    ...{ d: n * 5e-324, f: n * 2 ** -149, d5: big, d18: big, d20: big, d38: big },
  };
}

const LEAF_NAMES = parseDdl(LEAVES).fields.map(({ name }) => name);

/** The leaves also in a struct, a list and a map, beside empty and absent ones. */
function borderRow(id: bigint, some: Row): Row {
  const leaves = Object.fromEntries(LEAF_NAMES.map((name) => [name, some[name] ?? null]));
  const isEmpty = Object.keys(some).length === 0;
  return {
    ...{ ...leaves, id, struct: isEmpty ? null : leaves },
    list: isEmpty ? [] : [leaves, null],
    map: isEmpty ? new Map() : new Map([['', leaves]]),
    ...{ lists: isEmpty ? [[]] : [[1n, null], null], maps: isEmpty ? [] : [new Map([['k', new Map()]])] },
    binaries: isEmpty ? null : new Map([['b', [leaves.b ?? null]]]),
    deep: isEmpty
      ? { a: null }
      : { a: { b: { s: leaves.s ?? null, at: leaves.at ?? null, l: [leaves.l ?? null] } } },
  };
}

interface Group {
  readonly writer: 'ours' | 'duckdb';
  readonly rows: readonly Row[];
  readonly partition: readonly (readonly [text: string | null, value: Row[string]])[];
  readonly perGroup: number;
}

/** One file a group, all in one version. */
async function commitTable(
  location: string,
  partitionBy: Schema,
  groups: readonly Group[],
): Promise<MadeTable> {
  const store = new LocalStore(location);
  const names = partitionBy.fields.map(({ name }) => name);
  const files: DataFile[] = [];
  for (const [i, { writer, rows, partition, perGroup }] of groups.entries()) {
    const values = Object.fromEntries(names.map((name, at) => [name, partition[at]?.[0] ?? null]));
    const folder = partitionFolder(values);
    const path = `${folder === '' ? '' : `${folder}/`}${i}-${writer}.parquet`;
    const file =
      writer === 'ours'
        ? await writeOurs(store, path, rows, perGroup)
        : await rewrite(store, path, rows, perGroup);
    files.push({ ...file, partitionValues: values });
  }
  const schema = { fields: [...FILE_SCHEMA.fields, ...partitionBy.fields] };
  const rows = groups.flatMap(({ rows, partition }) => {
    const values = Object.fromEntries(names.map((name, at) => [name, partition[at]?.[1] ?? null]));
    return rows.map((row): Row => ({ ...row, ...values }));
  });
  const outcome = await commit(
    new DeltaLog(store, { now: Date.now }),
    BATCH,
    makeBatch({
      ...{ schema, partitionColumns: names, partitions: [range(0, undefined, BigInt(rows.length))], files },
    }),
  );
  if (outcome.kind !== 'committed') throw new Error(outcome.kind);
  return { location, schema, rows };
}

async function writeOurs(
  store: LocalStore,
  path: string,
  rows: readonly Row[],
  perGroup: number,
): Promise<DataFile> {
  const { bytes, stats } = await writeRows(FILE_SCHEMA, rows, 'zstd', perGroup);
  const writer = await store.create(path);
  await writer.write(bytes);
  const { sizeBytes } = await writer.finish();
  return { path, sizeBytes, rowCount: rows.length, partitionValues: {}, stats };
}

/** As a compaction does, of a file that no version names. */
async function rewrite(
  store: LocalStore,
  output: string,
  rows: readonly Row[],
  perGroup: number,
): Promise<DataFile> {
  const input = `${output}.input`;
  await writeOurs(store, input, rows, perGroup);
  const bin = { inputs: [input], output, schema: FILE_SCHEMA, compression: 'zstd' } as const;
  const [file] = await rewriteBins(store, [bin], () => undefined, new AbortController().signal);
  if (file === undefined) throw new Error(`${output} was not written`);
  return { ...file, partitionValues: {} };
}

function inHalves<T>(some: readonly T[]): T[][] {
  const middle = Math.ceil(some.length / 2);
  return [some.slice(0, middle), some.slice(middle)];
}
