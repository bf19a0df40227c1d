import type { Context, Verb } from '../../terminal/context.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .description(
        'Show the whole way from Kafka to a query, with made-up crawls: servers, topics, a worker, two drains, a compaction.\n' +
          'Everything is temporary. At a terminal it waits for Enter, so that you can look at the Temporal UI.',
      )
      .action(() => demo(context));
  },
};

async function demo({ output, onInterrupt, environment }: Context): Promise<void> {
  const { Demo } = await import('./story.ts');
  const running = new Demo(output, environment);
  onInterrupt(() => running.close());
  try {
    process.exitCode = await running.run();
  } finally {
    await running.close();
  }
}
