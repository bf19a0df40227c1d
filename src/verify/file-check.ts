import { type Add, CHECKSUM_TAG, parseStats } from '../delta/actions.ts';
import { Failure } from '../errors.ts';
import { inLanes } from '../lanes.ts';
import { type Footer, type OpenedFile, openFooter } from '../parquet/file-reader.ts';
import { fileChecksum, walkPages } from '../parquet/page-walk.ts';
import type { DataType, Schema } from '../records/ddl.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { type Finder, type Place, within } from './disagreements.ts';

export interface FileTotals {
  files: number;
  bytes: number;
  rows: number;
  pages: number;
  pagesChecked: number;
}

export interface FileToCheck {
  readonly path: string;
  readonly add: Add;
  readonly place: Place;
}

export interface FileChecks {
  readonly store: ObjectStore;
  readonly schema: Schema;
  readonly partitionColumns: readonly string[];
  readonly found: Finder;
  /** Whether to read all bytes for their checksums, not the footers alone. */
  readonly readPages: boolean;
  readonly onFile: () => void;
}

const FILES_AT_ONCE = 2;

/**
 * Each live file is there with its size, has a footer that says what the log says, and, page by page, the
 * bytes that were written.
 *
 * @returns totals, and the files that can be read at all
 */
export async function checkFiles(
  files: readonly FileToCheck[],
  checks: FileChecks,
): Promise<{ totals: FileTotals; readable: FileToCheck[] }> {
  const totals: FileTotals = { files: 0, bytes: 0, rows: 0, pages: 0, pagesChecked: 0 };
  const isReadable = await inLanes(files, FILES_AT_ONCE, async (file) => {
    const readable = await checkFile(file, checks, totals);
    checks.onFile();
    return readable;
  });
  return { totals, readable: files.filter((_, index) => isReadable[index]) };
}

async function checkFile(
  { path, add, place }: FileToCheck,
  checks: FileChecks,
  totals: FileTotals,
): Promise<boolean> {
  const { store, schema, partitionColumns, readPages } = checks;
  const found = within(checks.found, { ...place, file: path });
  const stat = await store.stat(path);
  if (stat === undefined) {
    found.add(
      'fileMissing',
      {},
      `a live file with ${parseStats(add.stats)?.numRecords ?? 'unknown'} rows is gone`,
    );
    return false;
  }
  totals.files++;
  totals.bytes += stat.sizeBytes;
  if (stat.sizeBytes !== add.size)
    found.add('fileSize', {}, `it has ${stat.sizeBytes} bytes, the log says ${add.size}`);
  const opened = await openFooter(store, path).catch(unlessDamaged);
  if (opened instanceof Failure) {
    found.add('footer', {}, opened.message);
    return false;
  }
  const { footer } = opened;
  totals.rows += footer.rowCount;
  const told = parseStats(add.stats)?.numRecords;
  if (told !== undefined && told !== footer.rowCount)
    found.add('rowCount', {}, `its footer counts ${footer.rowCount} rows, the log ${told}`);
  for (const { column, problem } of schemaProblems(footer.schema, schema, partitionColumns))
    found.add('schema', { column }, problem);
  if (readPages) await checkPages(store, path, add, opened, found, totals);
  return true;
}

async function checkPages(
  store: ObjectStore,
  path: string,
  { size, tags }: Add,
  { chunks }: OpenedFile,
  found: Finder,
  totals: FileTotals,
): Promise<void> {
  const { pages, checked, damages } = await walkPages(store, path, chunks);
  const told = tags?.[CHECKSUM_TAG];
  totals.pages += pages;
  totals.pagesChecked += told === undefined ? checked : pages;
  for (const { rowGroup, column, problem } of damages) found.add('checksum', { rowGroup, column }, problem);
  if (typeof told !== 'string') return;
  const checksum = await fileChecksum(store, path, size);
  if (checksum !== told)
    found.add('checksum', {}, `its bytes have the checksum ${checksum}, the log says ${told}`);
}

function unlessDamaged(error: unknown): Failure {
  if (error instanceof Failure && error.code === 'TABLE_CORRUPT') return error;
  throw error;
}

interface SchemaProblem {
  readonly column: string;
  readonly problem: string;
}

/**
 * Columns of a file that readers of the table would not find, or not as what the table says they are. Pure.
 * Writers nest lists and maps differently and keep narrower integers: only what no reader takes counts.
 */
export function schemaProblems(
  elements: Footer['schema'],
  { fields }: Schema,
  partitionColumns: readonly string[],
): SchemaProblem[] {
  const stored = new Map(topElements(elements).map((element) => [element.name.toLowerCase(), element]));
  return fields
    .filter(({ name }) => !partitionColumns.includes(name))
    .flatMap(({ name, type, nullable }) => {
      const element = stored.get(name.toLowerCase());
      if (element === undefined)
        return nullable ? [] : [{ column: name, problem: 'the file lacks it, and the table says NOT NULL' }];
      const kind = element.type ?? 'a group';
      return physicalKinds(type).includes(kind)
        ? []
        : [{ column: name, problem: `the file has ${kind}, which cannot be ${describe(type)}` }];
    });
}

/** Elements come depth first; those below a group are its own business. */
function topElements(elements: Footer['schema']): Footer['schema'][number][] {
  const tops: Footer['schema'][number][] = [];
  let below = 0;
  for (const element of elements) {
    if (below === 0) tops.push(element);
    else below--;
    below += element.num_children ?? 0;
  }
  return tops;
}

function physicalKinds(type: DataType): readonly string[] {
  if (type.kind === 'decimal') return ['INT32', 'INT64', 'FIXED_LEN_BYTE_ARRAY', 'BYTE_ARRAY'];
  if (type.kind !== 'primitive') return ['a group'];
  switch (type.name) {
    case 'string':
    case 'binary':
      return ['BYTE_ARRAY'];
    case 'long':
      return ['INT64', 'INT32'];
    case 'integer':
    case 'short':
    case 'byte':
    case 'date':
      return ['INT32'];
    case 'double':
      return ['DOUBLE', 'FLOAT'];
    case 'float':
      return ['FLOAT'];
    case 'boolean':
      return ['BOOLEAN'];
    case 'timestamp':
      return ['INT64', 'INT96'];
  }
}

function describe(type: DataType): string {
  return type.kind === 'primitive' ? type.name : type.kind;
}
