import { defineQuery, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import type { BeginRetryInput, BeginRetryResult } from '../activities/begin-retry.ts';
import type { CommitRetryResult } from '../activities/commit-retry.ts';
import type { PlannedRetry, PlanRetryInput, PlanRetryResult } from '../activities/plan-retry.ts';
import type {
  RetryDeadLettersInput,
  RetryPass,
  RetryProgress,
  RetryReceipt,
  RetryTotals,
  Run,
} from '../contract.ts';
import { refusal } from './activities.ts';

export const retryProgressQuery = defineQuery<RetryProgress>('progress');

/** What a retry of dead letters knows of itself between two activities. */
export class RetryState {
  private readonly pipeline: string;
  private readonly startedAtMs: number;
  private begun: BeginRetryResult | undefined;
  private pass: RetryPass | undefined;
  private nextBatch = 0;
  private totals: RetryTotals = NOTHING_RETRIED;
  private phase: RetryProgress['phase'] = 'planning';
  private tableVersion = -1;
  /** Batches in a row whose files had become unfit to commit. */
  private expired = 0;

  /** Throws USAGE: a malformed input would else fail the workflow task again and again. */
  constructor(input: RetryDeadLettersInput) {
    if (typeof input?.pipeline !== 'string')
      throw refusal('USAGE', 'retryDeadLetters takes {"pipeline": "NAME"} as its input.');
    this.pipeline = input.pipeline;
    this.startedAtMs = input.carried?.startedAtMs ?? Date.now();
    if (input.carried !== undefined) {
      const { run, table, pass, nextBatch, totals } = input.carried;
      this.begun = { run, table };
      this.pass = pass;
      this.nextBatch = nextBatch;
      this.totals = totals;
    }
    setHandler(retryProgressQuery, () => this.progress(), { description: 'How far the retry is.' });
    this.show();
  }

  request(): BeginRetryInput {
    const { workflowId, runId } = workflowInfo();
    return { pipeline: this.pipeline, runId: `${workflowId}.${runId}` };
  }

  begin(begun: BeginRetryResult): { run: Run } {
    this.begun = begun;
    return { run: begun.run };
  }

  position(): PlanRetryInput {
    this.enter('planning');
    const { begun, pass, nextBatch } = this;
    return { ...known(begun), batch: nextBatch, ...(pass === undefined ? {} : { pass: pass.reference }) };
  }

  plan({ pass, tableVersion, batch }: PlanRetryResult): { run: Run; batch: PlannedRetry | undefined } {
    this.pass = pass;
    this.tableVersion = tableVersion;
    this.enter('writing');
    return { run: known(this.begun).run, batch };
  }

  enter(phase: RetryProgress['phase']): void {
    this.phase = phase;
    this.show();
  }

  /** Takes a commit's outcome in; the same letters are planned anew unless they are settled or known to be defective. */
  record(result: CommitRetryResult): void {
    if (result.kind === 'expired' && ++this.expired > EXPIRED_MAX)
      throw refusal('FILES_EXPIRED', expiredMessage(result.problem));
    if (result.kind !== 'done') return;
    this.expired = 0;
    this.nextBatch++;
    this.tableVersion = result.tableVersion ?? this.tableVersion;
    this.totals = addTotals(this.totals, result.totals);
    this.show();
  }

  receipt(): RetryReceipt {
    this.enter('done');
    return {
      pipeline: this.pipeline,
      location: known(this.begun).run.table,
      tableVersion: this.tableVersion,
      totals: this.totals,
      durationMs: Date.now() - this.startedAtMs,
    };
  }

  carryOn(): RetryDeadLettersInput {
    const { pipeline, begun, pass, nextBatch, totals, startedAtMs } = this;
    return { pipeline, carried: { ...known(begun), pass: known(pass), nextBatch, totals, startedAtMs } };
  }

  private progress(): RetryProgress {
    const { phase, totals, pass, nextBatch } = this;
    if (pass === undefined) return { phase, totals };
    return { phase, totals, pass: { batches: pass.batches, batchesDone: nextBatch, letters: pass.letters } };
  }

  /** Keeps what the Temporal UI shows as current details true. */
  private show(): void {
    const { phase, totals, pass } = this.progress();
    const { letters, rows, stillDefective } = totals;
    const lines = [
      `**${phase}**`,
      `${letters} letters decoded again: ${rows} rows, ${stillDefective} still defective`,
    ];
    if (pass !== undefined)
      lines.push(`${pass.batchesDone} of ${pass.batches} batches of ${pass.letters} letters done`);
    if (this.tableVersion >= 0) lines.push(`table version ${this.tableVersion}`);
    setCurrentDetails(lines.join('  \n'));
  }
}

/** The table's clock, or somebody who deletes files, is at odds with us: writing once more would not help. */
const EXPIRED_MAX = 5;

function expiredMessage(problem: string): string {
  return `The files of ${EXPIRED_MAX + 1} batches in a row could not be committed after they were written: ${problem}. No data is lost. Find out who deletes or changes files in the table's folder, and check that its clock is right; then retry again.`;
}

const NOTHING_RETRIED: RetryTotals = {
  letters: 0,
  rows: 0,
  filtered: 0,
  stillDefective: 0,
  files: 0,
  bytes: 0,
  batches: 0,
};

function addTotals(totals: RetryTotals, batch: RetryTotals): RetryTotals {
  return {
    letters: totals.letters + batch.letters,
    rows: totals.rows + batch.rows,
    filtered: totals.filtered + batch.filtered,
    stillDefective: totals.stillDefective + batch.stillDefective,
    files: totals.files + batch.files,
    bytes: totals.bytes + batch.bytes,
    batches: totals.batches + batch.batches,
  };
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw refusal('NOT_STARTED', 'The retry has no plan yet.');
  return value;
}
