import {
  condition,
  defineQuery,
  defineSignal,
  defineUpdate,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { CommitBatchResult } from '../activities/commit-batch.ts';
import type { PlanDrainInput, PlanDrainResult, PlannedBatch } from '../activities/plan-drain.ts';
import type { PublishDeadLettersInput } from '../activities/publish-dead-letters.ts';
import type { ResolveGoalInput, ResolveGoalResult } from '../activities/resolve-goal.ts';
import type {
  DrainInput,
  DrainProgress,
  DrainTotals,
  Goal,
  Offsets,
  Reference,
  RetargetInput,
  RetargetResult,
  Run,
} from '../contract.ts';
import type { WriteResult } from '../tasks/orders.ts';
import { refusal, resolveGoal } from './activities.ts';

export const progressQuery = defineQuery<DrainProgress>('progress');
export const pauseSignal = defineSignal('pause');
export const resumeSignal = defineSignal('resume');
export const retargetUpdate = defineUpdate<RetargetResult, [RetargetInput]>('retarget');

/** What a drain knows of itself between two activities, and what others may ask of it or tell it. */
export class DrainState {
  private readonly input: DrainInput;
  private readonly startedAtMs: number;
  private run: Run | undefined;
  private goal: Goal | undefined;
  private totals: DrainTotals = NOTHING_DRAINED;
  private ledgerReference: Reference | undefined;
  private phase: DrainProgress['phase'] = 'planning';
  private paused = false;
  /** Some end was taken back: who had been promised it may have got less. */
  private endsLowered = false;
  /** Batches in a row whose files had become unfit to commit. */
  private expired = 0;
  /** Length of the history when this run asks for its goal. */
  private readonly goalAskedAt: number;
  /** Planning and retargeting both read the goal and must not overlap: one holds this at a time. */
  private goalIsHeld = false;
  private running: RunningBatch | undefined;

  /** Throws USAGE, OFFSETS_INVALID: a malformed input would else fail the workflow task again and again. */
  constructor(input: DrainInput) {
    refuseMalformedInput(input);
    this.input = input;
    this.goalAskedAt = workflowInfo().historyLength;
    this.startedAtMs = input.carried?.startedAtMs ?? Date.now();
    if (input.carried !== undefined) {
      const { run, goal, totals, ledger, endsLowered = false, paused } = input.carried;
      this.run = run;
      this.endsLowered = endsLowered;
      this.goal = goal;
      this.totals = totals;
      this.ledgerReference = ledger;
      this.paused = paused;
    }
    setHandler(progressQuery, () => this.progress(), { description: 'How far the drain is.' });
    setHandler(pauseSignal, () => this.setPaused(true), { description: 'Stop before the next batch.' });
    setHandler(resumeSignal, () => this.setPaused(false), { description: 'Go on after a pause.' });
    setHandler(retargetUpdate, (target) => this.retarget(target), {
      validator: refuseMalformedTarget,
      description: 'Move the end: {until, raiseOnly?}. Returns the ends in force.',
    });
    this.show();
  }

  goalRequest(): ResolveGoalInput {
    const { workflowId, runId } = workflowInfo();
    return {
      pipeline: this.input.pipeline,
      runId: `${workflowId}.${runId}`,
      until: this.input.until ?? 'latest',
    };
  }

  begin({ run, goal }: ResolveGoalResult): void {
    this.run = run;
    this.goal = goal;
  }

  /** Plans the next batch, when neither a pause nor a retarget is in the way. */
  async plan(
    planDrain: (input: PlanDrainInput) => Promise<PlanDrainResult>,
  ): Promise<{ run: Run; goal: Goal; batch: PlanDrainResult }> {
    this.enter(this.paused ? 'paused' : 'planning');
    return await this.holdingGoal(
      () => !this.paused,
      async () => {
        this.enter('planning');
        const { run, goal } = this.frozen();
        const batch = await planDrain({ run, goal: goal.reference });
        this.running = batch.kind === 'batch' ? { batch, tasksDone: 0, offsetsWritten: 0 } : undefined;
        this.enter(batch.kind === 'batch' ? 'writing' : 'done');
        return { run, goal, batch };
      },
    );
  }

  publication(): PublishDeadLettersInput {
    return { run: this.frozen().run };
  }

  async countTask(task: Promise<WriteResult>): Promise<WriteResult> {
    const result = await task;
    if (this.running !== undefined) {
      this.running.tasksDone++;
      this.running.offsetsWritten += result.offsets;
    }
    this.show();
    return result;
  }

  async commit<T>(commitBatch: () => Promise<T>): Promise<T> {
    this.enter('committing');
    return await commitBatch();
  }

  record(result: CommitBatchResult): void {
    this.running = undefined;
    if (result.kind === 'expired') {
      if (++this.expired > EXPIRED_MAX) throw refusal('FILES_EXPIRED', expiredMessage(result.problem));
      return;
    }
    this.expired = 0;
    this.totals = addTotals(this.totals, result);
    if (result.kind === 'committed') this.ledgerReference = result.ledger;
  }

  ledger(): { ledger?: Reference } {
    return this.ledgerReference === undefined ? {} : { ledger: this.ledgerReference };
  }

  outcome(): { totals: DrainTotals; startedAtMs: number; ledger?: Reference; endsLowered: boolean } {
    const { totals, startedAtMs, endsLowered } = this;
    return { totals, startedAtMs, endsLowered, ...this.ledger() };
  }

  get hasCommitted(): boolean {
    return this.totals.batches > 0;
  }

  goalIs(goal: Goal): boolean {
    return this.goal === goal;
  }

  carryOn(): DrainInput {
    const { run, goal } = this.frozen();
    return { ...this.input, carried: { run, goal, paused: this.paused, ...this.outcome() } };
  }

  private async retarget({ until, raiseOnly = false }: RetargetInput): Promise<RetargetResult> {
    // Who has just started this run asks for the end that the run is about to fix: the same goal serves both.
    // Who comes any later may know of records that were not there yet when Kafka was asked, however long its
    // answer takes.
    const isOwnGoal =
      workflowInfo().historyLength === this.goalAskedAt &&
      this.input.carried === undefined &&
      JSON.stringify(until) === JSON.stringify(this.goalRequest().until);
    await condition(() => this.goal !== undefined);
    if (isOwnGoal) return { endingOffsets: this.frozen().goal.endingOffsets };
    return await this.holdingGoal(
      () => true,
      async () => {
        const { run, goal } = this.frozen();
        const plan = this.running?.batch.plan;
        const amended = {
          run,
          reference: goal.reference,
          raiseOnly,
          ...(plan === undefined ? {} : { plan }),
        };
        const { goal: next } = await resolveGoal({ ...this.goalRequest(), until, amended });
        if (next.reference.sha256 !== goal.reference.sha256) this.goal = next;
        this.endsLowered ||= isLower(next.endingOffsets, goal.endingOffsets);
        this.show();
        return { endingOffsets: next.endingOffsets };
      },
    );
  }

  /**
   * Runs `work` once `ready` and nobody else holds the goal; asks again after waking, since several wake at
   * once.
   */
  private async holdingGoal<T>(ready: () => boolean, work: () => Promise<T>): Promise<T> {
    while (this.goalIsHeld || !ready()) await condition(() => !this.goalIsHeld && ready());
    this.goalIsHeld = true;
    try {
      return await work();
    } finally {
      this.goalIsHeld = false;
    }
  }

  private frozen(): { run: Run; goal: Goal } {
    if (this.run === undefined || this.goal === undefined)
      throw refusal('NOT_STARTED', 'The drain has no goal yet.');
    return { run: this.run, goal: this.goal };
  }

  private setPaused(paused: boolean): void {
    this.paused = paused;
    this.show();
  }

  private enter(phase: DrainProgress['phase']): void {
    this.phase = phase;
    this.show();
  }

  private progress(): DrainProgress {
    const { goal, running, totals, phase, paused } = this;
    return {
      phase,
      totals,
      offsetsDrained: totals.offsets + totals.committedByOthers,
      paused,
      ...(goal === undefined ? {} : { offsetsToDrain: goal.offsetsToDrain }),
      ...(running === undefined ? {} : { batch: describeBatch(running) }),
    };
  }

  /** Keeps what the Temporal UI shows as current details true. */
  private show(): void {
    const { phase, totals, offsetsDrained, offsetsToDrain, batch, paused } = this.progress();
    const lines = [
      `**${phase}**${paused && phase !== 'paused' ? ' (pauses before the next batch)' : ''}`,
      `${offsetsDrained} of ${offsetsToDrain ?? '?'} offsets drained in ${totals.batches} batches; ${totals.rows} rows, ${totals.files} files`,
    ];
    if (totals.lastTableVersion !== undefined) lines.push(`table version ${totals.lastTableVersion}`);
    if (batch !== undefined)
      lines.push(`batch of ${batch.offsets} offsets: ${batch.tasksDone} of ${batch.tasks} write tasks done`);
    setCurrentDetails(lines.join('  \n'));
  }
}

interface RunningBatch {
  readonly batch: PlannedBatch;
  tasksDone: number;
  offsetsWritten: number;
}

/** The table's clock is wrong, or somebody deletes files: writing again would not help. */
const EXPIRED_MAX = 5;

function expiredMessage(problem: string): string {
  return `The files of ${EXPIRED_MAX + 1} batches in a row could not be committed after they were written: ${problem}. No data is lost. Find out who deletes or changes files in the table's folder, and check that its clock is right; then drain again.`;
}

const NOTHING_DRAINED: DrainTotals = {
  offsets: 0,
  rows: 0,
  deadLetters: 0,
  dropped: 0,
  filtered: 0,
  tombstones: 0,
  markers: 0,
  aborted: 0,
  gaps: 0,
  lost: 0,
  files: 0,
  bytes: 0,
  batches: 0,
  committedByOthers: 0,
};

function addTotals(
  totals: DrainTotals,
  result: Exclude<CommitBatchResult, { kind: 'expired' }>,
): DrainTotals {
  if (result.kind === 'superseded') {
    return { ...totals, committedByOthers: totals.committedByOthers + result.committedByOthers };
  }
  const { accounting: terms, tableVersion } = result;
  const truncatedTimestamps = (totals.truncatedTimestamps ?? 0) + (result.truncatedTimestamps ?? 0);
  return {
    offsets: totals.offsets + result.offsets,
    rows: totals.rows + terms.rows,
    deadLetters: totals.deadLetters + terms.deadLetters,
    dropped: totals.dropped + terms.dropped,
    filtered: totals.filtered + terms.filtered,
    tombstones: totals.tombstones + terms.tombstones,
    markers: totals.markers + terms.markers,
    aborted: totals.aborted + terms.aborted,
    gaps: totals.gaps + terms.gaps,
    lost: totals.lost + terms.lost,
    files: totals.files + result.files,
    bytes: totals.bytes + result.bytes,
    batches: totals.batches + 1,
    committedByOthers: totals.committedByOthers,
    firstTableVersion: totals.firstTableVersion ?? tableVersion,
    lastTableVersion: tableVersion,
    ...(truncatedTimestamps > 0 && { truncatedTimestamps }),
  };
}

function isLower(ends: Offsets, before: Offsets): boolean {
  return Object.entries(before).some(([topic, partitions]) =>
    Object.entries(partitions).some(
      ([kafkaPartition, end]) => BigInt(ends[topic]?.[kafkaPartition] ?? '0') < BigInt(end),
    ),
  );
}

function describeBatch({
  batch,
  tasksDone,
  offsetsWritten,
}: RunningBatch): NonNullable<DrainProgress['batch']> {
  const { batchId, tasks, offsets } = batch;
  return { batchId, tasks: tasks.length, tasksDone, offsets, offsetsWritten };
}

function refuseMalformedInput(input: DrainInput): void {
  if (typeof input?.pipeline !== 'string')
    throw refusal('USAGE', 'drain takes {"pipeline": "NAME", "until"?: …} as its input.');
  if (!isUntil(input.until ?? 'latest')) throw refusal('OFFSETS_INVALID', `until takes ${UNTIL_FORMS}.`);
}

function refuseMalformedTarget(target: RetargetInput): void {
  if (isUntil(target?.until)) return;
  throw refusal('OFFSETS_INVALID', `retarget takes {"until": …}: ${UNTIL_FORMS}.`);
}

const UNTIL_FORMS =
  '"latest", {"offsets":{"topic":{"0":1000,"1":-1}}} or {"timestamp":"2026-11-22T00:00:00Z"}';

/** Its shape only: which offsets and timestamps there are, the activity tells. */
function isUntil(until: unknown): boolean {
  if (until === 'latest') return true;
  if (!isObject(until) || Object.keys(until).length !== 1) return false;
  if ('timestamp' in until) return typeof until.timestamp === 'string';
  return 'offsets' in until && isObject(until.offsets) && Object.values(until.offsets).every(isObject);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
