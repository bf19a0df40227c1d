/**
 * Goal: pyarrow, Polars and delta-rs read our files as they were meant, and trust statistics that deserve it.
 * Method: random tables and a large one, each alone and in a Delta table, read by one Python process.
 * Where there is no such Python this is skipped; hyparquet and DuckDB read the same in `file-writer.test.ts`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Compression } from '../../src/pipeline/specification.ts';
import { type DataType, parseDdl, type Schema } from '../../src/records/ddl.ts';
import { toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { type Row, tables, type Value, writeRows } from './rows.ts';

const PYTHON = process.env.TIDEMARK_PYTHON ?? join(homedir(), '.cache/tidemark-py/bin/python');
const COMPRESSIONS: readonly Compression[] = ['zstd', 'snappy', 'gzip', 'none'];

test.skipIf(!existsSync(PYTHON))(
  'pyarrow, Polars and delta-rs read what was written',
  async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-python-'));
    try {
      const cases = fc.sample(tables, { numRuns: 24, seed });
      cases.push(largeTable());
      for (const [i, { schema, rows }] of cases.entries()) {
        const compression = COMPRESSIONS[i % 4] ?? 'zstd';
        await writeCase(join(folder, String(i).padStart(3, '0')), schema, rows, compression);
      }
      const script = join(import.meta.dirname, 'read_files.py');
      const { stdout, stderr, status } = spawnSync(PYTHON, [script, folder], {
        encoding: 'utf8',
        timeout: 120_000,
      });
      expect(stdout, `seed ${seed}\n${stderr}`).toBe('');
      expect(status, stderr).toBe(0);
      expect(stderr).toContain(`${cases.length} cases read`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  150_000,
);

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

/** JSON as Python reads it: all digits, -0.0, NaN and Infinity; and a double is none of its integers. */
function pythonJson(type: DataType, value: Value): string {
  if (value === null) return 'null';
  if (type.kind === 'array')
    return `[${(value as Value[]).map((item) => pythonJson(type.element, item)).join(',')}]`;
  if (type.kind === 'struct') {
    const members = type.fields.map((field) => {
      return `${JSON.stringify(field.name)}:${pythonJson(field.type, (value as Row)[field.name] as Value)}`;
    });
    return `{${members.join(',')}}`;
  }
  if (type.name === 'double') return Object.is(value, -0) ? '-0.0' : String(value).replace(/^-?\d+$/, '$&.0');
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
}
