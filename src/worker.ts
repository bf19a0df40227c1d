import { monitorEventLoopDelay } from 'node:perf_hooks';
import {
  DefaultLogger,
  makeTelemetryFilterString,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerInterceptors,
} from '@temporalio/worker';
import type { Dependencies } from './activities/dependencies.ts';
import { createActivities } from './activities/index.ts';
import { buildAdapters } from './adapters.ts';
import { workerBuild } from './build.ts';
import { bundleWorkflows } from './bundle-workflows.ts';
import { HEAVY_TASK_QUEUE, TASK_QUEUE } from './contract.ts';
import { rewriteBins } from './duckdb/rewrite-bins.ts';
import type { Environment } from './environment.ts';
import { firstLine } from './errors.ts';
import { loadPipeline } from './pipeline/load.ts';
import { openLogs } from './runs/open-logs.ts';
import { TaskThreads } from './tasks/task-threads.ts';
import { temporalConnection, temporalUnreachable } from './temporal/connection.ts';
import { watchServer } from './temporal/watch-server.ts';
import { say, toStderr } from './worker-log.ts';

export { metered } from './activities/metered.ts';
export { type CallTotals, Meter } from './meter.ts';

const ANSWER_WITHIN_MS = 5_000;

export interface WorkerOptions {
  /** Folder with `NAME.yaml` of each pipeline. */
  readonly pipelinesFolder: string;
  /** Write and rewrite tasks at once, each with a thread or process of its own: what memory is bounded by. */
  readonly heavyTasks: number;
  /** Of the worker and its threads: variables of pipeline files, secrets. @default process.env */
  readonly environment?: Environment;
  /** Replaces or wraps what the worker builds. */
  readonly compose?: (built: Dependencies) => Dependencies;
  /** Of Temporal's SDK, around workflows and activities. */
  readonly interceptors?: WorkerInterceptors;
  /** The result of `bundleWorkflows`, if the caller has one already. */
  readonly workflowCode?: string;
}

export interface RunningWorker {
  readonly address: string;
  readonly namespace: string;
  /** Lets running activities finish for a while, then gives them up: another worker takes them over. */
  stop(): Promise<WorkerReport>;
  /** Settles when the worker has ended, for whatever reason. */
  readonly stopped: Promise<WorkerReport>;
}

export interface WorkerReport {
  /** 99.9th percentile and maximum, while the worker ran. */
  readonly eventLoopDelayMs: number;
  readonly eventLoopDelayMaxMs: number;
  /** Peak resident memory of the process, threads included, child processes not. */
  readonly peakMemoryMiB: number;
}

/**
 * Connects to Temporal as the `temporal` CLI would (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TLS, API key,
 * profiles) and starts two workers in this process: one for workflows and light activities, one for heavy
 * ones.
 */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  const { options: connectionOptions, namespace } = temporalConnection();
  const { address } = connectionOptions;
  Runtime.install({
    logger: new DefaultLogger('INFO', toStderr),
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) },
    },
  });
  const connection = await NativeConnection.connect(connectionOptions).catch((cause) => {
    throw temporalUnreachable(address, cause);
  });
  const workers = await createWorkers(connection, namespace, options);
  const stopWatching = watchServer(
    address,
    () =>
      connection.withDeadline(Date.now() + ANSWER_WITHIN_MS, () =>
        connection.workflowService.getSystemInfo({}),
      ),
    (line) => say('WARN', line),
  );
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const shutDown = () => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  // One that fails takes the other with it: half a worker would take tasks that it cannot follow up.
  const ended = Promise.allSettled(workers.map((worker) => worker.run().finally(shutDown)));
  const stopped = ended.then(async (ends) => {
    stopWatching();
    await connection.close();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    return report(delay);
  });
  const stop = async () => {
    shutDown();
    return await stopped;
  };
  return { address, namespace, stop, stopped };
}

/** One for workflows and light activities, one for heavy ones. */
async function createWorkers(
  connection: NativeConnection,
  namespace: string,
  options: WorkerOptions,
): Promise<Worker[]> {
  const { compose = (built) => built, interceptors, workflowCode = await bundleWorkflows() } = options;
  const shared = {
    connection,
    namespace,
    activities: createActivities(compose(buildDependencies(options))),
    ...(interceptors && { interceptors }),
    shutdownGraceTime: '20s',
    shutdownForceTime: '30s',
  } as const;
  return await Promise.all([
    Worker.create({
      ...shared,
      taskQueue: TASK_QUEUE,
      workflowBundle: { code: workflowCode },
      // After a killed worker its cached workflows wait this long before another worker gets them.
      stickyQueueScheduleToStartTimeout: '3s',
      maxConcurrentActivityTaskExecutions: 20,
    }),
    Worker.create({
      ...shared,
      taskQueue: HEAVY_TASK_QUEUE,
      maxConcurrentActivityTaskExecutions: options.heavyTasks,
    }),
  ]);
}

function buildDependencies({ pipelinesFolder, environment = process.env }: WorkerOptions): Dependencies {
  const threads = new TaskThreads(environment);
  const { openStore, connectKafka } = buildAdapters(environment);
  return {
    build: workerBuild(environment),
    openStore,
    connectKafka,
    openLog: openLogs(openStore, (location, error) =>
      say('WARN', `No log checkpoint of ${location}: ${firstLine(error)}. Readers start at the one before.`),
    ),
    loadPipeline: (name) => loadPipeline(name, { folder: pipelinesFolder, environment }),
    runWriteThread: (order, onProgress, signal) => threads.run('write', order, onProgress, signal),
    runRetryThread: (order, onProgress, signal) => threads.run('retry', order, onProgress, signal),
    rewriteBins,
  };
}

function report(delay: ReturnType<typeof monitorEventLoopDelay>): WorkerReport {
  delay.disable();
  const inMs = (nanoseconds: number) => nanoseconds / 1e6;
  return {
    eventLoopDelayMs: inMs(delay.percentile(99.9)),
    eventLoopDelayMaxMs: inMs(delay.max),
    peakMemoryMiB: process.resourceUsage().maxRSS / 1024,
  };
}
