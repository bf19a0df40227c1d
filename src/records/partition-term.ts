/**
 * One partition column of the table: a record column itself, or one truncated to a unit of time in a column
 * of its own.
 */
export interface PartitionTerm {
  readonly kind: 'column' | TimeUnit;
  readonly source: string;
  readonly column: string;
}

export const TIME_UNITS = ['year', 'month', 'day', 'hour'] as const;
export type TimeUnit = (typeof TIME_UNITS)[number];
