import type { Context, Verb } from '../../terminal/context.ts';
import { parseUntil } from '../drain/drain.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .option(
        '--until <end>',
        'latest, a timestamp, or offsets as JSON: {"topic":{"0":1000,"1":-1}} (exclusive)',
        'latest',
      )
      .action((pipeline: string, options: { until: string }) => plan(context, pipeline, options.until));
  },
};

async function plan(context: Context, pipeline: string, untilText: string): Promise<void> {
  const until = parseUntil(untilText);
  const specification = await context.loadPipeline(pipeline);
  const { planNextDrain } = await import('../../inspect/plan.ts');
  const { describePlan } = await import('./text.ts');
  const found = await planNextDrain(specification, context, until);
  context.output.result(found, () => describePlan(found));
}
