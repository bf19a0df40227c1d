/** Rows as hyparquet can hold them, for comparing. */
import type { DataType } from '../../src/records/ddl.ts';
import type { Row, Value } from './rows.ts';

/** As the parsers decode that tests hand in: hyparquet's own drops a U+FEFF that a text begins with. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * What hyparquet makes of a value: text of bytes, objects of maps; and of decimals doubles, compared to 12
 * digits.
 */
export function asHyparquet(type: DataType, value: Value): Value {
  if (value === null) return null;
  switch (type.kind) {
    case 'decimal':
      return rounded(Number(value) * 10 ** -type.scale);
    case 'array':
      return (value as Value[]).map((item) => asHyparquet(type.element, item));
    case 'map':
      return Object.fromEntries(
        [...(value as Map<string, Value>)].map(([key, item]) => [key, asHyparquet(type.value, item)]),
      );
    case 'struct':
      return Object.fromEntries(
        type.fields.map(({ name, type }) => [name, asHyparquet(type, (value as Row)[name] as Value)]),
      );
    default:
      return type.name === 'binary' ? decoder.decode(value as Buffer) : value;
  }
}

/** Doubles that hyparquet read, where they stand for decimals. */
export function roundDecimals(type: DataType, value: Value): Value {
  if (value === null || value === undefined) return null;
  if (type.kind === 'decimal') return rounded(value as number);
  if (type.kind === 'array') return (value as Value[]).map((item) => roundDecimals(type.element, item));
  if (type.kind === 'map' || type.kind === 'struct') {
    const memberType = (name: string) =>
      type.kind === 'map' ? type.value : (type.fields.find((field) => field.name === name)?.type ?? type);
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, roundDecimals(memberType(name), item)]),
    );
  }
  return value;
}

function rounded(value: number): number {
  return Number(value.toPrecision(12)) + 0;
}
