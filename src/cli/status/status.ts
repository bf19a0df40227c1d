import { FAILURES } from '../../errors.ts';
import type { Status } from '../../inspect/status.ts';
import type { Context, Verb } from '../../terminal/context.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .addHelpText(
        'after',
        '\nIf something cannot be reached, a line says so, the rest is still shown, and the exit code is 3.',
      )
      .action((pipeline: string) => status(context, pipeline));
  },
};

async function status(context: Context, pipeline: string): Promise<void> {
  const { output } = context;
  const specification = await context.loadPipeline(pipeline);
  const { readStatus } = await import('../../inspect/status.ts');
  const { describeStatus } = await import('./text.ts');
  const found = await readStatus(specification, context);
  output.result(found, () => describeStatus(found, output));
  process.exitCode = exitCode(found);
}

/** The worst that a part could not be had for: 3 where something cannot be reached. */
function exitCode({ table, kafka, runs, schedules }: Status): number {
  const drains = 'problem' in runs ? [] : runs.flatMap(({ progress }) => progress ?? []);
  const codes = [table, kafka, runs, schedules, ...drains].map((part) =>
    'problem' in part ? FAILURES[part.code].exitCode : 0,
  );
  return Math.max(...codes);
}
