import { Context } from '@temporalio/activity';
import type {
  DeadLetterSummary,
  DrainTotals,
  Receipt,
  ReceiptPartition,
  Reference,
  Run,
} from '../contract.ts';
import { formatCountOf, formatDuration } from '../format.ts';
import { partitionKey } from '../kafka/offsets.ts';
import type { Specification } from '../pipeline/specification.ts';
import { emptyAccounting } from '../records/accounting.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import type { GoalDocument, GoalPartition, RunLedgerDocument } from '../runs/documents.ts';
import { loadReference, storeReference } from '../runs/references.ts';
import { readTable, type TableState } from '../runs/table-state.ts';
import type { Dependencies } from './dependencies.ts';

export interface MakeReceiptInput {
  readonly run: Run;
  readonly goal: Reference;
  readonly totals: DrainTotals;
  readonly startedAtMs: number;
  readonly ledger?: Reference;
  readonly endsLowered?: boolean;
}

/** Partitions that a receipt shows itself; all of them lie behind `allPartitions`. */
const PARTITIONS_SHOWN = 100;

/**
 * What the run did and where it left the table, from its goal, its ledger and the table's offsets. Changes
 * nothing.
 */
export async function makeReceipt(dependencies: Dependencies, input: MakeReceiptInput): Promise<Receipt> {
  const { run, totals } = input;
  const store = dependencies.openStore(run.documents);
  const specification = await loadReference<Specification>(store, run.specification);
  const goal = await loadReference<GoalDocument>(store, input.goal);
  const ledger = input.ledger && (await loadReference<RunLedgerDocument>(store, input.ledger));
  const table = await readTable(dependencies.openLog(run.table), specification);

  table.requireSameTable(goal);

  const own = new Map(
    ledger?.partitions.map((entry) => [partitionKey(entry.topic, entry.kafkaPartition), entry]),
  );
  const partitions = goal.partitions.map((partition) =>
    receiptPartition(partition, table, own.get(partitionKey(partition.topic, partition.kafkaPartition))),
  );
  const short = partitions.filter(
    ({ endingOffset, requestedOffset }) => BigInt(endingOffset) < BigInt(requestedOffset),
  );
  const behind = partitions.reduce(
    (sum, { offsetsBehindHighWatermark }) => sum + BigInt(offsetsBehindHighWatermark),
    0n,
  );
  const receipt: Receipt = {
    pipeline: run.pipeline,
    outcome: short.length === 0 ? 'complete' : 'partial',
    ...(short.length === 0 ? {} : { reason: whyPartial(short) }),
    location: run.table,
    tableVersion: table.tableVersion,
    // Others may commit before a plan as well as during a batch: the table's offsets show both.
    totals: { ...totals, committedByOthers: partitions.reduce((sum, p) => sum + p.committedByOthers, 0) },
    partitions: partitions.slice(0, PARTITIONS_SHOWN),
    partitionCount: partitions.length,
    allPartitions: await storeReference(store, `runs/${run.id}/receipt`, partitions),
    ...(input.endsLowered === true ? { endsLowered: true } : {}),
    offsetsBehindHighWatermark: String(behind),
    deadLetters: summarizeDeadLetters(specification, totals),
    durationMs: Date.now() - input.startedAtMs,
  };
  Context.current().log.info(inOneLine(receipt));
  return receipt;
}

function inOneLine({ outcome, totals, tableVersion, durationMs }: Receipt): string {
  const { rows, offsets, deadLetters, batches } = totals;
  const letters = deadLetters === 0 ? '' : `, ${formatCountOf(deadLetters, 'dead letter')}`;
  return `${outcome}: ${formatCountOf(rows, 'row')} of ${formatCountOf(offsets, 'offset')}${letters} in ${formatCountOf(batches, 'version')}, ${formatDuration(durationMs)}; the table is at version ${tableVersion}`;
}

function receiptPartition(
  { topic, kafkaPartition, committedOffset, initialOffset, requestedOffset, highWatermark }: GoalPartition,
  table: TableState,
  own: RunLedgerDocument['partitions'][number] | undefined,
): ReceiptPartition {
  const startingOffset = BigInt(committedOffset ?? initialOffset);
  const endingOffset = table.committedOffset(topic, kafkaPartition) ?? startingOffset;
  const behind = BigInt(highWatermark) - endingOffset;
  return {
    topic,
    kafkaPartition,
    startingOffset: String(startingOffset),
    endingOffset: String(endingOffset),
    requestedOffset,
    offsetsBehindHighWatermark: String(behind > 0n ? behind : 0n),
    committedByOthers: Number(endingOffset - startingOffset) - (own?.offsets ?? 0),
    ...(own?.accounting ?? emptyAccounting()),
    ...(own?.lostOffsets === undefined ? {} : { lostOffsets: own.lostOffsets }),
  };
}

/**
 * Of the records that had a value to decode: tombstones and markers would make a share look smaller than it
 * is.
 */
function summarizeDeadLetters(
  { table, records }: Specification,
  { rows, deadLetters, dropped, filtered }: DrainTotals,
): DeadLetterSummary {
  const decoded = rows + deadLetters + dropped + filtered;
  const share = decoded === 0 ? 0 : deadLetters / decoded;
  const maxShare = records.maxDeadLetterShare;
  return { location: deadLettersLocation(table.location), share, maxShare, exceeded: share > maxShare };
}

function whyPartial(short: readonly ReceiptPartition[]): string {
  const places = short
    .slice(0, 5)
    .map((p) => `${p.topic}-${p.kafkaPartition} at ${p.endingOffset} of ${p.requestedOffset}`)
    .join(', ');
  const more = short.length > 5 ? ` and ${short.length - 5} more` : '';
  return `Kafka had no more records to read beyond these offsets: ${places}${more}. Later records are not produced yet, or belong to an open transaction.`;
}
