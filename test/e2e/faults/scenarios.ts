/** What runs while a fault hits: workflows over one topic, each run on a table of its own. */
import type { Message } from 'kafkajs';
import type { Expectation } from './checker.ts';

export const PARTITIONS = 2;
const RECORDS = 240;
const SMALLINT_MAX = 2 ** 15 - 1;
const INT_MAX = 2 ** 31 - 1;

/** In turn: rows; a row too large for a SMALLINT; one cut off; of another type; no UTF-8; without a value. */
export function scenarioRecords(): Message[] {
  const values = (n: number) => [
    '{"n":',
    `{"n":"${n}"}`,
    Buffer.from(`{"n":${n},"t":"\xff"}`, 'latin1'),
    null,
    `{"n":${SMALLINT_MAX + n}}`,
  ];
  return Array.from({ length: RECORDS }, (_, n) => ({
    partition: n % PARTITIONS,
    value: n % 6 === 5 ? (values(n)[((n / 6) % 5) | 0] ?? null) : JSON.stringify({ n }),
  }));
}

export interface Scenario {
  readonly name: string;
  readonly workflowType: 'drain' | 'compact' | 'retryDeadLetters' | 'vacuum';
  readonly input?: object;
  readonly pipeline: PipelineOptions;
  /** Drained into the table before, once for all runs. */
  readonly before?: { readonly pipeline: PipelineOptions; readonly offsets?: number };
  readonly expected: Omit<Expectation, 'location' | 'deadLetters'>;
  /**
   * The table begins with files that no version names, and must end without; its log may lose old versions to
   * the ledger.
   */
  readonly cleans?: true;
  /** Only these calls get a fault: the others are those of another scenario. */
  readonly only?: RegExp;
}

interface PipelineOptions {
  readonly type: 'SMALLINT' | 'INT';
  readonly maxOffsetsPerBatch: number;
  readonly clean?: object;
  readonly vacuum?: object;
}

const AS_DRAINED = { rowMax: SMALLINT_MAX, letterMax: SMALLINT_MAX, filterEvery: 0 };

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'drain',
    workflowType: 'drain',
    pipeline: { type: 'SMALLINT', maxOffsetsPerBatch: RECORDS / 2 },
    expected: AS_DRAINED,
  },
  {
    name: 'drain with clean',
    workflowType: 'drain',
    pipeline: { type: 'SMALLINT', maxOffsetsPerBatch: RECORDS, clean: { where: 'n % 7 <> 0' } },
    expected: { ...AS_DRAINED, filterEvery: 7 },
    only: /process|scratch|writeFiles#\d+ table.(create|write|finish)/,
  },
  {
    name: 'log checkpoint',
    workflowType: 'drain',
    // Nine versions, and no log checkpoint yet: the tenth writes one.
    before: { pipeline: { type: 'SMALLINT', maxOffsetsPerBatch: 20 }, offsets: 90 },
    pipeline: { type: 'SMALLINT', maxOffsetsPerBatch: RECORDS },
    expected: AS_DRAINED,
    only: /checkpoint/,
  },
  {
    name: 'compact',
    workflowType: 'compact',
    input: { targetFiles: 1 },
    before: { pipeline: { type: 'SMALLINT', maxOffsetsPerBatch: RECORDS / 4 } },
    pipeline: { type: 'SMALLINT', maxOffsetsPerBatch: RECORDS },
    expected: AS_DRAINED,
  },
  {
    name: 'retry of dead letters',
    workflowType: 'retryDeadLetters',
    before: { pipeline: { type: 'SMALLINT', maxOffsetsPerBatch: RECORDS / 2 } },
    pipeline: { type: 'INT', maxOffsetsPerBatch: RECORDS },
    expected: { ...AS_DRAINED, rowMax: INT_MAX },
  },
  {
    name: 'vacuum and log clean-up',
    workflowType: 'vacuum',
    input: { olderThan: '1s', force: true },
    // Twelve versions and a log checkpoint: those before it can go.
    before: { pipeline: { type: 'SMALLINT', maxOffsetsPerBatch: RECORDS / 12 } },
    pipeline: { type: 'SMALLINT', maxOffsetsPerBatch: RECORDS, vacuum: { keepLog: '1s' } },
    expected: AS_DRAINED,
    cleans: true,
  },
];

export function pipelineOf(options: PipelineOptions, topic: string, brokers: string, location: string) {
  const { type, maxOffsetsPerBatch, clean, vacuum } = options;
  return {
    source: { bootstrapServers: brokers, subscribe: [topic] },
    records: { mode: 'deadLetter', schema: `n ${type}`, ...(clean && { clean }) },
    limits: { maxOffsetsPerBatch },
    table: { location, coalesce: 1 },
    ...(vacuum && { vacuum }),
  };
}
