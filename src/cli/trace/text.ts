import { formatBytes, formatCount, formatCountOf } from '../../format.ts';
import { ACCOUNTING_TERMS } from '../../records/accounting.ts';
import { type Output, printable } from '../../terminal/output.ts';
import type { Step } from '../../trace/offset-trace.ts';
import type { Origin } from '../../trace/origin.ts';
import type { Occurrence, TracedFate } from '../../trace/trace.ts';
import type { TracedPath, TracedVersion } from '../../trace/version-trace.ts';

const FILES_SHOWN_MAX = 20;

const WORDS: Readonly<Record<string, string>> = {
  rows: 'a row',
  deadLetters: 'a dead letter',
  dropped: 'dropped: a record with a defect, under dropMalformed',
  filtered: 'filtered by records.clean',
  tombstones: 'a tombstone: a record without a value',
  markers: "a transaction's marker",
  aborted: 'a record of an aborted transaction',
  gaps: 'a gap: Kafka had no record of that offset',
  lost: 'lost: Kafka no longer had it, and that was accepted',
};

export function describeFate(
  { traced, committedOffset, occurrences, skipped }: TracedFate,
  output: Output,
): string {
  const { topic, kafkaPartition, offset } = traced;
  const name = output.style('bold', `${topic}/${kafkaPartition}/${offset}`);
  const passed = skipped.map(
    ({ origin, answer }) =>
      `Passed over by the answer ${answer} in version ${origin.tableVersion}, ${origin.committedAt ?? ''}.`,
  );
  if (occurrences.length === 0)
    return [`${name}  ${unread(offset, committedOffset, passed.length > 0)}`, ...passed].join('\n');
  return [...occurrences.map((one) => describeOccurrence(name, one, occurrences.length > 1)), ...passed].join(
    '\n\n',
  );
}

function unread(offset: bigint, committedOffset: bigint | undefined, isPassedOver: boolean): string {
  if (isPassedOver) return 'was never read.';
  if (committedOffset === undefined)
    return 'was never read: the table has no offsets of this Kafka partition.';
  if (offset >= committedOffset) return `is not read yet: the table's next offset is ${committedOffset}.`;
  return 'was never read: the pipeline began after it.';
}

function describeOccurrence(name: string, one: Occurrence, isOneOfMany: boolean): string {
  const { origin, epoch, range, steps, retried, letter } = one;
  const under = isOneOfMany ? ` under epoch ${epoch}` : '';
  return [
    `${name}${under}  ${outcomeText(one)}`,
    ...(letter === undefined
      ? []
      : [
          line(
            'letter',
            `${letter.reason} at ${printable(letter.path) || 'the record'}: ${printable(letter.message)}`,
          ),
        ]),
    line('committed', originText(origin)),
    line('range', `[${range.startingOffset ?? range.readFrom}, ${range.endingOffset}): ${termsText(range)}`),
    ...(retried === undefined ? [] : [line('retried', originText(retried))]),
    ...steps.map((step) => line('since', stepText(step))),
  ].join('\n');
}

function outcomeText({ outcome }: Occurrence): string {
  switch (outcome.kind) {
    case 'row':
      return `is a row: ${outcome.place.file}, row group ${outcome.place.rowGroup}, row ${outcome.place.row}`;
    case 'deadLetter':
      return 'is a dead letter';
    case 'rowTakenOut':
      return 'was a row, but no longer is';
    case 'retainedAway':
      return `was a row of a table partition that table.retention calls old: dropped in version ${outcome.tableVersions.join(' or ')}`;
    case 'restoredAway':
      return 'was taken back by a RESTORE';
    case 'counted': {
      const words = outcome.as.map((term) => WORDS[term] ?? term);
      return words.length === 1
        ? `was ${words[0]}`
        : `was one of these, which the ledger only counts: ${words.join('; ')}`;
    }
  }
}

function stepText(step: Step): string {
  const sure = step.isCertain ? '' : ', perhaps with its file';
  return `${originText(step)}${step.dataChange ? ', which changed rows' : ''}${sure}`;
}

function originText({
  tableVersion,
  committedAt,
  kind,
  writer,
  workflowId,
  runId,
  build,
  specification,
}: Origin): string {
  const parts = [
    `version ${tableVersion}, ${kind}`,
    ...(committedAt === null ? [] : [committedAt]),
    ...(workflowId === null ? [] : [`workflow ${workflowId}${runId === null ? '' : `, run ${runId}`}`]),
    ...(build === null ? [] : [`build ${build}`]),
    ...(specification === null ? [] : [`specification ${specification.slice(0, 16)}`]),
    ...(workflowId === null && writer !== null ? [`by ${writer}`] : []),
  ];
  return parts.join(', ');
}

function termsText(range: Readonly<Record<string, unknown>>): string {
  const terms = ACCOUNTING_TERMS.filter((term) => Number(range[term] ?? 0) > 0);
  return terms.map((term) => `${term} ${formatCount(Number(range[term]))}`).join(', ') || 'nothing';
}

export function describeVersion(version: TracedVersion, output: Output): string {
  const { origin, ranges, answer, added, removed, retried } = version;
  return [
    output.style('bold', originText(origin)),
    ...(answer === null
      ? []
      : [line('answer', `${answer.answer} by ${answer.who}: ${printable(answer.reason)}`)]),
    ...ranges.map((range) =>
      line(
        'range',
        `${range.topic}/${range.kafkaPartition} [${range.startingOffset ?? range.readFrom}, ${range.endingOffset}): ${termsText(range)}`,
      ),
    ),
    ...(retried.length === 0
      ? []
      : [
          line(
            'retried',
            (retried as { topic: string; kafkaPartition: number; offsets: string }[])
              .map((one) => `${one.topic}/${one.kafkaPartition} ${one.offsets}`)
              .join('; '),
          ),
        ]),
    ...firstOf(removed).map((path) => line('removed', path)),
    ...firstOf(added).map(({ path, sizeBytes, rows }) =>
      line(
        'added',
        `${path}, ${formatBytes(sizeBytes)}${rows === null ? '' : `, ${formatCountOf(rows, 'row')}`}`,
      ),
    ),
    ...more(removed.length, 'removed'),
    ...more(added.length, 'added'),
  ].join('\n');
}

export function describePath({ path, file, addedIn, removedIn }: TracedPath, output: Output): string {
  const state = removedIn === null ? 'live' : 'removed';
  const size =
    file === null
      ? ''
      : `, ${formatBytes(file.sizeBytes)}${file.rows === null ? '' : `, ${formatCountOf(file.rows, 'row')}`}`;
  return [
    `${output.style('bold', path)}  ${state}${size}`,
    ...(addedIn === null ? [] : ['', 'Added in', describeVersion(addedIn, output)]),
    ...(removedIn === null ? [] : ['', 'Removed in', describeVersion(removedIn, output)]),
  ].join('\n');
}

function firstOf<T>(items: readonly T[]): readonly T[] {
  return items.slice(0, FILES_SHOWN_MAX);
}

function more(count: number, what: string): string[] {
  return count > FILES_SHOWN_MAX
    ? [line('', `${formatCount(count - FILES_SHOWN_MAX)} more files ${what}; -o json has all`)]
    : [];
}

function line(name: string, text: string): string {
  return `  ${name.padEnd(10)} ${text}`;
}
