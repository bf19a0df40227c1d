import type { DataType, Field, Schema } from '../records/ddl.ts';
import type { LeafType } from '../records/leaf-buffers.ts';

/** A file's Parquet schema: a tree of groups and leaves. LogicalTypes.md, "Nested Types". */
export type MessageField = MessageLeaf | MessageGroup;
export type Repetition = 'REQUIRED' | 'OPTIONAL' | 'REPEATED';

export interface MessageLeaf {
  readonly kind: 'leaf';
  readonly name: string;
  readonly repetition: Repetition;
  readonly type: LeafType;
}

export interface MessageGroup {
  readonly kind: 'group';
  readonly name: string;
  readonly repetition: Repetition;
  readonly annotation?: 'LIST' | 'MAP';
  readonly fields: readonly MessageField[];
}

export interface LeafShape {
  readonly path: readonly string[];
  readonly type: LeafType;
  readonly maxDefinitionLevel: number;
  readonly maxRepetitionLevel: number;
}

/**
 * The table's columns, arrays and maps with three levels: `<name> (LIST) { repeated list { element } }`,
 * `<name> (MAP) { repeated key_value { required key; value } }`.
 */
export function messageType(schema: Schema): MessageField[] {
  return schema.fields.map(messageField);
}

/** The leaves in the order of their column chunks. */
export function leafShapes(fields: readonly MessageField[]): LeafShape[] {
  return fields.flatMap((field) => shapesBelow(field, [], 0, 0));
}

export function list(name: string, repetition: Repetition, element: MessageField): MessageGroup {
  const fields: MessageField[] = [{ kind: 'group', name: 'list', repetition: 'REPEATED', fields: [element] }];
  return { kind: 'group', name, repetition, annotation: 'LIST', fields };
}

export function map(
  name: string,
  repetition: Repetition,
  key: MessageField,
  value: MessageField,
): MessageGroup {
  const fields: MessageField[] = [
    { kind: 'group', name: 'key_value', repetition: 'REPEATED', fields: [key, value] },
  ];
  return { kind: 'group', name, repetition, annotation: 'MAP', fields };
}

function messageField(field: Field): MessageField {
  return fieldOf(field.name, field.type, repetitionOf(field.nullable));
}

function fieldOf(name: string, type: DataType, repetition: Repetition): MessageField {
  switch (type.kind) {
    case 'primitive':
    case 'decimal':
      return { kind: 'leaf', name, repetition, type };
    case 'struct':
      return { kind: 'group', name, repetition, fields: type.fields.map(messageField) };
    case 'array':
      return list(name, repetition, fieldOf('element', type.element, repetitionOf(type.containsNull)));
    case 'map': {
      const value = fieldOf('value', type.value, repetitionOf(type.valueContainsNull));
      return map(name, repetition, fieldOf('key', type.key, 'REQUIRED'), value);
    }
  }
}

function repetitionOf(nullable: boolean): Repetition {
  return nullable ? 'OPTIONAL' : 'REQUIRED';
}

function shapesBelow(
  field: MessageField,
  parent: readonly string[],
  parentDefinition: number,
  parentRepetition: number,
): LeafShape[] {
  const path = [...parent, field.name];
  const maxDefinitionLevel = parentDefinition + (field.repetition === 'REQUIRED' ? 0 : 1);
  const maxRepetitionLevel = parentRepetition + (field.repetition === 'REPEATED' ? 1 : 0);
  if (field.kind === 'leaf') return [{ path, type: field.type, maxDefinitionLevel, maxRepetitionLevel }];
  return field.fields.flatMap((child) => shapesBelow(child, path, maxDefinitionLevel, maxRepetitionLevel));
}
