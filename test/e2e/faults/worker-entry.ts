/** A worker whose adapters are wrapped: `worker-entry.ts PLAN_FILE PIPELINES BUNDLE`. */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { activityInfo } from '@temporalio/activity';
import type { Dependencies } from '../../../src/activities/dependencies.ts';
import { superviseThread } from '../../../src/activities/run-write-thread.ts';
import { adapters } from '../../../src/adapters.ts';
import { startWorker } from '../../../src/worker.ts';
import { withCalls } from './calls.ts';
import { wrapAdapters, wrapDependencies } from './wrapped.ts';

process.once('disconnect', () => process.exit());

const [planFile = '', pipelinesFolder = '', bundle = ''] = process.argv.slice(2);

/** A thread knows its plan, and to which attempt its calls belong. */
const runThread =
  (kind: 'write' | 'retry'): Dependencies['runWriteThread'] & Dependencies['runRetryThread'] =>
  (order, onProgress, signal) => {
    const { activityType, activityId, workflowExecution } = activityInfo();
    const activity = `${activityType}#${activityId}`;
    const workflowId = workflowExecution?.workflowId;
    const thread = new Worker(new URL('./thread-entry.ts', import.meta.url), {
      workerData: { ...order, faults: { kind, planFile, activity, workflowId } },
    });
    return superviseThread(thread, onProgress, signal);
  };

const worker = await startWorker({
  pipelinesFolder,
  heavyTasks: 2,
  workflowCode: readFileSync(bundle, 'utf8'),
  compose: (built) => wrapDependencies(built, wrapAdapters(adapters), runThread),
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
