import type { Context, Verb } from '../../terminal/context.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .addHelpText(
        'after',
        '\nWhat cannot be reached is said in a line of its own; the rest is shown all the same.',
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
}
