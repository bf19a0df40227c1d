#!/usr/bin/env node
/**
 * The frame of the command line. To add a verb: write a file that exports `register(command, context)`
 * (`Verb` in terminal/context.ts) and name it in VERBS. Its file is imported only when the verb is asked for,
 * so that `--help` stays fast and one verb's dependencies cost the others nothing. It asks a room below for a
 * value and prints it: what a page or metrics could use too does not belong here.
 *
 * Exit codes: 0 done, 1 run failed or `partial`, 2 usage or configuration, 3 cannot reach a dependency, 4
 * data loss or conflict, 5 finished with dead letters over the threshold, 130 interrupted.
 */
import { resolve } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { packageVersion } from '../build.ts';
import { FAILURES, Failure } from '../errors.ts';
import { stores } from '../storage/stores.ts';
import type { Context, Verb } from '../terminal/context.ts';
import { COLORS, type Color, FORMATS, type Format, Output } from '../terminal/output.ts';

const VERBS: Record<string, { group: string; summary: string; load: () => Promise<Verb> }> = {
  drain: {
    group: 'Run:',
    summary: 'Drain Kafka into the table, up to an exact offset',
    load: () => import('./drain/drain.ts'),
  },
  compact: {
    group: 'Run:',
    summary: 'Rewrite many small data files into few large ones',
    load: () => import('./compact.ts'),
  },
  vacuum: {
    group: 'Run:',
    summary: 'Delete files and versions that no table needs any more',
    load: () => import('./vacuum.ts'),
  },
  pause: {
    group: 'Run:',
    summary: 'Stop a running drain before its next batch, until it is resumed',
    load: () => import('./control.ts').then(({ pause }) => pause),
  },
  resume: {
    group: 'Run:',
    summary: 'Continue a paused drain',
    load: () => import('./control.ts').then(({ resume }) => resume),
  },
  cancel: {
    group: 'Run:',
    summary: 'Stop a running drain, compaction, vacuum or retry for good',
    load: () => import('./control.ts').then(({ cancel }) => cancel),
  },
  schedule: {
    group: 'Run:',
    summary: 'Apply, list or delete the schedules of a pipeline',
    load: () => import('./schedule.ts'),
  },
  repair: {
    group: 'Run:',
    summary: 'Show what a drain refuses to decide, and commit your decision',
    load: () => import('./repair/repair.ts'),
  },
  worker: {
    group: 'Run:',
    summary: 'Run a worker: it does the work of drains, compactions and vacuums',
    load: () => import('./worker.ts'),
  },
  validate: {
    group: 'Look:',
    summary: 'Check pipeline files and show what they mean',
    load: () => import('./validate.ts'),
  },
  doctor: {
    group: 'Look:',
    summary: 'Check everything that a pipeline needs',
    load: () => import('./doctor/doctor.ts'),
  },
  plan: {
    group: 'Look:',
    summary: 'Show what a drain would do; changes nothing',
    load: () => import('./plan/plan.ts'),
  },
  status: {
    group: 'Look:',
    summary: 'Show table, offsets, lag, running work and schedules',
    load: () => import('./status/status.ts'),
  },
  files: {
    group: 'Look:',
    summary: 'List the live data files of the table',
    load: () => import('./files.ts'),
  },
  'dead-letters': {
    group: 'Look:',
    summary: 'List, show and retry the records that did not become rows',
    load: () => import('./dead-letters/dead-letters.ts'),
  },
  verify: {
    group: 'Look:',
    summary: 'Prove the table: ledger, files, statistics, every row exactly once',
    load: () => import('./verify/verify.ts'),
  },
  trace: {
    group: 'Look:',
    summary: 'Show what became of an offset, a file or a version, and who made it',
    load: () => import('./trace/trace.ts'),
  },
  query: { group: 'Look:', summary: 'Run SQL over the table', load: () => import('./query.ts') },
  init: {
    group: 'Begin:',
    summary: 'Write a pipeline file for your topics, from a sample of their records',
    load: () => import('./init/init.ts'),
  },
  completion: {
    group: 'Begin:',
    summary: 'Print a script for your shell that completes verbs, options and pipelines',
    load: () => import('./completion/completion.ts'),
  },
  dev: {
    group: 'Try:',
    summary: 'Start Kafka and Temporal for development',
    load: () => import('./dev.ts'),
  },
  demo: {
    group: 'Try:',
    summary: 'Show the whole way from Kafka to a query, with made-up crawls',
    load: () => import('./demo/demo.ts'),
  },
};

const ENVIRONMENT = `Environment:
  TIDEMARK_PIPELINES     folder of the pipeline files; as --pipelines
  TEMPORAL_ADDRESS       of the Temporal server; with TEMPORAL_NAMESPACE,
                         TEMPORAL_API_KEY and TEMPORAL_TLS_*, or a profile of
                         temporal.toml, as the temporal CLI reads them
  KAFKA_BROKERS          of the pipeline files that say \${KAFKA_BROKERS}, and
                         of init
  TIDEMARK_BUILD         of a worker: stands in the versions that it commits
  TMPDIR                 scratch files of compactions, cleaning and verify
  NO_COLOR               prints no colours
  TIDEMARK_DEBUG         prints the stack trace of an unforeseen error`;

await main(process.argv.slice(2));

async function main(argv: string[]): Promise<void> {
  ignoreClosedPipes();
  ignoreClosedChannels();
  const program = frame();
  const context = contextOf(program);
  try {
    // Only the verb that is asked for gets its arguments and options; the others are names in `--help`.
    const [first, second] = program.parseOptions(argv).operands;
    const name = first === 'help' ? second : first;
    const verb = program.commands.find((command) => command.name() === name);
    if (verb) await VERBS[verb.name()]?.load().then(({ register }) => register(verb, context));
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    process.exitCode = report(error, context.output);
  }
}

function frame(): Command {
  const program = new Command('tidemark')
    .description('Drains Kafka topics to an exact offset into a Delta Lake table, exactly once, on Temporal.')
    .version(packageVersion(), '--version')
    .addOption(
      new Option('-o, --output <format>', 'how to print the result').choices(FORMATS).default('text'),
    )
    .addOption(
      new Option('--pipelines <folder>', 'where NAME.yaml of each pipeline is')
        .default('./pipelines')
        .env('TIDEMARK_PIPELINES'),
    )
    .addOption(new Option('--color <when>', 'whether to print colours').choices(COLORS).default('auto'))
    .addHelpText('after', `\n${ENVIRONMENT}`)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  for (const [name, { group, summary }] of Object.entries(VERBS)) {
    program.command(name).summary(summary).description(`${summary}.`).helpGroup(group);
  }
  return program;
}

function contextOf(program: Command): Context {
  let handler: ((signal: NodeJS.Signals) => unknown) | undefined;
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, async () => {
      const first = handler;
      handler = undefined;
      await first?.(signal);
      process.exit(exitCode);
    });
  }
  return {
    get output() {
      return new Output(
        chosen<Format>(program.opts().output, FORMATS, 'text'),
        chosen<Color>(program.opts().color, COLORS, 'auto'),
      );
    },
    get pipelinesFolder() {
      return resolve(program.opts<{ pipelines: string }>().pipelines);
    },
    environment: process.env,
    openStore: stores(process.env),
    async loadPipeline(name) {
      const { loadPipeline } = await import('../pipeline/load.ts');
      return await loadPipeline(name, { folder: this.pipelinesFolder, environment: process.env });
    },
    async allVerbs() {
      const whole = frame();
      await Promise.all(
        whole.commands.map(async (verb) => (await VERBS[verb.name()]?.load())?.register(verb, this)),
      );
      return whole;
    },
    onInterrupt: (handle) => {
      handler = handle;
    },
  };
}

/** Prints what went wrong and gives the exit code for it. */
function report(error: unknown, output: Output): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    // With no verb at all commander has printed the help, to stderr.
    if (error.code === 'commander.help') return FAILURES.USAGE.exitCode;
    error = usage(error);
  }
  if (!(error instanceof Failure)) {
    output.bug(error);
    return 1;
  }
  output.failure(error);
  return error.exitCode;
}

function usage(error: CommanderError): Failure {
  const [what = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  const verb = process.argv.slice(2).find((argument) => Object.hasOwn(VERBS, argument));
  const help = `Run \`tidemark${verb ? ` ${verb}` : ''} --help\`.`;
  const fix = suggestion ? `${suggestion.replace(/^\(|\)$/g, '')} ${help}` : help;
  return new Failure('USAGE', `${what.replace(/\.$/, '')}.`, fix);
}

function chosen<T extends string>(value: unknown, choices: readonly T[], otherwise: T): T {
  return choices.find((choice) => choice === value) ?? otherwise;
}

/** `tidemark files | head -1` closes our stdout early: that is an end, no error. */
function ignoreClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit();
      throw error;
    });
  }
}

/**
 * A retry of a gRPC call whose connection was closed meanwhile throws from its timer. The call itself has
 * failed before, and that is what the user is told.
 */
function ignoreClosedChannels(): void {
  process.on('uncaughtException', (error) => {
    if (error.message === 'Channel has been shut down') return;
    new Output('text', 'auto').bug(error);
    process.exit(1);
  });
}
