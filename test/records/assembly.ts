import assert from 'node:assert/strict';
import type { ColumnNode, Columns, LeafColumn } from '../../src/records/columns.ts';

/** Values as Parquet stores them: INT64 (timestamps in microseconds too) as bigint, dates as days. */
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
 * Dremel's record assembly, the plain way: turns levels and PLAIN values back into rows, and asserts on the way that
 * all leaves tell the same story.
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
  return assembleElements(node.element, node.definitionLevel, below);
}

function assembleElements(
  element: ColumnNode,
  emptyLevel: number,
  below: readonly (readonly [LeafColumn, readonly Entry[]])[],
): Assembled[] {
  const empty = below.map(([, [first]]) => (first as Entry).definitionLevel === emptyLevel);
  assert.equal(new Set(empty).size, 1, 'leaves agree whether the list is empty');
  if (empty[0]) {
    for (const [, list] of below) assert.equal(list.length, 1);
    return [];
  }
  const chunks = below.map(([leaf, list]) => [leaf, splitAt(list, element.repetitionLevel)] as const);
  const count = chunks[0]?.[1].length ?? 0;
  for (const [leaf, list] of chunks) assert.equal(list.length, count, `elements of ${leaf.path.join('.')}`);
  return Array.from({ length: count }, (_, i) =>
    assembleValue(element, new Map(chunks.map(([leaf, list]) => [leaf, list[i] as Entry[]]))),
  );
}

function leavesOf(node: ColumnNode): LeafColumn[] {
  if (node.kind === 'leaf') return [node.leaf];
  return node.kind === 'array' ? leavesOf(node.element) : node.fields.flatMap(leavesOf);
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
    return { repetitionLevel: leaf.repetitionLevels[i] as number, definitionLevel, value };
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
      case 'BYTE_ARRAY': {
        const end = at + 4 + values.readUInt32LE(at);
        decoded.push(
          new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(values.subarray(at + 4, end)),
        );
        at = end;
      }
    }
  }
  assert.equal(at, valuesEnd);
  assert.equal(decoded.length, leaf.valueCount);
  return decoded;
}
