import { randomUUID } from 'node:crypto';
import type { Reference, RetryPass, RetryTable, Run } from '../contract.ts';
import { parseStats } from '../delta/actions.ts';
import { letterFilesOf } from '../letters/stored-letters.ts';
import { readFooter } from '../parquet/file-reader.ts';
import type { Specification } from '../pipeline/specification.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import type { LetterRange, RetryPassDocument, RetryPlanDocument } from '../runs/documents.ts';
import { loadReference, storeReference } from '../runs/references.ts';
import { readTable } from '../runs/table-state.ts';
import type { Dependencies } from './dependencies.ts';

export interface PlanRetryInput {
  readonly run: Run;
  readonly table: RetryTable;
  /** What an earlier plan of the same run has fixed. */
  readonly pass?: Reference;
  /** Index of the pass's batch to plan. */
  readonly batch: number;
}

export interface PlanRetryResult {
  readonly pass: RetryPass;
  /** Of the table, as the plan found it. */
  readonly tableVersion: number;
  /** Absent where the pass is over. */
  readonly batch?: PlannedRetry;
}

export interface PlannedRetry {
  readonly plan: Reference;
  readonly summary: string;
}

/** Bounds what one commit names one by one, and what is lost to a conflict. */
const LETTERS_PER_BATCH = 100_000;
/** As they lie on disk. */
const BYTES_PER_BATCH = 64 * 1024 ** 2;

/**
 * Freezes the next batch of a retry: letters of the published dead-letter table, and the newest retry, by
 * which those are known that are settled already. The first call cuts the whole table into batches.
 *
 * Changes nothing but its own files, so it may run any number of times; the workflow's history keeps the one
 * that counts.
 */
export async function planRetry(dependencies: Dependencies, input: PlanRetryInput): Promise<PlanRetryResult> {
  const { run, table } = input;
  const store = dependencies.openStore(run.documents);
  const specification = await loadReference<Specification>(store, run.specification);
  const now = await readTable(dependencies.openLog(run.table), specification);
  now.requireSameTable(table);
  const { tableVersion, newestRetry } = now;
  const { document, ...pass } = await passOf(dependencies, input, specification);
  const ranges = document.batches[input.batch];
  if (ranges === undefined) return { pass, tableVersion };
  const plan: RetryPlanDocument = {
    batchId: randomUUID(),
    pipeline: specification.name,
    ...table,
    tableVersion,
    previousRetry: newestRetry?.toString() ?? null,
    ranges,
  };
  const reference = await storeReference(store, `runs/${run.id}/retry-plan-${plan.batchId}`, plan);
  const summary = `${lettersIn(ranges)} letters of ${ranges.length} files`;
  return { pass, tableVersion, batch: { plan: reference, summary } };
}

async function passOf(
  dependencies: Dependencies,
  input: PlanRetryInput,
  { limits }: Specification,
): Promise<RetryPass & { readonly document: RetryPassDocument }> {
  const { run, pass } = input;
  const store = dependencies.openStore(run.documents);
  const document =
    pass === undefined
      ? await cutTable(dependencies, input, limits.maxOffsetsPerBatch)
      : await loadReference<RetryPassDocument>(store, pass);
  const reference = pass ?? (await storeReference(store, `runs/${run.id}/retry-pass`, document));
  const letters = document.batches.reduce((sum, ranges) => sum + lettersIn(ranges), 0);
  return { reference, batches: document.batches.length, letters, document };
}

/** The published letters as they are now, oldest file first; nothing where there are none. */
async function cutTable(
  dependencies: Dependencies,
  { run, table }: PlanRetryInput,
  maxOffsetsPerBatch: number,
): Promise<RetryPassDocument> {
  const location = deadLettersLocation(run.table);
  const snapshot = await dependencies.openLog(location).snapshot();
  const found = await letterFilesOf(dependencies.openLog(run.table), table.tableId, snapshot);
  const files: LetterFile[] = [];
  for (const [path, { size, stats }] of found) {
    // Another writer's OPTIMIZE may leave no statistics.
    const counted = parseStats(stats)?.numRecords;
    const rowCount = counted ?? (await readFooter(dependencies.openStore(location), path)).rowCount;
    files.push({ path, sizeBytes: size, rowCount });
  }
  const letters = Math.min(LETTERS_PER_BATCH, maxOffsetsPerBatch);
  return { batches: cutBatches(files, { letters, bytes: BYTES_PER_BATCH }) };
}

export interface LetterFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly rowCount: number;
}

/**
 * Batches of at most so many letters, and of at most so many bytes but for a single letter; in the files'
 * order.
 */
export function cutBatches(
  files: readonly LetterFile[],
  max: { readonly letters: number; readonly bytes: number },
): LetterRange[][] {
  const batches: LetterRange[][] = [];
  let batch: LetterRange[] = [];
  let left = max;
  for (const { path, sizeBytes, rowCount } of files) {
    const bytesPerRow = sizeBytes / rowCount;
    for (let startRow = 0; startRow < rowCount; ) {
      const fitting = Math.min(rowCount - startRow, left.letters, Math.floor(left.bytes / bytesPerRow));
      const taken = batch.length === 0 ? Math.max(1, fitting) : fitting;
      if (taken > 0) {
        batch.push({ path, startRow, endRow: startRow + taken });
        left = { letters: left.letters - taken, bytes: left.bytes - taken * bytesPerRow };
        startRow += taken;
      }
      if (startRow === rowCount) break;
      batches.push(batch);
      batch = [];
      left = max;
    }
  }
  return batch.length === 0 ? batches : [...batches, batch];
}

function lettersIn(ranges: readonly LetterRange[]): number {
  return ranges.reduce((sum, { startRow, endRow }) => sum + endRow - startRow, 0);
}
