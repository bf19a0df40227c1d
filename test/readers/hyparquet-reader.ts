/**
 * hyparquet over the live files, as a program that uses it would: default options, but for times, whose
 * microseconds its defaults cut off, and for texts, of which they drop a U+FEFF at the beginning. Its rows
 * are compared here, with what its types can hold: decimals are doubles, maps objects, binary text.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type ParquetQueryFilter,
  parquetReadObjects,
} from 'hyparquet';
import packageJson from '../../package.json' with { type: 'json' };
import { DECOMPRESSORS } from '../../src/parquet/compression.ts';
import type { Field } from '../../src/records/ddl.ts';
import { asHyparquet, roundDecimals } from '../parquet/hyparquet-values.ts';
import { conform, type Row, type Value } from '../parquet/rows.ts';
import type { MadeTable } from './made-tables.ts';
import type { Cell } from './matrix.ts';

interface LiveFile {
  readonly path: string;
  readonly partitionValues: Readonly<Record<string, string | null>>;
}

type Operator = '$eq' | '$lt' | '$lte' | '$gt' | '$gte';
const COMPARED: Readonly<Record<Operator, (a: Value, b: Value) => boolean>> = {
  $eq: (a, b) => a === b,
  $lt: (a, b) => a !== null && b !== null && a < b,
  $lte: (a, b) => a !== null && b !== null && a <= b,
  $gt: (a, b) => a !== null && b !== null && a > b,
  $gte: (a, b) => a !== null && b !== null && a >= b,
};
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const PARSERS = {
  stringFromBytes: (bytes: Uint8Array | undefined) => bytes && decoder.decode(bytes),
  timestampFromMicroseconds: (micros: bigint) => micros,
  timestampFromMilliseconds: (millis: bigint) => millis * 1000n,
  timestampFromNanoseconds: (nanos: bigint) => nanos / 1000n,
  dateFromDays: (days: number) => days,
};

/** @param limit filters to take, evenly of all */
export async function readByHyparquet(
  table: MadeTable & { readonly name: string },
  files: readonly LiveFile[],
  limit: number,
): Promise<Cell> {
  const started = Date.now();
  const partitionColumns = new Set(Object.keys(files[0]?.partitionValues ?? {}));
  const fields = table.schema.fields.filter(({ name }) => !partitionColumns.has(name));
  const type = { kind: 'struct', fields } as const;
  const found: Value[] = [];
  const filters: Filter[] = [];
  const hidden: string[] = [];
  try {
    for (const { path } of files) {
      const file = await asyncBufferFromFile(path);
      const rows = (await read(file)) as Row[];
      for (const row of rows) found.push(conform(type, roundDecimals(type, row)));
      filters.push(...filtersOf(file, fields, rows));
    }
    const step = Math.max(1, Math.ceil(filters.length / limit));
    for (const { file, name, operator, value, meant } of filters.filter((_, i) => i % step === 0)) {
      const skipped = (await read(file, { [name]: { [operator]: value } })).length;
      if (skipped !== meant) hidden.push(`${name} ${operator} ${value}: ${skipped} of ${meant}`);
    }
  } catch (error) {
    return { table: table.name, reader: 'hyparquet', failure: String(error) };
  }
  const meant = table.rows.map((row) => asHyparquet(type, row));
  return {
    ...{ table: table.name, reader: 'hyparquet', version: packageJson.dependencies.hyparquet },
    ...{
      count: found.length,
      filters: Math.min(limit, filters.length),
      hidden,
      differing: unlike(found, meant),
    },
    seconds: (Date.now() - started) / 1000,
  };
}

interface Filter {
  readonly file: AsyncBuffer;
  readonly name: string;
  readonly operator: Operator;
  readonly value: Value;
  /** Rows of the file that it has to find. */
  readonly meant: number;
}

/** At every value of the file's columns that it can compare. */
function filtersOf(file: AsyncBuffer, fields: readonly Field[], rows: readonly Row[]): Filter[] {
  return fields.flatMap(({ name, type }) => {
    if (type.kind !== 'primitive' || type.name === 'binary' || !rows.some((row) => name in row)) return [];
    const values = rows.map((row) => row[name] ?? null);
    const distinct = [...new Set(values.filter((value) => value !== null))];
    return distinct.flatMap((value) =>
      (Object.keys(COMPARED) as Operator[]).map((operator) => {
        const meant = values.filter((one) => COMPARED[operator](one, value)).length;
        return { file, name, operator, value, meant };
      }),
    );
  });
}

async function read(file: AsyncBuffer, filter?: ParquetQueryFilter): Promise<unknown[]> {
  const options = { file, compressors: DECOMPRESSORS, parsers: PARSERS };
  return await parquetReadObjects(filter === undefined ? options : { ...options, filter });
}

/** Rows that only one side has, whatever their order. */
function unlike(found: readonly Value[], meant: readonly Value[]): string[] {
  const byId = (rows: readonly Value[]) => new Map(rows.map((row) => [String((row as Row).id), row as Row]));
  const [theirs, ours] = [byId(found), byId(meant)];
  return [...ours].flatMap(([id, row]) =>
    isDeepStrictEqual(theirs.get(id), row)
      ? []
      : [`row ${id}: ${shown(theirs.get(id))}, meant ${shown(row)}`],
  );
}

function shown(row: Row | undefined): string {
  return JSON.stringify(row, (_, value) => (typeof value === 'bigint' ? String(value) : value)).slice(0, 300);
}
