/** The thread in which letters are decoded again. */
import { adapters } from '../adapters.ts';
import type { RetryOrder } from './dependencies.ts';
import { carryOutRetryOrder } from './retry-order.ts';
import { takeOrders } from './thread-order.ts';

takeOrders((order: RetryOrder, onProgress) => carryOutRetryOrder(adapters, order, onProgress));
