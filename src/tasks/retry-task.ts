import { type LetterId, LetterSet, lettersToJson } from '../commits/letters.ts';
import {
  IDENTITY,
  type LetterSlice,
  letterId,
  letterSlices,
  type StoredLetter,
} from '../letters/stored-letters.ts';
import type { Specification } from '../pipeline/specification.ts';
import { ODD_TIMESTAMP } from '../records/dead-letters.ts';
import { tableSchemas } from '../records/table-schema.ts';
import type { RetryPlanDocument, RetryTaskDocument } from '../runs/documents.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { Cleaning, type CleanWorkplace } from './cleaning.ts';
import type { WriteProgress } from './orders.ts';
import { type LetterSink, RecordSink } from './record-sink.ts';
import { TableFiles } from './table-files.ts';

export interface RetryTaskWork {
  readonly store: ObjectStore;
  /** Of the dead-letter table. */
  readonly letterStore: ObjectStore;
  readonly specification: Specification;
  /** Where the specification has `clean`. */
  readonly cleanWorkplace?: CleanWorkplace | undefined;
  readonly plan: RetryPlanDocument;
  /** What the plan's newest retry and those before it have settled. */
  readonly retried: LetterSet;
  readonly onProgress: (progress: WriteProgress) => void;
}

/** One plan's letters, from the dead-letter table's files to finished files of the table. */
export async function retryTask(work: RetryTaskWork): Promise<RetryTaskDocument> {
  const { plan, letterStore, specification } = work;
  const schemas = tableSchemas(specification.records, specification.table.partitionBy);
  const cleaning = work.cleanWorkplace && new Cleaning(work.cleanWorkplace, specification, schemas, 1);
  const files = new TableFiles({
    store: work.store,
    ...(cleaning && { cleaning }),
    rowSchema: schemas.rowSchema,
    fileSchema: schemas.fileSchema,
    table: specification.table,
    maxFiles: specification.limits.maxFilesPerBatch,
    keyValueMetadata: { 'tidemark.batch': plan.batchId },
    task: 0,
  });
  try {
    files.beginRange(0);
    // Whatever the pipeline does with new records: of a letter, either all of it fits or it stays what it is.
    const sink = new RecordSink(specification, schemas, files, STAYS_A_LETTER, 'deadLetter');
    const again = new LettersAgain(sink, work.retried);
    let passed = 0;
    for (const { path, ...rows } of plan.ranges) {
      for await (const slice of letterSlices(letterStore, path, rows)) {
        for (const letter of await again.open(slice)) {
          again.decode(letter);
          if (sink.isFull) await files.writeOut();
        }
        passed += slice.endRow - slice.startRow;
        work.onProgress({ offsetsRead: passed, rows: sink.totalRows, bytesWritten: files.bytesWritten });
      }
    }
    const { letters, stillDefective, settled } = again;
    let fileSteps = 0;
    const written = await files.finish(() =>
      work.onProgress({
        offsetsRead: passed,
        rows: sink.totalRows,
        bytesWritten: files.bytesWritten,
        fileSteps: ++fileSteps,
      }),
    );
    const filtered = cleaning?.counts[0]?.filtered ?? 0;
    return { letters, stillDefective, retried: lettersToJson(settled.toSpans()), filtered, files: written };
  } catch (error) {
    await files.abort().catch(() => {});
    throw error;
  }
}

const STAYS_A_LETTER: LetterSink = { add: () => {}, isFull: false };

const RECORD = [...IDENTITY, 'timestamp', 'key', 'headers', 'value', 'reason'] as const;
type RecordedLetter = Pick<StoredLetter, (typeof RECORD)[number]>;

/**
 * Hands letters to the sink as the walk over Kafka's batches hands records, and tells what became of them.
 */
class LettersAgain {
  letters = 0;
  stillDefective = 0;
  readonly settled = new LetterSet();

  private readonly sink: RecordSink;
  private readonly retried: LetterSet;

  constructor(sink: RecordSink, retried: LetterSet) {
    this.sink = sink;
    this.retried = retried;
  }

  /** The slice's letters that nobody has settled. Their bytes are read only where there are any. */
  async open(slice: LetterSlice): Promise<RecordedLetter[]> {
    const identities = await slice.read(IDENTITY);
    const isOpen = identities.map((letter) => this.isOpen(letterId(letter)));
    const first = isOpen.indexOf(true);
    if (first < 0) return [];
    const startRow = slice.startRow + first;
    const letters = await slice.read(RECORD, startRow, slice.startRow + isOpen.lastIndexOf(true) + 1);
    return letters.filter((_, index) => isOpen[first + index]);
  }

  decode(letter: RecordedLetter): void {
    const id = letterId(letter);
    if (!this.isOpen(id)) return;
    const { sink } = this;
    const { key, headers } = letter;
    const value = Buffer.from(letter.value);
    const record = Buffer.concat([value, key ?? NOTHING, headersAsInKafka(headers)]);
    const keyEnd = value.length + (key?.length ?? 0);
    sink.begin(id.topic, id.kafkaPartition);
    sink.record(
      Number(id.offset),
      timestampMs(letter),
      record,
      0,
      value.length,
      key === null ? -1 : value.length,
      keyEnd,
      keyEnd,
      record.length,
    );
    this.letters++;
    if (sink.rows === 1) this.settled.add(id);
    else this.stillDefective++;
  }

  private isOpen(id: LetterId): boolean {
    return !this.retried.has(id) && !this.settled.has(id);
  }
}

const NOTHING = Buffer.alloc(0);
/** Kafka's "no timestamp". */
const NO_TIMESTAMP = -1;

/**
 * What the letter's column could not hold, the row's cannot either: it stays odd, rather than become null.
 */
function timestampMs({ timestamp, reason }: RecordedLetter): number {
  if (timestamp !== null) return Number(timestamp / 1000n);
  return reason === ODD_TIMESTAMP ? Number.MAX_SAFE_INTEGER : NO_TIMESTAMP;
}

/**
 * Headers as a record batch holds them, so that they go the way of every record's. Kafka protocol, "Record
 * Header".
 */
function headersAsInKafka(headers: StoredLetter['headers']): Buffer {
  const parts: Uint8Array[] = [varint(headers?.length ?? 0)];
  for (const { key, value } of headers ?? []) {
    const name = Buffer.from(key);
    parts.push(varint(name.length), name, varint(value?.length ?? -1), value ?? NOTHING);
  }
  return Buffer.concat(parts);
}

/** A zigzag int32, seven bits per byte, the lowest first. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}
