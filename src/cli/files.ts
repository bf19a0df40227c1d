import type { Context, Verb } from '../terminal/context.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .addHelpText(
        'after',
        '\nFor programs that read Parquet but not the Delta log: a listing of the folder would also show files of failed\n' +
          'attempts, and rows twice after a compaction. -o json and jsonl add sizes, row counts and the partition values,\n' +
          'which the files themselves do not hold.',
      )
      .action((pipeline: string) => listFiles(context, pipeline));
  },
};

async function listFiles(context: Context, pipeline: string): Promise<void> {
  const { liveFiles, openTable, requireSnapshot } = await import('../runs/open-table.ts');
  const specification = await context.loadPipeline(pipeline);
  const table = openTable(specification, context);
  const files = liveFiles(table, await requireSnapshot(table, specification));
  context.output.rows(files, () => files.map(({ path }) => path).join('\n'));
}
