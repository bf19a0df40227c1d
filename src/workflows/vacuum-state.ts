import { defineQuery, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import type { CleanUpResult } from '../activities/clean-up.ts';
import type { CommitVacuumResult } from '../activities/commit-vacuum.ts';
import type { DropOldPartitionsResult } from '../activities/drop-old-partitions.ts';
import type { FindGarbageResult, FoundGarbage, GarbageList } from '../activities/find-garbage.ts';
import type { PlanVacuumInput, PlanVacuumResult } from '../activities/plan-vacuum.ts';
import type { CleanedLog, VacuumedTable, VacuumInput, VacuumProgress, VacuumReceipt } from '../contract.ts';
import { refusal } from './activities.ts';

export const vacuumProgressQuery = defineQuery<VacuumProgress>('progress');

/** What a vacuum knows of itself between two activities. */
export class VacuumState {
  private readonly input: VacuumInput;
  private readonly startedAtMs = Date.now();
  private phase: VacuumProgress['phase'] = 'planning';
  private planned: PlanVacuumResult | undefined;
  private garbage: FindGarbageResult | undefined;
  private retention: DropOldPartitionsResult | undefined;
  private readonly done = { files: 0, bytes: 0 };

  /** Throws USAGE: a malformed input would else fail the workflow task again and again. */
  constructor(input: VacuumInput) {
    if (typeof input?.pipeline !== 'string')
      throw refusal(
        'USAGE',
        'vacuum takes {"pipeline": "NAME", "olderThan"?: "7d", "dryRun"?: …, "force"?: …} as its input.',
      );
    this.input = input;
    setHandler(vacuumProgressQuery, () => this.progress(), { description: 'How far the vacuum is.' });
    this.show();
  }

  request(): PlanVacuumInput {
    const { workflowId, runId } = workflowInfo();
    const { pipeline, olderThan, force } = this.input;
    return {
      pipeline,
      runId: `${workflowId}.${runId}`,
      ...(olderThan === undefined ? {} : { olderThan }),
      ...(force === undefined ? {} : { force }),
    };
  }

  begin(planned: PlanVacuumResult): PlanVacuumResult & { readonly dryRun: boolean } {
    this.planned = planned;
    if (planned.plan.retention === undefined) this.enter(this.afterDropping);
    else this.enter('dropping');
    return { ...planned, dryRun: this.isDryRun };
  }

  dropped(retention: DropOldPartitionsResult): void {
    this.retention = retention;
    this.enter(this.afterDropping);
  }

  committed(_: CommitVacuumResult): void {
    this.enter('searching');
  }

  found(garbage: FindGarbageResult): FindGarbageResult {
    this.garbage = garbage;
    this.enter(garbage.lists.length === 0 ? 'cleaningUp' : 'deleting');
    return garbage;
  }

  deleted({ files, bytes }: GarbageList): void {
    this.done.files += files;
    this.done.bytes += bytes;
    this.enter(this.done.files < filesOf(this.garbage) ? 'deleting' : 'cleaningUp');
  }

  receipt({ table, deadLetters, temporary }: CleanUpResult): VacuumReceipt {
    const { planned, garbage, input, retention } = this;
    if (planned === undefined || garbage === undefined)
      throw refusal('NOT_STARTED', 'The vacuum has no plan yet.');
    this.enter('done');
    const letters = garbage.deadLetters;
    const isNothing =
      garbage.lists.length === 0 &&
      temporary.files === 0 &&
      (retention?.files ?? 0) === 0 &&
      [table, deadLetters].every((log) => log.versionsFolded + log.bytesDeleted === 0);
    return {
      pipeline: input.pipeline,
      outcome: this.isDryRun ? 'planned' : isNothing ? 'nothingToDo' : 'vacuumed',
      location: planned.run.table,
      tableVersion: garbage.tableVersion,
      cutOff: new Date(planned.plan.cutOffMs).toISOString(),
      table: vacuumed(garbage.table, table),
      ...(letters && { deadLetters: vacuumed(letters, deadLetters) }),
      leftovers: {
        documents: garbage.documents.files,
        documentBytes: garbage.documents.bytes,
        temporaryFiles: temporary.files,
        temporaryBytes: temporary.bytes,
      },
      ...(retention && { retention }),
      lists: garbage.lists.map(({ reference }) => reference),
      durationMs: Date.now() - this.startedAtMs,
    };
  }

  private get isDryRun(): boolean {
    return this.input.dryRun === true;
  }

  private get afterDropping(): VacuumProgress['phase'] {
    return this.isDryRun ? 'searching' : 'committing';
  }

  private enter(phase: VacuumProgress['phase']): void {
    this.phase = phase;
    this.show();
  }

  private progress(): VacuumProgress {
    const { phase, garbage, done } = this;
    if (garbage === undefined) return { phase };
    const bytesToDelete = garbage.lists.reduce((sum, { bytes }) => sum + bytes, 0);
    const toDelete = filesOf(garbage);
    return {
      phase,
      files: { toDelete, deleted: done.files, bytesToDelete, bytesDeleted: done.bytes },
    };
  }

  /** Keeps what the Temporal UI shows as current details true. */
  private show(): void {
    const { phase, files } = this.progress();
    const lines = [`**${phase}**`];
    if (this.planned !== undefined)
      lines.push(`files from before ${new Date(this.planned.plan.cutOffMs).toISOString()}`);
    if ((this.retention?.files ?? 0) > 0)
      lines.push(
        `${this.retention?.partitions} table partitions from before ${this.retention?.before} dropped`,
      );
    if (files !== undefined) lines.push(`${files.deleted} of ${files.toDelete} files deleted`);
    setCurrentDetails(lines.join('  \n'));
  }
}

function filesOf(garbage: FindGarbageResult | undefined): number {
  return garbage?.lists.reduce((sum, { files }) => sum + files, 0) ?? 0;
}

function vacuumed({ location, files, bytes, kept }: FoundGarbage, log: CleanedLog): VacuumedTable {
  return { location, filesDeleted: files, bytesDeleted: bytes, kept, log };
}
