/** A worker whose adapters are wrapped: `worker-entry.ts PLAN_FILE PIPELINES`. */
import { activityInfo } from '@temporalio/activity';
import { buildAdapters } from '../../../src/adapters.ts';
import { TaskThreads } from '../../../src/tasks/task-threads.ts';
import { startWorker } from '../../../src/worker.ts';
import { workflowBundle } from '../setup/bundle.ts';
import { withCalls } from './calls.ts';
import type { FaultyOrder } from './thread-entry.ts';
import { wrapAdapters, wrapDependencies } from './wrapped.ts';

process.once('disconnect', () => process.exit());

const [planFile = '', pipelinesFolder = ''] = process.argv.slice(2);

const threads = new TaskThreads(process.env, new URL('./thread-entry.ts', import.meta.url));

/** The order of a thread says what is planned for its calls, and to which attempt they belong. */
function faulty<Order>(order: Order): Order & { readonly faults: FaultyOrder } {
  const { activityType, activityId, workflowExecution } = activityInfo();
  const activity = `${activityType}#${activityId}`;
  return { ...order, faults: { planFile, activity, workflowId: workflowExecution?.workflowId } };
}

const worker = await startWorker({
  pipelinesFolder,
  heavyTasks: 2,
  workflowCode: workflowBundle(),
  compose: (built) =>
    wrapDependencies(built, wrapAdapters(buildAdapters(process.env)), {
      runWriteThread: (order, onProgress, signal) => threads.run('write', faulty(order), onProgress, signal),
      runRetryThread: (order, onProgress, signal) => threads.run('retry', faulty(order), onProgress, signal),
    }),
  interceptors: {
    activity: [
      ({ info: { activityType, activityId, workflowExecution } }) => ({
        inbound: {
          execute: (input, next) => {
            const activity = `${activityType}#${activityId}`;
            return withCalls(planFile, { workflowId: workflowExecution?.workflowId, activity }, () =>
              next(input),
            );
          },
        },
      }),
    ],
  },
});
console.log('Worker ready');
await worker.stopped;
