/** The thread in which letters are decoded again. */

import type { RetryOrder } from '../activities/dependencies.ts';
import { adapters } from '../adapters.ts';
import { carryOutRetryOrder } from './retry-order.ts';
import { takeOrders } from './thread-order.ts';

takeOrders((order: RetryOrder, onProgress) => carryOutRetryOrder(adapters, order, onProgress));
