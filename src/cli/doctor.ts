import { type Check, checked, exitCodeOf, fail, ok, skip, type Verdict } from '../doctor/checks.ts';
import type { Machine } from '../doctor/table.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { Context, Verb } from '../terminal/context.ts';
import type { Output, Style } from '../terminal/output.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .description(
        'Check that everything is there that a pipeline needs, each thing with its fix: Node, the file, Temporal, workers,\n' +
          'schedules, Kafka, topics, the table and where it lies, clocks. Without a name: Temporal, workers and all files.\n' +
          'It writes a few small objects to the location to see whether that refuses to overwrite, and deletes them.',
      )
      .argument('[pipeline]', 'name of the pipeline')
      .action((pipeline: string | undefined) => doctor(context, pipeline));
  },
};

/** As package.json's engines. */
const NODE_MIN = [24, 18] as const;

async function doctor(context: Context, pipeline: string | undefined): Promise<void> {
  const machine: Machine = { now: Date.now, openStore: context.openStore };
  const checks = await examine(context, pipeline, machine, process.versions.node);
  const { output } = context;
  output.result({ pipeline: pipeline ?? null, checks }, () => describeChecks(checks, output));
  process.exitCode = exitCodeOf(checks);
  // A check that was given up may still wait for its server.
  setTimeout(() => process.exit(), 500).unref();
}

/** All checks, side by side; those that need another's result say so. */
export async function examine(
  context: Pick<Context, 'loadPipeline' | 'pipelinesFolder'>,
  pipeline: string | undefined,
  machine: Machine,
  nodeVersion: string,
): Promise<Check[]> {
  const { checkTemporal } = await import('../doctor/temporal.ts');
  const { checkKafka } = await import('../doctor/kafka.ts');
  const { checkTable, skipTable } = await import('../doctor/table.ts');
  let specification: Specification | undefined;
  const file =
    pipeline === undefined
      ? await checkFiles(context)
      : await checked('pipeline', async () => {
          specification = await context.loadPipeline(pipeline);
          return ok('pipeline', `${pipeline} is valid`);
        });
  const valid = specification as Specification | undefined;
  const unknown = ['Kafka', 'topics'].map((name) => skip(name, 'not known without the pipeline'));
  const parts = await Promise.all([
    checkTemporal(valid, machine.now),
    valid === undefined ? (pipeline === undefined ? [] : unknown) : checkKafka(valid.source, machine.now),
    valid === undefined ? (pipeline === undefined ? [] : skipTable()) : checkTable(valid, machine),
  ]);
  return [checkNode(nodeVersion), ...file, ...parts.flat()];
}

function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [leastMajor, leastMinor] = NODE_MIN;
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return ok('Node', version);
  return fail(
    'Node',
    `This is Node ${version}; Tidemark needs ${NODE_MIN.join('.')} or newer.`,
    'Install Node 24, or run by `npm run tidemark`, which brings its own.',
    'PREREQUISITE_MISSING',
  );
}

async function checkFiles(context: Pick<Context, 'loadPipeline' | 'pipelinesFolder'>): Promise<Check[]> {
  const { pipelineNames } = await import('../pipeline/load.ts');
  const { pipelinesFolder } = context;
  let names: string[] = [];
  const folder = await checked('pipelines', async () => {
    names = await pipelineNames(pipelinesFolder);
    return names.length > 0
      ? ok('pipelines', `${pipelinesFolder}: ${names.join(', ')}`)
      : skip('pipelines', `${pipelinesFolder} has no pipeline file yet: tidemark init`);
  });
  const files = await Promise.all(
    names.map((name) =>
      checked(`pipeline ${name}`, async () => {
        await context.loadPipeline(name);
        return [];
      }),
    ),
  );
  return [...folder, ...files.flat()];
}

const STYLES: Readonly<Record<Verdict, Style>> = { ok: 'green', warn: 'yellow', fail: 'red', skip: 'dim' };

function describeChecks(checks: readonly Check[], output: Output): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(({ name, verdict, text, fix }) => {
    const indent = ' '.repeat(6 + width + 2);
    const said = `${output.style(STYLES[verdict], verdict.padEnd(4))}  ${name.padEnd(width)}  ${text.replaceAll('\n', `\n${indent}`)}`;
    return fix === undefined ? said : `${said}\n${indent}fix: ${fix.replaceAll('\n', `\n${indent}     `)}`;
  });
  const counts = (['fail', 'warn', 'skip', 'ok'] as const).flatMap((verdict) => {
    const count = checks.filter((check) => check.verdict === verdict).length;
    return count === 0 ? [] : [`${count} ${verdict}`];
  });
  return [...lines, '', counts.join(', ')].join('\n');
}
