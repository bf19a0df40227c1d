import { quotedColumn } from '../records/json-path.ts';
import type { PartitionTerm } from '../records/partition-term.ts';
import { partitionTermOf } from './check-columns.ts';
import type { Options, Refuse } from './read-shape.ts';
import type { RetentionSpecification } from './specification.ts';

type TimeTerm = RetentionSpecification['partition'];

/**
 * Rows go with whole table partitions, so only a partition column that is a unit of time says how old they
 * are.
 */
export function retentionOf(
  given: Options<'table'>['retention'],
  partitionBy: readonly PartitionTerm[],
  refuse: Refuse,
): RetentionSpecification | undefined {
  const { partition, olderThan } = given ?? {};
  if (partition === undefined) return undefined;
  const path = ['table', 'retention', 'partition'];
  const wanted = partitionTermOf(partition);
  const term = partitionBy.find(({ kind, source }) => kind === wanted?.kind && source === wanted.source);
  const times = partitionBy.filter(isTime).map(textOf);
  const fix =
    times.length === 0
      ? 'Partition the table by year, month, day or hour of a column, or remove table.retention.'
      : `Write ${times.join(' or ')}.`;
  if (term === undefined) {
    const by =
      partitionBy.length === 0
        ? 'is not partitioned'
        : `is partitioned by ${partitionBy.map(textOf).join(', ')}`;
    refuse(path, `table.retention.partition is ${partition}, but the table ${by}.`, fix);
    return undefined;
  }
  if (!isTime(term)) {
    refuse(
      path,
      `table.retention.partition is ${partition}, a plain column, which has no unit of time that could end.`,
      fix,
    );
    return undefined;
  }
  return olderThan === undefined ? undefined : { partition: term, olderThanMs: olderThan };
}

function isTime(term: PartitionTerm): term is TimeTerm {
  return term.kind !== 'column';
}

function textOf({ kind, source }: PartitionTerm): string {
  const column = quotedColumn(source);
  return kind === 'column' ? column : `${kind}(${column})`;
}
