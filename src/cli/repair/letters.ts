import type { Snapshot } from '../../delta/snapshot.ts';
import type { Specification } from '../../pipeline/specification.ts';
import { FORGET_LETTERS } from '../../repair/answered.ts';
import { forgetLetters, forgettableLetters } from '../../repair/letters.ts';
import type { OpenTable } from '../../runs/open-table.ts';
import { confirm } from '../../terminal/confirm.ts';
import type { Context } from '../../terminal/context.ts';
import { describeForgetting, describeForgotten } from './text.ts';

export interface ForgetOptions {
  readonly who: string;
  readonly reason?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** Shows, asks, commits exactly what was shown. */
export async function repairLetters(
  { output }: Context,
  specification: Specification,
  main: OpenTable,
  snapshot: Snapshot,
  { who, reason = '', yes, dryRun }: ForgetOptions,
): Promise<void> {
  const pipeline = specification.name;
  const { location, lost, rewritten } = await forgettableLetters(main, snapshot, specification);
  const result = { pipeline, answer: FORGET_LETTERS, location, lost, rewritten };
  if (lost.length + rewritten.length === 0) {
    output.result({ ...result, outcome: 'nothingToDo' }, () => 'Nothing to do: no dead letters are missing.');
    return;
  }
  const shown = describeForgetting({ location, lost, rewritten }, output);
  if (dryRun) {
    output.result({ ...result, outcome: 'planned' }, () => `${output.style('yellow', 'Dry run.')} ${shown}`);
    return;
  }
  output.note(shown);
  if (!yes) await confirm(pipeline);
  const published = await forgetLetters(main, specification, { location, lost, rewritten }, { who, reason });
  if (published === undefined) {
    const why = 'Nothing left to do: all dead letters are published.';
    output.result({ ...result, outcome: 'nothingToDo' }, () => why);
    return;
  }
  const { tableVersion, forgotten } = published;
  output.result({ ...result, outcome: 'committed', tableVersion, forgotten }, () =>
    describeForgotten(pipeline, location, tableVersion, output),
  );
}
