import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Failure } from '../../errors.ts';
import type { Specification } from '../../pipeline/specification.ts';
import type { OpenTable } from '../../runs/open-table.ts';
import type { Context, Verb } from '../../terminal/context.ts';
import type { TracedOffset } from '../../trace/offset-trace.ts';
import type { FoundLetter } from '../../trace/trace.ts';

interface TraceOptions {
  readonly offset?: string;
  readonly file?: string;
  readonly tableVersion?: string;
}

const MEMORY_BYTES = 192 * 1024 ** 2;

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .option('--offset <topic/partition/offset>', 'what became of one offset, and where its row is now')
      .option('--file <path>', 'which version brought a data file, what it holds, and what became of it')
      .option('--table-version <n>', 'what one table version stands for')
      .addHelpText(
        'after',
        '\nExamples:\n  tidemark trace products --offset crawl.products/0/123456\n  tidemark trace products --table-version 42 -o json\n' +
          '\nAnswers from the table alone, also after compaction, vacuum and clean-up of the log.',
      )
      .action((pipeline: string, options: TraceOptions) => trace(context, pipeline, options));
  },
};

async function trace(context: Context, pipeline: string, options: TraceOptions): Promise<void> {
  if (
    [options.offset, options.file, options.tableVersion].filter((value) => value !== undefined).length !== 1
  )
    throw usage('One of --offset, --file and --table-version is expected.');
  const { output } = context;
  const { describeFate, describePath, describeVersion } = await import('./text.ts');
  const { openTable, requireSnapshot } = await import('../../runs/open-table.ts');
  const traced = options.offset === undefined ? undefined : parseOffset(options.offset);
  const specification = await context.loadPipeline(pipeline);
  const table = openTable(specification, context.openStore);
  if (traced !== undefined) {
    const fate = await traceOne(specification, table, traced);
    return output.result(fate, () => describeFate(fate, output));
  }
  await requireSnapshot(table, specification);
  const { tracePath, traceVersion } = await import('../../trace/version-trace.ts');
  if (options.file !== undefined) {
    const path = pathIn(table, options.file);
    const found = await tracePath(table.log.history(), path);
    if (found.addedIn === null) throw usage(`No version of ${table.store.root} has added ${path}.`);
    return output.result(found, () => describePath(found, output));
  }
  const wanted = parseVersion(options.tableVersion ?? '');
  for await (const version of table.log.history()) {
    if (version.tableVersion !== wanted) continue;
    const found = traceVersion(version);
    return output.result(found, () => describeVersion(found, output));
  }
  throw usage(`The table ${table.store.root} has no version ${wanted}, or its log no longer tells of it.`);
}

async function traceOne(specification: Specification, table: OpenTable, traced: TracedOffset) {
  const { requireSnapshot } = await import('../../runs/open-table.ts');
  const { traceOffset } = await import('../../trace/trace.ts');
  const snapshot = await requireSnapshot(table, specification);
  const spillFolder = await mkdtemp(join(tmpdir(), 'tidemark-trace-'));
  try {
    const scan = { spillFolder, memoryLimitBytes: MEMORY_BYTES, threads: 2 };
    return await traceOffset(table, snapshot, traced, () => lettersOf(specification, table, traced), scan);
  } finally {
    await rm(spillFolder, { recursive: true, force: true });
  }
}

async function lettersOf(
  specification: Specification,
  { openStore }: OpenTable,
  { topic, kafkaPartition, offset }: TracedOffset,
): Promise<FoundLetter[]> {
  const { mayHoldOffset, openDeadLetters } = await import('../../letters/dead-letter-table.ts');
  const table = await openDeadLetters(specification, openStore);
  const found: FoundLetter[] = [];
  for await (const slice of table.read(['reason', 'path', 'message'], (add) => mayHoldOffset(add, offset)))
    for (const letter of slice)
      if (letter.offset === offset && letter.partition === kafkaPartition && letter.topic === topic) {
        const { epoch, reason, path, message } = letter;
        found.push({ epoch, reason, path, message });
      }
  return found;
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
function pathIn({ store }: OpenTable, path: string): string {
  const isAddress = path.startsWith(`${store.root}/`);
  const below = path.startsWith('/')
    ? relative(store.root, path)
    : path.slice(isAddress ? store.root.length + 1 : 0);
  if (below.startsWith('..')) throw usage(`${path} is not below ${store.root}.`);
  return below;
}

function usage(problem: string): Failure {
  return new Failure(
    'USAGE',
    problem,
    'For example: --offset crawl.products/0/123456, --table-version 42, or --file with a path that `tidemark files` prints.',
  );
}
