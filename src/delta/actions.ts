import { Failure } from '../errors.ts';
import { parseJson, writeJson } from './json.ts';

/**
 * The actions of Delta's log, for reader 1 and writer 2: one JSON object per line, one key each. Field names
 * are the protocol's (PROTOCOL.md, "Actions"). What a reader may ignore by the protocol is dropped on
 * reading; what it may not ignore is refused by name.
 */
export type Action =
  | { readonly commitInfo: CommitInfo }
  | { readonly protocol: Protocol }
  | { readonly metaData: MetaData }
  | { readonly txn: Txn }
  | { readonly add: Add }
  | { readonly remove: Remove };

/** Free-form by the protocol. `batch-record.ts` says what ours hold. */
export type CommitInfo = Readonly<Record<string, unknown>>;

export interface Protocol {
  readonly minReaderVersion: number;
  readonly minWriterVersion: number;
  readonly readerFeatures?: readonly string[];
  readonly writerFeatures?: readonly string[];
}

export interface MetaData {
  readonly id: string;
  readonly name?: string;
  readonly description?: string;
  readonly format: { readonly provider: string; readonly options: Readonly<Record<string, string>> };
  readonly schemaString: string;
  readonly partitionColumns: readonly string[];
  readonly configuration: Readonly<Record<string, string>>;
  readonly createdTime?: number;
}

export interface Txn {
  readonly appId: string;
  readonly version: bigint;
  readonly lastUpdated?: number;
}

export type PartitionValues = Readonly<Record<string, string | null>>;

export interface Add {
  /** Relative to the table, percent-encoded: `encodePath` and `decodePath`. */
  readonly path: string;
  readonly partitionValues: PartitionValues;
  readonly size: number;
  readonly modificationTime: number;
  readonly dataChange: boolean;
  /** A JSON text, read by `parseStats`. */
  readonly stats?: string;
  readonly tags?: PartitionValues;
}

/**
 * In `Add.tags`: CRC-32 of the whole file, in hexadecimal, where its pages carry no checksums: DuckDB writes
 * none.
 */
export const CHECKSUM_TAG = 'tidemark.crc32';

export interface Remove {
  readonly path: string;
  readonly deletionTimestamp?: number;
  readonly dataChange: boolean;
  readonly extendedFileMetadata?: boolean;
  readonly partitionValues?: PartitionValues;
  readonly size?: number;
}

/** Statistics of a file as far as this table's own code reads them. */
export interface FileStats {
  readonly numRecords?: number;
  readonly minValues?: Readonly<Record<string, unknown>>;
  readonly maxValues?: Readonly<Record<string, unknown>>;
  readonly nullCount?: Readonly<Record<string, unknown>>;
}

/**
 * The actions of one version's JSON.
 *
 * @param where names the object in a failure
 * @throws Failure TABLE_CORRUPT for lines that are not actions, TABLE_UNSUPPORTED for actions of newer table
 * features
 */
export function parseActions(text: string, where: string): Action[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .flatMap((line, index) => readAction(parseLine(line, `${where}, line ${index + 1}`), where) ?? []);
}

export function serializeActions(actions: readonly Action[]): string {
  return actions.map((action) => `${writeJson(action)}\n`).join('');
}

/**
 * One action from its JSON value, or from a row of a log checkpoint; undefined for an action that readers
 * ignore.
 */
export function readAction(value: unknown, where: string): Action | undefined {
  const source = record(value, where);
  for (const name of REFUSED_ACTIONS) if (source[name] != null) throw unsupportedAction(name, where);
  if (source.commitInfo != null) return { commitInfo: record(source.commitInfo, where) };
  if (source.protocol != null)
    return { protocol: readProtocol(new Fields(source.protocol, `${where}: protocol`)) };
  if (source.metaData != null)
    return { metaData: readMetaData(new Fields(source.metaData, `${where}: metaData`)) };
  if (source.txn != null) return { txn: readTxn(new Fields(source.txn, `${where}: txn`)) };
  if (source.add != null) return { add: readAdd(new Fields(source.add, `${where}: add`)) };
  if (source.remove != null) return { remove: readRemove(new Fields(source.remove, `${where}: remove`)) };
  return undefined;
}

/**
 * Statistics with exact integers: values beyond 2^53 are `bigint`. Undefined where there are none or they are
 * not JSON.
 */
export function parseStats(stats: string | undefined): FileStats | undefined {
  if (stats === undefined) return undefined;
  try {
    return parseJson(stats) as FileStats;
  } catch {
    return undefined;
  }
}

/**
 * `add.path` from a path of the store. Delta protocol: "a relative path to a data file from the root of the
 * table", URL-encoded, so a folder `p=a%20b` on disk is `p=a%2520b` in the log. `=` stays, for people who
 * read the log.
 */
export function encodePath(path: string): string {
  return path
    .split('/')
    .map((segment) => encodeURIComponent(segment).replaceAll('%3D', '='))
    .join('/');
}

/**
 * The store's path of an `add.path`. Writers encode different characters, so the decoded path is a file's
 * identity.
 *
 * @throws Failure TABLE_UNSUPPORTED for a file outside of the table (shallow clone), TABLE_CORRUPT for a
 *   broken encoding
 */
export function decodePath(encoded: string): string {
  const path = percentDecoded(encoded);
  const inside =
    !ABSOLUTE.test(encoded) && path.split('/').every((name) => name !== '' && !name.startsWith('.'));
  if (inside) return path;
  throw new Failure(
    'TABLE_UNSUPPORTED',
    `The table refers to the file ${encoded}, which is not a visible file in its own folder.`,
    'Shallow clones are not supported. Copy the table (deep clone) and use the copy.',
  );
}

const ABSOLUTE = /^[A-Za-z][A-Za-z0-9+.-]*:|^\//;

function percentDecoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (cause) {
    throw corrupt(`the path ${encoded} of a data file is not URL-encoded`, cause);
  }
}

/** Each belongs to a table feature beyond reader 1 and writer 2, and none may be ignored. */
const REFUSED_ACTIONS = ['cdc', 'domainMetadata', 'checkpointMetadata', 'sidecar'] as const;

function parseLine(line: string, where: string): unknown {
  try {
    return parseJson(line);
  } catch (cause) {
    throw corrupt(`${where} is not JSON`, cause);
  }
}

function readProtocol(fields: Fields): Protocol {
  const readerFeatures = fields.optionalStrings('readerFeatures');
  const writerFeatures = fields.optionalStrings('writerFeatures');
  return {
    minReaderVersion: fields.integer('minReaderVersion'),
    minWriterVersion: fields.integer('minWriterVersion'),
    ...(readerFeatures === undefined ? {} : { readerFeatures }),
    ...(writerFeatures === undefined ? {} : { writerFeatures }),
  };
}

function readMetaData(fields: Fields): MetaData {
  const format = new Fields(fields.get('format'), 'format');
  const name = fields.optionalString('name');
  const description = fields.optionalString('description');
  const createdTime = fields.optionalInteger('createdTime');
  return {
    id: fields.string('id'),
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    format: { provider: format.string('provider'), options: format.strings('options') },
    schemaString: fields.string('schemaString'),
    partitionColumns: fields.optionalStrings('partitionColumns') ?? [],
    configuration: fields.strings('configuration'),
    ...(createdTime === undefined ? {} : { createdTime }),
  };
}

function readTxn(fields: Fields): Txn {
  const lastUpdated = fields.optionalInteger('lastUpdated');
  return {
    appId: fields.string('appId'),
    version: fields.bigint('version'),
    ...(lastUpdated === undefined ? {} : { lastUpdated }),
  };
}

function readAdd(fields: Fields): Add {
  fields.refuseDeletionVector();
  const stats = fields.optionalString('stats');
  const tags = fields.get('tags') == null ? undefined : fields.values('tags');
  return {
    path: fields.string('path'),
    partitionValues: fields.values('partitionValues'),
    size: fields.integer('size'),
    modificationTime: fields.integer('modificationTime'),
    dataChange: fields.boolean('dataChange'),
    ...(stats === undefined ? {} : { stats }),
    ...(tags === undefined ? {} : { tags }),
  };
}

function readRemove(fields: Fields): Remove {
  fields.refuseDeletionVector();
  const deletionTimestamp = fields.optionalInteger('deletionTimestamp');
  const size = fields.optionalInteger('size');
  const extended = fields.get('extendedFileMetadata') === true;
  return {
    path: fields.string('path'),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    dataChange: fields.boolean('dataChange'),
    ...(extended ? { extendedFileMetadata: true, partitionValues: fields.values('partitionValues') } : {}),
    ...(size === undefined ? {} : { size }),
  };
}

/** Typed access to one action's fields; every mistake names the action and the field. */
class Fields {
  private readonly fields: Readonly<Record<string, unknown>>;
  private readonly where: string;

  constructor(value: unknown, where: string) {
    this.fields = record(value, where);
    this.where = where;
  }

  get(name: string): unknown {
    return this.fields[name];
  }

  string(name: string): string {
    return this.optionalString(name) ?? this.fail(name, 'a string');
  }

  optionalString(name: string): string | undefined {
    const value = this.fields[name] ?? undefined;
    return value === undefined || typeof value === 'string' ? value : this.fail(name, 'a string');
  }

  boolean(name: string): boolean {
    const value = this.fields[name];
    return typeof value === 'boolean' ? value : this.fail(name, 'a boolean');
  }

  bigint(name: string): bigint {
    const value = this.fields[name];
    if (typeof value === 'bigint') return value;
    return Number.isSafeInteger(value) ? BigInt(value as number) : this.fail(name, 'an integer');
  }

  integer(name: string): number {
    return this.optionalInteger(name) ?? this.fail(name, 'an integer');
  }

  optionalInteger(name: string): number | undefined {
    const value = this.fields[name] ?? undefined;
    if (value === undefined) return undefined;
    const integer = typeof value === 'bigint' ? Number(value) : value;
    return Number.isSafeInteger(integer) ? (integer as number) : this.fail(name, 'an integer');
  }

  optionalStrings(name: string): readonly string[] | undefined {
    const value = this.fields[name] ?? undefined;
    if (value === undefined) return undefined;
    const strings = Array.isArray(value) && value.every((item) => typeof item === 'string');
    return strings ? (value as string[]) : this.fail(name, 'a list of strings');
  }

  strings(name: string): Readonly<Record<string, string>> {
    const values = this.values(name);
    // Spark writes a property that was set to null as JSON null; it means "not set".
    return Object.fromEntries(
      Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null),
    );
  }

  values(name: string): PartitionValues {
    const entries = Object.entries(record(this.fields[name] ?? {}, `${this.where}.${name}`));
    if (!entries.every(([, value]) => value === null || typeof value === 'string'))
      this.fail(name, 'a map of strings');
    return Object.fromEntries(entries) as PartitionValues;
  }

  refuseDeletionVector(): void {
    if (this.fields.deletionVector != null) throw unsupportedAction('deletionVector', this.where);
  }

  private fail(name: string, expected: string): never {
    throw corrupt(`${this.where}.${name} is not ${expected}`);
  }
}

function record(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw corrupt(`${where} is not an object`);
  return value as Readonly<Record<string, unknown>>;
}

function unsupportedAction(name: string, where: string): Failure {
  return new Failure(
    'TABLE_UNSUPPORTED',
    `${where} holds "${name}", which belongs to a table feature that Tidemark does not know.`,
    'Turn the feature off with the tool that turned it on (in Spark: ALTER TABLE ... DROP FEATURE), or use another location.',
  );
}

function corrupt(problem: string, cause?: unknown): Failure {
  return new Failure(
    'TABLE_CORRUPT',
    `The table's log cannot be read: ${problem}.`,
    'Nothing was changed. Restore the named object from a backup, or use another location.',
    { cause },
  );
}
