import { relative } from 'node:path';
import { formatCount, formatCountOf } from '../../format.ts';
import { recordsWith } from '../../init/infer-schema.ts';
import { type InferredField, kindsOf } from '../../init/infer-type.ts';
import { allColumns, leftOut } from '../../init/proposal.ts';
import type { Proposed } from '../../init/propose.ts';
import { type DataType, formatType } from '../../records/ddl.ts';
import { DEFECT_REASONS, type DefectReason } from '../../records/json-defect.ts';
import { type Output, printable, table, width } from '../../terminal/output.ts';

/** Lines of a terminal are cut to its width, others to what can still be read. */
const WIDTH = 100;

/** What the sample shows, what is proposed, and what became of the sample. */
export function describeProposal(proposed: Proposed, output: Output): string {
  const { proposal, sample } = proposed;
  const lines = columnTable(proposed);
  const left = leftOut(proposal.inferred.fields);
  const cut = sample.cutBy === undefined ? '' : `; cut off by ${sample.cutBy}`;
  return [
    `${formatCountOf(sample.records.length, 'record')} of ${proposal.topics.join(', ')}, from the beginning and the end of every partition${cut}`,
    '',
    ...lines,
    ...left.map(({ path, note }) =>
      output.style('yellow', fitted(`${printable(path)}: no column, kept in _rest: ${note}`)),
    ),
    '',
    ...describeTrial(proposed, output),
  ].join('\n');
}

function columnTable({ proposal, observed }: Proposed): string[] {
  const required = new Set(
    proposal.inferred.schema.fields.filter(({ nullable }) => !nullable).map(({ name }) => name),
  );
  const rows = allColumns(proposal.inferred.fields).map((field) => [
    fitted(printable(field.path), 30),
    `${typeName(field.type)}${required.has(field.path) ? ' NOT NULL' : ''}`,
    formatCount(recordsWith(field.seen).size),
    seenText(field),
  ]);
  const heading = ['column', 'type', `in (of ${formatCount(observed.objects.size)})`, 'seen'];
  return table(heading, rows, [2])
    .split('\n')
    .map((line) => fitted(line));
}

/** Fields have lines of their own. */
function typeName(type: DataType | undefined): string {
  if (type === undefined) return '';
  if (type.kind === 'struct') return 'STRUCT';
  if (type.kind === 'array') return `ARRAY<${typeName(type.element)}>`;
  return type.kind === 'map' ? `MAP<STRING, ${typeName(type.value)}>` : formatType(type);
}

function seenText({ seen, timestamp, note, type }: InferredField): string {
  const kinds = kindsOf(seen);
  const texts = kinds.map(({ word, records, examples }) => {
    const shown = examples
      .slice(0, kinds.length > 1 ? 1 : 2)
      .map(printable)
      .join(', ');
    if (kinds.length === 1 && shown !== '') return shown;
    return `${word}${kinds.length > 1 ? ` in ${formatCount(records)}` : ''}${shown === '' ? '' : `: ${shown}`}`;
  });
  const elements =
    seen.element === undefined ? [] : kindsOf(seen.element).flatMap(({ examples }) => examples.slice(0, 2));
  const seenInside = elements.length > 0 ? [`[${elements.map(printable).join(', ')}, ...]`] : undefined;
  const isStruct = type?.kind === 'struct';
  const said = seenInside ?? (isStruct && kinds.length === 1 ? [] : texts);
  return [timestamp, note, ...said].filter((part) => part !== undefined).join('; ');
}

function describeTrial({ trial, proposal }: Proposed, output: Output): string[] {
  const { rows, deadLetters, tombstones, reasons, tablePartitions } = trial;
  const records = rows + deadLetters;
  const tomb = tombstones === 0 ? '' : `, ${formatCountOf(tombstones, 'tombstone')}`;
  const text = `Decoded with it: ${formatCount(rows)} of ${formatCount(records)} are rows, ${formatCountOf(deadLetters, 'dead letter')}${tomb}.`;
  const by =
    proposal.partitionBy.length === 0
      ? []
      : [`Table partitions: ${formatCount(tablePartitions.length)}, by ${proposal.partitionBy.join(', ')}.`];
  return [
    output.style(deadLetters === 0 ? 'green' : 'yellow', text),
    ...reasons.slice(0, 5).map(({ reason, path, records, example }) => {
      const words = DEFECT_REASONS[reason as DefectReason] ?? reason;
      const place = path === '' ? '' : `${printable(path)}: `;
      return fitted(
        `  ${formatCount(records)} x ${place}${words} (${example.topic}-${example.kafkaPartition} offset ${example.offset})`,
      );
    }),
    ...by,
  ];
}

/** Cut to the width of the terminal, or of a page. */
function fitted(
  text: string,
  columns = (process.stderr.columns ?? process.stdout.columns ?? WIDTH) - 1,
): string {
  if (width(text) <= columns) return text;
  let kept = '';
  let used = 0;
  for (const character of text) {
    used += width(character);
    if (used >= columns) break;
    kept += character;
  }
  return `${kept}…`;
}

/** The commands that lead from a pipeline file to its first rows. */
export function describeNext(pipeline: string): string {
  return [
    '',
    'Next:',
    `  tidemark worker ${''.padEnd(20)} in a terminal of its own`,
    `  tidemark doctor ${pipeline.padEnd(20)} checks everything that it needs`,
    `  tidemark drain ${pipeline}`,
    `  tidemark query ${pipeline} 'SELECT * FROM ${/^\w+$/.test(pipeline) ? pipeline : `"${pipeline}"`} LIMIT 10'`,
  ].join('\n');
}

/** A path as people would write it where they are. */
export function shortest(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith('..') ? path : fromHere;
}
