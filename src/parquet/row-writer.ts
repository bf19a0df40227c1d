import { assert } from '../errors.ts';
import { LeafColumn } from '../records/columns.ts';
import type { PrimitiveName } from '../records/ddl.ts';
import type { ObjectWriter } from '../storage/object-store.ts';
import type { Compression } from './compression.ts';
import { ParquetFileWriter } from './file-writer.ts';
import { list, type MessageField, map, type Repetition } from './message-type.ts';

/**
 * A column of rows given as objects. Every value may be absent, but for the keys of maps, which are strings.
 */
export interface RowField {
  readonly name: string;
  readonly type: RowType;
}

export type RowType =
  | PrimitiveName
  | { readonly list: RowType }
  | { readonly map: RowType }
  | { readonly struct: readonly RowField[] };

/** Leaves are written out as a row group when they hold this much. */
const ROW_GROUP_BYTES = 16 * 1024 * 1024;

/**
 * A Parquet file of rows given as objects, for log checkpoints: thousands of rows, not the hot path.
 *
 * `long` and `timestamp` (microseconds) take a bigint or a safe integer, `date` days, `binary` bytes, lists
 * an array, maps an object. null and undefined are null. A value of another type is a bug.
 */
export async function encodeParquetRows(
  fields: readonly RowField[],
  rows: Iterable<object>,
  compression: Compression = 'snappy',
): Promise<Buffer> {
  const message = fields.map((field) => messageField(field.name, field.type));
  const parts: Uint8Array[] = [];
  const options = { schema: { fields: [] }, message, compression };
  const writer = await ParquetFileWriter.openMessage(memorySink(parts), options);
  const leaves: LeafColumn[] = [];
  const nodes = message.map((field) => nodeOf(field, [], 0, 0, leaves));
  let rowCount = 0;
  const writeOut = async () => {
    await writer.writeRowGroup({ rowCount, leaves });
    for (const leaf of leaves) leaf.clear();
    rowCount = 0;
  };
  for (const row of rows) {
    for (const node of nodes) shred(node, member(row, node.field.name), 0, 0);
    rowCount++;
    if (leaves.reduce((sum, leaf) => sum + leaf.sizeBytes, 0) >= ROW_GROUP_BYTES) await writeOut();
  }
  await writeOut();
  await writer.finish();
  return Buffer.concat(parts);
}

function messageField(name: string, type: RowType, repetition: Repetition = 'OPTIONAL'): MessageField {
  if (typeof type === 'string')
    return { kind: 'leaf', name, repetition, type: { kind: 'primitive', name: type } };
  if ('list' in type) return list(name, repetition, messageField('element', type.list));
  if ('map' in type) {
    return map(name, repetition, messageField('key', 'string', 'REQUIRED'), messageField('value', type.map));
  }
  const fields = type.struct.map((field) => messageField(field.name, field.type));
  return { kind: 'group', name, repetition, fields };
}

/** A field with the levels at which it is present, and its leaf or the fields below. */
interface RowNode {
  readonly field: MessageField;
  readonly definitionLevel: number;
  readonly repetitionLevel: number;
  readonly leaf: LeafColumn | undefined;
  readonly children: readonly RowNode[];
}

function nodeOf(
  field: MessageField,
  parent: readonly string[],
  parentDefinition: number,
  parentRepetition: number,
  leaves: LeafColumn[],
): RowNode {
  const path = [...parent, field.name];
  const definitionLevel = parentDefinition + (field.repetition === 'REQUIRED' ? 0 : 1);
  const repetitionLevel = parentRepetition + (field.repetition === 'REPEATED' ? 1 : 0);
  const levels = { field, definitionLevel, repetitionLevel };
  if (field.kind === 'leaf') {
    const leaf = new LeafColumn(path, field.type, definitionLevel, repetitionLevel);
    leaves.push(leaf);
    return { ...levels, leaf, children: [] };
  }
  const children = field.fields.map((child) => nodeOf(child, path, definitionLevel, repetitionLevel, leaves));
  return { ...levels, leaf: undefined, children };
}

/** Dremel's dissection: `definition` is the level that the ancestors reach. */
function shred(node: RowNode, value: unknown, definition: number, repetition: number): void {
  const { field, leaf, definitionLevel, children } = node;
  if (value === null || value === undefined) {
    assert(field.repetition !== 'REQUIRED', `${field.name} has a value`);
    appendNull(node, definition, repetition);
  } else if (leaf !== undefined) {
    appendValue(leaf, value, repetition);
  } else if (field.kind === 'group' && field.annotation !== undefined) {
    const [repeated] = children;
    assert(repeated !== undefined, `${field.name} has a repeated group`);
    shredRepeated(repeated, items(field.annotation, value), definitionLevel, repetition);
  } else {
    for (const child of children) shred(child, member(value, child.field.name), definitionLevel, repetition);
  }
}

/** The items of a list or map; each is an array with a value for every field of the repeated group. */
function shredRepeated(repeated: RowNode, items: unknown[][], definition: number, repetition: number): void {
  if (items.length === 0) appendNull(repeated, definition, repetition);
  items.forEach((item, i) => {
    const level = i === 0 ? repetition : repeated.repetitionLevel;
    repeated.children.forEach((child, c) => {
      shred(child, item[c], repeated.definitionLevel, level);
    });
  });
}

function items(annotation: 'LIST' | 'MAP', value: unknown): unknown[][] {
  if (annotation === 'MAP') return Object.entries(value as object);
  assert(Array.isArray(value), 'a list is an array');
  return value.map((element: unknown) => [element]);
}

function appendNull(node: RowNode, definition: number, repetition: number): void {
  node.leaf?.appendNull(definition, repetition);
  for (const child of node.children) appendNull(child, definition, repetition);
}

function appendValue(leaf: LeafColumn, value: unknown, repetition: number): void {
  const name = leaf.path.join('.');
  switch (leaf.physicalType) {
    case 'BYTE_ARRAY': {
      const bytes = leaf.type.kind === 'primitive' && leaf.type.name === 'binary' ? value : utf8(value, name);
      assert(bytes instanceof Uint8Array, `${name} is bytes`);
      leaf.appendBytes(bytes, 0, bytes.length, repetition);
      break;
    }
    case 'INT64':
      assert(
        typeof value === 'bigint' || Number.isSafeInteger(value),
        `${name} is a bigint or a safe integer`,
      );
      leaf.appendInt64(BigInt(value as bigint | number), repetition);
      break;
    case 'INT32':
      assert(typeof value === 'number' && (value | 0) === value, `${name} has 32 bits`);
      leaf.appendInt32(value, repetition);
      break;
    case 'DOUBLE':
      assert(typeof value === 'number', `${name} is a number`);
      leaf.appendDouble(value, repetition);
      break;
    case 'FLOAT':
      assert(typeof value === 'number', `${name} is a number`);
      leaf.appendFloat(value, repetition);
      break;
    case 'FIXED_LEN_BYTE_ARRAY':
      assert(typeof value === 'bigint', `${name} is an unscaled bigint`);
      leaf.appendFixed(value, repetition);
      break;
    case 'BOOLEAN':
      assert(typeof value === 'boolean', `${name} is a boolean`);
      leaf.appendBoolean(value, repetition);
      break;
  }
}

function utf8(value: unknown, name: string): Buffer {
  assert(typeof value === 'string', `${name} is a string`);
  return Buffer.from(value);
}

function member(row: unknown, name: string): unknown {
  return (row as Record<string, unknown>)[name];
}

function memorySink(parts: Uint8Array[]): ObjectWriter {
  return {
    async write(bytes) {
      parts.push(Buffer.from(bytes));
    },
    async finish() {
      return { sizeBytes: parts.reduce((sum, part) => sum + part.length, 0), modifiedMs: 0 };
    },
    async abort() {
      parts.length = 0;
    },
  };
}
