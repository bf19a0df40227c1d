/** A write or retry thread whose adapters are wrapped. */
import { readFileSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import type { RetryOrder, WriteOrder } from '../../../src/activities/dependencies.ts';
import { carryOutRetryOrder } from '../../../src/activities/retry-order.ts';
import { carryOutOrder } from '../../../src/activities/thread-order.ts';
import { carryOutWriteOrder } from '../../../src/activities/write-order.ts';
import { adapters } from '../../../src/adapters.ts';
import { Calls, enterCalls, type RunPlan } from './calls.ts';
import { wrapAdapters } from './wrapped.ts';

const { kind, planFile, activity, workflowId } = workerData.faults;
const plan: RunPlan = JSON.parse(readFileSync(planFile, 'utf8'));
if (plan.workflowId === workflowId) enterCalls(new Calls(plan, activity));
const wrapped = wrapAdapters(adapters);
if (kind === 'write')
  await carryOutOrder((order: WriteOrder, onProgress) => carryOutWriteOrder(wrapped, order, onProgress));
else await carryOutOrder((order: RetryOrder, onProgress) => carryOutRetryOrder(wrapped, order, onProgress));
