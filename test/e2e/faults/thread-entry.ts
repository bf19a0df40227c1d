/** A write or retry thread whose adapters are wrapped. */

import { readFileSync } from 'node:fs';
import { buildAdapters } from '../../../src/adapters.ts';
import type { RetryOrder, WriteOrder } from '../../../src/tasks/orders.ts';
import { carryOutRetryOrder } from '../../../src/tasks/retry-order.ts';
import { takeOrders, threadEnvironment } from '../../../src/tasks/thread-order.ts';
import { carryOutWriteOrder } from '../../../src/tasks/write-order.ts';
import { Calls, enterCalls, type RunPlan } from './calls.ts';
import { wrapAdapters } from './wrapped.ts';

/** What an order has besides: to which attempt its calls belong, and what is planned for them. */
export interface FaultyOrder {
  readonly planFile: string;
  readonly activity: string;
  readonly workflowId: string | undefined;
}

type Order = (WriteOrder | RetryOrder) & { readonly faults: FaultyOrder };

takeOrders((order: Order, onProgress) => {
  const { planFile, activity, workflowId } = order.faults;
  const plan: RunPlan = JSON.parse(readFileSync(planFile, 'utf8'));
  if (plan.workflowId === workflowId) enterCalls(new Calls(plan, activity));
  const wrapped = wrapAdapters(buildAdapters(threadEnvironment()));
  return 'task' in order
    ? carryOutWriteOrder(wrapped, order, onProgress)
    : carryOutRetryOrder(wrapped, order, onProgress);
});
