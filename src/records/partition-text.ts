import { assert } from '../errors.ts';
import type { LeafColumn } from './columns.ts';
import { formatDate, SECONDS_PER_DAY } from './date-time.ts';
import type { TimeUnit } from './partition-term.ts';

/**
 * A leaf's only value as `add.partitionValues` spells it. Delta protocol, "Partition Value Serialization".
 */
export function readText({ type, physicalType, values, valuesEnd }: LeafColumn): string {
  if (type.kind === 'decimal') return decimalText(unscaled(physicalType, values, valuesEnd), type.scale);
  switch (type.name) {
    case 'string':
      return values.toString('utf8', 4, valuesEnd);
    case 'long':
      return String(values.readBigInt64LE(0));
    case 'integer':
    case 'short':
    case 'byte':
      return String(values.readInt32LE(0));
    case 'boolean':
      return values[0] === 1 ? 'true' : 'false';
    case 'date':
      return formatDate(values.readInt32LE(0));
    default:
      assert(false, `a partition column is not of type ${type.name}`);
  }
}

function unscaled(physicalType: LeafColumn['physicalType'], values: Buffer, valuesEnd: number): bigint {
  if (physicalType === 'INT32') return BigInt(values.readInt32LE(0));
  if (physicalType === 'INT64') return values.readBigInt64LE(0);
  const unsigned = BigInt(`0x${values.toString('hex', 0, valuesEnd)}`);
  return BigInt.asIntN(valuesEnd * 8, unsigned);
}

/** Always `scale` digits after the point: delta-rs refuses fewer. */
function decimalText(value: bigint, scale: number): string {
  if (scale === 0) return String(value);
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0');
  return `${value < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** A moment or day cut off to a unit of time, in UTC. */
export interface TruncatedTime {
  /** The same number for all values within one unit. */
  key(): number;
  /**
   * The unit's beginning: `2024-03-01`; of an hour `2024-03-01T05:00:00.000000Z`, which no session's time
   * zone changes.
   */
  text(): string;
}

/** Of the one value that `leaf`, a TIMESTAMP or DATE, holds whenever it is asked about. */
export function truncatedTime(unit: TimeUnit, leaf: LeafColumn): TruncatedTime {
  const isTimestamp = leaf.physicalType === 'INT64';
  const days = () =>
    isTimestamp ? floorMicroseconds(leaf.values, SECONDS_PER_DAY) : leaf.values.readInt32LE(0);
  if (unit === 'hour') {
    const hours = () => floorMicroseconds(leaf.values, SECONDS_PER_HOUR);
    return { key: hours, text: () => `${isoText(hours() * SECONDS_PER_HOUR).slice(0, 13)}:00:00.000000Z` };
  }
  const key = unit === 'day' ? days : () => firstDay(unit, days());
  return { key, text: () => formatDate(key()) };
}

const SECONDS_PER_HOUR = 3600;

function floorMicroseconds(values: Buffer, unitSeconds: number): number {
  const microseconds = values.readInt32LE(4) * 4294967296 + values.readUInt32LE(0);
  if (Number.isSafeInteger(microseconds)) return Math.floor(microseconds / (unitSeconds * 1_000_000));
  // Beyond 2^53 a double may round to the next unit.
  const unit = BigInt(unitSeconds) * 1_000_000n;
  const exact = values.readBigInt64LE(0);
  return Number((exact - (((exact % unit) + unit) % unit)) / unit);
}

/** In days since 1970, as `day` is. */
function firstDay(unit: 'year' | 'month', day: number): number {
  const date = new Date(day * SECONDS_PER_DAY * 1000);
  if (unit === 'year') date.setUTCMonth(0, 1);
  else date.setUTCDate(1);
  return date.getTime() / (SECONDS_PER_DAY * 1000);
}

function isoText(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
