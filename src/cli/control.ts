import { Argument } from 'commander';
import { Failure } from '../errors.ts';
import { runsOf, WORKFLOW_IDS, type WorkflowType } from '../inspect/running.ts';
import type { Context, Verb } from '../terminal/context.ts';

export const pause: Verb = {
  register(command, context) {
    command.argument('<pipeline>', 'name of the pipeline').action((pipeline: string) =>
      control(context, { pipeline, type: 'drain' }, (run) => run.signal('pause'), {
        effect: 'pauses before its next batch',
        next: `Continue: tidemark resume ${pipeline}`,
      }),
    );
  },
};

export const resume: Verb = {
  register(command, context) {
    command.argument('<pipeline>', 'name of the pipeline').action((pipeline: string) =>
      control(context, { pipeline, type: 'drain' }, (run) => run.signal('resume'), {
        effect: 'continues',
        next: `Watch it: tidemark status ${pipeline}`,
      }),
    );
  },
};

export const cancel: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .addArgument(
        new Argument('[workflow]', 'which of its runs').choices(Object.keys(WORKFLOW_IDS)).default('drain'),
      )
      .action((pipeline: string, type: WorkflowType) =>
        control(context, { pipeline, type }, (run) => run.cancel(), {
          effect: 'stops; a commit that has begun is finished first',
          next: 'All commits stay. Start it again to continue.',
        }),
      );
  },
};

interface Run {
  signal(name: 'pause' | 'resume'): Promise<unknown>;
  cancel(): Promise<unknown>;
}

/**
 * Acts on all running runs of the type, those that a Schedule has started too. The pipeline's file is not
 * read: it may be wrong, or gone. Throws RUN_NOT_FOUND where none is running.
 */
async function control(
  { output }: Context,
  { pipeline, type }: { readonly pipeline: string; readonly type: WorkflowType },
  act: (run: Run) => Promise<unknown>,
  { effect, next }: { readonly effect: string; readonly next: string },
): Promise<void> {
  const { withTemporal } = await import('../temporal/client.ts');
  const { toFailure } = await import('../run-failure.ts');
  const workflowIds = await withTemporal(async (client) => {
    const ids: string[] = [];
    for await (const run of runsOf(client, pipeline)) {
      if (run.type !== type) continue;
      await act(client.workflow.getHandle(run.workflowId)).catch((error: unknown) => {
        throw toFailure(error);
      });
      ids.push(run.workflowId);
    }
    return ids;
  });
  if (workflowIds.length === 0) {
    const message = `No workflow ${type} of ${pipeline} is running.`;
    throw new Failure('RUN_NOT_FOUND', message, `See what runs: tidemark status ${pipeline}`);
  }
  output.result({ workflowIds }, () => [...workflowIds.map((id) => `${id} ${effect}.`), next].join('\n'));
}
