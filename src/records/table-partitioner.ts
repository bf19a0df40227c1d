import { createHash } from 'node:crypto';
import { assert, Failure } from '../errors.ts';
import type { PartitionTerm } from '../pipeline/specification.ts';
import type { Columns, LeafColumn } from './columns.ts';
import { formatDate, SECONDS_PER_DAY } from './date-time.ts';
import { type Field, formatType, type PrimitiveName } from './ddl.ts';

/**
 * Tells which table partition a row belongs to. The row stands alone in its columns: decoded, looked at here, then
 * appended to the columns of its file.
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
      const type = partitionType(field, term);
      assert(node.kind === 'leaf', `${term.source} is of type ${type}, hence a leaf`);
      return new PartitionValue(term, type, node.leaf);
    });
  }

  /**
   * Equal for two rows exactly when they belong together. `undefined` is a defect of the record: `''` in a partition
   * column, which Delta cannot tell from null (Delta protocol, "Partition Value Serialization").
   */
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

  /** Name of the partition column that made `key()` undefined. */
  emptyColumn(): string | undefined {
    return this.values.find((value) => value.key() === undefined)?.column;
  }

  /** As `add.partitionValues` has them, in the order of the terms. `key()` must be defined. */
  partitionValues(): Record<string, string | null> {
    return Object.fromEntries(this.values.map((value) => [value.column, value.text()]));
  }
}

/**
 * The type of a term's source column.
 *
 * @throws Failure `SCHEMA_INVALID` where a column of that type cannot partition a table
 */
export function partitionType({ name, type }: Field, { kind }: PartitionTerm): PrimitiveName {
  const allowed = kind === 'day' ? DAY_TYPES : COLUMN_TYPES;
  if (type.kind === 'primitive' && allowed.includes(type.name)) return type.name;
  const term = kind === 'day' ? `day(${name})` : name;
  throw new Failure(
    'SCHEMA_INVALID',
    `The table cannot be partitioned by ${term}: the column is of type ${formatType(type)}.`,
    kind === 'day'
      ? 'day() takes a TIMESTAMP or a DATE.'
      : 'Use a STRING, BIGINT, INT, BOOLEAN or DATE column, or day(...) of a TIMESTAMP.',
  );
}

/**
 * The folder for a partition's data files: `site=shop.example/crawl_ts_day=2024-03-01`, relative to the table, `''`
 * without partition columns. Only `[A-Za-z0-9._=-]` within a level, at most 150 of them, none beginning with `_` or
 * `.` (which would hide its files). Names and values that are not like that are cut and end in a hash, after a second
 * `=` that plain ones never have.
 *
 * For people only: the log holds the values, so that folders need not be decodable.
 */
export function partitionFolder(partitionValues: Readonly<Record<string, string | null>>): string {
  return Object.entries(partitionValues)
    .map(([column, value]) => folderLevel(column, value))
    .join('/');
}

const COLUMN_TYPES: readonly PrimitiveName[] = ['string', 'long', 'integer', 'boolean', 'date'];
const DAY_TYPES: readonly PrimitiveName[] = ['timestamp', 'date'];
const NULL_KEY = 'null';

/** One term's value of the row. */
class PartitionValue {
  readonly column: string;
  private readonly type: PrimitiveName;
  private readonly leaf: LeafColumn;

  constructor(term: PartitionTerm, type: PrimitiveName, leaf: LeafColumn) {
    this.column = term.column;
    this.type = type;
    this.leaf = leaf;
  }

  key(): string | undefined {
    const { leaf } = this;
    assert(leaf.levelCount === 1, `one row to partition, not ${leaf.levelCount}`);
    if (leaf.valueCount === 0) return NULL_KEY;
    if (this.type === 'timestamp') return String(dayOfMicroseconds(leaf.values));
    if (this.type !== 'string') return this.nonNull();
    // Latin-1 maps bytes to characters one by one: as distinct as UTF-8, and cheaper. The quote keeps 'null' from null.
    return leaf.valuesEnd === 4 ? undefined : `"${leaf.values.toString('latin1', 4, leaf.valuesEnd)}`;
  }

  text(): string | null {
    return this.leaf.valueCount === 0 ? null : this.nonNull();
  }

  private nonNull(): string {
    const { values, valuesEnd } = this.leaf;
    switch (this.type) {
      case 'string':
        return values.toString('utf8', 4, valuesEnd);
      case 'long':
        return String(values.readBigInt64LE(0));
      case 'integer':
        return String(values.readInt32LE(0));
      case 'boolean':
        return values[0] === 1 ? 'true' : 'false';
      case 'timestamp':
        return formatDate(dayOfMicroseconds(values));
      default:
        return formatDate(values.readInt32LE(0));
    }
  }
}

function dayOfMicroseconds(values: Buffer): number {
  const microseconds = values.readInt32LE(4) * 4294967296 + values.readUInt32LE(0);
  if (Number.isSafeInteger(microseconds)) return Math.floor(microseconds / (SECONDS_PER_DAY * 1_000_000));
  // Beyond 2^53 a double may round to the next day.
  const day = BigInt(SECONDS_PER_DAY) * 1_000_000n;
  const exact = values.readBigInt64LE(0);
  return Number((exact - (((exact % day) + day) % day)) / day);
}

const MAX_PLAIN = 64;
const PLAIN = /^[A-Za-z0-9._-]{1,64}$/;
const NULL_FOLDER = '__HIVE_DEFAULT_PARTITION__';

function folderLevel(column: string, value: string | null): string {
  const isPlain = PLAIN.test(column) && !/^[._]/.test(column) && (value === null || isPlainValue(value));
  if (isPlain) return `${column}=${value ?? NULL_FOLDER}`;
  const hash = createHash('sha256')
    .update(JSON.stringify([column, value]))
    .digest('hex')
    .slice(0, 16);
  const name = shorten(column).replace(/^[._]+/, '');
  return `${name === '' ? 'column' : name}=${shorten(value ?? NULL_FOLDER)}=${hash}`;
}

function isPlainValue(value: string): boolean {
  return PLAIN.test(value) && value !== NULL_FOLDER;
}

function shorten(text: string): string {
  return text.slice(0, MAX_PLAIN).replace(/[^A-Za-z0-9._-]/g, '-');
}
