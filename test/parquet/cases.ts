/**
 * Random tables and a large one on disk, for readers in other languages: each a folder with `file.parquet`,
 * the rows that were meant in `rows.json`, and a Delta log around them. `node test/parquet/cases.ts FOLDER
 * SEED COUNT` writes them.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Compression } from '../../src/parquet/compression.ts';
import { type DataType, parseDdl, type Schema } from '../../src/records/ddl.ts';
import { toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { type Row, tables, type Value, writeRows } from './rows.ts';

const COMPRESSIONS: readonly Compression[] = ['zstd', 'snappy', 'gzip', 'none'];

/** Writes `count` random cases and the large one. */
export async function writeCases(folder: string, seed: number, count: number): Promise<void> {
  const cases = [...fc.sample(tables, { numRuns: count, seed }), largeTable()];
  for (const [i, { schema, rows }] of cases.entries()) {
    const compression = COMPRESSIONS[i % 4] ?? 'zstd';
    await writeCase(join(folder, String(i).padStart(3, '0')), schema, rows, compression);
  }
}

/** Repeated and unlike values over several pages and row groups. */
function largeTable(): { schema: Schema; rows: Row[] } {
  const rows = Array.from({ length: 30_000 }, (_, i) => ({
    site: i % 9 === 0 ? null : `site ${i % 30}`,
    note: `${i} ${'x'.repeat(i % 120)}`,
    tags: i % 5 === 0 ? null : Array.from({ length: i % 4 }, (_, t) => `tag ${t}`),
  }));
  return { schema: parseDdl('site STRING, note STRING, tags ARRAY<STRING>'), rows };
}

async function writeCase(
  folder: string,
  schema: Schema,
  rows: Row[],
  compression: Compression,
): Promise<void> {
  mkdirSync(join(folder, '_delta_log'), { recursive: true });
  const { bytes, stats } = await writeRows(
    schema,
    rows,
    compression,
    Math.max(1, Math.ceil(rows.length / 3)),
  );
  writeFileSync(join(folder, 'file.parquet'), bytes);
  writeFileSync(
    join(folder, 'rows.json'),
    pythonJson(
      { kind: 'array', element: { kind: 'struct', fields: schema.fields }, containsNull: false },
      rows,
    ),
  );
  const add = {
    path: 'file.parquet',
    partitionValues: {},
    size: bytes.length,
    modificationTime: 1,
    dataChange: true,
    stats,
  };
  const metaData = {
    id: '6f1e4d3c-0000-4000-8000-000000000000',
    format: { provider: 'parquet', options: {} },
    schemaString: toDeltaSchemaString(schema),
    partitionColumns: [],
    configuration: {},
    createdTime: 1,
  };
  const actions = [{ protocol: { minReaderVersion: 1, minWriterVersion: 2 } }, { metaData }, { add }];
  const log = actions.map((action) => `${JSON.stringify(action)}\n`).join('');
  writeFileSync(join(folder, '_delta_log/00000000000000000000.json'), log);
}

/**
 * JSON as Python reads it: all digits, -0.0, NaN and Infinity; and a double is none of its integers. Decimals
 * are their digits as text, binary is hexadecimal, a map is a list of its entries.
 */
export function pythonJson(type: DataType, value: Value): string {
  if (value === null) return 'null';
  if (type.kind === 'array')
    return `[${(value as Value[]).map((item) => pythonJson(type.element, item)).join(',')}]`;
  if (type.kind === 'struct') {
    const members = type.fields.map((field) => {
      return `${JSON.stringify(field.name)}:${pythonJson(field.type, (value as Row)[field.name] as Value)}`;
    });
    return `{${members.join(',')}}`;
  }
  if (type.kind === 'map') {
    const entries = [...(value as Map<string, Value>)].map(
      ([key, item]) => `[${JSON.stringify(key)},${pythonJson(type.value, item)}]`,
    );
    return `[${entries.join(',')}]`;
  }
  if (type.kind === 'decimal') return JSON.stringify(decimalText(value as bigint, type.scale));
  if (type.name === 'binary') return JSON.stringify((value as Buffer).toString('hex'));
  if (type.name === 'double' || type.name === 'float')
    return Object.is(value, -0) ? '-0.0' : String(value).replace(/^-?\d+$/, '$&.0');
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
}

export function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled)
    .replace('-', '')
    .padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`.replace(/\.$/, '');
}

if (import.meta.main) {
  const [folder, seed, count] = process.argv.slice(2);
  if (folder === undefined) throw new Error('usage: cases.ts FOLDER SEED COUNT');
  await writeCases(folder, Number(seed), Number(count));
}
