import { defineQuery, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import type { CommitCompactionResult } from '../activities/commit-compaction.ts';
import type {
  CompactionRound,
  PlanCompactionInput,
  PlanCompactionResult,
} from '../activities/plan-compaction.ts';
import type { CompactInput, CompactionProgress, CompactionReceipt, Run } from '../contract.ts';
import { refusal } from './activities.ts';

export const compactionProgressQuery = defineQuery<CompactionProgress>('progress');

/** Conflicts in a row, each of which somebody else's change of the same files has caused. */
const REPLANS_MAX = 5;

/** What a compaction knows of itself between two activities, and what others may ask of it. */
export class CompactionState {
  private readonly input: CompactInput;
  private readonly startedAtMs: number;
  private run: Run | undefined;
  private phase: CompactionProgress['phase'] = 'planning';
  private totals: CompactionProgress['totals'];
  private planned: PlanCompactionResult | undefined;
  private tasksDone = 0;
  private tableVersion = -1;
  private filesNow = 0;
  private replans = 0;
  private done = false;

  constructor(input: CompactInput) {
    this.input = input;
    this.startedAtMs = input.carried?.startedAtMs ?? Date.now();
    this.run = input.carried?.run;
    this.totals = input.carried?.totals ?? NOTHING_COMPACTED;
    setHandler(compactionProgressQuery, () => this.progress(), { description: 'How far the compaction is.' });
    this.show();
  }

  request(): PlanCompactionInput {
    this.enter('planning');
    const { workflowId, runId } = workflowInfo();
    const { pipeline, targetFiles, targetFileSize } = this.input;
    return {
      pipeline,
      runId: `${workflowId}.${runId}`,
      ...(targetFiles === undefined ? {} : { targetFiles }),
      ...(targetFileSize === undefined ? {} : { targetFileSize }),
      ...(this.run === undefined ? {} : { run: this.run }),
    };
  }

  plan(planned: PlanCompactionResult): { run: Run; round: CompactionRound | undefined } {
    if (this.run === undefined) this.totals = { ...this.totals, filesBefore: planned.table.files };
    this.run = planned.run;
    this.planned = planned;
    this.tableVersion = planned.table.tableVersion;
    this.filesNow = planned.table.files;
    this.tasksDone = 0;
    this.enter('rewriting');
    return { run: planned.run, round: planned.round };
  }

  async countTask<T>(task: Promise<T>): Promise<T> {
    const result = await task;
    this.tasksDone++;
    this.show();
    return result;
  }

  enter(phase: CompactionProgress['phase']): void {
    this.phase = phase;
    this.show();
  }

  /** Takes a commit's outcome in. Throws COMMIT_CONTENDED after too many conflicts in a row. */
  record(result: CommitCompactionResult): void {
    const round = this.planned?.round;
    this.filesNow = result.files;
    if (result.kind === 'committed') {
      this.tableVersion = result.tableVersion;
      this.totals = addTotals(this.totals, result.totals, round?.tablePartitions ?? 0);
      this.replans = 0;
      this.done = round?.isLast ?? true;
    } else if (++this.replans > REPLANS_MAX) {
      throw refusal(
        'COMMIT_CONTENDED',
        `${REPLANS_MAX} plans in a row lost to other writers that rewrite or delete files of this table. No data is lost; compact again when they are done.`,
      );
    }
    this.show();
  }

  isDone(): boolean {
    return this.done;
  }

  receipt(): CompactionReceipt {
    this.enter('done');
    const { planned, run, totals, input } = this;
    if (planned === undefined || run === undefined)
      throw refusal('NOT_STARTED', 'The compaction has no plan yet.');
    const { filesRemoved } = totals;
    const base = {
      pipeline: input.pipeline,
      location: run.table,
      tableVersion: this.tableVersion,
      partitionsLeft: planned.left,
      durationMs: Date.now() - this.startedAtMs,
    };
    const round = planned.round;
    if (input.dryRun === true && round !== undefined) {
      return { ...base, outcome: 'planned', ...plannedTotals(totals.filesBefore, round) };
    }
    const outcome = filesRemoved === 0 ? 'nothingToDo' : 'compacted';
    return { ...base, outcome, ...totals, filesAfter: this.filesNow };
  }

  carryOn(): CompactInput {
    const { run, totals, startedAtMs, input } = this;
    if (run === undefined) throw refusal('NOT_STARTED', 'The compaction has no plan yet.');
    return { ...input, carried: { run, totals, startedAtMs } };
  }

  private progress(): CompactionProgress {
    const { phase, totals, planned, tasksDone } = this;
    if (planned?.round === undefined) return { phase, totals };
    const { tasks, filesToRemove, filesToAdd, bytesToRewrite } = planned.round;
    return {
      phase,
      totals,
      round: { tasks: tasks.length, tasksDone, filesToRemove, filesToAdd, bytesToRewrite },
    };
  }

  /** Keeps what the Temporal UI shows as current details true. */
  private show(): void {
    const { phase, totals, round } = this.progress();
    const lines = [
      `**${phase}**`,
      `${totals.filesRemoved} files replaced by ${totals.filesAdded}; ${totals.rows} rows`,
    ];
    if (this.tableVersion >= 0) lines.push(`table version ${this.tableVersion}, ${this.filesNow} files`);
    if (round !== undefined && phase !== 'done') {
      const { filesToRemove, filesToAdd, tasks, tasksDone } = round;
      lines.push(`${filesToRemove} files into ${filesToAdd}: ${tasksDone} of ${tasks} rewrite tasks done`);
    }
    setCurrentDetails(lines.join('  \n'));
  }
}

const NOTHING_COMPACTED: CompactionProgress['totals'] = {
  filesBefore: 0,
  filesRemoved: 0,
  filesAdded: 0,
  bytesRemoved: 0,
  bytesAdded: 0,
  rows: 0,
  tablePartitions: 0,
};

type CommittedTotals = Extract<CommitCompactionResult, { kind: 'committed' }>['totals'];

function addTotals(
  totals: CompactionProgress['totals'],
  round: CommittedTotals,
  tablePartitions: number,
): CompactionProgress['totals'] {
  return {
    filesBefore: totals.filesBefore,
    filesRemoved: totals.filesRemoved + round.filesRemoved,
    filesAdded: totals.filesAdded + round.filesAdded,
    bytesRemoved: totals.bytesRemoved + round.bytesRemoved,
    bytesAdded: totals.bytesAdded + round.bytesAdded,
    rows: totals.rows + round.rows,
    tablePartitions: totals.tablePartitions + tablePartitions,
  };
}

/** What a dry run can say; the size of files that are not written is not known. */
function plannedTotals(filesBefore: number, round: CompactionRound) {
  return {
    filesBefore,
    filesAfter: filesBefore - round.filesToRemove + round.filesToAdd,
    filesRemoved: round.filesToRemove,
    filesAdded: round.filesToAdd,
    bytesRemoved: round.bytesToRewrite,
    bytesAdded: 0,
    rows: round.rows,
    tablePartitions: round.tablePartitions,
  };
}
