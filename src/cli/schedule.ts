import { Argument } from 'commander';
import type { Context, Verb } from '../terminal/context.ts';
import { table } from '../terminal/output.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .command('apply')
      .description('Make the schedules in Temporal match the pipeline files.')
      .argument('[pipelines...]', 'names; default: all in the pipelines folder')
      .action((pipelines: string[]) => apply(context, pipelines));
    command
      .command('list')
      .description('List the schedules of drains, compactions and vacuums in Temporal.')
      .argument('[pipelines...]', 'names; default: all')
      .action((pipelines: string[]) => list(context, pipelines));
    command
      .command('delete')
      .description('Delete the schedules of pipelines. Runs that have begun continue.')
      .addArgument(new Argument('<pipelines...>', 'names; the files need not exist'))
      .action((pipelines: string[]) => remove(context, pipelines));
  },
};

async function apply(context: Context, given: readonly string[]): Promise<void> {
  const { pipelineNames } = await import('../pipeline/load.ts');
  const { withTemporal } = await import('../temporal/client.ts');
  const { applySchedules } = await import('../temporal/schedules.ts');
  const names = given.length > 0 ? given : await pipelineNames(context.pipelinesFolder);
  // All files are read before the first schedule is touched.
  const specifications = await Promise.all(names.map((name) => context.loadPipeline(name)));
  const changes = await withTemporal(async (client) => {
    const all = [];
    for (const specification of specifications) all.push(...(await applySchedules(client, specification)));
    return all;
  });
  context.output.rows(changes, () =>
    changes.length === 0
      ? 'No pipeline has a schedule, and Temporal has none to delete.'
      : changes
          .map(({ scheduleId, change, spec }) => `${change} ${scheduleId}${spec ? `, ${spec}` : ''}`)
          .join('\n'),
  );
}

async function list({ output }: Context, pipelines: readonly string[]): Promise<void> {
  const { withTemporal } = await import('../temporal/client.ts');
  const { listSchedules } = await import('../temporal/schedules.ts');
  const schedules = await withTemporal((client) => listSchedules(client, pipelines));
  output.rows(schedules, () =>
    schedules.length === 0
      ? 'There are no schedules.'
      : table(
          ['schedule', 'runs', 'next run', 'state'],
          schedules.map(({ scheduleId, spec, nextRun, paused }) => [
            scheduleId,
            spec,
            nextRun ?? '',
            paused ? 'paused' : 'active',
          ]),
        ),
  );
}

async function remove({ output }: Context, pipelines: readonly string[]): Promise<void> {
  const { withTemporal } = await import('../temporal/client.ts');
  const { deleteSchedules } = await import('../temporal/schedules.ts');
  const changes = await withTemporal((client) => deleteSchedules(client, pipelines));
  output.rows(changes, () =>
    changes.length === 0
      ? 'There was nothing to delete.'
      : changes.map(({ scheduleId }) => `deleted ${scheduleId}`).join('\n'),
  );
}
