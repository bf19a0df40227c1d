/** The thread in which letters are decoded again. */
import { adapters } from '../adapters.ts';
import type { RetryOrder } from './dependencies.ts';
import { carryOutRetryOrder } from './retry-order.ts';
import { carryOutOrder } from './thread-order.ts';

await carryOutOrder((order: RetryOrder, onProgress) => carryOutRetryOrder(adapters, order, onProgress));
