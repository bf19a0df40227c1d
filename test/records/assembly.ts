import assert from 'node:assert/strict';
import type { ArrayNode, ColumnNode, Columns, LeafColumn, MapNode } from '../../src/records/columns.ts';

/**
 * Values as Parquet stores them: INT64 (timestamps in microseconds too) as bigint, dates as days, decimals
 * unscaled, BINARY as `0x` and hex digits. A map is a list of entries `{key, value}`, since an object would
 * lose their order.
 */
export type Assembled =
  | null
  | string
  | number
  | bigint
  | boolean
  | Assembled[]
  | { [name: string]: Assembled };

interface Entry {
  readonly repetitionLevel: number;
  readonly definitionLevel: number;
  readonly value: Assembled;
}

/**
 * Dremel's record assembly, the plain way: turns levels and PLAIN values back into rows, and asserts on the
 * way that all leaves tell the same story.
 */
export function assembleRows(columns: Columns): Assembled[] {
  const rowsByLeaf = new Map(columns.leaves.map((leaf) => [leaf, splitAt(entriesOf(leaf), 0)]));
  const rowCount = rowsByLeaf.get(columns.leaves[0] as LeafColumn)?.length ?? 0;
  for (const [leaf, rows] of rowsByLeaf)
    assert.equal(rows.length, rowCount, `rows of ${leaf.path.join('.')}`);
  return Array.from({ length: rowCount }, (_, row) => {
    const entries = new Map([...rowsByLeaf].map(([leaf, rows]) => [leaf, rows[row] as Entry[]]));
    return assembleObject(columns.nodes, entries);
  });
}

type Entries = ReadonlyMap<LeafColumn, readonly Entry[]>;

function assembleObject(fields: readonly ColumnNode[], entries: Entries): Assembled {
  const object: { [name: string]: Assembled } = Object.create(null);
  for (const field of fields) object[field.name] = assembleValue(field, entries);
  return object;
}

function assembleValue(node: ColumnNode, entries: Entries): Assembled {
  const below = leavesOf(node).map((leaf) => [leaf, entries.get(leaf) ?? []] as const);
  const present = below.map(([, [first]]) => (first as Entry).definitionLevel >= node.definitionLevel);
  assert.equal(new Set(present).size, 1, `leaves below ${node.name} agree whether it is null`);
  if (!present[0]) {
    assert(node.nullable, `${node.name} is not null`);
    for (const [, list] of below) {
      assert.equal(list.length, 1);
      assert.equal((list[0] as Entry).definitionLevel, node.definitionLevel - 1, `null of ${node.name}`);
    }
    return null;
  }
  if (node.kind === 'struct') return assembleObject(node.fields, entries);
  if (node.kind === 'leaf') {
    const list = entries.get(node.leaf) ?? [];
    assert.equal(list.length, 1, `one value of ${node.name}`);
    return (list[0] as Entry).value;
  }
  const assembleItem = (items: Entries): Assembled =>
    node.kind === 'array'
      ? assembleValue(node.element, items)
      : assembleObject([node.key, node.value], items);
  return assembleItems(node, below, assembleItem);
}

function assembleItems(
  node: ArrayNode | MapNode,
  below: readonly (readonly [LeafColumn, readonly Entry[]])[],
  assembleItem: (entries: Entries) => Assembled,
): Assembled[] {
  const empty = below.map(([, [first]]) => (first as Entry).definitionLevel === node.definitionLevel);
  assert.equal(new Set(empty).size, 1, 'leaves agree whether the list is empty');
  if (empty[0]) {
    for (const [, list] of below) assert.equal(list.length, 1);
    return [];
  }
  const chunks = below.map(([leaf, list]) => [leaf, splitAt(list, node.repetitionLevel + 1)] as const);
  const count = chunks[0]?.[1].length ?? 0;
  for (const [leaf, list] of chunks) assert.equal(list.length, count, `items of ${leaf.path.join('.')}`);
  return Array.from({ length: count }, (_, i) =>
    assembleItem(new Map(chunks.map(([leaf, list]) => [leaf, list[i] as Entry[]]))),
  );
}

function leavesOf(node: ColumnNode): LeafColumn[] {
  if (node.kind === 'leaf') return [node.leaf];
  if (node.kind === 'array') return leavesOf(node.element);
  return (node.kind === 'map' ? [node.key, node.value] : node.fields).flatMap(leavesOf);
}

/** Begins a new list at every entry that repeats at `level` or above. */
function splitAt(entries: readonly Entry[], level: number): Entry[][] {
  const lists: Entry[][] = [];
  for (const entry of entries) {
    if (lists.length === 0 || entry.repetitionLevel <= level) lists.push([]);
    (lists.at(-1) as Entry[]).push(entry);
  }
  return lists;
}

function entriesOf(leaf: LeafColumn): Entry[] {
  const values = decodePlain(leaf);
  let next = 0;
  const entries = Array.from({ length: leaf.levelCount }, (_, i) => {
    const definitionLevel = leaf.definitionLevels[i] as number;
    const value = definitionLevel === leaf.maxDefinitionLevel ? (values[next++] as Assembled) : null;
    const repetitionLevel = leaf.maxRepetitionLevel === 0 ? 0 : (leaf.repetitionLevels[i] as number);
    return { repetitionLevel, definitionLevel, value };
  });
  assert.equal(next, values.length, `values of ${leaf.path.join('.')} that levels account for`);
  return entries;
}

function decodePlain(leaf: LeafColumn): Assembled[] {
  const { values, valuesEnd } = leaf;
  const decoded: Assembled[] = [];
  let at = 0;
  while (at < valuesEnd) {
    switch (leaf.physicalType) {
      case 'BOOLEAN':
        decoded.push(values[at] === 1);
        at += 1;
        break;
      case 'INT32':
        decoded.push(values.readInt32LE(at));
        at += 4;
        break;
      case 'INT64':
        decoded.push(values.readBigInt64LE(at));
        at += 8;
        break;
      case 'DOUBLE':
        decoded.push(values.readDoubleLE(at));
        at += 8;
        break;
      case 'FLOAT':
        decoded.push(values.readFloatLE(at));
        at += 4;
        break;
      case 'FIXED_LEN_BYTE_ARRAY':
        decoded.push(bigEndian(values.subarray(at, at + leaf.typeLength)));
        at += leaf.typeLength;
        break;
      case 'BYTE_ARRAY': {
        const end = at + 4 + values.readUInt32LE(at);
        const bytes = values.subarray(at + 4, end);
        const isText = leaf.type.kind === 'primitive' && leaf.type.name === 'string';
        decoded.push(
          isText
            ? new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
            : `0x${bytes.toString('hex')}`,
        );
        at = end;
      }
    }
  }
  assert.equal(at, valuesEnd);
  assert.equal(decoded.length, leaf.valueCount);
  return decoded;
}

function bigEndian(bytes: Buffer): bigint {
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`));
}
