import { lettersAt, openDeadLetters } from '../letters/dead-letter-table.ts';
import type { Specification } from '../pipeline/specification.ts';
import { openTable, requireSnapshot } from '../runs/open-table.ts';
import type { Outside } from '../runs/outside.ts';
import type { TracedOffset } from '../trace/offset-trace.ts';
import { type FoundLetter, type TracedFate, traceOffset } from '../trace/trace.ts';
import { type TracedPath, type TracedVersion, tracePath, traceVersion } from '../trace/version-trace.ts';

const MEMORY_BYTES = 192 * 1024 ** 2;
const THREADS = 2;

/**
 * What became of one offset. Throws TABLE_NOT_FOUND where nothing was drained yet.
 *
 * @param scratchFolder an empty folder for what does not fit into memory; the caller removes it
 */
export async function traceOffsetOf(
  specification: Specification,
  outside: Outside,
  traced: TracedOffset,
  scratchFolder: string,
): Promise<TracedFate> {
  const table = openTable(specification, outside);
  const snapshot = await requireSnapshot(table, specification);
  const scan = { spillFolder: scratchFolder, memoryLimitBytes: MEMORY_BYTES, threads: THREADS };
  return await traceOffset(table, snapshot, traced, () => lettersOf(specification, outside, traced), scan);
}

async function lettersOf(
  specification: Specification,
  outside: Outside,
  { topic, kafkaPartition: partition, offset }: TracedOffset,
): Promise<FoundLetter[]> {
  const table = await openDeadLetters(specification, outside);
  const found: FoundLetter[] = [];
  for await (const letter of lettersAt(table, { topic, partition, offset }, ['reason', 'path', 'message'])) {
    const { epoch, reason, path, message } = letter;
    found.push({ epoch, reason, path, message });
  }
  return found;
}

/**
 * The versions that added and removed a data file. Undefined if no known version has added it; throws
 * TABLE_NOT_FOUND where nothing was drained yet.
 *
 * @param path as the log spells it
 */
export async function traceFileOf(
  specification: Specification,
  outside: Outside,
  path: string,
): Promise<TracedPath | undefined> {
  const table = openTable(specification, outside);
  await requireSnapshot(table, specification);
  const found = await tracePath(table.log.history(), path);
  return found.addedIn === null ? undefined : found;
}

/**
 * The content of one table version. Undefined where there is none, or the log no longer holds it; throws
 * TABLE_NOT_FOUND where nothing was drained yet.
 */
export async function traceVersionOf(
  specification: Specification,
  outside: Outside,
  tableVersion: number,
): Promise<TracedVersion | undefined> {
  const table = openTable(specification, outside);
  await requireSnapshot(table, specification);
  for await (const version of table.log.history())
    if (version.tableVersion === tableVersion) return traceVersion(version);
  return undefined;
}
