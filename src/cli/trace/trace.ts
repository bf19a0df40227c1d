import { relative } from 'node:path';
import { Failure } from '../../errors.ts';
import type { Context, Verb } from '../../terminal/context.ts';
import type { TracedOffset } from '../../trace/offset-trace.ts';

interface TraceOptions {
  readonly offset?: string;
  readonly file?: string;
  readonly tableVersion?: string;
}

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .option('--offset <topic/partition/offset>', 'what became of one offset, and where its row is now')
      .option('--file <path>', 'which version added a data file, what it holds, and what became of it')
      .option('--table-version <n>', 'what one table version committed')
      .addHelpText(
        'after',
        '\nExamples:\n  tidemark trace products --offset crawl.products/0/123456\n  tidemark trace products --table-version 42 -o json\n' +
          '\nReads the table alone, and still answers after compaction, vacuum and log clean-up.',
      )
      .action((pipeline: string, options: TraceOptions) => trace(context, pipeline, options));
  },
};

async function trace(context: Context, pipeline: string, options: TraceOptions): Promise<void> {
  const { offset, file, tableVersion } = options;
  if ([offset, file, tableVersion].filter((value) => value !== undefined).length !== 1)
    throw usage('One of --offset, --file and --table-version is expected.');
  if (offset !== undefined) await traceOffset(context, pipeline, parseOffset(offset));
  else if (file !== undefined) await traceFile(context, pipeline, file);
  else await traceVersion(context, pipeline, tableVersion ?? '');
}

async function traceOffset(context: Context, pipeline: string, traced: TracedOffset): Promise<void> {
  const { output } = context;
  const specification = await context.loadPipeline(pipeline);
  const { traceOffsetOf } = await import('../../inspect/trace.ts');
  const { describeFate } = await import('./text.ts');
  const { withScratchFolder } = await import('../../terminal/scratch-folder.ts');
  const fate = await withScratchFolder(context, 'trace', (folder) =>
    traceOffsetOf(specification, context, traced, folder),
  );
  output.result(fate, () => describeFate(fate, output));
}

async function traceFile(context: Context, pipeline: string, file: string): Promise<void> {
  const { output } = context;
  const specification = await context.loadPipeline(pipeline);
  const { traceFileOf } = await import('../../inspect/trace.ts');
  const { describePath } = await import('./text.ts');
  const { location } = specification.table;
  const path = pathIn(location, file);
  const found = await traceFileOf(specification, context, path);
  if (found === undefined) throw usage(`No version of ${location} has added ${path}.`);
  output.result(found, () => describePath(found, output));
}

async function traceVersion(context: Context, pipeline: string, text: string): Promise<void> {
  const { output } = context;
  const specification = await context.loadPipeline(pipeline);
  const { traceVersionOf } = await import('../../inspect/trace.ts');
  const { describeVersion } = await import('./text.ts');
  const { location } = specification.table;
  const wanted = parseVersion(text);
  const found = await traceVersionOf(specification, context, wanted);
  if (found === undefined)
    throw usage(`The table ${location} has no version ${wanted}, or its log no longer holds it.`);
  output.result(found, () => describeVersion(found, output));
}

function parseOffset(text: string): TracedOffset {
  const [, topic, partition, offset] = /^([^/]+)\/(\d{1,9})\/(\d{1,18})$/.exec(text) ?? [];
  if (topic === undefined || offset === undefined)
    throw usage(`--offset takes TOPIC/PARTITION/OFFSET, not ${JSON.stringify(text)}.`);
  return { topic, kafkaPartition: Number(partition), offset: BigInt(offset) };
}

function parseVersion(text: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw usage(`--table-version takes a table version, not ${JSON.stringify(text)}.`);
  return Number(text);
}

/** As `tidemark files` prints it, or as the log has it. */
function pathIn(location: string, path: string): string {
  const below = path.startsWith('/') ? relative(location, path) : path;
  if (below.startsWith('..')) throw usage(`${path} is not below ${location}.`);
  return below;
}

function usage(problem: string): Failure {
  return new Failure(
    'USAGE',
    problem,
    'For example: --offset crawl.products/0/123456, --table-version 42, or --file with a path that `tidemark files` prints.',
  );
}
