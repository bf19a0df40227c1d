import { formatBytes, formatCount, formatCountOf, formatDuration } from '../../format.ts';
import type { KafkaCheck, VerifiedPipeline } from '../../inspect/verify.ts';
import type { Output } from '../../terminal/output.ts';
import type { Disagreement } from '../../verify/disagreements.ts';

/** Disagreements that a person reads; `-o json` has more. */
const SHOWN_MAX = 20;
const OTHERS_SHOWN_MAX = 5;

/** The comparisons made, a line each, and below it what does not agree. */
export function describeVerified(result: VerifiedPipeline, output: Output): string {
  const { pipeline, location, tableVersion, disagreements, durationMs } = result;
  const verdict =
    disagreements === 0
      ? output.style('green', 'Everything agrees.')
      : output.style('red', `${formatCountOf(disagreements, 'disagreement')}.`);
  const lines = [
    ['ledger', ledgerLine(result)],
    ['files', filesLine(result)],
    ['rows', rowsLine(result)],
    ['dead letters', lettersLine(result)],
    ['Kafka', kafkaLine(result.kafka)],
    ['not live', notLiveLine(result)],
    ...retentionLines(result),
    ...othersLines(result),
  ];
  return [
    `${output.style('bold', pipeline)}  ${location}  version ${formatCount(tableVersion)}`,
    `${verdict} Checked in ${formatDuration(durationMs)}:`,
    ...lines.map(([name = '', text]) => `  ${name.padEnd(13)} ${text}`),
    ...(disagreements === 0 ? [] : ['', ...disagreementLines(result, output)]),
  ].join('\n');
}

function ledgerLine({ ledger, tableVersion }: VerifiedPipeline): string {
  const { firstVersion, versions, ranges, kafkaPartitions } = ledger;
  const from = firstVersion === 0 ? '' : `; versions before ${formatCount(firstVersion)} are unknown`;
  return `${formatCountOf(versions, 'version')} up to ${formatCount(tableVersion)}, ${formatCountOf(ranges, 'range')} of ${formatCountOf(kafkaPartitions, 'Kafka partition')}${from}`;
}

function filesLine({ files, isQuick }: VerifiedPipeline): string {
  const { live, files: there, bytes, pages, pagesChecked } = files;
  const read = isQuick
    ? 'footers read, pages not'
    : `${formatCount(pagesChecked)} of ${formatCountOf(pages, 'page')} carry a checksum`;
  return `${formatCount(there)} of ${formatCount(live)} there, ${formatBytes(bytes)}; ${read}`;
}

function rowsLine({ rows, files }: VerifiedPipeline): string {
  if (rows === null) return `${formatCount(files.rows)} according to the footers; not read`;
  const located = rows.byOffset
    ? `${formatCount(rows.located)} of them compared with the ledger by offset`
    : 'the table lacks _topic, _partition or _offset: only counts compared';
  const others = [
    ...(rows.retained > 0 ? [`${formatCount(rows.retained)} dropped by retention`] : []),
    ...(rows.takenOut > 0 ? [`${formatCount(rows.takenOut)} removed by others`] : []),
    ...(rows.strays > 0 ? [`${formatCount(rows.strays)} added by others`] : []),
  ];
  return [`${formatCount(rows.rows)} read, ${located}`, ...others].join('; ');
}

function lettersLine({ deadLetters }: VerifiedPipeline): string {
  const { letters, waiting, retried, table } = deadLetters;
  if (letters === 0 && table === undefined) return 'none';
  const bytes =
    table?.rows === undefined ? '' : `, ${formatBytes(table.rows.binaryBytes)} of keys, headers and payload`;
  const there =
    table === undefined
      ? 'nothing is published yet'
      : `${formatCount(table.files.rows)} in the dead-letter table${bytes}`;
  const later = waiting === 0 ? '' : `; ${formatCount(waiting)} wait for the next drain to publish them`;
  return `${formatCount(letters)} by the ledger, ${there}; ${formatCount(retried)} retried${later}`;
}

function kafkaLine(kafka: KafkaCheck): string {
  if ('notLooked' in kafka) return `not compared: ${kafka.notLooked}`;
  const { topics, records } = kafka;
  const read =
    records === undefined
      ? 'not its records (--kafka-records)'
      : `${formatCount(records.comparedOffsets)} of ${formatCountOf(records.committedOffsets, 'committed offset')} read again, Kafka no longer has the others`;
  return `ids, beginnings and ends of ${formatCountOf(topics, 'topic')}; ${read}`;
}

function notLiveLine({ notLive }: VerifiedPipeline): string {
  const { tombstonedFiles, tombstonedBytes, orphanedFiles, orphanedBytes } = notLive;
  return `${formatCountOf(tombstonedFiles, 'removed file')} (${formatBytes(tombstonedBytes)}) and ${formatCount(orphanedFiles)} in no version (${formatBytes(orphanedBytes)}): left to vacuum`;
}

function retentionLines({ retention }: VerifiedPipeline): string[][] {
  const newest = retention.at(-1);
  if (newest === undefined) return [];
  const rows = retention.reduce<number | undefined>(
    (sum, { rowsRemoved }) =>
      sum === undefined || rowsRemoved === undefined ? undefined : sum + rowsRemoved,
    0,
  );
  const versions = formatCountOf(retention.length, 'version');
  return [
    [
      'retention',
      `${rowsText(rows)} of old table partitions dropped, in ${versions} up to ${formatCount(newest.tableVersion)}`,
    ],
  ];
}

function othersLines({ others }: VerifiedPipeline): string[][] {
  const shown = others.slice(-OTHERS_SHOWN_MAX);
  const lines = shown.map(({ tableVersion, who, operation, rowsAdded, rowsRemoved }) => [
    'others',
    `version ${formatCount(tableVersion)}, ${operation} by ${who}: ${rowsText(rowsAdded)} in, ${rowsText(rowsRemoved)} out`,
  ]);
  return others.length > shown.length
    ? [['others', `${formatCountOf(others.length - shown.length, 'older version')} more`], ...lines]
    : lines;
}

function rowsText(rows: number | undefined): string {
  return rows === undefined ? 'unknown rows' : formatCountOf(rows, 'row');
}

function disagreementLines({ found, disagreements }: VerifiedPipeline, output: Output): string[] {
  const shown = found.slice(0, SHOWN_MAX);
  return [
    ...shown.flatMap((one) => [`${output.style('red', one.check)}  ${placeText(one)}`, `  ${one.problem}`]),
    ...(disagreements > shown.length
      ? ['', `${formatCount(disagreements - shown.length)} more; -o json lists the first 100 of each kind.`]
      : []),
    '',
    'docs/verify.md says what each means and what to do.',
  ];
}

function placeText({
  table,
  tableVersion,
  file,
  rowGroup,
  column,
  topic,
  kafkaPartition,
  startingOffset,
  endingOffset,
}: Disagreement): string {
  const parts = [
    ...(table === undefined ? [] : ['dead-letter table']),
    ...(tableVersion === undefined ? [] : [`version ${tableVersion}`]),
    ...(file === undefined ? [] : [file]),
    ...(rowGroup === undefined ? [] : [`row group ${rowGroup}`]),
    ...(column === undefined ? [] : [`column ${column}`]),
    ...(topic === undefined ? [] : [kafkaPartition === undefined ? topic : `${topic}/${kafkaPartition}`]),
    ...(startingOffset === undefined ? [] : [`offsets [${startingOffset}, ${endingOffset})`]),
  ];
  return parts.join(', ') || 'the table';
}
