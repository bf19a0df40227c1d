import type { Context, Verb } from '../../terminal/context.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .addHelpText('after', '\nIf something cannot be reached, a line says so, and the rest is still shown.')
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
