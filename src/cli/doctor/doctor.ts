import type { Context, Verb } from '../../terminal/context.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .description(
        'Check everything that a pipeline needs, and print a fix for each problem: Node, the file, Temporal, workers,\n' +
          'schedules, Kafka, topics, the table and its location, clocks. Without a name: Temporal, workers and all files.\n' +
          'It writes a few small objects to the location, to check that nothing is overwritten there, and deletes them.',
      )
      .argument('[pipeline]', 'name of the pipeline')
      .action((pipeline: string | undefined) => doctor(context, pipeline));
  },
};

async function doctor(context: Context, pipeline: string | undefined): Promise<void> {
  const { output } = context;
  const { examine } = await import('../../doctor/examine.ts');
  const { exitCodeOf } = await import('../../doctor/checks.ts');
  const { describeChecks } = await import('./text.ts');
  const machine = { now: Date.now, openStore: context.openStore };
  const checks = await examine(context, pipeline, machine, process.versions.node);
  output.result({ pipeline: pipeline ?? null, checks }, () => describeChecks(checks, output));
  process.exitCode = exitCodeOf(checks);
  // A check that was given up may still wait for its server.
  setTimeout(() => process.exit(), 500).unref();
}
