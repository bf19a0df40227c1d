/** The thread of a write task, or of letters that are decoded again. */
import { buildAdapters } from './adapters.ts';
import type { RetryOrder, WriteOrder } from './tasks/orders.ts';
import { carryOutRetryOrder } from './tasks/retry-order.ts';
import { takeOrders, threadEnvironment } from './tasks/thread-order.ts';
import { carryOutWriteOrder } from './tasks/write-order.ts';

const outside = buildAdapters(threadEnvironment());

takeOrders((order: WriteOrder | RetryOrder, onProgress) =>
  'task' in order
    ? carryOutWriteOrder(outside, order, onProgress)
    : carryOutRetryOrder(outside, order, onProgress),
);
