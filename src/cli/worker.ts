import { availableParallelism } from 'node:os';
import { Failure } from '../errors.ts';
import type { WorkerReport } from '../worker.ts';
import type { Context, Verb } from './context.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .option(
        '--heavy-tasks <n>',
        'write and rewrite tasks at once; memory grows with it',
        String(availableParallelism()),
      )
      .action((options: { heavyTasks: string }) => runWorker(context, heavyTasksOf(options.heavyTasks)));
  },
};

async function runWorker(context: Context, heavyTasks: number): Promise<void> {
  giveMemoryBack();
  const { output, pipelinesFolder, environment } = context;
  const { startWorker } = await import('../worker.ts');
  const worker = await startWorker({ pipelinesFolder, heavyTasks, environment });
  context.onInterrupt(async () => {
    output.note('Stopping: running tasks may finish within 20 s.');
    output.note(describe(await worker.stop()));
  });
  output.note(
    `Worker ready: Temporal ${worker.address}, namespace ${worker.namespace}; pipelines in ${pipelinesFolder}. Ctrl-C stops it.`,
  );
  await worker.stopped;
}

/** For glibc, mallopt(3): few arenas, and blocks from 128 KiB on go back to the system as soon as they are freed. */
const MALLOC = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
};

/**
 * glibc keeps freed memory for each thread, and ever larger blocks of it: after twenty write threads more than a
 * gigabyte. Only the environment of a process that begins tells it otherwise, so this one begins again in its own
 * place, with the same pid and streams. Elsewhere than on Linux it goes on as it is.
 */
function giveMemoryBack(): void {
  const { env, execPath, execArgv, argv, platform } = process;
  if (platform !== 'linux' || process.execve === undefined || env.MALLOC_ARENA_MAX !== undefined) return;
  process.execve(execPath, [execPath, ...execArgv, ...argv.slice(1)], { ...env, ...MALLOC });
}

function describe({ eventLoopDelayMs, eventLoopDelayMaxMs, peakMemoryMiB }: WorkerReport): string {
  return (
    `Worker stopped. Event loop delay p99.9 ${eventLoopDelayMs.toFixed(1)} ms, max ${eventLoopDelayMaxMs.toFixed(1)} ms; ` +
    `peak memory ${peakMemoryMiB.toFixed(0)} MiB.`
  );
}

function heavyTasksOf(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1) return count;
  throw new Failure(
    'USAGE',
    `--heavy-tasks takes a whole number from 1 on, not "${text}".`,
    'Leave it out for one per core.',
  );
}
