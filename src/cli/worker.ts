import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../dev/cache.ts';
import { Failure } from '../errors.ts';
import { leanMalloc } from '../lean-malloc.ts';
import type { Context, Verb } from '../terminal/context.ts';
import type { WorkerReport } from '../worker.ts';

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
  beginAgain();
  const { output, pipelinesFolder, environment } = context;
  const { startWorker } = await import('../worker.ts');
  const worker = await startWorker({ pipelinesFolder, heavyTasks, environment });
  context.onInterrupt(async () => {
    output.note('Stopping: running tasks have 20 s to finish.');
    output.note(describe(await worker.stop()));
  });
  output.note(
    `Worker ready: Temporal ${worker.address}, namespace ${worker.namespace}; pipelines in ${pipelinesFolder}. Ctrl-C stops it.`,
  );
  await worker.stopped;
}

/**
 * What only the environment of a process that begins can tell, so this one begins again in its own place, with the same pid and
 * streams. Elsewhere than on Linux it goes on as it is.
 *
 * glibc keeps freed memory for each thread, and ever larger blocks of it: after twenty write threads more than a gigabyte. And
 * each write thread compiles the same modules: 0.70 s of CPU time, 0.26 s where Node finds them compiled.
 */
function beginAgain(): void {
  const { env, execPath, execArgv, argv, platform } = process;
  if (platform !== 'linux' || process.execve === undefined || env.MALLOC_ARENA_MAX !== undefined) return;
  const compiled = { NODE_COMPILE_CACHE: join(cacheFolder(), 'compiled') };
  process.execve(execPath, [execPath, ...execArgv, ...argv.slice(1)], {
    ...compiled,
    ...env,
    ...leanMalloc(KEPT_BLOCK_BYTES),
  });
}

/** Pages and fetches are smaller; columns that grow are not. */
const KEPT_BLOCK_BYTES = 4 * 1024 * 1024;

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
