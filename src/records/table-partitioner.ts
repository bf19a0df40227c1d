import { assert, Failure } from '../errors.ts';
import type { Columns, LeafColumn } from './columns.ts';
import { type Field, formatType } from './ddl.ts';
import type { LeafType } from './leaf-buffers.ts';
import type { PartitionTerm } from './partition-term.ts';
import { readText, type TruncatedTime, truncatedTime } from './partition-text.ts';

/**
 * Tells which table partition a row belongs to. The row stands alone in its columns: decoded, looked at here,
 * then appended to the columns of its file.
 */
export class TablePartitioner {
  private readonly values: readonly PartitionValue[];

  /**
   * @param row columns that hold one row whenever they are asked about
   * @throws Failure `SCHEMA_INVALID` where a term's column cannot partition a table
   */
  constructor(row: Columns, terms: readonly PartitionTerm[]) {
    this.values = terms.map((term) => {
      const index = row.schema.fields.findIndex((field) => field.name === term.source);
      const field = row.schema.fields[index];
      const node = row.nodes[index];
      assert(field && node, `partition term names ${term.source}, which is not a column`);
      partitionType(field, term);
      assert(node.kind === 'leaf', `${term.source} is a column without fields`);
      return new PartitionValue(term, node.leaf);
    });
  }

  /** Equal for two rows exactly when they belong together. `undefined`: the record has a `defect`. */
  key(): string | undefined {
    let key = '';
    for (const value of this.values) {
      const part = value.key();
      if (part === undefined) return undefined;
      // The length in front keeps ('ab', 'c') and ('a', 'bc') apart.
      key += `${part.length}:${part}`;
    }
    return key;
  }

  /** Why `key()` is undefined: a value that some reader would not give back as it is. */
  defect(): PartitionDefect | undefined {
    for (const value of this.values) {
      const defect = value.defect();
      if (defect !== undefined) return defect;
    }
    return undefined;
  }

  /** As `add.partitionValues` has them, in the order of the terms. `key()` must be defined. */
  partitionValues(): Record<string, string | null> {
    return Object.fromEntries(this.values.map((value) => [value.column, value.text()]));
  }
}

export interface PartitionDefect {
  readonly code: 'partitionValueEmpty' | 'partitionValueTooLong' | 'partitionValueReserved';
  readonly column: string;
  /** For people, without the place of the record. */
  readonly message: string;
}

/**
 * The type of the partition column that a term makes of its source: `year`, `month` and `day` are DATEs, the
 * first day of each, so that ranges over them read like ranges over days; `hour` is a TIMESTAMP.
 *
 * @throws Failure `SCHEMA_INVALID` where the source cannot partition a table so
 */
export function partitionType(source: Field, term: PartitionTerm): LeafType {
  const { type } = source;
  const { kind, column } = term;
  refuseName(column);
  if (kind !== 'column') {
    const sources = kind === 'hour' ? ['timestamp'] : ['timestamp', 'date'];
    if (type.kind !== 'primitive' || !sources.includes(type.name)) {
      const fix = `${kind}() takes ${kind === 'hour' ? 'a TIMESTAMP' : 'a TIMESTAMP or a DATE'}.`;
      throw unfit(`${kind}(${source.name})`, source, fix);
    }
    return { kind: 'primitive', name: kind === 'hour' ? 'timestamp' : 'date' };
  }
  if (type.kind === 'decimal') return type;
  if (type.kind === 'primitive') {
    if (type.name === 'timestamp') {
      const fix = `Every moment would be a table partition. Write hour(${source.name}), day(...), month(...) or year(...).`;
      throw unfit(source.name, source, fix);
    }
    if (!UNFIT.includes(type.name)) return type;
  }
  throw unfit(source.name, source, PLAIN_FIX);
}

const UNFIT: readonly string[] = ['double', 'float', 'binary'];
const PLAIN_FIX =
  'Use a STRING, BIGINT, INT, SMALLINT, TINYINT, DECIMAL, BOOLEAN or DATE column, or year(...), month(...), day(...) or hour(...) of a TIMESTAMP.';

function unfit(term: string, { type }: Field, fix: string): Failure {
  return new Failure(
    'SCHEMA_INVALID',
    `The table cannot be partitioned by ${term}: the column is of type ${formatType(type)}.`,
    fix,
  );
}

const COLUMN_BYTES_MAX = 128;

/**
 * Why no table can be partitioned by a column of this name: Polars takes the name from the folders as it
 * stands there.
 */
export function folderNameProblem(column: string): string | undefined {
  if (column.includes('/')) return 'has a /';
  if (Buffer.byteLength(column) > COLUMN_BYTES_MAX) return `is longer than ${COLUMN_BYTES_MAX} bytes`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\0-\x1f\x7f]/.test(column) ? 'has a control character' : undefined;
}

function refuseName(column: string): void {
  const problem = folderNameProblem(column);
  if (problem === undefined) return;
  throw new Failure(
    'SCHEMA_INVALID',
    `The table cannot be partitioned by ${JSON.stringify(column)}: its name ${problem}, and folders are named by it.`,
    'Rename the column, or partition by another.',
  );
}

/** A file name's length on common disks, in bytes. */
const LEVEL_BYTES_MAX = 255;
const NULL_FOLDER = '__HIVE_DEFAULT_PARTITION__';

/**
 * The folder for a partition's data files, relative to the table, `''` without partition columns: a level
 * `column=value` for each, values percent-encoded to `[A-Za-z0-9._-]`.
 *
 * The log holds the values, but not every reader takes them from there: Polars decodes them from the folders.
 * So they have to be decodable, and a value that is not is a `PartitionDefect`.
 */
export function partitionFolder(partitionValues: Readonly<Record<string, string | null>>): string {
  return Object.entries(partitionValues)
    .map(([column, value]) => `${column}=${value === null ? NULL_FOLDER : encodeValue(value)}`)
    .join('/');
}

function encodeValue(value: string): string {
  return encodeURIComponent(value).replace(
    /[!~*'()]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const NULL_KEY = 'null';

/** One term's value of the row. */
class PartitionValue {
  readonly column: string;
  private readonly leaf: LeafColumn;
  private readonly isText: boolean;
  private readonly time: TruncatedTime | undefined;
  private readonly valueBytesMax: number;

  constructor({ kind, column }: PartitionTerm, leaf: LeafColumn) {
    this.column = column;
    this.leaf = leaf;
    this.isText = leaf.type.kind === 'primitive' && leaf.type.name === 'string';
    this.time = kind === 'column' ? undefined : truncatedTime(kind, leaf);
    this.valueBytesMax = LEVEL_BYTES_MAX - Buffer.byteLength(column) - 1;
  }

  key(): string | undefined {
    const { leaf } = this;
    assert(leaf.levelCount === 1, `one row to partition, not ${leaf.levelCount}`);
    if (leaf.valueCount === 0) return NULL_KEY;
    if (this.time !== undefined) return String(this.time.key());
    if (!this.isText) return readText(leaf);
    if (this.textDefect() !== undefined) return undefined;
    // Latin-1 maps bytes to characters one by one: as distinct as UTF-8, and cheaper. The quote keeps 'null'
    // from null.
    return `"${leaf.values.toString('latin1', 4, leaf.valuesEnd)}`;
  }

  text(): string | null {
    if (this.leaf.valueCount === 0) return null;
    return this.time === undefined ? readText(this.leaf) : this.time.text();
  }

  defect(): PartitionDefect | undefined {
    const code = this.isText && this.leaf.valueCount > 0 ? this.textDefect() : undefined;
    if (code === undefined) return undefined;
    return { code, column: this.column, message: `${this.column} ${this.describe(code)}` };
  }

  private textDefect(): PartitionDefect['code'] | undefined {
    const { values, valuesEnd } = this.leaf;
    const bytes = valuesEnd - 4;
    if (bytes === 0) return 'partitionValueEmpty';
    if (bytes === NULL_FOLDER.length && values.toString('latin1', 4, valuesEnd) === NULL_FOLDER)
      return 'partitionValueReserved';
    if (bytes * 3 <= this.valueBytesMax) return undefined;
    return encodedBytes(values, 4, valuesEnd) > this.valueBytesMax ? 'partitionValueTooLong' : undefined;
  }

  private describe(code: PartitionDefect['code']): string {
    switch (code) {
      case 'partitionValueEmpty':
        return "is '', and Delta cannot tell '' from null in a partition column";
      case 'partitionValueReserved':
        return `is ${NULL_FOLDER}, which stands for null in the name of a folder`;
      case 'partitionValueTooLong':
        return `is too long for the name of a folder: ${encodedBytes(this.leaf.values, 4, this.leaf.valuesEnd)} bytes percent-encoded, at most ${this.valueBytesMax} fit`;
    }
  }
}

/** Length of `encodeValue` of the UTF-8 in `[start, end)`. */
function encodedBytes(utf8: Uint8Array, start: number, end: number): number {
  let length = 0;
  for (let i = start; i < end; i++) length += IS_PLAIN[utf8[i] as number] === 1 ? 1 : 3;
  return length;
}

const IS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[A-Za-z0-9._-]/.test(String.fromCharCode(byte)) ? 1 : 0,
);
