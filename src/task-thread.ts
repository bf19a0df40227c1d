/** The thread of a write task, or of letters that are decoded again. */
import { buildAdapters } from './adapters.ts';
import type { RetryOrder, WriteOrder } from './tasks/orders.ts';
import { carryOutRetryOrder } from './tasks/retry-order.ts';
import { takeOrders } from './tasks/thread-order.ts';
import { carryOutWriteOrder } from './tasks/write-order.ts';

const adapters = buildAdapters(process.env);

takeOrders((order: WriteOrder | RetryOrder, onProgress) =>
  'task' in order
    ? carryOutWriteOrder(adapters, order, onProgress)
    : carryOutRetryOrder(adapters, order, onProgress),
);
