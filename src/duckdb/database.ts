import {
  type DuckDBConnection,
  DuckDBInstance,
  DuckDBListType,
  DuckDBMapType,
  type DuckDBResult,
  DuckDBStructType,
  DuckDBTimestampTZValue,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBValueConverter,
  type Json,
  JsonDuckDBValueConverter,
  StatementType,
} from '@duckdb/node-api';
import { textDecoder } from '@duckdb/node-api/lib/vectors/dataAccessors.js';
import { globLiteral, quoteString, type StoredColumns, type StoredType } from './table-sql.ts';

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
/**
 * As it is, it drops a U+FEFF that a text begins with: of a bound too, for which readers would skip files
 * with rows.
 */
textDecoder.decode = (bytes: Uint8Array) => decoder.decode(bytes);

export interface DatabaseSettings {
  readonly memoryLimitBytes: number;
  readonly threads: number;
  /** Where DuckDB spills to; the folder exists. */
  readonly spillFolder?: string;
  /** The only files that SQL may open. */
  readonly readableFiles?: readonly string[];
  /** With all files below them: for SQL of ours, over files that are not known when it begins. */
  readonly readableFolders?: readonly string[];
  /** Whether what was read of footers stays in memory. @default true */
  readonly keepMetadata?: boolean;
  /** The only folder that SQL may write into. */
  readonly writableFolder?: string;
}

/** 64-bit and larger integers are `bigint`; dates, timestamps, decimals and what JSON lacks are text. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Value[]
  | { readonly [name: string]: Value };

export interface Rows {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Fetched while they are iterated, once. Ends by throwing where the query fails on its way. */
  readonly rows: AsyncIterable<readonly Value[]>;
}

/** A DuckDB type, taken apart. `text` is how SQL writes it. */
export type SqlType =
  | { readonly kind: 'plain'; readonly text: string }
  | { readonly kind: 'decimal'; readonly text: string; readonly precision: number; readonly scale: number }
  | { readonly kind: 'list'; readonly text: string; readonly element: SqlType }
  | { readonly kind: 'map'; readonly text: string; readonly key: SqlType; readonly value: SqlType }
  | {
      readonly kind: 'struct';
      readonly text: string;
      readonly fields: readonly { readonly name: string; readonly type: SqlType }[];
    };

/**
 * An in-memory DuckDB that can reach the named files and nothing else: no network, no extensions, no
 * settings.
 */
export class Database {
  private readonly instance: DuckDBInstance;
  private readonly connection: DuckDBConnection;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.instance = instance;
    this.connection = connection;
  }

  static async open(settings: DatabaseSettings): Promise<Database> {
    const { memoryLimitBytes, threads, spillFolder } = settings;
    const instance = await DuckDBInstance.create(':memory:', {
      memory_limit: `${memoryLimitBytes}B`,
      threads: String(threads),
      temp_directory: spillFolder ?? '',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
      allow_persistent_secrets: 'false',
    });
    const connection = await instance.connect();
    for (const sql of confinement(settings)) await connection.run(sql);
    return new Database(instance, connection);
  }

  /**
   * A second connection to the same database, so that queries run at the same time. Its time zone is the
   * process's.
   */
  async beside(): Promise<Database> {
    return new Database(this.instance, await this.instance.connect());
  }

  async run(sql: string): Promise<void> {
    await this.connection.run(sql);
  }

  async all(sql: string): Promise<Value[][]> {
    const result = await this.connection.run(sql);
    return await result.convertRows(toValue);
  }

  /** The columns that `sql` would give, by lower-case name, without running it. */
  async storedColumns(sql: string): Promise<StoredColumns> {
    const result = await this.connection.run(`SELECT * FROM (${sql}) LIMIT 0`);
    return storedMembers(result.columnNames(), result.columnTypes());
  }

  /** Type of the only column that `sql` gives over no rows. */
  async typeOf(sql: string): Promise<SqlType> {
    const result = await this.connection.run(`SELECT * FROM (${sql}) LIMIT 0`);
    return toSqlType(result.columnType(0));
  }

  /** Runs one SELECT. Anything else is refused: COPY could overwrite the very files that may be read. */
  async select(sql: string): Promise<Rows> {
    if (sql.trim() === '') throw new Error('One SELECT statement is expected, not an empty text.');
    const statements = await this.connection.extractStatements(sql);
    if (statements.count !== 1) throw new Error(`One SELECT statement is expected, not ${statements.count}.`);
    const statement = await statements.prepare(0);
    if (statement.statementType !== StatementType.SELECT)
      throw new Error('Only SELECT statements can be run.');
    const result = await statement.stream();
    return { columns: describeColumns(result), rows: eachRow(result) };
  }

  /** Share of the running statement that is done, 0 to 1, as far as DuckDB knows. */
  get progress(): number {
    return Math.max(0, this.connection.progress.percentage) / 100;
  }

  close(): void {
    this.connection.closeSync();
    this.instance.closeSync();
  }
}

/** A pattern is checked under its own spelling before it is expanded, hence both forms of every name. */
function confinement(settings: DatabaseSettings): string[] {
  const { readableFiles = [], readableFolders = [], writableFolder, keepMetadata = true } = settings;
  const paths = new Set(readableFiles.flatMap((file) => [file, globLiteral(file)]));
  const folders = new Set(
    [...readableFolders, ...(writableFolder === undefined ? [] : [writableFolder])].flatMap((folder) => [
      `${folder}/`,
      globLiteral(`${folder}/`),
    ]),
  );
  return [
    "SET TimeZone = 'UTC'",
    `SET parquet_metadata_cache = ${keepMetadata}`,
    `SET allowed_paths = [${[...paths].map(quoteString).join(', ')}]`,
    `SET allowed_directories = [${[...folders].map(quoteString).join(', ')}]`,
    'SET enable_external_access = false',
    'SET lock_configuration = true',
  ];
}

function describeColumns(result: DuckDBResult): Rows['columns'] {
  const names = result.columnNames();
  return result.columnTypes().map((type, index) => ({ name: names[index] ?? '', type: type.toString() }));
}

function storedMembers(names: readonly string[], types: readonly DuckDBType[]): StoredColumns {
  return new Map(types.map((type, index) => [(names[index] ?? '').toLowerCase(), storedType(type)]));
}

function storedType(type: DuckDBType): StoredType {
  if (type instanceof DuckDBListType) return { kind: 'array', element: storedType(type.valueType) };
  if (type instanceof DuckDBMapType) return { kind: 'map', value: storedType(type.valueType) };
  if (type instanceof DuckDBStructType)
    return { kind: 'struct', members: storedMembers(type.entryNames, type.entryTypes) };
  return { kind: 'leaf' };
}

function toSqlType(type: DuckDBType): SqlType {
  const text = type.toString();
  switch (type.typeId) {
    case DuckDBTypeId.DECIMAL:
      return { kind: 'decimal', text, precision: type.width, scale: type.scale };
    case DuckDBTypeId.LIST:
      return { kind: 'list', text, element: toSqlType(type.valueType) };
    case DuckDBTypeId.MAP:
      return { kind: 'map', text, key: toSqlType(type.keyType), value: toSqlType(type.valueType) };
    case DuckDBTypeId.STRUCT: {
      const fields = type.entryNames.map((name) => ({ name, type: toSqlType(type.typeForEntry(name)) }));
      return { kind: 'struct', text, fields };
    }
    default:
      return { kind: 'plain', text };
  }
}

async function* eachRow(result: DuckDBResult): AsyncGenerator<readonly Value[]> {
  for await (const rows of result.yieldConvertedRows(toValue)) yield* rows;
}

const toValue: DuckDBValueConverter<Value> = (value, type, converter) => {
  if (value === null) return null;
  if (typeof value === 'bigint' || typeof value === 'number') return value;
  if (type.typeId === DuckDBTypeId.TIMESTAMP_TZ && value instanceof DuckDBTimestampTZValue)
    return isoInstant(value);
  // DuckDB's JSON form for the rest; the cast is about the recursion only, which comes back here.
  return JsonDuckDBValueConverter(value, type, converter as unknown as DuckDBValueConverter<Json>);
};

/** ISO 8601 with microseconds; DuckDB's own text beyond what a JavaScript date can say. */
function isoInstant(value: DuckDBTimestampTZValue): string {
  const milliseconds = value.micros / 1000n - (value.micros % 1000n < 0n ? 1n : 0n);
  const micros = value.micros - milliseconds * 1000n;
  const date = new Date(Number(milliseconds));
  if (Number.isNaN(date.getTime())) return value.toString();
  return date.toISOString().replace('Z', micros === 0n ? 'Z' : `${String(micros).padStart(3, '0')}Z`);
}
