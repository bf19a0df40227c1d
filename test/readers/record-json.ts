/** Rows as JSON records that a pipeline decodes to them: the way back of `records.schema`. */

import { formatDate } from '../../src/records/date-time.ts';
import type { DataType } from '../../src/records/ddl.ts';
import { decimalText } from '../parquet/cases.ts';
import type { Row, Value } from '../parquet/rows.ts';

/** Times are ISO 8601, binary base64. What JSON has no number for (NaN, the infinities) has to be null. */
export function recordJson(type: DataType, value: Value): string {
  if (value === null) return 'null';
  switch (type.kind) {
    case 'array':
      return `[${(value as Value[]).map((item) => recordJson(type.element, item)).join(',')}]`;
    case 'map':
      return object(
        [...(value as Map<string, Value>)].map(([key, item]) => [key, recordJson(type.value, item)]),
      );
    case 'struct':
      return object(
        type.fields.map(({ name, type }) => [name, recordJson(type, (value as Row)[name] ?? null)]),
      );
    case 'decimal':
      return decimalText(value as bigint, type.scale);
    default:
      return primitiveJson(type.name, value);
  }
}

function object(members: readonly (readonly [string, string])[]): string {
  return `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`;
}

function primitiveJson(name: string, value: Value): string {
  if (name === 'binary') return JSON.stringify((value as Buffer).toString('base64'));
  if (name === 'date') return JSON.stringify(formatDate(value as number));
  if (name === 'timestamp') return JSON.stringify(isoText(value as bigint));
  if (Object.is(value, -0)) return '-0.0';
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function isoText(micros: bigint): string {
  const seconds = floorDivide(micros, 1_000_000n);
  const fraction = String(micros - seconds * 1_000_000n).padStart(6, '0');
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

export function floorDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor < 0n ? quotient - 1n : quotient;
}
